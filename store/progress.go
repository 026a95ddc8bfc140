package store

import (
	"context"
	"fmt"
	"time"
)

// Progress is how far a load balancer has come.
type Progress struct {
	Generation         int64
	CloudGeneration    int64
	ObservedGeneration int64
	// AwaitedSince is when what is wanted was changed last, or a provider outside of the process last said something.
	AwaitedSince *time.Time
	Failure      string
	FailureAt    *time.Time
	NextTryAt    *time.Time
	Failures     int // in a row
	DueAt        *time.Time
	WakeSeq      int64
	LeaseOwner   string
	LeaseToken   int64
	LeaseUntil   *time.Time
}

// Progress reads how far a load balancer has come. ErrNotFound.
func (s *Store) Progress(ctx context.Context, lbID string) (Progress, error) {
	var p Progress
	var failureAt, nextTryAt, dueAt, leaseUntil, awaited nullTime
	err := s.read.row(ctx, `SELECT "generation", "cloud_generation", "observed_generation", "failure", "failure_at",`+
		` "next_try_at", "failures", "due_at", "wake_seq", "lease_owner", "lease_token", "lease_until", "awaited_since"`+
		` FROM "load_balancer" WHERE "id" = ?`, []any{lbID},
		&p.Generation, &p.CloudGeneration, &p.ObservedGeneration, &p.Failure, &failureAt,
		&nextTryAt, &p.Failures, &dueAt, &p.WakeSeq, &p.LeaseOwner, &p.LeaseToken, &leaseUntil, &awaited)
	if err != nil {
		return Progress{}, fmt.Errorf("cannot read the progress of load balancer %s: %w", lbID, err)
	}
	p.FailureAt, p.NextTryAt, p.DueAt, p.LeaseUntil, p.AwaitedSince = failureAt.t, nextTryAt.t, dueAt.t, leaseUntil.t, awaited.t
	return p, nil
}

// SetCloudGeneration tells that the cloud's objects are right for this generation. A newer one than before clears the
// failure: the cloud was what could have caused it.
func (tx *Tx) SetCloudGeneration(ctx context.Context, generation int64) error {
	b, err := tx.locked()
	if err != nil {
		return err
	}
	statement := `UPDATE "load_balancer" SET "cloud_generation" = ?`
	if generation > b.cloud {
		statement += noFailure
	}
	if _, err = tx.r.exec(ctx, statement+` WHERE "id" = ?`, generation, b.id); err != nil {
		return fmt.Errorf("cannot store the cloud's generation of load balancer %s: %w", b.id, err)
	}
	b.cloud, b.settle = generation, true
	return nil
}

// noFailure continues an UPDATE of a load balancer.
const noFailure = `, "failure" = '', "failures" = 0, "failure_at" = NULL, "next_try_at" = NULL`

// SetFailure stores why the load balancer could not be brought in force and when that is tried again. An empty reason
// takes back what was stored.
func (tx *Tx) SetFailure(ctx context.Context, reason string, nextTry time.Time) error {
	b, err := tx.locked()
	if err != nil {
		return err
	}
	if reason == "" {
		return tx.ClearFailure(ctx)
	}
	_, err = tx.r.exec(ctx, `UPDATE "load_balancer" SET "failure" = ?, "failures" = "failures" + 1, "failure_at" = ?,`+
		` "next_try_at" = ? WHERE "id" = ?`, reason, formatTime(tx.now), timeOrNull(nextTry), b.id)
	if err != nil {
		return fmt.Errorf("cannot store the failure of load balancer %s: %w", b.id, err)
	}
	b.news = true
	return nil
}

// ClearFailure takes back what SetFailure stored, when the cause is gone.
func (tx *Tx) ClearFailure(ctx context.Context) error {
	b, err := tx.locked()
	if err != nil {
		return err
	}
	if _, err := tx.r.exec(ctx, `UPDATE "load_balancer" SET "id" = "id"`+noFailure+` WHERE "id" = ?`, b.id); err != nil {
		return fmt.Errorf("cannot clear the failure of load balancer %s: %w", b.id, err)
	}
	b.news = true
	return nil
}

// LoadBalancerIDs lists the ids of all load balancers of a provider, all providers when empty.
func (s *Store) LoadBalancerIDs(ctx context.Context, provider string) ([]string, error) {
	statement, args := `SELECT "id" FROM "load_balancer"`, []any(nil)
	if provider != "" {
		statement, args = statement+` WHERE "provider" = ?`, []any{provider}
	}
	var id string
	ids := []string{}
	if err := s.read.each(ctx, statement, args, func() { ids = append(ids, id) }, &id); err != nil {
		return nil, fmt.Errorf("cannot list the load balancers: %w", err)
	}
	return ids, nil
}
