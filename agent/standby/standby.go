// Package standby runs keepalived for an amphora of a pair.
package standby

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/octavo-lb/octavo/agent/process"
	"github.com/octavo-lb/octavo/keepalived"
)

// Files in Options.RunDir.
const (
	configFile = "keepalived.conf"
	pidFile    = "keepalived.pid"
	vrrpFile   = "vrrp.pid"
	logFile    = "keepalived.log"
	trackFile  = "serving"
)

// endPatience is how long keepalived may take to end: it tells the other amphora that it does.
const endPatience = 1 * time.Second

// Options say how keepalived is run.
type Options struct {
	Binary    string
	RunDir    string
	Namespace process.Namespace
	Logger    *slog.Logger
}

// Standby is the one keepalived of an amphora. Its methods may be used concurrently.
type Standby struct {
	o Options

	mu      sync.Mutex
	process *process.Process // nil: none is wanted, or none could be started
	config  string           // in force, empty for none
	quiet   time.Duration    // at the next start
	fit     bool
	speaks  time.Time // from when on, if it was started to keep quiet first
	died    chan struct{}
}

// New takes over the keepalived that runs already.
func New(o Options) (*Standby, error) {
	s := &Standby{o: o, died: make(chan struct{}, 1), fit: true}
	if err := os.WriteFile(s.path(trackFile), []byte(keepalived.Fit), 0o644); err != nil {
		return nil, fmt.Errorf("preparing for keepalived: %w", err)
	}
	pid, ok := s.running()
	if !ok {
		return s, nil
	}
	p, err := process.TakeOver(pid, "keepalived")
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(s.path(configFile))
	if err != nil {
		return nil, fmt.Errorf("taking over keepalived: %w", err)
	}
	s.process, s.config = p, keepalived.Joined(string(text))
	s.notice(p)
	return s, nil
}

// TrackFile is where the configuration has to look for whether the amphora can serve.
func (s *Standby) TrackFile() string { return s.path(trackFile) }

func (s *Standby) path(name string) string { return filepath.Join(s.o.RunDir, name) }

// running reads the pid file, which may be of a process that has ended, whose number another one has by now.
func (s *Standby) running() (int, bool) {
	text, err := os.ReadFile(s.path(pidFile))
	if err != nil {
		return 0, false
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, false
	}
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return pid, err == nil && strings.Contains(string(cmdline), "\x00"+s.path(configFile)+"\x00")
}

// Check asks keepalived whether it accepts a configuration. Nothing is changed.
func (s *Standby) Check(ctx context.Context, config string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if config == "" || keepalived.Joined(config) == s.config {
		return nil
	}
	candidate := s.path(configFile + ".new")
	if err := os.WriteFile(candidate, []byte(config), 0o644); err != nil {
		return fmt.Errorf("checking keepalived's configuration: %w", err)
	}
	defer os.Remove(candidate)
	var out strings.Builder
	cmd := exec.CommandContext(ctx, s.o.Binary, "-t", "-l", "-f", candidate)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := s.o.Namespace.Do(cmd.Start)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return fmt.Errorf("keepalived refuses the configuration: %w: %s", err, strings.Join(strings.Split(strings.TrimSpace(out.String()), "\n"), "; "))
	}
	return nil
}

// Apply puts a configuration that was checked into force; an empty one ends keepalived, which then lets go of the VIPs. A
// change does not move them by itself. If keepalived has to be started, now or later, it keeps quiet for so long.
func (s *Standby) Apply(config string, quiet time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quiet = quiet
	alive := s.process != nil && s.process.Running()
	switch {
	case config == "":
		s.config = ""
		if s.process != nil {
			s.process.End(endPatience)
			s.process = nil
			process.KillStrays(s.path(configFile))
		}
		return nil
	case config == s.config && alive:
		return nil
	}
	if !alive {
		s.config = config
		return s.start()
	}
	if err := s.write(config); err != nil {
		return err
	}
	s.config = config
	return s.process.Signal(unix.SIGHUP)
}

func (s *Standby) write(config string) error {
	next := s.path(configFile + "~")
	err := os.WriteFile(next, []byte(config), 0o644)
	if err == nil {
		err = os.Rename(next, s.path(configFile))
	}
	if err != nil {
		return fmt.Errorf("writing keepalived's configuration: %w", err)
	}
	return nil
}

func (s *Standby) start() error {
	if s.process != nil {
		s.process.Release()
		s.process = nil
	}
	process.KillStrays(s.path(configFile))
	if err := s.write(keepalived.Joining(s.config, s.quiet)); err != nil {
		return err
	}
	log, err := os.OpenFile(s.path(logFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("starting keepalived: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(s.o.Binary, "-n", "-P", "-l", "-f", s.path(configFile), "-p", s.path(pidFile), "-r", s.path(vrrpFile))
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", log, log
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	p, err := process.Start(cmd, s.o.Namespace)
	if err != nil {
		return err
	}
	s.process, s.speaks = p, time.Time{}
	if s.quiet > 0 {
		s.speaks = time.Now().Add(s.quiet)
	}
	s.notice(p)
	return nil
}

// Speaks is when keepalived ends to keep quiet after its start; zero if it has not since this process began.
func (s *Standby) Speaks() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.speaks
}

// SetFit tells keepalived whether the amphora can serve. While it cannot, the other one gets the VIPs.
func (s *Standby) SetFit(fit bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if fit == s.fit {
		return nil
	}
	text := keepalived.Fault
	if fit {
		text = keepalived.Fit
	}
	// In place: keepalived watches the file, not the name.
	if err := os.WriteFile(s.path(trackFile), []byte(text), 0o644); err != nil {
		return fmt.Errorf("telling keepalived: %w", err)
	}
	s.fit = fit
	return nil
}

// Wanted tells whether keepalived should run, Alive whether it does and the amphora is fit.
func (s *Standby) Wanted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.config != ""
}

func (s *Standby) Alive() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process != nil && s.process.Running() && s.fit
}

func (s *Standby) notice(p *process.Process) {
	go func() {
		<-p.Exited()
		s.tellDeath()
	}()
}

// Run starts keepalived again whenever it ends though it should not, until the context does. It runs on after that.
func (s *Standby) Run(ctx context.Context) {
	pause := time.Duration(0)
	for {
		started := time.Now()
		select {
		case <-ctx.Done():
			return
		case <-s.died:
		}
		if time.Since(started) > time.Minute {
			pause = 0
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(max(2*pause, 100*time.Millisecond), 5*time.Second)
		s.heal()
	}
}

func (s *Standby) heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.config == "" || s.process != nil && s.process.Running() {
		return
	}
	last, _ := os.ReadFile(s.path(logFile))
	lines := strings.Split(strings.TrimSpace(string(last)), "\n")
	s.o.Logger.Warn("keepalived ended and is started again", "err", lines[len(lines)-1])
	if err := s.start(); err != nil {
		s.o.Logger.Error("cannot start keepalived again", "err", err)
		s.tellDeath()
	}
}

func (s *Standby) tellDeath() {
	select {
	case s.died <- struct{}{}:
	default: // it is known already
	}
}
