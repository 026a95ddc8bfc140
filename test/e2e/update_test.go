package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/pools"
)

// compile builds a program of one of the project's packages, or of a file.
func compile(t *testing.T, name, what string, flags ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	cmd := exec.Command("go", append(append([]string{"build"}, flags...), "-o", path, what)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// notAnAgent says that it is one, and does something else.
func notAnAgent(t *testing.T, then string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "main.go")
	source := "package main\n\nimport (\n\t\"fmt\"\n\t\"os\"\n\t\"time\"\n)\n\nfunc main() {\n\tif len(os.Args) == 2 && os.Args[1] == \"--version\" {\n\t\tfmt.Println(\"octavo-agent broken\")\n\t\treturn\n\t}\n\t" +
		then + "\n}\n"
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	return compile(t, "octavo-agent", file)
}

// programs are the processes of HAProxy in an amphora, and the program that its agent runs.
func (o *octavo) programs(t testing.TB, server string) (haproxy, agent string) {
	t.Helper()
	haproxy = o.within(t, server, "pgrep -x haproxy | sort -n | tr '\\n' ' '")
	return haproxy, o.within(t, server, "for p in $(pgrep -f ^/run/octavo-program); do readlink /proc/$p/exe; done")
}

// TestAgentIsUpdatedInPlace replaces the agent in a running amphora while requests run: not by programs that nobody signed, but
// by one that the operator did.
func TestAgentIsUpdatedInPlace(t *testing.T) {
	t.Parallel()
	next := compile(t, "octavo-agent", "github.com/octavo-lb/octavo/cmd/octavo-agent", "-ldflags", "-X main.version=next")
	o := start(t)
	n := o.tenant(t)
	lb, url := n.serving("lb")
	amphora := o.amphora(t, lb.ID)
	key := filepath.Join(o.dir, "octavo.agent-key")
	haproxy, _ := o.programs(t, amphora.ComputeID)
	tr := send(t, url, 4)

	t.Run("another key signed it", func(t *testing.T) {
		other := filepath.Join(t.TempDir(), "key")
		if out, err := o.command(t, "octavo-admin", "agent", "key", other); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		out, err := o.command(t, "octavo-admin", "agent", "update", next, "--key", other)
		if err == nil || !strings.Contains(out, "its signature is not that of the key") {
			t.Errorf("octavo agent update: %v\n%s", err, out)
		}
	})
	t.Run("it was changed after it was signed", func(t *testing.T) {
		if out, err := o.command(t, "octavo-admin", "agent", "sign", next, "--key", key); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		content, err := os.ReadFile(next)
		if err != nil {
			t.Fatal(err)
		}
		changed := filepath.Join(t.TempDir(), "octavo-agent")
		signed, err := os.ReadFile(next + ".signed.json")
		if err == nil {
			err = os.WriteFile(changed+".signed.json", signed, 0o600)
		}
		if err == nil {
			content[len(content)/2]++
			err = os.WriteFile(changed, content, 0o700)
		}
		if err != nil {
			t.Fatal(err)
		}
		out, err := o.command(t, "octavo-admin", "agent", "update", changed)
		if err == nil || !strings.Contains(out, "not the program that was signed") {
			t.Errorf("octavo agent update: %v\n%s", err, out)
		}
	})
	t.Run("a good one", func(t *testing.T) {
		began := time.Now()
		out, err := o.command(t, "octavo-admin", "agent", "update", next, "--key", key)
		if err != nil {
			t.Fatalf("octavo agent update: %v\n%s", err, out)
		}
		t.Logf("updated after %v\n%s", time.Since(began).Round(time.Millisecond), out)
		h, a := o.programs(t, amphora.ComputeID)
		if h != haproxy || a != "/run/octavo/agent/octavo-agent" {
			t.Errorf("HAProxy was %s and is %s, the agent is %s", haproxy, h, a)
		}
		if said := o.within(t, amphora.ComputeID, "/run/octavo/agent/octavo-agent --version"); said != "octavo-agent next" {
			t.Errorf("it is %s", said)
		}
		n.t = t
		n.member(n.poolOf(lb.ID), pools.CreateMemberOpts{Address: "192.168.21.109", ProtocolPort: 80})
		n.active(lb.ID) // it does what it is told
		if log := o.within(t, amphora.ComputeID, "cat /run/octavo/agent/trial.json 2>/dev/null || echo none"); log != "none" {
			t.Errorf("it has not proved itself: %s", log)
		}
	})
	tr.mustNotHaveFailed(t, 500)
}

// TestAgentProgramThatFails rolls out signed programs that do not work while requests run: the agent of the image comes back.
func TestAgentProgramThatFails(t *testing.T) {
	t.Parallel()
	sleeps, crashes := notAnAgent(t, "time.Sleep(time.Hour)"), notAnAgent(t, "time.Sleep(time.Millisecond)\n\tos.Exit(3)")
	o := start(t)
	n := o.tenant(t)
	lb, url := n.serving("lb")
	amphora := o.amphora(t, lb.ID)
	key := filepath.Join(o.dir, "octavo.agent-key")
	haproxy, image := o.programs(t, amphora.ComputeID)
	tr := send(t, url, 4)
	for _, c := range []struct{ name, program, want string }{
		{"it does not report", sleeps, "it did not report to a controller within 15s"},
		{"it crashes", crashes, "it ended before it had reported to a controller"},
	} {
		t.Run(c.name, func(t *testing.T) {
			began := time.Now()
			out, err := o.command(t, "octavo-admin", "agent", "update", c.program, "--key", key)
			if err == nil || !strings.Contains(out, c.want) {
				t.Errorf("octavo agent update: %v\n%s", err, out)
			}
			t.Logf("the agent of the image was back after %v", time.Since(began).Round(time.Millisecond))
			n.t = t
			n.active(lb.ID)
			if h, a := o.programs(t, amphora.ComputeID); h != haproxy || a != image {
				t.Errorf("HAProxy was %s and is %s, the agent was %s and is %s", haproxy, h, image, a)
			}
		})
	}
	tr.mustNotHaveFailed(t, 500)
}
