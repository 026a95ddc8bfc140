package store

import (
	"context"
	"time"

	"github.com/octavo-lb/octavo/lb"
)

// Tx is a transaction. It writes to at most one load balancer, the one it has locked or inserted; everything in it is as
// of now, because the lock serialises the writers of a load balancer. It must not be used after fn returned.
type Tx struct{}

// Write runs fn in a transaction and commits it unless fn fails. fn runs again from the start when the database refuses
// for reasons of concurrency, so it must do nothing that outlives a roll-back and keep no results of an earlier run.
// After a connection is lost during commit the outcome is unknown: the error is temporary and Write does not repeat.
//
// When fn wrote desired state (Insert, Update, Delete, Touch), the commit raises the load balancer's generation by one,
// clears its failure, makes it due for a worker and appends to the change log. Subscribers hear of it after the commit.
func (s *Store) Write(ctx context.Context, fn func(tx *Tx) error) error {
	panic("store: not built yet")
}

// Lock locks a load balancer's row until the end of the transaction and reads it. ErrNotFound.
func (tx *Tx) Lock(ctx context.Context, lbID string) (*lb.LoadBalancer, error) {
	panic("store: not built yet")
}

// LockTree is Lock, and reads the tree.
func (tx *Tx) LockTree(ctx context.Context, lbID string) (*lb.Tree, error) {
	panic("store: not built yet")
}

// Generation is the load balancer's generation that this transaction's writes of desired state carry.
func (tx *Tx) Generation() int64 { panic("store: not built yet") }

// Insert adds new objects below the load balancer that the transaction has locked, parents first, or the load balancer
// itself, which counts as locked then. It sets Generation, Created and CreatedAt, and ID when empty. ErrConflict.
func Insert[T Resource](ctx context.Context, tx *Tx, objects ...*T) error {
	panic("store: not built yet")
}

// Update writes the attributes of existing objects and sets Generation and UpdatedAt. What the service observes
// (operating status, failure, observed generation) is not written. ErrNotFound.
func Update[T Resource](ctx context.Context, tx *Tx, objects ...*T) error {
	panic("store: not built yet")
}

// Amend writes attributes like Update does, without it being a change of desired state: for what the service found out,
// such as the address of a VIP port it made.
func Amend[T Resource](ctx context.Context, tx *Tx, objects ...*T) error {
	panic("store: not built yet")
}

// Delete marks objects and everything below them as being deleted. Rows go away when that is in force. ErrNotFound.
func Delete[T Resource](ctx context.Context, tx *Tx, ids ...string) error {
	panic("store: not built yet")
}

// Remove drops the load balancer with everything below it at once, for one that nothing was ever made of.
func (tx *Tx) Remove(ctx context.Context) error { panic("store: not built yet") }

// Touch raises the generation without changing an object, so that everything is brought in force again.
func (tx *Tx) Touch(ctx context.Context, lbID string) error { panic("store: not built yet") }

// Wake makes the load balancer due for a worker now. What a worker that is at it misses leads to another run.
func (tx *Tx) Wake() { panic("store: not built yet") }

// Defer makes the load balancer due at a later time than now, for a creation that is still to be completed.
func (tx *Tx) Defer(until time.Time) { panic("store: not built yet") }

// SetOperatingStatus stores observed statuses by object id. Ids that are gone are ignored.
func (tx *Tx) SetOperatingStatus(ctx context.Context, k Kind, status map[string]lb.OperatingStatus) error {
	panic("store: not built yet")
}

// Log appends an entry to the change log, for changes that the store does not log by itself.
func (tx *Tx) Log(c Change) { panic("store: not built yet") }
