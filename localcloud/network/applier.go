package network

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/octavo-lb/octavo/localcloud/state"
)

// dirty names objects that may differ between the state and the kernel.
type dirty struct {
	networks, ports, groups, routers []string
	lost                             []Port // as they were, when some of what they might do was taken from them
}

func (d *dirty) add(more dirty) {
	d.lost = append(d.lost, more.lost...)
	for _, pair := range []struct {
		all  *[]string
		more []string
	}{{&d.networks, more.networks}, {&d.ports, more.ports}, {&d.groups, more.groups}, {&d.routers, more.routers}} {
		for _, id := range pair.more {
			if !slices.Contains(*pair.all, id) {
				*pair.all = append(*pair.all, id)
			}
		}
	}
}

func (d dirty) empty() bool {
	return len(d.networks)+len(d.ports)+len(d.groups)+len(d.routers)+len(d.lost) == 0
}

// retryAfter is when what failed is tried again.
const retryAfter = time.Second

// applier makes the kernel what the state says about dirty objects: one round at a time, each with everything that became
// dirty during the one before. An object is looked up when its round begins, so the newest version is applied last,
// whatever the order of the requests.
type applier struct {
	round func(context.Context, dirty) (failed dirty)

	mu     sync.Mutex
	next   dirty
	done   chan struct{} // closed after the round that takes next
	wake   chan struct{}
	ending context.CancelFunc
	ended  chan struct{}
}

func newApplier(round func(context.Context, dirty) (failed dirty)) *applier {
	return &applier{round: round, done: make(chan struct{}), wake: make(chan struct{}, 1)}
}

func (a *applier) start() {
	ctx, cancel := context.WithCancel(context.Background())
	a.ending, a.ended = cancel, make(chan struct{})
	go a.run(ctx)
}

func (a *applier) stop() {
	if a.ending != nil {
		a.ending()
		<-a.ended
	}
}

// apply returns when the objects, as they are now or newer, have been applied, or could not be: they will be tried again
// then, and the state is what is wanted in any case.
func (s *Service) apply(ctx context.Context, d dirty) { s.applier.wait(ctx, d) }

func (a *applier) wait(ctx context.Context, d dirty) {
	select {
	case <-a.mark(d):
	case <-ctx.Done():
	}
}

func (a *applier) mark(d dirty) (done <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.next.add(d)
	select {
	case a.wake <- struct{}{}:
	default:
	}
	return a.done
}

func (a *applier) run(ctx context.Context) {
	defer close(a.ended)
	for {
		select {
		case <-a.wake:
		case <-ctx.Done():
			return
		}
		a.mu.Lock()
		round, done := a.next, a.done
		a.next, a.done = dirty{}, make(chan struct{})
		a.mu.Unlock()
		failed := a.round(ctx, round)
		close(done)
		if !failed.empty() && ctx.Err() == nil {
			time.AfterFunc(retryAfter, func() { a.mark(failed) })
		}
	}
}

// applyRound answers what has to be tried again.
func (s *Service) applyRound(ctx context.Context, d dirty) (failed dirty) {
	if err := s.fabric.Apply(ctx, s.change(d)); err != nil {
		s.opts.Logger.Warn("cannot apply network changes together, trying one by one", "err", err)
		failed = s.applyEach(ctx, d)
	}
	for _, id := range d.routers {
		if err := s.applyRouter(ctx, id); err != nil {
			s.opts.Logger.Error("cannot set up a router", "router", id, "err", err)
			failed.add(dirty{routers: ids(id)})
		}
	}
	return failed
}

// applyEach keeps what is wrong with one object from harming others.
func (s *Service) applyEach(ctx context.Context, d dirty) (failed dirty) {
	one := func(part dirty) {
		if part.empty() {
			return
		}
		if err := s.fabric.Apply(ctx, s.change(part)); err != nil {
			s.opts.Logger.Error("cannot apply a network change", "networks", part.networks, "groups", part.groups, "ports", part.ports, "err", err)
			failed.add(part)
		}
	}
	for _, id := range d.networks {
		one(dirty{networks: ids(id)})
	}
	for _, id := range d.groups {
		one(dirty{groups: ids(id)})
	}
	for _, id := range d.ports {
		one(dirty{ports: ids(id)})
	}
	return failed
}

func (s *Service) applyRouter(ctx context.Context, id string) error {
	router, err := state.Get[Router](s.state, id)
	if err != nil {
		return s.fabric.RemoveRouter(id)
	}
	return s.fabric.SetRouter(ctx, s.fabricRouter(router))
}
