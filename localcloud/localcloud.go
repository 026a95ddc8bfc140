// Package localcloud is a small cloud on one Linux machine: OpenStack's APIs, as far as the load balancing service and the
// ordinary clients use them, in one process and on one port. Its services share one state file (package state), one set of
// tokens (package identity) and the conventions of package httpx; each answers under a path prefix of its own.
package localcloud

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"time"

	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/identity"
	"github.com/octavo-lb/octavo/localcloud/image"
	"github.com/octavo-lb/octavo/localcloud/keymanager"
	"github.com/octavo-lb/octavo/localcloud/state"
	"github.com/octavo-lb/octavo/secrets"
)

// Config is what New needs.
type Config struct {
	// Dir is the data directory, which must exist. localcloud keeps state.db, images/ and keymanager.keys in it.
	Dir string
	// Region is the name of the only region.
	Region string
	// Passwords are those of the users that the cloud starts with (see seed.go), by name.
	Passwords map[string]string
	Logger    *slog.Logger
	Clock     func() time.Time // nil: time.Now
}

// services are what the catalog lists.
var services = []identity.CatalogService{
	{Type: "identity", Name: "keystone", Path: "/identity/v3"},
	{Type: "network", Name: "neutron", Path: "/network"},
	{Type: "compute", Name: "nova", Path: "/compute/v2.1"},
	{Type: "image", Name: "glance", Path: "/image"},
	{Type: "load-balancer", Name: "octavia", Path: "/load-balancer"},
	{Type: "key-manager", Name: "barbican", Path: "/key-manager"},
}

// Cloud is a running cloud.
type Cloud struct {
	state    *state.Store
	identity *identity.Service
	image    *image.Service
	mux      *http.ServeMux
}

// New opens the cloud's state, or makes it with what every cloud starts with.
func New(cfg Config) (_ *Cloud, err error) {
	st, err := state.Open(filepath.Join(cfg.Dir, "state.db"))
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, st.Close())
		}
	}()
	c := &Cloud{state: st, mux: http.NewServeMux()}
	if c.identity, err = identity.New(identity.Options{State: st, Clock: cfg.Clock, Logger: cfg.Logger, Region: cfg.Region, Services: services}); err != nil {
		return nil, fmt.Errorf("cannot start the identity service: %w", err)
	}
	if c.image, err = image.New(image.Options{State: st, Dir: filepath.Join(cfg.Dir, "images"), Tokens: c.identity, Clock: cfg.Clock, Logger: cfg.Logger}); err != nil {
		return nil, fmt.Errorf("cannot start the image service: %w", err)
	}
	if err = c.seed(cfg.Passwords); err != nil {
		return nil, fmt.Errorf("cannot set up the cloud: %w", err)
	}
	keys, err := secrets.OpenKeyring(filepath.Join(cfg.Dir, "keymanager.keys"))
	if err != nil {
		return nil, fmt.Errorf("cannot start the key manager: %w", err)
	}
	manager := keymanager.New(keymanager.Options{State: st, Tokens: c.identity, Sealer: keys, Clock: cfg.Clock, Logger: cfg.Logger})
	c.Handle("/identity", c.identity.Handler())
	c.Handle("/image", c.image.Handler())
	c.Handle("/key-manager", manager.Handler())
	return c, nil
}

// Handle lets a service answer under its prefix ("/network"), which it finds in the path of its requests. All of them are
// registered before the cloud serves.
func (c *Cloud) Handle(prefix string, service http.Handler) {
	c.mux.Handle(prefix, service)
	c.mux.Handle(prefix+"/", service)
}

// Handler answers all services.
func (c *Cloud) Handler() http.Handler { return c.mux }

// State is what the cloud's services share.
func (c *Cloud) State() *state.Store { return c.state }

// Tokens validates callers' tokens for the cloud's services.
func (c *Cloud) Tokens() httpx.Authenticator { return c.identity }

// Images are what servers boot.
func (c *Cloud) Images() *image.Service { return c.image }

// ProjectID answers the id of a project that the cloud started with, or that somebody made since; empty when there is none.
func (c *Cloud) ProjectID(name string) string { return c.identity.ProjectID(name) }

// Close closes the state. The services' handlers must not be called any more.
func (c *Cloud) Close() error { return c.state.Close() }
