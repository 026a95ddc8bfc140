package store

import (
	"context"

	"github.com/octavo-lb/octavo/lb"
)

// Resource is one of the seven nouns that users write.
type Resource interface {
	lb.LoadBalancer | lb.Listener | lb.Pool | lb.Member | lb.HealthMonitor | lb.L7Policy | lb.L7Rule
}

// Kind names a resource in change log, quotas and statuses, as the wire names it.
type Kind string

const (
	LoadBalancer  Kind = "loadbalancer"
	Listener      Kind = "listener"
	Pool          Kind = "pool"
	Member        Kind = "member"
	HealthMonitor Kind = "healthmonitor"
	L7Policy      Kind = "l7policy"
	L7Rule        Kind = "l7rule"
	AmphoraKind   Kind = "amphora"
)

// Reader is a *Store or, to read inside a transaction, a *Tx.
type Reader interface{ reader() *reader }

type reader struct{}

// Get reads one resource with its provisioning status as of now, also one being deleted. ErrNotFound.
func Get[T Resource](ctx context.Context, r Reader, id string) (T, error) {
	panic("store: not built yet")
}

// Tree reads a load balancer and all below it as of one moment. ErrNotFound.
func (s *Store) Tree(ctx context.Context, lbID string) (*lb.Tree, error) {
	panic("store: not built yet")
}

// OwnerOf tells which load balancer a resource belongs to. ErrNotFound.
func OwnerOf[T Resource](ctx context.Context, r Reader, id string) (lbID string, err error) {
	panic("store: not built yet")
}
