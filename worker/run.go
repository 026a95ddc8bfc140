package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/octavo-lb/octavo/plan"
	"github.com/octavo-lb/octavo/store"
)

// run is the work on one load balancer under one lease.
type run struct {
	*Worker
	lease    *store.Lease
	in       plan.Input
	memory   remembered
	problems []problem
	wake     time.Time // the earliest time at which a step asked for another look
	gone     bool
}

// maxRounds bounds a run. Steps name themselves, and none is done twice in a run, so a run ends by itself long before.
const maxRounds = 100

// Work brings the lease's load balancer as far as it gets without waiting, and ends the lease.
func (w *Worker) Work(ctx context.Context, lease *store.Lease) {
	r := &run{Worker: w, lease: lease, memory: w.memory.get(lease.LB)}
	if r.memory.failures > 0 {
		select {
		case w.struggling <- struct{}{}:
			defer func() { <-w.struggling }()
		default:
			r.end(ctx, r.release(ctx, w.Clock().Add(time.Second)))
			return
		}
	}
	err := r.load(ctx)
	if err == nil {
		err = r.carryOut(ctx)
	}
	if err == nil {
		err = r.finish(ctx)
	}
	r.end(ctx, err)
}

// end deals with errors that are not the load balancer's: the lease is lost, or the database is away, or this process is
// asked to stop.
func (r *run) end(ctx context.Context, err error) {
	switch {
	case err == nil:
	case errors.Is(err, store.ErrFenced):
		r.Logger.Info("another worker took over", "lb", r.lease.LB)
	case errors.Is(err, store.ErrNotFound):
		r.memoryOf().forget(r.lease.LB)
	case ctx.Err() != nil:
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if err := r.release(grace, r.Clock()); err != nil {
			r.Logger.Info("could not give back a lease; it runs out by itself", "lb", r.lease.LB, "err", err)
		}
	default:
		r.storeFailed(err)
		if err := r.release(ctx, r.Clock().Add(5*time.Second)); err != nil {
			r.Logger.Info("could not give back a lease; it runs out by itself", "lb", r.lease.LB, "err", err)
		}
	}
}

func (r *run) memoryOf() *memory { return r.Worker.memory }

func (r *run) release(ctx context.Context, next time.Time) error { return r.lease.Release(ctx, next) }

// load reads what the plan is made of.
func (r *run) load(ctx context.Context) error {
	tree, err := r.Store.Tree(ctx, r.lease.LB)
	if err != nil {
		return err
	}
	progress, err := r.Store.Progress(ctx, r.lease.LB)
	if err != nil {
		return err
	}
	rows, err := r.Store.Amphorae(ctx, r.lease.LB)
	if err != nil {
		return err
	}
	settings, err := SettingsOf(ctx, r.Store, r.Settings, &tree.LB)
	if err != nil {
		return err
	}
	now := r.Clock()
	if r.memory.generation != tree.LB.Generation {
		r.memory.generation, r.memory.since, r.memory.applied = tree.LB.Generation, now, time.Time{}
	}
	if r.memory.applied.IsZero() && allApplied(rows, tree.LB.Generation) {
		r.memory.applied = now
	}
	r.in = plan.Input{
		Tree: tree, CloudGeneration: progress.CloudGeneration, Amphorae: planned(rows, r.EnrolLifetime), Settings: settings,
		Now: now, Watching: r.watchingSince(), Since: r.memory.since, Applied: r.memory.applied,
		Pretend: r.Pretends != nil && r.Pretends(tree.LB.Provider), Outside: r.Outside != nil && r.Outside(tree.LB.Provider),
		Seen: plan.Seen{Subnets: map[string]plan.Subnet{}, Servers: map[string]plan.Server{}},
		Done: map[string]bool{}, Held: map[string]bool{},
	}
	if r.in.Awaited = r.memory.since; progress.AwaitedSince != nil {
		r.in.Awaited = *progress.AwaitedSince
	}
	if r.lease.TakenOver {
		r.wake = now.Add(r.LeaseTTL) // whoever had it may have told the cloud something that it does only now
	}
	// A release raises the token too: if it is two further than it was then, nobody else had the lease in between.
	if r.lease.Token == r.memory.token+2 && now.Sub(r.memory.verified) < r.VerifyAfter {
		r.in.Settled = r.memory.settled
	}
	return nil
}

func allApplied(rows []store.Amphora, generation int64) bool {
	for _, a := range rows {
		if !a.Deleting && a.AppliedGeneration < generation {
			return false
		}
	}
	return true
}

// carryOut does steps until the plan has no more. An error is not the load balancer's but the store's.
func (r *run) carryOut(ctx context.Context) error {
	for range maxRounds {
		r.in.Now = r.Clock()
		steps := plan.Next(r.in)
		if len(steps) == 0 {
			return nil
		}
		for _, s := range steps {
			if err := r.keepLease(ctx); err != nil {
				return err
			}
			if err := r.carryOutOne(ctx, s); err != nil {
				return err
			}
			if r.gone {
				return nil
			}
		}
	}
	return fmt.Errorf("the plan for load balancer %s does not end", r.lease.LB)
}

func (r *run) carryOutOne(ctx context.Context, s plan.Step) error {
	// What the cloud is told after the lease's end could undo what the next worker does.
	ctx, cancel := r.Within(ctx, r.lease.Until.Sub(r.Clock())-r.LeaseTTL/8)
	defer cancel()
	err := r.do(ctx, s)
	switch {
	case err == nil:
		r.in.Done[s.String()] = true
		r.Logger.Debug("did", "step", s.String(), "lb", r.lease.LB, "generation", r.in.Tree.LB.Generation)
		return nil
	case isStoreError(err):
		return err
	case errors.Is(err, errBuilding):
		r.in.Held[s.String()] = true
		if next := r.Clock().Add(buildPoll); r.wake.IsZero() || next.Before(r.wake) {
			r.wake = next
		}
		return nil
	}
	r.in.Held[s.String()] = true
	r.problems = append(r.problems, r.problemOf(s, err))
	return nil
}

// keepLease prolongs the lease in time: a step may take as long as half of it.
func (r *run) keepLease(ctx context.Context) error {
	if r.lease.Until.Sub(r.Clock()) > r.LeaseTTL/2 {
		return nil
	}
	return r.lease.Renew(ctx, r.LeaseTTL)
}
