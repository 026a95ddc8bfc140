package agent

import "testing"

func TestConnectionsThatAnInstanceCarries(t *testing.T) {
	for name, c := range map[string]struct{ memory, mostFiles, connections, files uint64 }{
		"1 GB":                          {1 << 30, 1 << 20, 13107, 33768},
		"8 GB":                          {8 << 30, 1 << 20, 104857, 263143},
		"64 GB, more than the kernel's": {64 << 30, 1 << 20, 838860, 1 << 20},
		"1 TB":                          {1 << 40, 1 << 30, 1_000_000, 2_501_000},
	} {
		t.Run(name, func(t *testing.T) {
			connections, files := afford(c.memory, c.mostFiles)
			if connections != c.connections || files != c.files {
				t.Errorf("%d connections and %d files, want %d and %d", connections, files, c.connections, c.files)
			}
			if files < c.mostFiles && carry(files) < connections {
				t.Errorf("%d files are too few for %d connections", files, connections)
			}
		})
	}
}
