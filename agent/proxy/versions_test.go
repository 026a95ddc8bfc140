package proxy

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/haproxy"
)

// TestAnswersOfEveryVersion asks each HAProxy in the folder OCTAVO_VERSIONS, which packaging/haproxy-versions fills, all that
// is asked at once; without that folder, the installed one.
func TestAnswersOfEveryVersion(t *testing.T) {
	programs := []string{"haproxy"}
	if dir := os.Getenv("OCTAVO_VERSIONS"); dir != "" {
		var err error
		if programs, err = filepath.Glob(filepath.Join(dir, "*", "haproxy")); err != nil || len(programs) == 0 {
			t.Fatalf("there is no HAProxy in OCTAVO_VERSIONS=%s; packaging/haproxy-versions fetches some", dir)
		}
	}
	for _, program := range programs {
		t.Run(filepath.Base(filepath.Dir(program)), func(t *testing.T) {
			for name, servers := range map[string]string{"servers": "backend b\nserver one 127.0.0.1:1 check\nserver two 127.0.0.1:2\n", "no servers": ""} {
				socket := serve(t, program, servers)
				answers, err := ask(t.Context(), socket, "show info", "show servers state", "show stat")
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if info := haproxy.ParseInfo(answers[0]); info["description"] != "digest" {
					t.Errorf("%s: the process says of itself %v", name, info)
				}
				states, err := haproxy.ParseServersState(answers[1])
				if want := 2 * min(len(servers), 1); err != nil || len(states) != want {
					t.Errorf("%s: %d servers, want %d: %v", name, len(states), want, err)
				}
				if rows, err := haproxy.ParseStats(answers[2]); err != nil || len(rows) == 0 {
					t.Errorf("%s: %d rows of counters: %v", name, len(rows), err)
				}
			}
		})
	}
}

// serve starts a HAProxy for the time of the test, and answers its socket.
func serve(t *testing.T, program, more string) (socket string) {
	t.Helper()
	dir := t.TempDir()
	socket = filepath.Join(dir, "s")
	config := fmt.Sprintf("global\ndescription digest\nstats socket %s level admin\ndefaults\nmode http\ntimeout client 1s\ntimeout server 1s\n"+
		"timeout connect 1s\nfrontend f\nbind unix@%s\n%s", socket, filepath.Join(dir, "f"), more)
	path := filepath.Join(dir, "haproxy.cfg")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-db", "-f", path)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := command(t.Context(), socket, "show version"); err == nil {
			return socket
		}
		if time.Now().After(deadline) {
			t.Fatal("HAProxy does not answer")
		}
	}
}
