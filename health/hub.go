package health

import (
	"context"
	"sync"
)

// hub lets requests wait for changes of one load balancer. A waiter costs a map entry; a change wakes those that wait for
// that load balancer and nobody else.
type hub struct {
	mu      sync.Mutex
	waiters map[string]map[chan struct{}]struct{}
}

func newHub() *hub { return &hub{waiters: map[string]map[chan struct{}]struct{}{}} }

// listen returns a channel that tells of changes of the load balancer from now on, several at once as one, and a function
// that must be called when nobody reads it any more. Look for a change after listen and before waiting, or one is lost.
func (h *hub) listen(lb string) (changed <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waiters[lb] == nil {
		h.waiters[lb] = map[chan struct{}]struct{}{}
	}
	h.waiters[lb][c] = struct{}{}
	return c, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.waiters[lb], c)
		if len(h.waiters[lb]) == 0 {
			delete(h.waiters, lb)
		}
	}
}

// run wakes the waiters of each load balancer that changes tells of, until ctx ends or changes is closed.
func (h *hub) run(ctx context.Context, changes <-chan string) {
	for {
		select {
		case <-ctx.Done():
			return
		case lb, ok := <-changes:
			if !ok {
				return
			}
			h.wake(lb)
		}
	}
}

func (h *hub) wake(lb string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.waiters[lb] {
		select {
		case c <- struct{}{}:
		default: // it has not yet looked since the last change
		}
	}
}

func (h *hub) waiting() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for _, w := range h.waiters {
		n += len(w)
	}
	return n
}
