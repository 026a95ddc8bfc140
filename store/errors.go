package store

import (
	"errors"
	"fmt"
)

var (
	// ErrNotFound tells that no row has the id asked for.
	ErrNotFound = errors.New("not found")
	// ErrConflict tells that a row with this id, or another value that must be unique, exists already.
	ErrConflict = errors.New("exists already")
	// ErrFenced tells a worker that its lease was taken over by another one: nothing of the transaction was written, and
	// the worker must stop touching the load balancer.
	ErrFenced = errors.New("the lease was taken over")
	// ErrNothingDue tells a worker that no load balancer needs one now.
	ErrNothingDue = errors.New("nothing is due")
)

// QueryError is a list's filter, sort key or marker that cannot be used.
type QueryError struct {
	Part   string // "filter", "sort_key" or "marker"
	Name   string // the attribute, or the marker
	Reason string
}

func (e *QueryError) Error() string { return fmt.Sprintf("%s %q: %s", e.Part, e.Name, e.Reason) }
