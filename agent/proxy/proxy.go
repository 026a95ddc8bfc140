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
	"sync"
	"time"

	"github.com/octavo-lb/octavo/agent/process"
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
	TimeZone  string // of the times that it logs, as TZ has it; UTC when empty
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
	now, err := p.look(ctx)
	if err == nil && now.info["description"] == config.Digest {
		if changed, err := p.change(ctx, config, now); changed || err != nil {
			return err
		}
		now, err = p.look(ctx) // some of it may have been changed
	}
	if errors.Is(err, errSilent) {
		// It runs and does not answer: nothing is lost by starting anew.
		p.o.Logger.Warn("HAProxy does not answer and is started anew", "err", err)
		p.stop()
		return p.start(ctx, config)
	}
	if err != nil {
		return err
	}
	return p.reload(ctx, config, now)
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
