package proxy

import (
	"context"
	"os"
	"time"

	"github.com/octavo-lb/octavo/agent/process"
	"github.com/octavo-lb/octavo/haproxy"
)

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
		changed := false
		now, err := p.look(ctx)
		if err == nil && now.info["description"] == p.config.Digest {
			changed, err = p.change(ctx, p.config, now)
		}
		if !changed || err != nil {
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
