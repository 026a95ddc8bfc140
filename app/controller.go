// Package app puts a running service together out of a configuration. It is the one place that knows every part.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"golang.org/x/sync/errgroup"

	"github.com/octavo-lb/octavo/api"
	"github.com/octavo-lb/octavo/ca"
	"github.com/octavo-lb/octavo/cloud"
	"github.com/octavo-lb/octavo/haproxy"
	"github.com/octavo-lb/octavo/health"
	"github.com/octavo-lb/octavo/housekeeping"
	"github.com/octavo-lb/octavo/identity"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/plan"
	"github.com/octavo-lb/octavo/policy"
	"github.com/octavo-lb/octavo/secrets"
	"github.com/octavo-lb/octavo/secrets/keymanager"
	"github.com/octavo-lb/octavo/store"
	"github.com/octavo-lb/octavo/worker"
)

// controllerConfig is what a controller (API, worker, health manager and housekeeping) is made of.
type controllerConfig struct {
	database string // SQLAlchemy's URL
	keyFile  string // seals what is stored
	auth     cloud.Auth
	region   string
	settings plan.Settings
	rules    lb.Rules
	topology string // of load balancers whose flavor names none; SINGLE when empty
	// ownsProject tells that no other load balancing service works in the project: what has the names of this one's objects
	// and belongs to nothing may be deleted.
	ownsProject bool
	agents      net.Listener // where agents' calls arrive
	name        string       // of this process's worker, if no other has it
	basePath    string       // of the API
	authURI     string
	log         *slog.Logger
}

// controller is a running controller. Its API is served by whoever holds it.
type controller struct {
	api   http.Handler
	store *store.Store
	parts []func(context.Context) error
}

// newController opens the database and the certificate authorities and puts the parts together. Nothing runs until run.
func newController(ctx context.Context, c controllerConfig) (*controller, error) {
	st, err := store.Open(ctx, c.database, store.Options{Logger: c.log})
	if err != nil {
		return nil, err
	}
	ctl, err := assemble(ctx, c, st)
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	return ctl, nil
}

func assemble(ctx context.Context, c controllerConfig, st *store.Store) (*controller, error) {
	keys, err := secrets.OpenKeyring(c.keyFile)
	if err != nil {
		return nil, err
	}
	authorities, err := ca.Open(ctx, st, keys, ca.Options{Logger: c.log})
	if err != nil {
		return nil, fmt.Errorf("cannot open the certificate authorities: %w", err)
	}
	openstack := cloud.New(cloud.Options{Auth: c.auth, Region: c.region})
	safe := keymanager.NewSafe(&keymanager.Barbican{Connect: openstack.KeyManager}, keys)
	front, err := newAPI(c, st, openstack, safe)
	if err != nil {
		return nil, err
	}
	agents := health.New(health.Options{
		Store: st, CA: authorities, BuildState: worker.BuildState(c.settings), Secrets: safe, Logger: c.log,
	})
	w := worker.New(worker.Options{
		Store: st, Cloud: openstack, CA: authorities, Settings: c.settings, Name: c.name, Logger: c.log,
		Controllers: []string{"https://" + c.agents.Addr().String()},
	})
	keeper := housekeeping.New(housekeeping.Options{
		Store: st, Cloud: openstack, DeadAfter: c.settings.DeadAfter, DeleteOrphans: c.ownsProject, Logger: c.log,
	})
	renewal := &housekeeping.Renewal{Store: st, KeyManager: safe, Clock: time.Now, Logger: c.log}
	return &controller{api: front, store: st, parts: []func(context.Context) error{
		func(ctx context.Context) error { authorities.Run(ctx); return nil },
		func(ctx context.Context) error { return agents.Serve(ctx, c.agents) },
		w.Run,
		func(ctx context.Context) error { keeper.Run(ctx); return nil },
		func(ctx context.Context) error { renewal.Run(ctx); return nil },
	}}, nil
}

func newAPI(c controllerConfig, st *store.Store, openstack *cloud.Client, safe *keymanager.Safe) (http.Handler, error) {
	account, err := identity.NewAccount(gophercloud.AuthOptions{
		IdentityEndpoint: c.auth.URL, Username: c.auth.UserName, Password: c.auth.Password.Reveal(), DomainName: c.auth.UserDomainName,
		TenantName: c.auth.ProjectName, AllowReauth: true,
	}, nil)
	if err != nil {
		return nil, err
	}
	rules, err := policy.New(nil, policy.Options{})
	if err != nil {
		return nil, err
	}
	return api.New(api.Config{
		Store: st, Auth: identity.NewKeystone(account, identity.Options{Logger: c.log}), Policy: rules,
		Networks: openstack.Lookups(), VIPs: openstack, Secrets: safe, Logger: c.log, Rules: c.rules, Topology: c.topology, Providers: providers(),
		BasePath: c.basePath, AuthURI: c.authURI,
	})
}

// run runs all parts until ctx ends or one of them fails, then closes the database.
func (c *controller) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, part := range c.parts {
		g.Go(func() error { return part(ctx) })
	}
	err := g.Wait()
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return errors.Join(err, c.store.Close())
}

// providers are the names under which users ask for this data plane; both are the same. It can do what its agents can.
func providers() []api.Provider {
	can := lb.Capabilities{
		Listeners: served("listener"), Pools: served("pool"), Algorithms: served("algorithm"), Monitors: served("monitor"),
	}
	return []api.Provider{
		{Name: "octavia", Description: "Octavo's own amphorae, under the name that clients of Octavia know.", Can: can},
		{Name: "amphora", Description: "The same under its other name.", Can: can},
	}
}

// served are the values of one kind that the agent's capabilities name.
func served(kind string) []string {
	var values []string
	for _, c := range haproxy.Capabilities() {
		if value, ok := strings.CutPrefix(c, kind+":"); ok {
			values = append(values, value)
		}
	}
	return values
}
