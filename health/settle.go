package health

import (
	"context"
	"errors"
	"slices"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/store"
)

// changed notes that something of a load balancer changed in the store. If its observed generation moved, by a worker or
// another controller, operating statuses may follow from that (an object is in force now) although no agent has news.
func (in *intake) changed(lbID string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if _, ours := in.observed[lbID]; !ours {
		return
	}
	in.moved[lbID] = struct{}{}
	select {
	case in.wake <- struct{}{}:
	default:
	}
}

func (in *intake) settleMoved(ctx context.Context) {
	in.mu.Lock()
	moved := in.moved
	in.moved = map[string]struct{}{}
	in.mu.Unlock()
	for id := range moved {
		if err := in.settle(ctx, id); err != nil && ctx.Err() == nil {
			in.Logger.Warn("cannot bring operating statuses up to date", "lb", id, "err", err)
		}
	}
}

func (in *intake) settle(ctx context.Context, lbID string) error {
	progress, err := in.Store.Progress(ctx, lbID)
	if errors.Is(err, store.ErrNotFound) {
		in.mu.Lock()
		defer in.mu.Unlock()
		delete(in.observed, lbID)
		return nil
	}
	if err != nil || in.isRolledUp(lbID, progress.ObservedGeneration) {
		return err
	}
	var observed int64
	err = in.Store.Write(ctx, func(tx *store.Tx) (err error) {
		observed, err = rollUp(ctx, tx, lbID)
		return err
	})
	if err == nil {
		in.rolledUp(lbID, observed)
	}
	return err
}

func (in *intake) isRolledUp(lbID string, observed int64) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.observed[lbID] == observed
}

func (in *intake) rolledUp(lbID string, observed int64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.observed[lbID] = observed
}

// rollUp recomputes all operating statuses of a load balancer, stores those that changed, and returns the observed
// generation that they hold for.
func rollUp(ctx context.Context, tx *store.Tx, lbID string) (observed int64, err error) {
	tree, err := tx.LockTree(ctx, lbID)
	if err != nil {
		return 0, err
	}
	seen, err := whatIsSeen(ctx, tx)
	if err != nil {
		return 0, err
	}
	statuses := lb.RollUp(tree, seen)
	for kind, known := range operatingStatuses(tree) {
		changed := map[string]lb.OperatingStatus{}
		for id, old := range known {
			if status, ok := statuses[id]; ok && status != old {
				changed[id] = status
			}
		}
		if len(changed) == 0 {
			continue
		}
		if err := tx.SetOperatingStatus(ctx, kind, changed); err != nil {
			return 0, err
		}
	}
	return tree.LB.ObservedGeneration, nil
}

// operatingStatuses are those that are stored, by id.
func operatingStatuses(t *lb.Tree) map[store.Kind]map[string]lb.OperatingStatus {
	return map[store.Kind]map[string]lb.OperatingStatus{
		store.LoadBalancer:  {t.LB.ID: t.LB.OperatingStatus},
		store.Listener:      statusesOf(t.Listeners, func(o *lb.Listener) *lb.Meta { return &o.Meta }),
		store.Pool:          statusesOf(t.Pools, func(o *lb.Pool) *lb.Meta { return &o.Meta }),
		store.Member:        statusesOf(t.Members, func(o *lb.Member) *lb.Meta { return &o.Meta }),
		store.HealthMonitor: statusesOf(t.Monitors, func(o *lb.HealthMonitor) *lb.Meta { return &o.Meta }),
		store.L7Policy:      statusesOf(t.Policies, func(o *lb.L7Policy) *lb.Meta { return &o.Meta }),
		store.L7Rule:        statusesOf(t.Rules, func(o *lb.L7Rule) *lb.Meta { return &o.Meta }),
	}
}

func statusesOf[T any](objects []T, meta func(*T) *lb.Meta) map[string]lb.OperatingStatus {
	statuses := make(map[string]lb.OperatingStatus, len(objects))
	for i := range objects {
		m := meta(&objects[i])
		statuses[m.ID] = m.OperatingStatus
	}
	return statuses
}

// whatIsSeen merges what the amphorae of a load balancer said. Where two disagree, the one that carries the traffic is
// right; of several that say they do, the one heard of last.
func whatIsSeen(ctx context.Context, tx *store.Tx) (lb.Seen, error) {
	amphorae, err := tx.Amphorae(ctx)
	if err != nil {
		return lb.Seen{}, err
	}
	members, listeners, err := tx.Health(ctx)
	if err != nil {
		return lb.Seen{}, err
	}
	rank := rankOf(amphorae)
	seen := lb.Seen{Serving: len(rank) > 0, Members: map[string]lb.OperatingStatus{}, Listeners: map[string]lb.OperatingStatus{}}
	best := map[string]int{}
	for _, m := range members {
		if r := rank[m.AmphoraID]; r > best[m.MemberID] {
			best[m.MemberID], seen.Members[m.MemberID] = r, m.Status
		}
	}
	for _, l := range listeners {
		if r := rank[l.AmphoraID]; r > best[l.ListenerID] {
			best[l.ListenerID], seen.Listeners[l.ListenerID] = r, l.Status
		}
	}
	return seen, nil
}

// rankOf gives every amphora that has reported a number from 1, higher for the one to believe.
func rankOf(amphorae []store.Amphora) map[string]int {
	var reported []store.Amphora
	for _, a := range amphorae {
		if !a.Deleting && a.LastReportAt != nil {
			reported = append(reported, a)
		}
	}
	slices.SortFunc(reported, func(a, b store.Amphora) int {
		if aMaster, bMaster := a.VRRPState == "MASTER", b.VRRPState == "MASTER"; aMaster != bMaster {
			if aMaster {
				return 1
			}
			return -1
		}
		return a.LastReportAt.Compare(*b.LastReportAt)
	})
	rank := make(map[string]int, len(reported))
	for i, a := range reported {
		rank[a.ID] = i + 1
	}
	return rank
}
