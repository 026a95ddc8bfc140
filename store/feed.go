package store

import (
	"context"
	"sync"
	"time"
)

// feed hands ids of changed load balancers to subscribers.
type feed struct {
	store *Store
	done  context.Context
	end   context.CancelFunc
	tasks sync.WaitGroup

	mu          sync.Mutex
	subscribers map[*subscriber]struct{}
	polling     bool
}

// subscriber holds the ids that were not yet taken, each once.
type subscriber struct {
	mu      sync.Mutex
	waiting map[string]struct{}
	queue   []string
	ready   chan struct{} // holds one token while the queue is not empty
}

func newFeed(s *Store) *feed {
	done, end := context.WithCancel(context.Background())
	return &feed{store: s, done: done, end: end, subscribers: map[*subscriber]struct{}{}}
}

// Subscribe delivers ids of load balancers of which something changed: those of this store's transactions right after
// commit, those of other nodes within Options.Poll. Ids that are not yet taken are delivered once. A reader must be able
// to bear missing one, by looking again after a while. The channel is closed when ctx ends or the store is closed.
func (s *Store) Subscribe(ctx context.Context) <-chan string {
	return s.feed.subscribe(ctx)
}

func (f *feed) subscribe(ctx context.Context) <-chan string {
	out := make(chan string)
	sub := &subscriber{waiting: map[string]struct{}{}, ready: make(chan struct{}, 1)}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done.Err() != nil {
		close(out)
		return out
	}
	f.subscribers[sub] = struct{}{}
	f.tasks.Go(func() {
		defer close(out)
		defer f.remove(sub)
		f.pump(ctx, sub, out)
	})
	if !f.polling {
		f.polling = true
		f.tasks.Go(f.poll)
	}
	return out
}

func (f *feed) remove(sub *subscriber) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.subscribers, sub)
}

func (f *feed) pump(ctx context.Context, sub *subscriber, out chan<- string) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.done.Done():
			return
		case <-sub.ready:
		}
		for id, ok := sub.take(); ok; id, ok = sub.take() {
			select {
			case <-ctx.Done():
				return
			case <-f.done.Done():
				return
			case out <- id:
			}
		}
	}
}

func (sub *subscriber) add(id string) {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	if _, ok := sub.waiting[id]; ok {
		return
	}
	sub.waiting[id] = struct{}{}
	sub.queue = append(sub.queue, id)
	select {
	case sub.ready <- struct{}{}:
	default:
	}
}

// take gives the oldest id. It may be added again from then on: what happens while it is handed over is news.
func (sub *subscriber) take() (string, bool) {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	if len(sub.queue) == 0 {
		return "", false
	}
	id := sub.queue[0]
	sub.queue = sub.queue[1:]
	delete(sub.waiting, id)
	return id, true
}

func (f *feed) publish(lbID string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for sub := range f.subscribers {
		sub.add(lbID)
	}
}

// poll publishes what other nodes wrote. During an outage it keeps its place and goes on from there.
func (f *feed) poll() {
	last, known := int64(0), false
	healthy := true
	for {
		var err error
		if !known {
			last, err = f.store.LastChange(f.done)
			known = err == nil
		} else {
			last, err = f.readOn(last)
		}
		if f.done.Err() != nil {
			return
		}
		if (err == nil) != healthy {
			healthy = err == nil
			f.logHealth(err)
		}
		select {
		case <-f.done.Done():
			return
		case <-time.After(f.store.options.Poll):
		}
	}
}

func (f *feed) logHealth(err error) {
	if err != nil {
		f.store.options.Logger.Warn("the change log cannot be read; other nodes' changes are noticed when it can again", "err", err)
		return
	}
	f.store.options.Logger.Info("the change log can be read again")
}

func (f *feed) readOn(last int64) (int64, error) {
	const batch = 1000
	for {
		changes, err := f.store.Changes(f.done, last, batch)
		for _, c := range changes {
			last = c.Seq
			if c.origin != f.store.origin && c.LB != "" {
				f.publish(c.LB)
			}
		}
		if err != nil || len(changes) < batch {
			return last, err
		}
	}
}

func (f *feed) close() {
	f.mu.Lock()
	f.end()
	f.mu.Unlock()
	f.tasks.Wait()
}
