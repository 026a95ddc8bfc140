package housekeeping

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/store"
)

// Rollout carries out a rollout that an operator asked for, some load balancers at a time. All that it knows is in the
// database, so a killed controller costs it time only, and several may run it side by side.
type Rollout struct {
	Store *store.Store
	Work  Work
	// Every is how often it is looked at; a second.
	Every  time.Duration
	Logger *slog.Logger
}

// Work is what a rollout does to amphorae: ImageWork or AgentWork.
type Work interface {
	Kind() store.RolloutKind
	// Begin is called before amphorae are looked at.
	Begin(ctx context.Context) error
	// Look tells how far an amphora is.
	Look(ctx context.Context, b *lb.LoadBalancer, a *store.Amphora) (Stage, error)
	// Start has outdated amphorae of the transaction's load balancer changed; Stop takes that back for all that are not yet.
	Start(ctx context.Context, tx *store.Tx, ids []string) error
	Stop(ctx context.Context, tx *store.Tx) error
}

// Stage is how far an amphora is.
type Stage struct {
	Outdated bool   // it is to be changed
	Busy     bool   // it is being changed
	Unable   string // why it cannot be
	Failure  string // why it was not
}

// Run goes on with whatever rollout there is until ctx ends.
func (r *Rollout) Run(ctx context.Context) {
	ticker := time.NewTicker(cmp.Or(r.Every, time.Second))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := r.Step(ctx); err != nil && ctx.Err() == nil {
			r.Logger.Warn("cannot go on with a rollout", "kind", r.Work.Kind(), "err", err)
		}
	}
}

// Step notes what has come to its end, and starts as many replacements as may be under way.
func (r *Rollout) Step(ctx context.Context) error {
	ro, err := r.Store.Rollout(ctx, r.Work.Kind())
	if errors.Is(err, store.ErrNotFound) || err == nil && ro.State != store.RolloutRunning && len(ro.UnderWay) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	fleet, err := r.survey(ctx)
	if err != nil {
		return err
	}
	for _, id := range ro.UnderWay {
		if err := r.look(ctx, fleet[id], id); err != nil {
			return err
		}
	}
	return r.startNext(ctx, fleet)
}

// served is a load balancer and how far its amphorae are.
type served struct {
	lb.LoadBalancer
	outdated []string // amphorae that are to be changed
	busy     bool
	unable   bool
	failure  string
}

func (s *served) settled() bool {
	return len(s.outdated) == 0 && !s.busy && s.Provisioning() == lb.Active
}

// survey reads all load balancers that have outdated amphorae, and those that have none.
func (r *Rollout) survey(ctx context.Context) (map[string]*served, error) {
	page, err := store.List[lb.LoadBalancer](ctx, r.Store, store.Query{})
	if err != nil {
		return nil, err
	}
	all, err := r.Store.AllAmphorae(ctx)
	if err != nil {
		return nil, err
	}
	fleet := make(map[string]*served, len(page.Items))
	for _, b := range page.Items {
		fleet[b.ID] = &served{LoadBalancer: b}
	}
	if err := r.Work.Begin(ctx); err != nil {
		return nil, err
	}
	for i := range all {
		a := &all[i]
		s := fleet[a.LoadBalancerID]
		if s == nil || a.Deleting {
			continue
		}
		stage, err := r.Work.Look(ctx, &s.LoadBalancer, a)
		if err != nil {
			return nil, err
		}
		s.busy, s.unable = s.busy || stage.Busy, s.unable || stage.Unable != ""
		s.failure = cmp.Or(s.failure, stage.Failure)
		if stage.Outdated {
			s.outdated = append(s.outdated, a.ID)
		}
	}
	return fleet, nil
}

