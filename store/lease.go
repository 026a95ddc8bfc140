package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Lease is the right of one worker to bring one load balancer in force. It ends by Release, or by another worker taking
// over after its time has run out; from then on its writes fail with ErrFenced.
type Lease struct {
	LB    string // the load balancer's id
	Owner string
	Token int64 // grows with every lease of the load balancer
	Until time.Time
	// TakenOver tells that whoever had the lease before did not release it: calls that it made may still be under way.
	TakenOver bool

	store *Store
	wakes int64 // the load balancer's count of wakes when it was acquired
}

// candidates is how many due load balancers a worker looks at: when others are faster with the first, it tries the rest.
const candidates = 16

type candidate struct {
	id           string
	token, wakes int64
	owner        string // of a lease that was not released
}

// Acquire leases the load balancer that is due longest of those that are not leased. ErrNothingDue.
func (s *Store) Acquire(ctx context.Context, owner string, ttl time.Duration) (*Lease, error) {
	now := s.now()
	var c candidate
	var due []candidate
	err := s.read.each(ctx, `SELECT "id", "lease_token", "wake_seq", "lease_owner" FROM "load_balancer" WHERE "due_at" <= ?`+
		` AND ("lease_until" IS NULL OR "lease_until" <= ?) ORDER BY "due_at" LIMIT ?`,
		[]any{formatTime(now), formatTime(now), candidates}, func() { due = append(due, c) }, &c.id, &c.token, &c.wakes, &c.owner)
	if err != nil {
		return nil, fmt.Errorf("cannot look for what is due: %w", err)
	}
	for len(due) > 0 {
		lease, err := s.take(ctx, due[0], owner, ttl)
		if lease != nil || err != nil {
			return lease, err
		}
		// Another worker was faster; the next one is chosen at random, so that not all run after the same.
		if due = due[1:]; len(due) > 1 {
			i := s.options.Rand(len(due))
			due[0], due[i] = due[i], due[0]
		}
	}
	return nil, ErrNothingDue
}

// take makes the lease if nobody else did since the candidate was read. A wake that came since then makes for one run too
// many at worst, never for one too few.
func (s *Store) take(ctx context.Context, c candidate, owner string, ttl time.Duration) (*Lease, error) {
	now := s.now()
	l := &Lease{LB: c.id, Owner: owner, Token: c.token + 1, Until: now.Add(ttl), TakenOver: c.owner != "", store: s, wakes: c.wakes}
	taken := false
	err := s.Write(ctx, func(tx *Tx) error {
		n, err := tx.r.exec(ctx, `UPDATE "load_balancer" SET "lease_owner" = ?, "lease_token" = ?, "lease_until" = ?`+
			` WHERE "id" = ? AND "lease_token" = ? AND "due_at" <= ? AND ("lease_until" IS NULL OR "lease_until" <= ?)`,
			owner, l.Token, formatTime(l.Until), c.id, c.token, formatTime(now), formatTime(now))
		taken = n == 1
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("cannot lease load balancer %s: %w", c.id, err)
	}
	if !taken {
		return nil, nil
	}
	return l, nil
}

// NextDue tells when the next load balancer may be acquired, a past time when one may be now; false when none is due at
// any time.
func (s *Store) NextDue(ctx context.Context) (time.Time, bool, error) {
	var times []time.Time
	for _, statement := range []string{
		`SELECT "due_at" FROM "load_balancer" WHERE "due_at" IS NOT NULL AND "lease_until" IS NULL ORDER BY "due_at" LIMIT 1`,
		`SELECT "lease_until" FROM "load_balancer" WHERE "lease_until" IS NOT NULL ORDER BY "lease_until" LIMIT 1`,
	} {
		var t nullTime
		err := s.read.row(ctx, statement, nil, &t)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return time.Time{}, false, fmt.Errorf("cannot look for what is due next: %w", err)
		}
		if t.t != nil {
			times = append(times, *t.t)
		}
	}
	if len(times) == 0 {
		return time.Time{}, false, nil
	}
	return slices.MinFunc(times, time.Time.Compare), true, nil
}

// EndLeases ends every lease of an owner, as a worker does that starts under the name of one that was killed: what that one
// left half done need not wait for its leases to run out. Whatever it might still write is refused with ErrFenced.
func (s *Store) EndLeases(ctx context.Context, owner string) error {
	return s.Write(ctx, func(tx *Tx) error {
		_, err := tx.r.exec(ctx, `UPDATE "load_balancer" SET "lease_until" = NULL, "lease_token" = "lease_token" + 1`+
			` WHERE "lease_owner" = ? AND "lease_until" IS NOT NULL`, owner)
		if err != nil {
			return fmt.Errorf("cannot end the leases of %s: %w", owner, err)
		}
		return nil
	})
}

// Write is Store.Write with the load balancer locked and the lease checked in the same transaction. ErrFenced, and
// ErrNotFound when the load balancer is gone.
func (l *Lease) Write(ctx context.Context, fn func(tx *Tx) error) error {
	return l.store.Write(ctx, func(tx *Tx) error {
		if _, err := tx.Lock(ctx, l.LB); err != nil {
			return err
		}
		if tx.balance.leaseToken != l.Token {
			return fmt.Errorf("worker %s on load balancer %s: %w", l.Owner, l.LB, ErrFenced)
		}
		return fn(tx)
	})
}

// Renew prolongs the lease to ttl from now. ErrFenced.
func (l *Lease) Renew(ctx context.Context, ttl time.Duration) error {
	until := l.store.now().Add(ttl)
	err := l.Write(ctx, func(tx *Tx) error {
		_, err := tx.r.exec(ctx, `UPDATE "load_balancer" SET "lease_until" = ? WHERE "id" = ?`, formatTime(until), l.LB)
		return err
	})
	if err == nil {
		l.Until = until
	}
	return err
}

// Release ends the lease. The load balancer is due again at next (zero: not before something wakes it), or at once if it
// was woken during the lease. ErrFenced. That the load balancer is gone is no error.
func (l *Lease) Release(ctx context.Context, next time.Time) error {
	err := l.Write(ctx, func(tx *Tx) error {
		now := formatTime(tx.now)
		// The token is raised as well: nothing may be written with a lease that was given back.
		_, err := tx.r.exec(ctx, `UPDATE "load_balancer" SET "lease_owner" = '', "lease_until" = NULL,`+
			` "lease_token" = "lease_token" + 1,`+
			` "due_at" = CASE WHEN "wake_seq" <> ? THEN CASE WHEN "due_at" < ? THEN "due_at" ELSE ? END ELSE ? END WHERE "id" = ?`, l.wakes, now, now, timeOrNull(next), l.LB)
		return err
	})
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// Wake makes a load balancer due now. ErrNotFound.
func (s *Store) Wake(ctx context.Context, lbID string) error {
	return s.Write(ctx, func(tx *Tx) error {
		if _, err := tx.Lock(ctx, lbID); err != nil {
			return err
		}
		tx.Wake()
		return nil
	})
}
