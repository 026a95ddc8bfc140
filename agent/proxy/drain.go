package proxy

import (
	"context"

	"golang.org/x/sys/unix"
)

// Renew has a new worker of HAProxy take the new connections, and the one before end those that it has with their next answer.
func (p *Proxy) Renew(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.config == nil || p.process == nil || !p.process.Running() {
		return nil
	}
	now, err := p.look(ctx)
	if err != nil {
		return err
	}
	return p.reload(ctx, p.config, now)
}

// Drain has HAProxy take no new connections, close idle ones and end the others with their next answer, for good: it is not
// started again. It returns at once.
func (p *Proxy) Drain() {
	p.mu.Lock()
	running := p.process
	p.config = nil
	p.mu.Unlock()
	if running == nil || !running.Running() {
		return
	}
	if err := running.Signal(unix.SIGUSR1); err != nil {
		p.o.Logger.Warn("cannot have HAProxy end its connections", "err", err)
	}
}
