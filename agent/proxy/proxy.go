// Package proxy runs HAProxy for an amphora: it checks and loads configurations without losing a connection, changes at run
// time what can be changed at run time, takes over a HAProxy that an earlier agent left serving, and starts it again when it
// dies.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/octavo-lb/octavo/agent/process"
	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/haproxy"
)

// Files in Options.RunDir besides those that the configuration refers to.
const (
	configFile   = "haproxy.cfg"
	logFile      = "haproxy.log"
	masterSocket = haproxy.SocketDir + "/master.sock"
)

// startTimeout is how long HAProxy may take until it serves a configuration that it was found to accept.
const startTimeout = 30 * time.Second

// Namespace runs a function where the load balancer's network is.
type Namespace interface {
	Do(f func() error) error
}

// Options say how HAProxy is run.
type Options struct {
	Binary    string
	RunDir    string // in memory; made if it does not exist
	UID, GID  int    // HAProxy's
	MaxConn   int
	Namespace Namespace
	Logger    *slog.Logger
}

// Proxy is the one HAProxy of an amphora. Its methods may be used concurrently.
type Proxy struct {
	o       Options
	version haproxy.Version

	mu      sync.Mutex
	process *process.Process // nil: none is wanted, or none could be started
	config  *haproxy.Config  // in force; nil: nothing is served
	died    chan struct{}    // tells Run that the process has ended

	draining bool // a process from before a reload may still have connections
	leftover bool // a removed server still has connections
}

// New finds out which HAProxy there is and takes over the one that runs already.
func New(ctx context.Context, o Options) (*Proxy, error) {
	out, err := exec.CommandContext(ctx, o.Binary, "-v").Output()
	if err != nil {
		return nil, fmt.Errorf("cannot run %s, is HAProxy installed? %w", o.Binary, err)
	}
	version, err := haproxy.ParseVersion(string(out))
	if err != nil {
		return nil, err
	}
	if oldest := haproxy.Oldest(); !version.AtLeast(oldest.Major, oldest.Minor) {
		return nil, fmt.Errorf("HAProxy %s is too old, %s is needed", version, oldest)
	}
	p := &Proxy{o: o, version: version, died: make(chan struct{}, 1)}
	if err := p.makeDirectories(); err != nil {
		return nil, err
	}
	if p.process, err = p.find(ctx); err != nil {
		return nil, err
	}
	p.draining = p.process != nil
	p.notice(p.process)
	return p, nil
}

// Version is the version of HAProxy that is run.
func (p *Proxy) Version() haproxy.Version { return p.version }

func (p *Proxy) makeDirectories() error {
	if err := os.MkdirAll(p.o.RunDir, 0o755); err != nil {
		return fmt.Errorf("making HAProxy's directory: %w", err)
	}
	sockets := p.path(haproxy.SocketDir)
	if err := os.MkdirAll(sockets, 0o700); err != nil {
		return fmt.Errorf("making HAProxy's directory: %w", err)
	}
	if err := os.Chown(sockets, p.o.UID, p.o.GID); err != nil {
		return fmt.Errorf("making HAProxy's directory: %w", err)
	}
	return p.makeSecretDirectories()
}

func (p *Proxy) path(name string) string { return filepath.Join(p.o.RunDir, name) }

// Prepare writes the configuration for a state whose secrets are stored and, unless HAProxy runs one of the same structure,
// asks HAProxy whether it accepts it. Nothing is changed.
func (p *Proxy) Prepare(ctx context.Context, state *agentapi.State) (*haproxy.Config, error) {
	config, err := p.build(state, secretDir)
	if err != nil || !config.Serves() {
		return config, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.config != nil && p.config.Digest == config.Digest && slices.Equal(p.config.Secrets, config.Secrets) {
		return config, nil
	}
	candidate, err := p.build(state, checkDir)
	if err != nil {
		return nil, err
	}
	if err := p.link(candidate, checkDir); err != nil {
		return nil, err
	}
	return config, p.check(ctx, candidate)
}

func (p *Proxy) build(state *agentapi.State, dir string) (*haproxy.Config, error) {
	config, err := haproxy.Build(state, haproxy.Environment{
		Version: p.version, RunDir: p.o.RunDir, SecretDir: p.path(dir), MaxConn: p.o.MaxConn,
	})
	if err != nil {
		return nil, fmt.Errorf("writing haproxy.cfg: %w", err)
	}
	return config, nil
}

// Apply puts a configuration that was prepared into force. When it fails, what was in force before still is.
func (p *Proxy) Apply(ctx context.Context, config *haproxy.Config) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.apply(ctx, config)
	if err == nil {
		p.forget(config)
	}
	return err
}

