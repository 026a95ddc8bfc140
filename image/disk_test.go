package image

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestPartitionTable lets sfdisk judge the table, and checks that every partition holds its file.
func TestPartitionTable(t *testing.T) {
	dir := t.TempDir()
	var parts []part
	for i, content := range []string{strings.Repeat("boot", 1000), strings.Repeat("root", 700_000), "state"} {
		file := filepath.Join(dir, string(rune('a'+i)))
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		parts = append(parts, part{file: file, kind: 0x83, active: i == 0})
	}
	parts[0].kind = 0xef
	disk := filepath.Join(dir, "disk")
	if err := joinParts(disk, parts); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("/sbin/sfdisk", "--dump", disk).CombinedOutput()
	if err != nil {
		t.Fatalf("sfdisk: %v\n%s", err, out)
	}
	for _, want := range []string{
		"label-id: 0x4f435456",
		"start=        2048, size=        2048, type=ef, bootable",
		"start=        4096, size=        6144, type=83",
		"start=       10240, size=        2048, type=83",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("sfdisk does not see %q:\n%s", want, out)
		}
	}
	data, err := os.ReadFile(disk)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(data[10240*sector:], []byte("state")) || len(data) != 12288*sector {
		t.Errorf("the last partition is not where the table says, or the disk has a wrong size (%d)", len(data))
	}
	if binary.LittleEndian.Uint16(data[510:]) != 0xaa55 {
		t.Error("a BIOS would not start this")
	}
}

func TestModulePlaces(t *testing.T) {
	for _, c := range []struct {
		file    string
		place   string
		storage bool
		other   bool
	}{
		{"usr/lib/modules/6.1.0-cloud-amd64/kernel/drivers/block/virtio_blk.ko", "drivers/block/virtio_blk", true, false},
		{"usr/lib/modules/6.1.0-cloud-amd64/kernel/drivers/net/ethernet/mellanox/mlx5/core/mlx5_core.ko", "drivers/net/ethernet/mellanox/mlx5/core/mlx5_core", false, true},
		{"usr/lib/modules/6.1.0-cloud-amd64/kernel/net/netfilter/nft_numgen.ko", "net/netfilter/nft_numgen", false, true},
		{"usr/lib/modules/6.1.0-cloud-amd64/kernel/net/netfilter/nf_conntrack_ftp.ko", "net/netfilter/nf_conntrack_ftp", false, false},
		{"usr/lib/modules/6.1.0-cloud-amd64/modules.builtin", "", false, false},
	} {
		place, _ := modulePath(c.file)
		if place != c.place {
			t.Errorf("%s is at %q", c.file, place)
		}
		if got := matchesAny(storageModules, place); got != c.storage {
			t.Errorf("%s for the RAM disk: %v", place, got)
		}
		if got := matchesAny(otherModules, place); got != c.other {
			t.Errorf("%s for the root file system: %v", place, got)
		}
	}
}
