// Package app puts a running service together out of a configuration. It is the one place that knows every part.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/octavo-lb/octavo/api"
	"github.com/octavo-lb/octavo/ca"
	"github.com/octavo-lb/octavo/firewall"
	"github.com/octavo-lb/octavo/haproxy"
	"github.com/octavo-lb/octavo/health"
	"github.com/octavo-lb/octavo/housekeeping"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/plan"
	"github.com/octavo-lb/octavo/secrets"
	"github.com/octavo-lb/octavo/secrets/keymanager"
	"github.com/octavo-lb/octavo/store"
	"github.com/octavo-lb/octavo/worker"
)

// controllerConfig is what a controller is made of.
type controllerConfig struct {
	name     string // of this process's worker; no other has it
	roles    roles
	database string // SQLAlchemy's URL
	store    store.Options
	keyFile  string // seals what is stored
	ca       ca.Options

	cloud      controllerCloud
	keyManager keymanager.Manager // nil for none
	settings   plan.Settings
	pretends   func(provider string) bool // that nothing serves its load balancers; nil for none
	workers    int

	api   api.Config    // without what every controller brings along: Store, VIPs, Secrets, Logger
	house houseSettings // how house is kept

	agents         net.Listener // where agents' calls arrive; nil when there are none
	controllers    []string     // where agents find the controllers, this one among them
	reportInterval time.Duration
	log            *slog.Logger
}

// controllerCloud is what the API and the worker need of the cloud: *cloud.Client and noop.Cloud are one.
type controllerCloud interface {
	worker.Cloud
	api.VIPs
}

// houseSettings are those of housekeeping; zero values are its defaults.
type houseSettings struct {
	listen time.Duration
	// ownsProject tells that no other load balancing service works in the project: what has the names of this one's objects
	// and belongs to nothing may be deleted.
	ownsProject bool
}

// controller is a running controller. Its API, if it has that role, is served by whoever holds it.
type controller struct {
	api   http.Handler
	store *store.Store
	parts []func(context.Context) error
}

// newController opens the database and the certificate authorities and puts the parts together. Nothing runs until run.
func newController(ctx context.Context, c controllerConfig) (*controller, error) {
	st, err := store.Open(ctx, c.database, c.store)
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
	authorities, err := ca.Open(ctx, st, keys, c.ca)
	if err != nil {
		return nil, fmt.Errorf("cannot open the certificate authorities: %w", err)
	}
	ctl := &controller{store: st}
	ctl.add(authorities.Run)
	var safe *keymanager.Safe
	if c.keyManager != nil {
		safe = keymanager.NewSafe(c.keyManager, keys)
	}
	if c.roles.has(roleAPI) {
		if ctl.api, err = newAPI(c, st, safe); err != nil {
			return nil, err
		}
	}
	if c.roles.has(roleWorker) {
		ctl.parts = append(ctl.parts, newWorker(c, st, authorities).Run)
	}
	if c.roles.has(roleHealth) && c.agents != nil {
		agents := newHealth(c, st, authorities, safe)
		ctl.parts = append(ctl.parts, func(ctx context.Context) error { return agents.Serve(ctx, c.agents) })
	}
	if c.roles.has(roleHousekeeping) {
		ctl.keepHouse(c, st, safe)
	}
	return ctl, nil
}

func newAPI(c controllerConfig, st *store.Store, safe *keymanager.Safe) (http.Handler, error) {
	front := c.api
	front.Store, front.VIPs, front.Logger = st, c.cloud, c.log
	if safe != nil {
		front.Secrets = safe
	}
	return api.New(front)
}

func newWorker(c controllerConfig, st *store.Store, authorities *ca.Authorities) *worker.Worker {
	return worker.New(worker.Options{
		Store: st, Cloud: c.cloud, CA: authorities, Settings: c.settings, Pretends: c.pretends, Name: c.name, Workers: c.workers,
		Controllers: c.controllers, Logger: c.log,
	})
}

func newHealth(c controllerConfig, st *store.Store, authorities *ca.Authorities, safe *keymanager.Safe) *health.Server {
	o := health.Options{Store: st, CA: authorities, BuildState: worker.BuildState(c.settings), ReportInterval: c.reportInterval, Logger: c.log}
	if safe != nil {
		o.Secrets = safe
	}
	return health.New(o)
}

func (ctl *controller) keepHouse(c controllerConfig, st *store.Store, safe *keymanager.Safe) {
	o := housekeeping.Options{Store: st, DeadAfter: c.settings.DeadAfter, Listen: c.house.listen, DeleteOrphans: c.house.ownsProject, Logger: c.log}
	if real, ok := c.cloud.(housekeeping.Cloud); ok {
		o.Cloud = real
	}
	ctl.add(housekeeping.New(o).Run)
	if safe != nil {
		renewal := &housekeeping.Renewal{Store: st, KeyManager: safe, Clock: time.Now, Logger: c.log}
		ctl.add(renewal.Run)
	}
}

// add adds a part that ends by itself only.
func (ctl *controller) add(run func(context.Context)) {
	ctl.parts = append(ctl.parts, func(ctx context.Context) error { run(ctx); return nil })
}

// run runs all parts until ctx ends or one of them fails, then closes the database.
func (ctl *controller) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, part := range ctl.parts {
		g.Go(func() error { return part(ctx) })
	}
	err := g.Wait()
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return errors.Join(err, ctl.store.Close())
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
	for _, c := range slices.Concat(haproxy.Capabilities(), firewall.Capabilities()) {
		if value, ok := strings.CutPrefix(c, kind+":"); ok {
			values = append(values, value)
		}
	}
	return values
}