func (p *Proxy) apply(ctx context.Context, config *haproxy.Config) error {
	switch {
	case !config.Serves():
		p.stop()
		return nil
	case p.process == nil || !p.process.Running():
		return p.start(ctx, config)
	}
	changed, err := p.change(ctx, config)
	if changed || err != nil {
		return err
	}
	return p.reload(ctx, config)
}

// stop ends HAProxy and its connections.
func (p *Proxy) stop() {
	p.config = nil
	if p.process != nil {
		p.process.End(2 * time.Second)
		p.process = nil
		p.killStrays()
	}
}

func (p *Proxy) start(ctx context.Context, config *haproxy.Config) error {
	if err := p.install(config, haproxy.NoServersState); err != nil {
		return err
	}
	return p.launchAndWait(ctx, config)
}

func (p *Proxy) launchAndWait(ctx context.Context, config *haproxy.Config) error {
	p.killStrays()
	started, err := p.launch()
	if err != nil {
		return err
	}
	if err := p.await(ctx, started, func(info map[string]string) bool { return info["description"] == config.Digest }); err != nil {
		started.End(0)
		return err
	}
	p.process, p.config, p.draining = started, config, false
	p.notice(started)
	return nil
}

// change brings about at run time what can be. It tells false if a reload is needed.
func (p *Proxy) change(ctx context.Context, config *haproxy.Config) (bool, error) {
	info, err := p.info(ctx)
	if err != nil || info["description"] != config.Digest {
		return false, nil
	}
	states, rows, err := p.servers(ctx)
	if err != nil {
		return false, nil
	}
	commands, ok := config.Changes(states, rows)
	if !ok {
		return false, nil
	}
	if err := p.renew(ctx, config); err != nil {
		p.o.Logger.Warn("HAProxy is reloaded for a renewed secret", "err", err)
		return false, nil
	}
	p.leftover = false
	for _, c := range commands {
		err := order(ctx, p.path(haproxy.StatsSocket), c)
		if err != nil && haproxy.MayFail(c) {
			p.leftover = true
		} else if err != nil {
			p.o.Logger.Warn("HAProxy could not be changed at run time and is reloaded", "err", err)
			return false, nil
		}
	}
	if p.config == nil || p.config.Text != config.Text {
		if err := writeFile(p.path(configFile), config.Text); err != nil {
			return false, err
		}
	}
	p.config = config
	return true, nil
}

// reload lets a new worker take over the listening sockets, and what checks have found. Connections stay with the old worker
// until they end.
func (p *Proxy) reload(ctx context.Context, config *haproxy.Config) error {
	before, err := p.info(ctx)
	if err != nil {
		// It runs and does not answer: nothing is lost by starting anew.
		p.o.Logger.Warn("HAProxy does not answer and is started anew", "err", err)
		p.stop()
		return p.start(ctx, config)
	}
	sticky := p.remembered(ctx)
	states, _, err := p.servers(ctx)
	if err != nil {
		return err
	}
	failed, err := p.failedReloads(ctx)
	if err != nil {
		return err
	}
	former, _ := os.ReadFile(p.path(configFile))
	if err := p.install(config, haproxy.StateFor(config, states)); err != nil {
		return err
	}
	err = p.process.Signal(unix.SIGUSR2)
	if err == nil {
		p.draining = true
		err = p.await(ctx, p.process, func(info map[string]string) bool {
			return info["description"] == config.Digest && info["Pid"] != before["Pid"]
		}, func() error {
			if answer, err := command(ctx, p.path(masterSocket), "show proc"); err == nil && haproxy.ParseProcesses(answer).Failed > failed {
				return fmt.Errorf("HAProxy could not load the configuration: %s", p.complaint())
			}
			return nil
		})
	}
	if err != nil {
		// The old worker serves on; should it die, it is to be started with what it serves.
		return errors.Join(err, writeFile(p.path(configFile), string(former)))
	}
	p.remind(ctx, sticky)
	p.config, p.leftover = config, false
	return nil
}

