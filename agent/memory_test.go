package agent_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestScarceMemory: connections keep processes of HAProxy from before a reload alive. When memory runs short, the oldest of
// them goes before another one comes, and no other one.
func TestScarceMemory(t *testing.T) {
	w := newWorld(t)
	w.startTunnel(t)
	w.instance.StartAgent(t)
	reload := func(timeout int) {
		t.Helper()
		before := ""
		if timeout > 1000 {
			before = workerPID(t, w)
		}
		w.put(t, fmt.Sprintf(`%s
listeners: [{id: l1, protocol: HTTP, protocol_port: 8080, default_pool_id: p1, timeout_client_data: %d}]
pools: [{id: p1, protocol: HTTP, lb_algorithm: ROUND_ROBIN}]
members: [{id: m1, pool_id: p1, address: 10.0.0.13, protocol_port: 8080}]
`, header, 100_000+timeout))
		if workerPID(t, w) == before {
			t.Fatal("HAProxy was not reloaded")
		}
	}
	reload(1000)
	var tunnels []*tunnel
	var pids []string
	open := func() {
		tunnels, pids = append(tunnels, w.openTunnel(t)), append(pids, workerPID(t, w))
	}
	open()
	memory := w.fakeMemory(t)

	for i := range 2 {
		memory <- 50
		reload(2000 + i)
		open()
	}
	for i, u := range tunnels {
		if err := u.exchange(); err != nil {
			t.Errorf("there is memory, and connection %d was ended: %v", i, err)
		}
	}
	memory <- 5
	memory <- 50
	reload(3000)
	if err := tunnels[0].exchange(); err == nil {
		t.Error("memory is scarce, and the oldest process goes on")
	}
	for i, u := range tunnels[1:] {
		if err := u.exchange(); err != nil {
			t.Errorf("one process had to go, and connection %d was ended, too: %v", 1+i, err)
		}
	}
	if log := w.instance.Log(); strings.Count(log, "memory is scarce") != 1 || !strings.Contains(log, "process="+pids[0]) {
		t.Errorf("the agent does not say that it ended process %s", pids[0])
	}
}

// fakeMemory gives each look of the agent at the instance's memory the next answer: which percentage of it could be had.
func (w *world) fakeMemory(t *testing.T) chan<- int {
	t.Helper()
	w.instance.Output(t, "sh", "-c", "mkfifo /run/meminfo && mount --bind /run/meminfo /proc/meminfo")
	answers := make(chan int, 10)
	path := filepath.Join(w.instance.Root(), "run/meminfo")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for percent := range answers {
			f, err := os.OpenFile(path, os.O_WRONLY, 0) // waits for a reader
			if err != nil {
				return
			}
			fmt.Fprintf(f, "MemTotal: 100 kB\nMemAvailable: %d kB\n", percent)
			f.Close()
			time.Sleep(100 * time.Millisecond) // that reader is to be gone before the next answer
		}
	}()
	t.Cleanup(func() {
		close(answers)
		// Whoever still waits for a reader gets one.
		if f, err := os.OpenFile(path, os.O_RDWR, 0); err == nil {
			defer f.Close()
		}
		<-done
	})
	return answers
}
