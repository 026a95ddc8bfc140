package store

import (
	"context"
	"time"

	"github.com/octavo-lb/octavo/lb"
)

// Lease is the right of one worker to bring one load balancer in force. It ends by Release, or by another worker taking
// over after its time has run out; from then on its writes fail with ErrFenced.
type Lease struct {
	LB    string // the load balancer's id
	Owner string
	Token int64 // grows with every lease of the load balancer
	Until time.Time
}

// Acquire leases a load balancer that is due and not leased, the one due longest first with a little randomness.
// ErrNothingDue.
func (s *Store) Acquire(ctx context.Context, owner string, ttl time.Duration) (*Lease, error) {
	panic("store: not built yet")
}

// NextDue tells when the next load balancer may be acquired; false when none is due at any time.
func (s *Store) NextDue(ctx context.Context) (time.Time, bool, error) { panic("store: not built yet") }

// Write is Store.Write with the load balancer locked and the lease checked in the same transaction. ErrFenced.
func (l *Lease) Write(ctx context.Context, fn func(tx *Tx) error) error {
	panic("store: not built yet")
}

// Renew prolongs the lease to ttl from now. ErrFenced.
func (l *Lease) Renew(ctx context.Context, ttl time.Duration) error { panic("store: not built yet") }

// Release ends the lease. The load balancer is due again at next (zero: not before something wakes it), or at once if it
// was woken during the lease. ErrFenced.
func (l *Lease) Release(ctx context.Context, next time.Time) error { panic("store: not built yet") }

// Progress is how far a load balancer has come.
type Progress struct {
	Generation         int64
	CloudGeneration    int64
	ObservedGeneration int64
	Failure            string
	FailureAt          *time.Time
	NextTryAt          *time.Time
	Failures           int // in a row
	DueAt              *time.Time
	WakeSeq            int64
	LeaseOwner         string
	LeaseUntil         *time.Time
}

// Progress reads how far a load balancer has come. ErrNotFound.
func (s *Store) Progress(ctx context.Context, lbID string) (Progress, error) {
	panic("store: not built yet")
}

// SetCloudGeneration tells that the cloud's objects are right for this generation. It clears the failure.
func (tx *Tx) SetCloudGeneration(ctx context.Context, generation int64) error {
	panic("store: not built yet")
}

// SetFailure stores why the load balancer could not be brought in force and when that is tried again.
func (tx *Tx) SetFailure(ctx context.Context, reason string, nextTry time.Time) error {
	panic("store: not built yet")
}

// Wake makes a load balancer due now, outside any other transaction. ErrNotFound.
func (s *Store) Wake(ctx context.Context, lbID string) error { panic("store: not built yet") }

// LoadBalancerIDs lists the ids of all load balancers of a provider, all providers when empty.
func (s *Store) LoadBalancerIDs(ctx context.Context, provider string) ([]string, error) {
	panic("store: not built yet")
}

var _ = lb.Active
