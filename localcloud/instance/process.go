package instance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// InitCommand is the argument with which this program becomes an instance's init; see Main.
const InitCommand = "instance-init"

// Start starts the instance in the network namespace that the calling thread is in, and returns when its init runs. The
// config drive must have been written. It answers a channel that is closed when the instance has ended.
func Start(s Spec) (ended <-chan struct{}, err error) {
	spec, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	console, err := os.OpenFile(filepath.Join(s.Dir, "console.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer console.Close()
	ready, running, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer ready.Close()
	cmd := exec.Command("/proc/self/exe", InitCommand, string(spec))
	cmd.Args[0] = "octavo"
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.Stdout, cmd.Stderr = console, console
	cmd.ExtraFiles = []*os.File{running}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
	}
	err = cmd.Start()
	running.Close()
	if err != nil {
		return nil, fmt.Errorf("cannot start the instance's init: %w", err)
	}
	if err := awaitReady(s.Dir, cmd, ready); err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil, err
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	return done, nil
}

// awaitReady writes the pid file and waits for init's word: nothing when all is well, a sentence otherwise.
func awaitReady(dir string, cmd *exec.Cmd, ready *os.File) error {
	started, err := startTime(cmd.Process.Pid)
	if err != nil {
		return err
	}
	if err := writeFile(pidFile(dir), fmt.Appendf(nil, "%d %s\n", cmd.Process.Pid, started)); err != nil {
		return err
	}
	_ = ready.SetReadDeadline(time.Now().Add(20 * time.Second))
	var said bytes.Buffer
	if _, err := said.ReadFrom(ready); err != nil {
		return fmt.Errorf("the instance's init does not answer: %w", err)
	}
	if text := said.String(); text != "ready" {
		return fmt.Errorf("the instance's init ended: %s", strings.TrimSpace(text))
	}
	return nil
}

func pidFile(dir string) string { return filepath.Join(dir, "pid") }

// startTime tells a process from a later one with the same id: field 22 of /proc/PID/stat.
func startTime(pid int) (string, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	// The name, in parentheses, may hold anything; the fields after it are counted from 3.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 {
		return "", fmt.Errorf("/proc/%d/stat is not understood", pid)
	}
	return string(fields[19]), nil
}

// pid answers the process id of the instance's init, 0 when it does not run.
func pid(dir string) int {
	text, err := os.ReadFile(pidFile(dir))
	if err != nil {
		return 0
	}
	var id int
	var started string
	if n, _ := fmt.Sscan(string(text), &id, &started); n != 2 {
		return 0
	}
	if now, err := startTime(id); err != nil || now != started || isZombie(id) {
		return 0
	}
	return id
}

func isZombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	return len(fields) == 0 || fields[0][0] == 'Z'
}

// Running tells whether the instance in dir runs, whoever started it.
func Running(dir string) bool { return pid(dir) != 0 }

// Adopt answers a channel that is closed when the running instance in dir has ended.
func Adopt(dir string) (ended <-chan struct{}, err error) {
	id := pid(dir)
	if id == 0 {
		return nil, errors.New("the instance does not run")
	}
	fd, err := unix.PidfdOpen(id, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot watch the instance's init: %w", err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer unix.Close(fd)
		for {
			if _, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1); !errors.Is(err, unix.EINTR) {
				return
			}
		}
	}()
	return done, nil
}

// Reload makes the instance read its config drive's network again.
func Reload(dir string) error {
	if id := pid(dir); id != 0 {
		return unix.Kill(id, unix.SIGHUP)
	}
	return nil
}

// Kill ends the instance and everything in it, and waits for that. That it does not run is no error. It does not keep
// anybody from starting the instance again.
func Kill(ctx context.Context, dir string) error {
	id := pid(dir)
	if id == 0 {
		return nil
	}
	// The kernel ends every process of a pid namespace with its init.
	if err := unix.Kill(id, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("cannot end the instance's init: %w", err)
	}
	for pid(dir) == id {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the instance's init (process %d) does not end: %w", id, ctx.Err())
		case <-time.After(2 * time.Millisecond):
		}
	}
	return nil
}
