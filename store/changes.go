package store

import (
	"context"
	"time"
)

// Change is an entry of the change log.
type Change struct {
	Seq        int64 // order in which commits became visible; grows without ever being skipped by a reader
	LB         string
	Kind       Kind
	ObjectID   string
	Action     string // create, update, delete (asked for); status (observed something new); purge (the row is gone)
	Generation int64
	ProjectID  string
	At         time.Time
}

// Changes reads up to limit entries after a sequence number. A reader that goes on from the last one it got misses none,
// also not one whose transaction took long to commit.
func (s *Store) Changes(ctx context.Context, after int64, limit int) ([]Change, error) {
	panic("store: not built yet")
}

// LastChange is the newest sequence number, to read on from.
func (s *Store) LastChange(ctx context.Context) (int64, error) { panic("store: not built yet") }

// TrimChanges drops entries older than the time.
func (s *Store) TrimChanges(ctx context.Context, before time.Time) (int64, error) {
	panic("store: not built yet")
}

// Subscribe delivers ids of load balancers of which something changed: those of this store's transactions right after
// commit, those of other nodes within Options.Poll. Ids that are not yet taken are delivered once. A reader must be able
// to bear missing one, by looking again after a while. The channel is closed when ctx ends or the store is closed.
func (s *Store) Subscribe(ctx context.Context) <-chan string { panic("store: not built yet") }
