package worker

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/octavo-lb/octavo/cloud"
	"github.com/octavo-lb/octavo/plan"
	"github.com/octavo-lb/octavo/store"
)

// problem is why a step could not be done, or what a plan reported.
type problem struct {
	text string
	// passing problems are expected to go away by themselves, and shown only when they don't.
	passing bool
	// user problems stay until somebody changes something: trying again soon is of no use.
	user bool
	// quota problems end when somebody deletes something or is allowed more, and trying costs nothing.
	quota bool
	// background problems do not keep the load balancer from being in force.
	background bool
}

// storeError marks what is not the cloud's: the run ends.
type storeError struct{ error }

func (e storeError) Unwrap() error { return e.error }

func isStoreError(err error) bool {
	_, ok := errors.AsType[storeError](err)
	return ok
}

func (r *run) problemOf(s plan.Step, err error) problem {
	p := problem{text: err.Error(), background: r.background(s)}
	switch cloud.KindOf(err) {
	case cloud.Temporary, cloud.Denied:
		p.passing = true
	case cloud.Quota:
		p.quota = true
	case cloud.Conflict:
		_, vip := s.(plan.EnsureVIP)
		p.passing, p.user = !vip, vip // an address that is taken
	case cloud.Invalid, cloud.NotFound:
		p.user = true
	}
	return p
}

// background tells the steps that clean up after what was replaced.
func (r *run) background(s plan.Step) bool {
	if r.in.Tree.LB.Deleting {
		return false
	}
	switch s.(type) {
	case plan.Fence, plan.DeleteServer, plan.DeletePorts, plan.ForgetAmphora:
		return true
	}
	return false
}

// finish stores how the run ended, and gives the lease back with the time of the next one.
func (r *run) finish(ctx context.Context) error {
	if r.gone {
		r.memoryOf().forget(r.lease.LB)
		return nil
	}
	if len(r.problems) == 0 {
		r.memory.failing, r.memory.failures = time.Time{}, 0
		if r.memory.settled, r.memory.token = r.in.Settled, r.lease.Token; r.lease.TakenOver {
			r.memory.settled = "" // so that all is looked at again
		}
		r.memoryOf().put(r.lease.LB, r.memory)
		return r.release(ctx, r.wake)
	}
	now := r.Clock()
	if r.memory.failures++; r.memory.failing.IsZero() {
		r.memory.failing = now
	}
	next := now.Add(r.retryAfter())
	r.memoryOf().put(r.lease.LB, r.memory)
	if text := r.shown(now); text != "" {
		if err := r.storeFailure(ctx, text, next); err != nil {
			return err
		}
	}
	if !r.wake.IsZero() && r.wake.Before(next) {
		next = r.wake
	}
	return r.release(ctx, next)
}

// shown is the text of what is to be shown to the user, empty for nothing yet.
func (r *run) shown(now time.Time) string {
	show := now.Sub(r.memory.failing) >= r.Grace
	var texts []string
	seen := map[string]bool{}
	for _, p := range r.problems {
		if p.background {
			r.Logger.Warn("cannot clean up", "lb", r.lease.LB, "err", p.text)
			continue
		}
		show = show || !p.passing
		if !seen[p.text] {
			seen[p.text] = true
			texts = append(texts, p.text)
		}
	}
	if !show {
		return ""
	}
	return strings.Join(texts, "; ")
}

func (r *run) storeFailure(ctx context.Context, text string, next time.Time) error {
	if text != r.in.Tree.LB.Failure {
		r.Logger.Warn("cannot bring a load balancer in force", "lb", r.lease.LB, "generation", r.in.Tree.LB.Generation, "err", text)
	}
	return r.lease.Write(ctx, func(tx *store.Tx) error { return tx.SetFailure(ctx, text, next) })
}

const (
	firstRetry   = time.Second
	slowestRetry = 5 * time.Minute
	userRetry    = 10 * time.Minute
	quotaRetry   = time.Minute
)

// retryAfter doubles with each failed run, but for a quota that is used up: that a request is refused costs nobody anything, and
// room may come at any moment. What only the user can change is looked at rarely: their change wakes the
// worker at once.
func (r *run) retryAfter() time.Duration {
	d := min(slowestRetry, firstRetry<<min(r.memory.failures-1, 20))
	user, quota := true, true
	for _, p := range r.problems {
		user, quota = user && p.user, quota && p.quota
	}
	if quota {
		d = min(d, quotaRetry)
	}
	if user && r.memory.failures > 3 {
		d = userRetry
	}
	return time.Duration(float64(d) * (0.75 + r.Rand()/2))
}
