// Package api answers the Octavia API v2 over HTTP. A request is decoded into a copy, checked against the tree in the
// transaction that writes it, and answered as soon as that is committed: what a refused request asked for changes
// nothing, and what an accepted one asked for cannot be lost.
package api

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"net/http"
	"time"

	"github.com/octavo-lb/octavo/identity"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/store"
)

// Config is what the API is made of.
type Config struct {
	Store  *store.Store
	Auth   Authenticator
	Policy Enforcer
	// Networks and VIPs are nil only in deployments without a network service.
	Networks Networks
	VIPs     VIPs
	// Secrets is nil only in deployments without a key manager.
	Secrets Secrets
	Logger  *slog.Logger

	// Rules are the deployment's; lb.DefaultRules to begin with.
	Rules lb.Rules
	// Providers are who can serve load balancers, the default first.
	Providers []Provider
	// Topology is that of load balancers whose flavor names none: SINGLE when empty, or ACTIVE_STANDBY.
	Topology string
	// ProgramKey is what amphorae check agent programs with; nil for amphorae that take none.
	ProgramKey ed25519.PublicKey
	// DefaultQuota limits projects that have no limits of their own; nil is no limit. Its ProjectID means nothing.
	DefaultQuota store.Quota
	// NewID makes an object's id: a random UUID.
	NewID func() string

	// BasePath is where the API is mounted, such as /load-balancer; requests may come with it or without.
	BasePath string
	// BaseURI is what clients reach the API by, for links in answers; empty to take it from each request.
	BaseURI string
	// AuthURI is where clients get a token, as told to those who have none.
	AuthURI string
	// Healthcheck lets /healthcheck tell whether the database can be reached, asking it every HealthcheckEvery; 0 is 5 s.
	Healthcheck      bool
	HealthcheckEvery time.Duration
	// Stopping is closed when the service is about to end: answers that would never end by themselves end then. Nil for never.
	Stopping <-chan struct{}
	// Clock tells the time; time.Now when nil.
	Clock func() time.Time
	// MaxPage bounds the length of a list; 0 is 1000.
	MaxPage int
	// NoPages, NoSorting, NoFilters and NoFields pass over what a request for a list says of it.
	NoPages, NoSorting, NoFilters, NoFields bool
	// MaxBody bounds the bytes of a request's body; 0 is 114688.
	MaxBody int
	// ImmutableWhilePending refuses writes to a load balancer that has not converged yet, as Octavia does.
	ImmutableWhilePending bool
	// ListenerDefaults are an operator's defaults of listeners' attributes, such as timeout_client_data.
	ListenerDefaults map[string]any
	// NoVIPPort, NoVIPNetwork and NoVIPSubnet forbid users to say where a VIP goes in that way.
	NoVIPPort, NoVIPNetwork, NoVIPSubnet bool
	// VIPNetworks are the only networks that VIPs may be on, when not empty; DeniedVIPNetworks are those they may not.
	VIPNetworks, DeniedVIPNetworks []string
}

// Authenticator finds out who a request is from. Its errors are identity.ErrUnauthorized, identity.ErrUnavailable or the
// request's own context's.
type Authenticator interface {
	Identify(r *http.Request) (identity.Caller, error)
}

// Networks looks objects of the network service up with a caller's token, so that nobody can use through the service what
// they cannot see themselves. What is not there or not to be seen is a fault of code lb.NotFound; any other error
// means that it could not be told.
type Networks interface {
	Port(ctx context.Context, token, id string) (lb.Port, error)
	Subnet(ctx context.Context, token, id string) (lb.Subnet, error)
	Network(ctx context.Context, token, id string) (lb.Network, error)
	QosPolicy(ctx context.Context, token, id string) error
	SecurityGroup(ctx context.Context, token, id string) error
}

// VIPs acts on the network service with the service's own account.
type VIPs interface {
	// EnsureVIP sees to it that the ports of the VIP and of additional VIPs exist, finding by id or computable name
	// before it creates, and writes port, address, subnet and network into b. What the user could avoid, such as an
	// address that is taken, is a *lb.Fault. It is called again after any other error, by a worker, until it succeeds.
	EnsureVIP(ctx context.Context, b *lb.LoadBalancer) error
	// FreeAddresses tells how many addresses of a network's subnets are free, nil if the network service does not say.
	FreeAddresses(ctx context.Context, networkID string) (map[string]int, error)
}
