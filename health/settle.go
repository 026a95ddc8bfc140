package health

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/store"
)

// changed notes that something of a load balancer changed in the store. If its observed generation moved, by a worker or
// another controller, operating statuses may follow from that (an object is in force now) although no agent has news.
func (in *intake) changed(lbID string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if _, ours := in.derived[lbID]; !ours {
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
		delete(in.derived, lbID)
		return nil
	}
	if err != nil || in.isDerived(lbID, progress) {
		return err
	}
	var now derived
	err = in.Store.Write(ctx, func(tx *store.Tx) error {
		if _, err := tx.Lock(ctx, lbID); err != nil {
			return err
		}
		now, err = in.derive(ctx, tx, lbID, "")
		return err
	})
	if err == nil {
		in.remember(lbID, now)
	}
	return err
}

// derived is what was last derived for a load balancer from its tree and its amphorae's reports.
type derived struct {
	generation, observed int64
	failure              string // of an agent to apply the generation
}

// isDerived tells whether deriving again would change nothing, as far as can be told from outside.
func (in *intake) isDerived(lbID string, p store.Progress) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	last := in.derived[lbID]
	lost := last.failure != "" && last.generation == p.Generation && p.Failure == ""
	return last.observed == p.ObservedGeneration && !lost
}

func (in *intake) remember(lbID string, d derived) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.derived[lbID] = d
}

// derive recomputes what follows from the tree and the reports: operating statuses, and whether the load balancer is in
// ERROR because an agent cannot apply what is wanted. was is the agent's failure that this transaction found.
func (in *intake) derive(ctx context.Context, tx *store.Tx, lbID, was string) (derived, error) {
	tree, err := tx.LockTree(ctx, lbID)
	if err != nil {
		return derived{}, err
	}
	amphorae, err := tx.Amphorae(ctx)
	if err != nil {
		return derived{}, err
	}
	is := ""
	for _, a := range amphorae {
		is = cmp.Or(is, agentFailure(a, tree.LB.Generation))
	}
	if err := in.explain(ctx, tx, &tree.LB, was, is); err != nil {
		return derived{}, err
	}
	if err := rollUp(ctx, tx, tree, amphorae); err != nil {
		return derived{}, err
	}
	return derived{tree.LB.Generation, tree.LB.ObservedGeneration, is}, nil
}

// explain makes an agent's failure the load balancer's, unless the worker has a reason of its own, and takes it back when
// it is over.
func (in *intake) explain(ctx context.Context, tx *store.Tx, balancer *lb.LoadBalancer, was, is string) error {
	switch {
	case is != "" && is != balancer.Failure && (balancer.Failure == "" || balancer.Failure == was):
		in.Logger.Warn("an agent cannot apply what is wanted", "lb", balancer.ID, "generation", balancer.Generation, "err", is)
		return tx.SetFailure(ctx, is, in.Clock().Add(time.Minute))
	case is == "" && was != "" && balancer.Failure == was:
		return tx.ClearFailure(ctx)
	}
	return nil
}

// agentFailure is why an amphora's agent cannot apply the newest generation; empty when it can, or has not tried yet.
func agentFailure(a store.Amphora, generation int64) string {
	if a.Deleting || a.Failure == "" || a.FailedGeneration < generation || a.FailedGeneration <= a.AppliedGeneration {
		return ""
	}
	return fmt.Sprintf("amphora %s cannot apply generation %d: %s", a.ID, a.FailedGeneration, a.Failure)
}

// rollUp recomputes all operating statuses of a load balancer and stores those that changed.
func rollUp(ctx context.Context, tx *store.Tx, tree *lb.Tree, amphorae []store.Amphora) error {
	seen, err := whatIsSeen(ctx, tx, amphorae)
	if err != nil {
		return err
	}
	return tx.SetOperatingStatuses(ctx, tree, lb.RollUp(tree, seen))
}

// whatIsSeen merges what the amphorae of a load balancer said. Where two disagree, the one that carries the traffic is
// right; of several that say they do, the one heard of last.
func whatIsSeen(ctx context.Context, tx *store.Tx, amphorae []store.Amphora) (lb.Seen, error) {
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
