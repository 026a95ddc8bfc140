package boot

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// How the agent is started again, and how long it may take to end when the machine is switched off.
const (
	firstPause = time.Second
	lastPause  = 30 * time.Second
	healthy    = time.Minute // an agent that ran this long is started again at once
	endPause   = 5 * time.Second
)

// environment is the agent's.
var environment = []string{"PATH=/usr/sbin:/usr/bin", "HOME=/", "LANG=C.UTF-8"}

// supervise keeps the agent running until the machine is told to stop. What the agent has started (HAProxy, keepalived)
// is not its end: it goes on while the agent is away. Every orphan's exit is collected here, as nobody else will.
func supervise(log *slog.Logger) error {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGCHLD, syscall.SIGTERM, syscall.SIGINT, syscall.SIGPWR)
	go watchPowerButton(signals, log)
	// Ctrl-Alt-Del arrives as SIGINT instead of restarting on the spot.
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_CAD_OFF)

	var agent int
	var started time.Time
	pause := firstPause
	start := time.After(0)
	for {
		select {
		case <-start:
			process, err := startAgent()
			if err != nil {
				return err
			}
			agent, started = process, time.Now()
			log.Info("agent started", "pid", agent)
		case s := <-signals:
			if s == syscall.SIGCHLD {
				if status, ended := collect(agent); ended {
					if time.Since(started) > healthy {
						pause = firstPause
					}
					log.Error("the agent ended, starting it again", "status", status, "after", pause)
					agent, start = 0, time.After(pause)
					pause = min(2*pause, lastPause)
				}
				continue
			}
			log.Info("stopping", "signal", s.String())
			stopAll(agent)
			if s == syscall.SIGINT {
				restart()
			}
			powerOff()
		}
	}
}

func startAgent() (int, error) {
	console, err := os.OpenFile("/dev/console", os.O_WRONLY, 0)
	if err != nil {
		return 0, fmt.Errorf("cannot open the console: %w", err)
	}
	defer console.Close()
	null, err := os.Open("/dev/null")
	if err != nil {
		return 0, err
	}
	defer null.Close()
	pid, err := syscall.ForkExec(AgentPath, []string{AgentPath}, &syscall.ProcAttr{
		Dir: "/", Env: environment, Files: []uintptr{null.Fd(), console.Fd(), console.Fd()},
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return 0, fmt.Errorf("cannot start %s: %w", AgentPath, err)
	}
	return pid, nil
}

// collect takes the exits of all processes that have ended, and tells whether the agent was among them.
func collect(agent int) (status string, ended bool) {
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, unix.WNOHANG, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if pid <= 0 {
			return status, ended
		}
		if pid == agent {
			ended = true
			status = fmt.Sprintf("exit code %d", ws.ExitStatus())
			if ws.Signaled() {
				status = ws.Signal().String()
			}
		}
	}
}

// stopAll ends the agent, which stores what it wants to keep, then everything else.
func stopAll(agent int) {
	if agent > 0 {
		_ = unix.Kill(agent, unix.SIGTERM)
		for deadline := time.Now().Add(endPause); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			if _, ended := collect(agent); ended {
				break
			}
		}
	}
	_ = unix.Kill(-1, unix.SIGTERM)
	time.Sleep(200 * time.Millisecond)
	_ = unix.Kill(-1, unix.SIGKILL)
}