// await waits until HAProxy tells what is wanted of it, or ends, or one of the checks finds a reason to give up.
func (p *Proxy) await(ctx context.Context, running *process.Process, ready func(info map[string]string) bool, checks ...func() error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for pause := 2 * time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		if info, err := p.info(ctx); err == nil && ready(info) {
			return nil
		}
		for _, c := range checks {
			if err := c(); err != nil {
				return err
			}
		}
		select {
		case <-running.Exited():
			return fmt.Errorf("HAProxy ended instead of serving: %s", p.complaint())
		case <-ctx.Done():
			return fmt.Errorf("HAProxy does not serve the configuration: %w", ctx.Err())
		case <-time.After(pause):
		}
	}
}

// check asks HAProxy whether it accepts a configuration.
func (p *Proxy) check(ctx context.Context, config *haproxy.Config) error {
	candidate := p.path(configFile + ".new")
	if err := writeFile(candidate, config.Text); err != nil {
		return err
	}
	defer os.Remove(candidate)
	cmd := exec.CommandContext(ctx, p.o.Binary, "-c", "-f", candidate)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.credential()}
	if out, err := cmd.CombinedOutput(); err != nil {
		if text := complaints(string(out)); text != "" {
			err = errors.New(text)
		}
		return fmt.Errorf("HAProxy refuses the configuration: %w", err)
	}
	return nil
}

func (p *Proxy) install(config *haproxy.Config, servers string) error {
	if err := p.link(config, secretDir); err != nil {
		return err
	}
	if err := writeFile(p.path(haproxy.StateFile), servers); err != nil {
		return err
	}
	return writeFile(p.path(configFile), config.Text)
}

// writeFile replaces a file as a whole.
func writeFile(path, content string) error {
	next := path + "~"
	if err := os.WriteFile(next, []byte(content), 0o644); err != nil {
		return err
	}
	return os.Rename(next, path)
}

func (p *Proxy) info(ctx context.Context) (map[string]string, error) {
	answer, err := command(ctx, p.path(haproxy.StatsSocket), "show info")
	if err != nil {
		return nil, err
	}
	return haproxy.ParseInfo(answer), nil
}

func (p *Proxy) servers(ctx context.Context) ([]haproxy.ServerState, []haproxy.Row, error) {
	answer, err := command(ctx, p.path(haproxy.StatsSocket), "show servers state")
	if err != nil {
		return nil, nil, err
	}
	states, err := haproxy.ParseServersState(answer)
	if err != nil {
		return nil, nil, err
	}
	if answer, err = command(ctx, p.path(haproxy.StatsSocket), "show stat"); err != nil {
		return nil, nil, err
	}
	rows, err := haproxy.ParseStats(answer)
	return states, rows, err
}

