package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/octavo-lb/octavo/lb"
)

// Tx is a transaction. It writes to at most one load balancer, the one it has locked or inserted; everything in it is as
// of now, because the lock serialises the writers of a load balancer. It must not be used after fn returned.
type Tx struct {
	r       reader
	store   *Store
	now     time.Time
	balance *balancer // nil until locked
	due     time.Time // set by Defer
	changes []Change
}

// balancer is the load balancer that a transaction has locked.
type balancer struct {
	id         string
	projectID  string
	generation int64 // with this transaction's raise
	cloud      int64
	observed   int64
	deleting   bool
	leaseToken int64

	inserted bool // by this transaction
	desired  bool // the generation was raised
	news     bool // something observed changed: subscribers want to know
	settle   bool // the observed generation must be computed again
	gone     bool
	wake     bool
	due      time.Time           // of a row that this transaction inserted
	tags     map[string][]string // by object, as Lock and LockTree read them
}

const (
	maxAttempts = 20
	maxBackoff  = 250 * time.Millisecond
)

// Write runs fn in a transaction and commits it unless fn fails. fn runs again from the start when the database refuses
// for reasons of concurrency, so it must do nothing that outlives a roll-back and keep no results of an earlier run. It reads
// through tx and never writes through the store, which on SQLite would wait for this very transaction.
// After a connection is lost during commit the outcome is unknown: the error is temporary and Write does not repeat.
//
// When fn wrote desired state (Insert, Update, Delete, Touch), the commit raises the load balancer's generation by one,
// clears its failure, makes it due for a worker and appends to the change log. Subscribers hear of it after the commit.
func (s *Store) Write(ctx context.Context, fn func(tx *Tx) error) error {
	for attempt := 1; ; attempt++ {
		err := s.attempt(ctx, fn)
		if err == nil || !isRetryable(err) || attempt == maxAttempts {
			return err
		}
		backoff := min(maxBackoff, time.Millisecond<<attempt)
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(backoff/2 + time.Duration(s.options.Rand(int(backoff)))):
		}
	}
}

func (s *Store) attempt(ctx context.Context, fn func(tx *Tx) error) error {
	sqlTx, err := s.writeDB.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("cannot begin a transaction: %w", err)
	}
	defer sqlTx.Rollback() // without effect after the commit
	tx := &Tx{r: reader{dialect: s.dialect, queryer: sqlTx, trace: s.options.Trace}, store: s, now: s.now()}
	if err := fn(tx); err != nil {
		return err
	}
	if err := tx.finish(ctx); err != nil {
		return err
	}
	if err := sqlTx.Commit(); err != nil {
		return fmt.Errorf("cannot commit: %w", err)
	}
	if b := tx.balance; b != nil && (b.desired || b.news || b.wake || b.gone) {
		s.feed.publish(b.id)
	}
	return nil
}

func (tx *Tx) reader() *reader { return &tx.r }

// Now is the time that this transaction stamps rows with.
func (tx *Tx) Now() time.Time { return tx.now }

// Lock locks a load balancer's row until the end of the transaction and reads it. ErrNotFound.
func (tx *Tx) Lock(ctx context.Context, lbID string) (*lb.LoadBalancer, error) {
	if tx.balance != nil && tx.balance.id != lbID {
		return nil, fmt.Errorf("cannot lock load balancer %s: the transaction writes to %s already", lbID, tx.balance.id)
	}
	b := balancer{id: lbID}
	var object lb.LoadBalancer
	statement := lockSelection + balancers.from + ` WHERE o."id" = ?` + tx.r.dialect.forUpdate
	destinations := append([]any{&b.cloud, &b.leaseToken}, balancers.destinations(&object)...)
	if err := tx.r.row(ctx, statement, []any{lbID}, destinations...); err != nil {
		return nil, fmt.Errorf("cannot lock load balancer %s: %w", lbID, err)
	}
	if tx.balance == nil {
		b.projectID, b.generation, b.observed = object.ProjectID, object.Generation, object.ObservedGeneration
		b.deleting, b.tags = object.Deleting, map[string][]string{lbID: slices.Clone(object.Tags)}
		tx.balance = &b
	}
	return &object, nil
}

