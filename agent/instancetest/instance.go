// Package instancetest is an amphora without a virtual machine, for tests and measurements: network, process and mount
// namespaces of its own with the real octavo-agent in them, a network beside it in which clients and members are, and a
// controller. Nothing of it is in the host's network, and all of it ends with the test. It needs root.
package instancetest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netns"

	"github.com/octavo-lb/octavo/agentapi"
)

// MAC is the address of the instance's VIP interface.
const MAC = "02:00:00:00:00:64"

// Instance is the amphora.
type Instance struct {
	Binary  string
	holder  *exec.Cmd // keeps the namespaces
	Drive   string    // the config drive
	mu      sync.Mutex
	agent   *exec.Cmd
	log     *lockedBuffer
	exited  chan struct{}
	exitErr error
}

// setUp makes the instance's file systems and then is its init, which reaps what is orphaned.
const setUp = `
set -e
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mkdir -p /var/lib/octavo
mount -t tmpfs tmpfs /var/lib/octavo
ip link set lo up
echo ready
set +e
while :; do sleep 3600 & wait $!; done
`

// New makes an instance that is linked to the network beside it by an interface of address MAC.
func New(t testing.TB, beside *Network) *Instance {
	t.Helper()
	return NewAt(t, beside, MAC)
}

// NewAt makes an instance whose interface has that address.
func NewAt(t testing.TB, beside *Network, mac string) *Instance {
	t.Helper()
	i := &Instance{Binary: build(t), Drive: t.TempDir(), log: &lockedBuffer{}}
	i.holder = exec.Command("bash", "-c", setUp)
	i.holder.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS, Setpgid: true,
	}
	i.holder.Stderr = os.Stderr
	out, err := i.holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := i.holder.Start(); err != nil {
		t.Fatalf("making the namespaces of an instance (this needs root): %v", err)
	}
	t.Cleanup(func() {
		_ = i.holder.Process.Kill()
		_ = i.holder.Wait()
		if t.Failed() {
			t.Logf("the agent logged:\n%s", i.Log())
		}
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("the instance did not start: %q %v", line, err)
	}
	beside.Plug(t, i, mac)
	return i
}

// build compiles the agent, once for all tests of a process.
func build(t testing.TB) string {
	t.Helper()
	path, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var compiled = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("OCTAVO_AGENT"); path != "" {
		return path, nil
	}
	dir, err := os.MkdirTemp("", "octavo-agent")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "octavo-agent")
	cmd := exec.Command("go", "build", "-o", path, "github.com/octavo-lb/octavo/cmd/octavo-agent")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building octavo-agent: %w\n%s", err, out)
	}
	return path, nil
})

// Run runs a package's tests and removes what was compiled for them: TestMain passes its code to os.Exit.
func Run(m *testing.M) int {
	code := m.Run()
	if path, err := compiled(); err == nil && os.Getenv("OCTAVO_AGENT") == "" {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	return code
}

// Boot writes the config drive.
func (i *Instance) Boot(t testing.TB, boot agentapi.Boot) {
	t.Helper()
	text, err := json.Marshal(boot)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(i.Drive, "openstack/latest/user_data")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// ListenUDP opens a socket on the instance's management side.
func (i *Instance) ListenUDP(t testing.TB) net.PacketConn {
	t.Helper()
	ns, err := netns.GetFromPid(i.holder.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	var c net.PacketConn
	err = onThread(func() (err error) {
		if err = netns.Set(ns); err == nil {
			c, err = net.ListenPacket("udp", "127.0.0.1:0")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// Command runs a program in the instance.
func (i *Instance) Command(name string, args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"-t", strconv.Itoa(i.holder.Process.Pid), "-m", "-n", "-p", "--", name}, args...)...)
}

// Output runs a program in the instance and returns what it prints.
func (i *Instance) Output(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := i.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// StartAgent starts the agent in the instance.
func (i *Instance) StartAgent(t testing.TB) {
	t.Helper()
	cmd := i.Command(i.Binary, "--config-drive", i.Drive)
	cmd.Stdout, cmd.Stderr = i.log, i.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	i.mu.Lock()
	i.agent, i.exited = cmd, exited
	i.mu.Unlock()
	go func() {
		err := cmd.Wait()
		i.mu.Lock()
		i.exitErr = err
		i.mu.Unlock()
		close(exited)
	}()
}

// SignalAgent sends a signal to the agent and waits until it has ended.
func (i *Instance) SignalAgent(t testing.TB, s syscall.Signal) {
	t.Helper()
	pid, err := i.agentPID()
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, s); err != nil {
		t.Fatal(err)
	}
	select {
	case <-i.exited:
	case <-time.After(10 * time.Second):
		t.Fatalf("the agent did not end after %v", s)
	}
}

// agentPID is the host's number of the process that nsenter forked.
func (i *Instance) agentPID() (int, error) {
	parent := i.agent.Process.Pid
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", parent, parent))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text))
	if len(fields) != 1 {
		return 0, errors.New("the agent does not run")
	}
	return strconv.Atoi(fields[0])
}

// AgentPID is the host's number of the agent's process.
func (i *Instance) AgentPID(t testing.TB) int {
	t.Helper()
	pid, err := i.agentPID()
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// Log is what all agents of the instance have logged.
func (i *Instance) Log() string { return i.log.String() }

// HAProxy gives a command to HAProxy's socket.
func (i *Instance) HAProxy(t testing.TB, command string) string {
	t.Helper()
	return i.ask(t, "stats.sock", command)
}

// Master gives a command to HAProxy's master.
func (i *Instance) Master(t testing.TB, command string) string {
	t.Helper()
	return i.ask(t, "master.sock", command)
}

func (i *Instance) ask(t testing.TB, socket, command string) string {
	t.Helper()
	address := &net.UnixAddr{Name: filepath.Join(i.Root(), "run/octavo/haproxy", socket), Net: "unix"}
	c, err := net.DialUnix("unix", nil, address)
	// The master does not listen for a moment after a reload.
	for deadline := time.Now().Add(5 * time.Second); err != nil && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
		c, err = net.DialUnix("unix", nil, address)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintln(c, command)
	_ = c.CloseWrite()
	answer, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return string(answer)
}

// Root is where the instance's files are to be seen from outside.
func (i *Instance) Root() string { return fmt.Sprintf("/proc/%d/root", i.holder.Process.Pid) }

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Kill ends the instance and everything in it, at once.
func (i *Instance) Kill() {
	_ = i.holder.Process.Kill()
	_ = i.holder.Wait()
}
