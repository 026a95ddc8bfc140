package agent

import (
	"sync"

	"github.com/octavo-lb/octavo/agentapi"
)

// board is what the agent's tasks tell each other: which state is wanted, which is in force, what is wrong.
type board struct {
	mu      sync.Mutex
	wanted  *agentapi.State // newest that was heard of
	applied *agentapi.State // in force
	failure string
	failed  int64

	next    chan struct{} // closed and made anew when a newer state is wanted
	arrived chan struct{} // a newer state is wanted
	changed chan struct{} // there is something to report
	settled chan struct{} // another state is in force
}

func newBoard() *board {
	return &board{next: make(chan struct{}), arrived: make(chan struct{}, 1), changed: make(chan struct{}, 1), settled: make(chan struct{}, 1)}
}

// want takes in a state and tells whether it is newer than any before: an older one is refused, whoever sends it.
func (b *board) want(s *agentapi.State) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.wanted != nil && s.Generation <= b.wanted.Generation {
		return false
	}
	b.wanted = s
	close(b.next)
	b.next = make(chan struct{})
	tell(b.arrived)
	return true
}

// newerThan is closed when a newer state than s is wanted.
func (b *board) newerThan(s *agentapi.State) <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.wanted != nil && b.wanted.Generation > s.Generation {
		closed := make(chan struct{})
		close(closed)
		return closed
	}
	return b.next
}

func (b *board) newest() *agentapi.State {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.wanted
}

// generation is that of the newest state that was heard of, also if it could not be put into force.
func (b *board) generation() int64 {
	if s := b.newest(); s != nil {
		return s.Generation
	}
	return 0
}

func (b *board) inForce(s *agentapi.State) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.applied, b.failure, b.failed = s, "", 0
	tell(b.changed)
	tell(b.settled)
}

func (b *board) fail(s *agentapi.State, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failure, b.failed = err.Error(), s.Generation
	tell(b.changed)
}

// read returns the state in force (nil if none is), and what keeps a newer one from being so.
func (b *board) read() (applied *agentapi.State, failure string, failed int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.applied, b.failure, b.failed
}

func tell(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it is being told already
	}
}

// restored is a state from before this process, and what of it could be put into force.
func (b *board) restored(s, part *agentapi.State) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wanted, b.applied = s, part
	if part != s {
		tell(b.arrived)
	}
}
