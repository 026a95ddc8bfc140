package keepalived_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/agentapi/agentapitest"
	"github.com/octavo-lb/octavo/keepalived"
)

// TestGolden reads each testdata/NAME.yaml, compares with NAME.conf what is written for it, and asks keepalived itself.
func TestGolden(t *testing.T) {
	agentapitest.Golden(t, ".conf", func(t *testing.T, input string) (string, func() (string, error)) {
		text := build(t, input)
		if text == "" {
			return text, nil
		}
		return text, func() (string, error) {
			for _, program := range programs(t) {
				if out, err := judgeWith(t, program, text); err != nil {
					return out, fmt.Errorf("%s: %w", program, err)
				}
			}
			return "", nil
		}
	})
}

// programs are the installed keepalived and those in the folder OCTAVO_VERSIONS, which packaging/haproxy-versions fills.
func programs(t *testing.T) []string {
	t.Helper()
	dir := os.Getenv("OCTAVO_VERSIONS")
	if dir == "" {
		return []string{"keepalived"}
	}
	found, err := filepath.Glob(filepath.Join(dir, "*", "keepalived"))
	if err != nil || len(found) == 0 {
		t.Fatalf("there is no keepalived in OCTAVO_VERSIONS=%s; packaging/haproxy-versions fetches some", dir)
	}
	return append(found, "keepalived")
}

// TestJudgeSaysNo proves that the judge of the other test can refuse.
func TestJudgeSaysNo(t *testing.T) {
	input, err := os.ReadFile("testdata/pair.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, program := range programs(t) {
		if _, err := judgeWith(t, program, strings.Replace(build(t, string(input)), "priority 100", "priority none", 1)); err == nil {
			t.Errorf("%s accepts a priority that is no number", program)
		}
	}
}

func TestBuildRefuses(t *testing.T) {
	input, err := os.ReadFile("testdata/pair.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string][2]string{
		"router_id 256":    {"router_id: 1", "router_id: 256"},
		"priority 255":     {"priority: 100", "priority: 255"},
		"cannot be a name": {"loadbalancer_id: lb1", `loadbalancer_id: "lb1\n}"`},
		"no address":       {"address: 10.0.0.50", "address: ''"},
	} {
		state, err := agentapitest.State(strings.Replace(string(input), change[0], change[1], 1))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := keepalived.Build(state, environment()); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("got error %v, want one that says %q", err, what)
		}
	}
}

func environment() keepalived.Environment {
	return keepalived.Environment{Interface: "lb020000000064", TrackFile: "/run/octavo/serving"}
}

func build(t *testing.T, input string) string {
	t.Helper()
	state, err := agentapitest.State(input)
	if err != nil {
		t.Fatal(err)
	}
	text, err := keepalived.Build(state, environment())
	if err != nil {
		t.Fatal(err)
	}
	if state.VRRP == nil {
		return text
	}
	started := keepalived.Joining(text, time.Duration(state.VRRP.Join)*time.Millisecond)
	if keepalived.Joined(started) != text {
		t.Errorf("of %q is left %q", text, keepalived.Joined(started))
	}
	return started
}

// judgeWith asks the real program, in namespaces of its own: it looks at the interfaces, and at files where pids are.
func judgeWith(t *testing.T, program, text string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "keepalived.conf")
	text = strings.ReplaceAll(text, environment().TrackFile, filepath.Join(dir, "serving"))
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "serving"), []byte(keepalived.Fit), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "unshare", "-n", "sh", "-c", "ip link add lb020000000064 type veth peer name other && ip link set lb020000000064 up && ip addr add 10.0.0.50/24 dev lb020000000064 && exec "+program+" -t -l -f "+file)
	out, err := cmd.CombinedOutput()
	return string(out), err
}
