package worker

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/octavo-lb/octavo/store"
)

// builds are the amphorae that this process has asked for and that have not reported yet: no more than limit at once.
type builds struct {
	limit int // any number when 0 or less
	mu    sync.Mutex
	ids   map[string]bool
}

// errBuilding tells that others have to come up first.
var errBuilding = errors.New("as many amphorae are being built as may be")

// buildPoll is how soon one that waits for others asks again.
const buildPoll = 2 * time.Second

// begin takes a place for an amphora, errBuilding if there is none.
func (b *builds) begin(ctx context.Context, st *store.Store, id string) error {
	if b.limit <= 0 {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ids[id] {
		return nil
	}
	if len(b.ids) >= b.limit {
		// Those that came up, or never will, are noticed here.
		unborn, err := st.Unborn(ctx, slices.Collect(maps.Keys(b.ids))...)
		if err != nil {
			return storeError{err}
		}
		maps.DeleteFunc(b.ids, func(id string, _ bool) bool { return !slices.Contains(unborn, id) })
	}
	if len(b.ids) >= b.limit {
		return errBuilding
	}
	b.ids[id] = true
	return nil
}

// end gives a place back when nothing came of it.
func (b *builds) end(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.ids, id)
}
