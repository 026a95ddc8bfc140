package proxy

import "golang.org/x/sys/unix"

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