// failedReloads asks the master, which does not answer for some milliseconds after it has loaded a configuration: its new
// worker does earlier.
func (p *Proxy) failedReloads(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for {
		answer, err := command(ctx, p.path(masterSocket), "show proc")
		if err == nil {
			return haproxy.ParseProcesses(answer).Failed, nil
		}
		select {
		case <-ctx.Done():
			return 0, err
		case <-p.process.Exited():
			return 0, err
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// Observation is what the processes tell.
type Observation struct {
	Rows map[int][]haproxy.Row // by process
	PID  int                   // the process that takes connections; 0 when nothing is served
}

// Observe asks every process for its counters and verdicts. Those that only end their connections are asked too, so that
// nothing they carry is forgotten.
func (p *Proxy) Observe(ctx context.Context) (Observation, error) {
	p.mu.Lock()
	serving, draining, config := p.process != nil, p.draining, p.config
	p.mu.Unlock()
	o := Observation{Rows: map[int][]haproxy.Row{}}
	if !serving {
		return o, nil
	}
	info, err := p.info(ctx)
	if err != nil {
		return o, err
	}
	answer, err := command(ctx, p.path(haproxy.StatsSocket), "show stat")
	if err != nil {
		return o, err
	}
	o.PID, _ = strconv.Atoi(info["Pid"])
	if o.Rows[o.PID], err = haproxy.ParseStats(answer); err != nil {
		return o, err
	}
	if draining {
		p.observeOld(ctx, &o, config)
	}
	return o, nil
}

func (p *Proxy) observeOld(ctx context.Context, o *Observation, config *haproxy.Config) {
	answer, err := command(ctx, p.path(masterSocket), "show proc")
	if err != nil {
		return
	}
	old := 0
	for _, one := range haproxy.ParseProcesses(answer).All {
		if !one.Old {
			continue
		}
		old++
		// It may end at any moment.
		text, err := command(ctx, p.path(masterSocket), fmt.Sprintf("@!%d show stat", one.PID))
		if err != nil {
			continue
		}
		if rows, err := haproxy.ParseStats(text); err == nil {
			o.Rows[one.PID] = rows
		}
	}
	if old == 0 {
		p.mu.Lock()
		if p.config == config {
			p.draining = false
		}
		p.mu.Unlock()
	}
}

// SetHealth tells HAProxy what a check that is not its own has found.
func (p *Proxy) SetHealth(ctx context.Context, backend, server string, up bool) error {
	return order(ctx, p.path(haproxy.StatsSocket), haproxy.HealthCommand(backend, server, up))
}

// notice lets Run know when the process ends.
func (p *Proxy) notice(running *process.Process) {
	if running == nil {
		return
	}
	go func() {
		<-running.Exited()
		p.tellDeath()
	}()
}

func (p *Proxy) tellDeath() {
	select {
	case p.died <- struct{}{}:
	default: // it is known already
	}
}

// Run starts HAProxy again whenever it ends though it should not, and clears away removed servers once their connections
// have ended, until the context does. HAProxy serves on after that.
func (p *Proxy) Run(ctx context.Context) {
	tidy := time.NewTicker(5 * time.Second)
	defer tidy.Stop()
	pause := time.Duration(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.died:
			if p.heal(ctx) {
				pause = 0
				continue
			}
			pause = min(max(2*pause, 100*time.Millisecond), 5*time.Second)
			select {
			case <-ctx.Done():
				return
			case <-time.After(pause):
				p.tellDeath()
			}
		case <-tidy.C:
			p.tidy(ctx)
		}
	}
}

func (p *Proxy) heal(ctx context.Context) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.config == nil || p.process != nil && p.process.Running() {
		return true
	}
	p.o.Logger.Warn("HAProxy ended and is started again", "err", p.complaint())
	if p.process != nil {
		p.process.Release()
		p.process = nil
	}
	if err := writeFile(p.path(haproxy.StateFile), haproxy.NoServersState); err != nil {
		p.o.Logger.Error("cannot start HAProxy again", "err", err)
		return false
	}
	if err := p.launchAndWait(ctx, p.config); err != nil {
		p.o.Logger.Error("cannot start HAProxy again", "err", err)
		return false
	}
	return true
}

func (p *Proxy) tidy(ctx context.Context) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.leftover && p.config != nil {
		if changed, err := p.change(ctx, p.config); !changed || err != nil {
			p.o.Logger.Warn("cannot clear away removed members", "err", err)
		}
	}
	trim(p.path(logFile))
}

// trim keeps what HAProxy prints from filling the memory that the directory is in.
func trim(path string) {
	if s, err := os.Stat(path); err == nil && s.Size() > 1<<20 {
		_ = os.Truncate(path, 0)
	}
}
