// Package housekeeping looks, now and then, for what nobody was told of: amphorae that fell silent, objects in the cloud
// that belong to nothing any more, rows whose objects were taken away, and log entries that nobody needs. What it finds
// about a load balancer it does not repair: it wakes the worker, who does.
package housekeeping

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/octavo-lb/octavo/cloud"
	"github.com/octavo-lb/octavo/plan"
	"github.com/octavo-lb/octavo/store"
)

// Cloud is what is needed of the cloud; *cloud.Client is one.
type Cloud interface {
	Owned(ctx context.Context, kind plan.Kind) ([]cloud.Object, error)
	Delete(ctx context.Context, o cloud.Object) error
}

// Options are what housekeeping works with. Store is needed.
type Options struct {
	Store *store.Store
	// Cloud may be nil: orphans are not looked for then.
	Cloud Cloud
	// DeadAfter is how long an amphora may be silent; a minute.
	DeadAfter time.Duration
	// DeleteOrphans deletes what has a name of this service's and belongs to nothing; otherwise it is logged. It must not be
	// on while another service that uses the same names, such as Octavia, is at work in the same project.
	DeleteOrphans bool
	// Listen is how often silent amphorae are looked for, 5 s; Sweep how often orphans are, 10 minutes.
	Listen, Sweep time.Duration
	// KeepChanges is for how long entries of the change log are kept; a week.
	KeepChanges time.Duration
	Clock       func() time.Time
	Logger      *slog.Logger
}

// Keeper keeps house.
type Keeper struct {
	Options
	silent  map[string]notice    // amphorae whose load balancer was woken
	orphans map[string]time.Time // by id, since when
}

// notice is what was made of an amphora's silence.
type notice struct {
	reported time.Time
	at       time.Time
}

// New makes a keeper, which keeps house once Run is called.
func New(o Options) *Keeper {
	for _, d := range []struct {
		value    *time.Duration
		standard time.Duration
	}{{&o.DeadAfter, time.Minute}, {&o.Listen, 5 * time.Second}, {&o.Sweep, 10 * time.Minute}, {&o.KeepChanges, 7 * 24 * time.Hour}} {
		if *d.value <= 0 {
			*d.value = d.standard
		}
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Keeper{Options: o, silent: map[string]notice{}, orphans: map[string]time.Time{}}
}

// Run keeps house until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	var duties sync.WaitGroup
	defer duties.Wait()
	for _, duty := range []struct {
		every time.Duration
		do    func(context.Context) error
		what  string
	}{
		{k.Listen, k.WakeSilent, "look for silent amphorae"},
		{k.Sweep, k.SweepCloud, "look for orphans"},
		{time.Hour, k.Trim, "trim the change log"},
	} {
		duties.Go(func() {
			ticker := time.NewTicker(duty.every)
			defer ticker.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-ticker.C:
				}
				if err := duty.do(ctx); err != nil && ctx.Err() == nil {
					k.Logger.Warn("cannot "+duty.what, "err", err)
				}
			}
		})
	}
}

// rewake is how often the worker is woken about the same silence, should it have lost sight of it.
const rewake = 5 * time.Minute

// WakeSilent makes load balancers due of which an amphora has been silent for too long. Whether it is dead is for the
// plan to judge.
func (k *Keeper) WakeSilent(ctx context.Context) error {
	now := k.Clock()
	amphorae, err := k.Store.SilentSince(ctx, now.Add(-k.DeadAfter))
	if err != nil {
		return err
	}
	silent := make(map[string]notice, len(amphorae))
	woken := map[string]bool{}
	var failed error
	for _, a := range amphorae {
		known := k.silent[a.ID]
		if known.reported.Equal(*a.LastReportAt) && now.Sub(known.at) < rewake {
			silent[a.ID] = known
			continue
		}
		if !woken[a.LoadBalancerID] {
			if err := k.Store.Wake(ctx, a.LoadBalancerID); err != nil && !errors.Is(err, store.ErrNotFound) {
				failed = errors.Join(failed, err)
				continue
			}
			woken[a.LoadBalancerID] = true
			k.Logger.Info("an amphora is silent", "lb", a.LoadBalancerID, "amphora", a.ID, "since", *a.LastReportAt)
		}
		silent[a.ID] = notice{*a.LastReportAt, now}
	}
	k.silent = silent
	return failed
}

// Trim drops old entries of the change log.
func (k *Keeper) Trim(ctx context.Context) error {
	_, err := k.Store.TrimChanges(ctx, k.Clock().Add(-k.KeepChanges))
	return err
}
