// Package process holds on to the daemons of an amphora: they are started by one process of the agent, survive it, and are
// taken over by the next.
package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Process is a daemon that runs, or has run.
type Process struct {
	PID    int
	name   string
	fd     int // pidfd: a signal through it can never reach another process
	exited chan struct{}
}

// Namespace runs a function where the daemon's network is.
type Namespace interface {
	Do(f func() error) error
}

// Start starts a daemon in the namespace, apart from the agent's session, so that nothing that happens to the agent reaches
// it.
func Start(cmd *exec.Cmd, in Namespace) (*Process, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setsid = true
	if err := in.Do(cmd.Start); err != nil {
		return nil, fmt.Errorf("starting %s: %w", cmd.Path, err)
	}
	p, err := hold(cmd.Process.Pid, cmd.Path)
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil, err
	}
	go func() {
		_ = cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// TakeOver holds on to a daemon that an earlier process of the agent started.
func TakeOver(pid int, name string) (*Process, error) {
	p, err := hold(pid, name)
	if err != nil {
		return nil, err
	}
	go p.watch()
	return p, nil
}

func hold(pid int, name string) (*Process, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, fmt.Errorf("watching process %d of %s: %w", pid, name, err)
	}
	return &Process{PID: pid, name: name, fd: fd, exited: make(chan struct{})}, nil
}

// watch closes exited when the process, which is not our child, ends.
func (p *Process) watch() {
	fds := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, -1)
		if n > 0 || err != nil && !errors.Is(err, unix.EINTR) {
			// It is our child all the same if another program was the agent in this process before.
			_, _ = unix.Wait4(p.PID, nil, unix.WNOHANG, nil)
			close(p.exited)
			return
		}
	}
}

// Exited is closed when the daemon has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Running tells whether the daemon has not ended yet.
func (p *Process) Running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// Signal sends a signal.
func (p *Process) Signal(s unix.Signal) error {
	if err := unix.PidfdSendSignal(p.fd, s, nil, 0); err != nil {
		return fmt.Errorf("sending %v to process %d of %s: %w", s, p.PID, p.name, err)
	}
	return nil
}

// End ends the daemon, by force if it does not end by itself in time, and lets go of it.
func (p *Process) End(grace time.Duration) {
	if grace > 0 && p.Signal(unix.SIGTERM) == nil {
		select {
		case <-p.exited:
		case <-time.After(grace):
		}
	}
	_ = p.Signal(unix.SIGKILL)
	<-p.exited
	p.Release()
}

// Release lets go of a daemon that has ended.
func (p *Process) Release() { unix.Close(p.fd) }

// KillStrays ends processes whose command line has that argument: children of a daemon that was killed, which would go on by
// themselves. Nobody else has the path of our configuration among its arguments.
func KillStrays(argument string) {
	found, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range found {
		cmdline, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(cmdline), "\x00"+argument+"\x00") {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil && pid != os.Getpid() {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
}
