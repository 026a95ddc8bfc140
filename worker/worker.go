// Package worker brings load balancers in force: it leases one that is due, asks package plan for the next steps, carries
// them out, and gives the lease back. It makes no choices of its own. Being killed at any instruction costs time only:
// every step may be done again, by anybody.
//
// It never waits for the world. While an instance boots or an agent applies a change, the lease is given back with a time
// for the next look, and the agent's report wakes it earlier.
package worker

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/ca"
	"github.com/octavo-lb/octavo/plan"
	"github.com/octavo-lb/octavo/secrets"
	"github.com/octavo-lb/octavo/store"
)

// Cloud is what a worker needs of the cloud; *cloud.Client is one, and says what each call promises.
type Cloud interface {
	Subnet(ctx context.Context, id string) (plan.Subnet, error)
	Port(ctx context.Context, id string) (plan.Port, error)
	EnsurePort(ctx context.Context, want plan.Port) (plan.Port, error)
	DeletePort(ctx context.Context, p plan.Port) error
	EnsureSecurityGroup(ctx context.Context, want plan.SecurityGroup) (plan.SecurityGroup, error)
	DeleteSecurityGroup(ctx context.Context, name string) error
	EnsureServerGroup(ctx context.Context, name, policy string) (id string, err error)
	DeleteServerGroup(ctx context.Context, name string) error
	Server(ctx context.Context, id string) (plan.Server, error)
	FindServer(ctx context.Context, name string) (plan.Server, error)
	CreateServer(ctx context.Context, want plan.Server, userData []byte) (plan.Server, error)
	DeleteServer(ctx context.Context, s plan.Server) (plan.Server, error)
	AttachPort(ctx context.Context, serverID, portID string) error
	DetachPort(ctx context.Context, serverID, portID string) error
}

// Authorities is what is needed of package ca to let an instance enrol.
type Authorities interface {
	EnrolToken(amphoraID string, expiry time.Time) (token secrets.Secret, hash string)
	Trust() agentapi.Trust
}

// Options are what a worker works with. Those up to Controllers are needed.
type Options struct {
	Store    *store.Store
	Cloud    Cloud
	CA       Authorities
	Settings plan.Settings
	// Controllers are the URLs that agents report to; ServerName is what they expect there, ca.DefaultServerName if empty.
	Controllers []string
	ServerName  string

	// ProgramKey is what new amphorae check agent programs with, as agentapi.Boot has it; empty for amphorae that run no
	// program but their image's.
	ProgramKey string

	// TimeZone is agentapi.Boot.TimeZone of new amphorae.
	TimeZone string

	// Pretends tells of which providers nothing serves load balancers; nil for none.
	Pretends func(provider string) bool
	// Outside tells which providers are programs that say by themselves what is in force; nil for none.
	Outside func(provider string) bool

	// Name tells this process from others in leases; random when empty. One that is given must be this process's alone: what
	// an earlier process of that name had leased is taken up at once.
	Name string
	// Workers is how many load balancers are worked on at once; 64.
	Workers int
	// Builds is how many amphorae this process builds at once, from asking for the instance until its agent's first report;
	// any number when 0 or less.
	Builds int
	// LeaseTTL is after which time others take over from a worker that is gone; 2 minutes. It must be longer than any
	// call to the cloud may take.
	LeaseTTL time.Duration
	// EnrolLifetime is how long an instance may take to enrol; an hour.
	EnrolLifetime time.Duration
	// Grace is for how long errors that should pass by themselves are not shown to users; a minute.
	Grace time.Duration
	// VerifyAfter is for how long a load balancer's objects in the cloud are taken to be as they were left; 5 minutes.
	VerifyAfter time.Duration
	// Poll is how long a change that this process was not told of may stay unnoticed; 5 s.
	Poll time.Duration

	Clock func() time.Time
	// Within bounds a step; context.WithTimeout, unless time is not the machine's.
	Within func(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc)
	Rand   func() float64 // from [0, 1), for spreading retries
	NewID  func() string  // of amphorae
	Logger *slog.Logger
}

func (o *Options) setDefaults() {
	for _, d := range []struct {
		value    *time.Duration
		standard time.Duration
	}{{&o.LeaseTTL, 2 * time.Minute}, {&o.EnrolLifetime, time.Hour}, {&o.Grace, time.Minute}, {&o.Poll, 5 * time.Second},
		{&o.VerifyAfter, 5 * time.Minute}} {
		if *d.value <= 0 {
			*d.value = d.standard
		}
	}
	o.Settings = o.Settings.WithDefaults()
	if o.ServerName == "" {
		o.ServerName = ca.DefaultServerName
	}
	if o.Name == "" {
		o.Name = uuid.NewString()
	}
	if o.Workers <= 0 {
		o.Workers = 64
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Within == nil {
		o.Within = context.WithTimeout
	}
	if o.Rand == nil {
		o.Rand = rand.Float64
	}
	if o.NewID == nil {
		o.NewID = uuid.NewString
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Worker brings load balancers in force.
type Worker struct {
	Options
	memory *memory
	fleet  fleet
	builds builds
	// struggling bounds how many of the workers are busy with load balancers that failed lately, so that an outage of what
	// those need leaves the others room.
	struggling chan struct{}

	mu       sync.Mutex
	watching time.Time // since when no report was lost for want of a store, as far as this process knows
}

// New makes a worker, which works once Run is called.
func New(o Options) *Worker {
	o.setDefaults()
	return &Worker{Options: o, memory: newMemory(), builds: builds{limit: o.Builds, ids: map[string]bool{}}, struggling: make(chan struct{}, max(1, o.Workers/2)), watching: o.Clock()}
}

// Run works until ctx ends, and then finishes the steps at hand.
func (w *Worker) Run(ctx context.Context) error {
	w.endOldLeases(ctx)
	var busy sync.WaitGroup
	defer busy.Wait()
	slots := make(chan struct{}, w.Workers)
	idle := make(chan struct{}, 1) // somebody finished
	changed := w.Store.Subscribe(ctx)
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		lease, err := w.Store.Acquire(ctx, w.Name, w.LeaseTTL)
		if err == nil {
			busy.Go(func() {
				w.Work(ctx, lease)
				<-slots
				signal(idle)
			})
			continue
		}
		<-slots
		if ctx.Err() != nil {
			return nil
		}
		if !errors.Is(err, store.ErrNothingDue) {
			w.storeFailed(err)
		}
		if changed = w.rest(ctx, changed, idle); ctx.Err() != nil {
			return nil
		}
	}
}

// endOldLeases takes up at once what a killed process of this name left. Without it their time has to run out.
func (w *Worker) endOldLeases(ctx context.Context) {
	if err := w.Store.EndLeases(ctx, w.Name); err != nil {
		w.storeFailed(err)
	}
}

// rest waits until something may be due.
func (w *Worker) rest(ctx context.Context, changed <-chan string, idle <-chan struct{}) <-chan string {
	wait := w.Poll
	if next, some, err := w.Store.NextDue(ctx); err == nil && some {
		// A time that has passed belongs to a load balancer that others were faster with.
		wait = min(wait, max(next.Sub(w.Clock()), time.Millisecond))
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-idle:
	case _, ok := <-changed:
		if !ok {
			return nil
		}
	}
	return changed
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// storeFailed notes that reports may have been lost: nobody can be called silent for what was not heard meanwhile.
func (w *Worker) storeFailed(err error) {
	w.mu.Lock()
	w.watching = w.Clock()
	w.mu.Unlock()
	w.Logger.Warn("the database does not answer", "err", err)
}

func (w *Worker) watchingSince() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.watching
}