var lockSelection = `SELECT o."cloud_generation", o."lease_token", ` +
	balancers.selection[len("SELECT "):len(balancers.selection)-len(balancers.from)]

// LockTree is Lock, and reads the tree.
func (tx *Tx) LockTree(ctx context.Context, lbID string) (*lb.Tree, error) {
	object, err := tx.Lock(ctx, lbID)
	if err != nil {
		return nil, err
	}
	tree, err := tx.r.treeBelow(ctx, *object)
	if err != nil {
		return nil, err
	}
	tx.balance.tags = tagsOf(tree)
	return tree, nil
}

// locked is the load balancer that the transaction may write to.
func (tx *Tx) locked() (*balancer, error) {
	if tx.balance == nil {
		return nil, errors.New("store: the transaction has locked no load balancer")
	}
	return tx.balance, nil
}

// raise is called before each write of desired state: the first of a transaction makes a new generation.
func (tx *Tx) raise() (*balancer, error) {
	b, err := tx.locked()
	if err == nil && !b.desired {
		b.desired = true
		b.generation++
	}
	return b, err
}

// Generation is the load balancer's generation that this transaction's writes of desired state carry.
func (tx *Tx) Generation() int64 {
	switch b := tx.balance; {
	case b == nil:
		return 0
	case b.desired:
		return b.generation
	default:
		return b.generation + 1
	}
}

// Touch raises the generation without changing an object, so that everything is brought in force again. ErrNotFound.
func (tx *Tx) Touch(ctx context.Context, lbID string) error {
	if tx.balance == nil {
		if _, err := tx.Lock(ctx, lbID); err != nil {
			return err
		}
	}
	b, err := tx.raise()
	if err != nil {
		return err
	}
	tx.Log(Change{Kind: LoadBalancer, ObjectID: b.id, Action: "update"})
	return nil
}

// Wake makes the locked load balancer due for a worker now. What a worker that is at it misses leads to another run.
func (tx *Tx) Wake() {
	if tx.balance != nil {
		tx.balance.wake = true
	}
}

// Defer makes the load balancer due at a later time than now, for a creation that is still to be completed. Before Insert it
// takes no statement of its own.
func (tx *Tx) Defer(until time.Time) { tx.due = until }

// dueAt is when a worker shall come.
func (tx *Tx) dueAt() time.Time {
	if tx.due.IsZero() {
		return tx.now
	}
	return tx.due
}

// Log appends an entry to the change log, for changes that the store does not log by itself. Sequence, time, and where
// empty the load balancer, its project and generation are filled in.
func (tx *Tx) Log(c Change) { tx.changes = append(tx.changes, c) }

// finish does what follows from the transaction's writes, right before the commit.
func (tx *Tx) finish(ctx context.Context) error {
	b := tx.balance
	if b == nil {
		return tx.insertChanges(ctx)
	}
	if b.settle && !b.gone {
		if err := tx.settle(ctx, b); err != nil {
			return fmt.Errorf("cannot settle load balancer %s: %w", b.id, err)
		}
	}
	if !b.gone {
		if err := tx.schedule(ctx, b); err != nil {
			return fmt.Errorf("cannot schedule load balancer %s: %w", b.id, err)
		}
	}
	if b.news {
		tx.Log(Change{Kind: LoadBalancer, ObjectID: b.id, Action: "status"})
	}
	return tx.insertChanges(ctx)
}

// schedule stores the new generation and when a worker shall come.
func (tx *Tx) schedule(ctx context.Context, b *balancer) error {
	due := tx.dueAt()
	if !b.desired && !b.wake && tx.due.IsZero() || b.inserted && due.Equal(b.due) {
		return nil
	}
	statement := `UPDATE "load_balancer" SET "due_at" = ?, "wake_seq" = "wake_seq" + 1`
	if b.desired {
		_, err := tx.r.exec(ctx, statement+`, "generation" = ?, "told" = '', "awaited_since" = ?`+noFailure+` WHERE "id" = ?`, formatTime(due), b.generation,
			formatTime(tx.now), b.id)
		return err
	}
	_, err := tx.r.exec(ctx, statement+` WHERE "id" = ?`, formatTime(due), b.id)
	return err
}