// look notes what became of a load balancer that was under way. One whose replacement fails keeps what amphorae it has, and
// no others are started.
func (r *Rollout) look(ctx context.Context, s *served, id string) error {
	gone := s == nil || s.Deleting
	failure := ""
	if !gone {
		failure = cmp.Or(s.Failure, s.failure)
	}
	failed := failure != ""
	again := !gone && !failed && len(s.outdated) > 0 && !s.busy
	if !gone && !failed && !again && !s.settled() {
		return nil
	}
	return r.Store.Write(ctx, func(tx *store.Tx) error {
		ro, err := tx.LockRollout(ctx, r.Work.Kind())
		if err != nil || !slices.Contains(ro.UnderWay, id) {
			return err
		}
		if again && ro.State == store.RolloutRunning {
			// Another amphora took one's place meanwhile, or there is something newer.
			return r.change(ctx, tx, s)
		}
		ro.UnderWay = slices.DeleteFunc(ro.UnderWay, func(other string) bool { return other == id })
		switch {
		case failed:
			ro.State, ro.Reason = store.RolloutFailed, "load balancer "+id+": "+failure
			r.Logger.Error("a rollout stops because a load balancer fails", "kind", r.Work.Kind(), "lb", id, "err", failure)
			if err := r.keep(ctx, tx, id); err != nil {
				return err
			}
		case !gone && !again:
			ro.Done++
			r.Logger.Info("rolled out", "kind", r.Work.Kind(), "lb", id, "done", ro.Done)
		}
		return tx.SaveRollout(ctx, &ro)
	})
}

func (r *Rollout) keep(ctx context.Context, tx *store.Tx, id string) error {
	if _, err := tx.Lock(ctx, id); errors.Is(err, store.ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	if err := r.Work.Stop(ctx, tx); err != nil {
		return err
	}
	return tx.Touch(ctx, id)
}

// startNext starts replacements, and ends the rollout when there is nothing to replace any more. What is wrong for other
// reasons is left out: it would fail, and hide what this rollout does.
func (r *Rollout) startNext(ctx context.Context, fleet map[string]*served) error {
	var waiting, leftOut []string
	for id, s := range fleet {
		switch {
		case len(s.outdated) == 0 && !s.unable || s.Deleting:
		case s.Provisioning() == lb.ProvError || s.unable:
			leftOut = append(leftOut, id)
		default:
			waiting = append(waiting, id)
		}
	}
	slices.Sort(waiting)
	for {
		var started string
		err := r.Store.Write(ctx, func(tx *store.Tx) (err error) {
			started, err = r.start(ctx, tx, fleet, waiting, len(leftOut))
			return err
		})
		if err != nil || started == "" {
			return err
		}
		waiting = slices.DeleteFunc(waiting, func(id string) bool { return id == started })
	}
}

// start takes one more load balancer under way if there is room for it, and tells which.
func (r *Rollout) start(ctx context.Context, tx *store.Tx, fleet map[string]*served, waiting []string, leftOut int) (started string, err error) {
	ro, err := tx.LockRollout(ctx, r.Work.Kind())
	if err != nil || ro.State != store.RolloutRunning {
		return "", err
	}
	was := ro
	waiting = slices.DeleteFunc(slices.Clone(waiting), func(id string) bool { return slices.Contains(ro.UnderWay, id) })
	i := slices.IndexFunc(waiting, func(id string) bool { return fleet[id].Provisioning() == lb.Active })
	ro.Outstanding, ro.LeftOut = len(waiting)+leftOut, leftOut
	switch {
	case i >= 0 && len(ro.UnderWay) < ro.Parallel:
		started = waiting[i]
		if err := r.change(ctx, tx, fleet[started]); err != nil {
			return "", err
		}
		ro.UnderWay = append(ro.UnderWay, started)
		ro.Outstanding--
	case len(waiting) == 0 && len(ro.UnderWay) == 0:
		ro.State = store.RolloutDone
	case ro.Outstanding == was.Outstanding && ro.LeftOut == was.LeftOut:
		return "", nil
	}
	return started, tx.SaveRollout(ctx, &ro)
}

func (r *Rollout) change(ctx context.Context, tx *store.Tx, s *served) error {
	if _, err := tx.Lock(ctx, s.ID); err != nil {
		return err
	}
	if err := r.Work.Start(ctx, tx, s.outdated); err != nil {
		return err
	}
	return tx.Touch(ctx, s.ID)
}
