package openstack

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sandbox runs commands as a guide prints them, and keeps what they change off the machine.
type sandbox struct {
	t   *testing.T
	pid int    // whose mount namespace it is
	dir string // of scripts, logs and pid files
	env []string
	src string
}

func newSandbox(t *testing.T, env ...string) *sandbox {
	t.Helper()
	src, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	s := &sandbox{t: t, dir: t.TempDir(), src: src}
	if err := os.Chmod(s.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	client := fmt.Sprintf("[client]\nsocket=%s/run/mysqld.sock\n", stateDir())
	if err := os.WriteFile(filepath.Join(s.dir, ".my.cnf"), []byte(client), 0o600); err != nil {
		t.Fatal(err)
	}
	s.env = append(os.Environ(), "HOME="+s.dir, "SYSTEMCTL_RUN="+s.dir, "PYTHONWARNINGS=ignore", "GOCACHE="+goEnv(t, "GOCACHE"), "GOMODCACHE="+goEnv(t, "GOMODCACHE"),
		"OS_CLIENT_CONFIG_FILE="+filepath.Join(stateDir(), "clouds.yaml"))
	s.env = append(s.env, env...)
	holder := exec.Command("unshare", "-m", "--propagation", "private", "./sandbox", src)
	holder.Stderr = os.Stderr
	in, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		holder.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("the sandbox says %q, %v", line, err)
	}
	s.pid = holder.Process.Pid
	return s
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// variables is where one script leaves its variables for the next.
func (s *sandbox) variables() string { return filepath.Join(s.dir, "variables") }

// bash runs a script in the sandbox, with the variables of those before it, and answers what it printed. The script ends at
// the first command that fails.
func (s *sandbox) bash(script string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	whole := fmt.Sprintf("set -euo pipefail\ncd %q\n[ ! -e %[2]q ] || . %[2]q\n%s\n"+
		"{ declare -p | grep -e '^declare -- [a-z_]*=' || :; echo export OS_CLOUD=${OS_CLOUD:-}; } >%[2]q\n", s.src, s.variables(), script)
	path := filepath.Join(s.dir, "script")
	if err := os.WriteFile(path, []byte(whole), 0o600); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "nsenter", "-m", "-t", fmt.Sprint(s.pid), "bash", path)
	cmd.Env = s.env
	// A file and not a pipe: daemons that the script starts may hold it longer.
	output, err := os.CreateTemp(s.dir, "output")
	if err != nil {
		return "", err
	}
	defer output.Close()
	cmd.Stdout, cmd.Stderr = output, output
	failed := cmd.Run()
	if _, err := output.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	text, err := io.ReadAll(output)
	if err != nil {
		return "", err
	}
	return string(text), failed
}

// run runs a script that must succeed.
func (s *sandbox) run(script string) string {
	s.t.Helper()
	out, err := s.bash(script)
	if err != nil {
		s.t.Fatalf("%v:\n%s\nprinted\n%s", err, script, out)
	}
	return strings.TrimSpace(out)
}

// log is the end of what a service has logged.
func (s *sandbox) log(service string) string {
	text, _ := os.ReadFile(filepath.Join(s.dir, service+".log"))
	return string(text[max(0, len(text)-6000):])
}
