package proxy

import (
	"context"
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

	"github.com/octavo-lb/octavo/haproxy"
)

// process is HAProxy's master, which this process of the agent started or found. It survives the agent.
type process struct {
	pid    int
	fd     int           // pidfd: a signal through it can never reach another process
	exited chan struct{} // closed when it has ended
}

func hold(pid int) (*process, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, fmt.Errorf("watching HAProxy's process %d: %w", pid, err)
	}
	return &process{pid: pid, fd: fd, exited: make(chan struct{})}, nil
}

func (p *process) signal(s unix.Signal) error {
	if err := unix.PidfdSendSignal(p.fd, s, nil, 0); err != nil {
		return fmt.Errorf("sending %v to HAProxy's process %d: %w", s, p.pid, err)
	}
	return nil
}

func (p *process) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// watch closes exited when the process, which is not our child, ends.
func (p *process) watch() {
	fds := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, -1)
		if n > 0 || err != nil && !errors.Is(err, unix.EINTR) {
			close(p.exited)
			return
		}
	}
}

// end kills the process if it does not end by itself in time.
func (p *process) end(grace time.Duration) {
	if p.signal(unix.SIGTERM) == nil {
		select {
		case <-p.exited:
			return
		case <-time.After(grace):
		}
	}
	_ = p.signal(unix.SIGKILL)
	<-p.exited
}

// launch starts HAProxy in the load balancer's namespace, as a user without rights and apart from the agent's session,
// so that nothing that happens to the agent reaches it.
func (p *Proxy) launch() (*process, error) {
	log, err := os.OpenFile(p.path(logFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("starting HAProxy: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(p.o.Binary, "-W", "-S", p.path(masterSocket)+",mode,600", "-f", p.path(configFile))
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", log, log
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: p.credential()}
	if err := p.o.Namespace.Do(cmd.Start); err != nil {
		return nil, fmt.Errorf("starting HAProxy: %w", err)
	}
	proc, err := hold(cmd.Process.Pid)
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil, err
	}
	go func() {
		_ = cmd.Wait()
		close(proc.exited)
	}()
	return proc, nil
}

func (p *Proxy) credential() *syscall.Credential {
	return &syscall.Credential{Uid: uint32(p.o.UID), Gid: uint32(p.o.GID), NoSetGroups: false}
}

// find looks for a HAProxy that an earlier process of the agent left serving.
func (p *Proxy) find(ctx context.Context) (*process, error) {
	answer, err := command(ctx, p.path(masterSocket), "show proc")
	if err != nil {
		return nil, nil // nobody answers: there is none
	}
	for _, one := range haproxy.ParseProcesses(answer).All {
		if !one.Master {
			continue
		}
		proc, err := hold(one.PID)
		if err != nil {
			return nil, err
		}
		go proc.watch()
		return proc, nil
	}
	return nil, nil
}

// killStrays ends processes that run our configuration without the master that we know: workers whose master was killed
// keep the listening sockets, and would take connections with an old configuration for ever.
func (p *Proxy) killStrays() {
	found, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range found {
		cmdline, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(cmdline), "\x00"+p.path(configFile)+"\x00") || !strings.Contains(string(cmdline), "\x00-W\x00") {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
}

// complaint is what HAProxy printed last that tells why it does not run.
func (p *Proxy) complaint() string {
	text, err := os.ReadFile(p.path(logFile))
	if err != nil {
		return ""
	}
	return complaints(string(text))
}

// complaints picks the alerts from what HAProxy printed, in one line.
func complaints(text string) string {
	var alerts []string
	for line := range strings.Lines(text) {
		if _, alert, ok := strings.Cut(line, "[ALERT]"); ok {
			_, alert, _ = strings.Cut(alert, " : ")
			alerts = append(alerts, strings.TrimSpace(alert))
		}
	}
	if len(alerts) > 3 {
		alerts = alerts[:3]
	}
	return strings.Join(alerts, "; ")
}
