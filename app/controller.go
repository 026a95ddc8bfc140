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

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/api"
	"github.com/octavo-lb/octavo/ca"
	"github.com/octavo-lb/octavo/firewall"
	"github.com/octavo-lb/octavo/haproxy"
	"github.com/octavo-lb/octavo/health"
	"github.com/octavo-lb/octavo/housekeeping"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/notify"
	"github.com/octavo-lb/octavo/plan"
	"github.com/octavo-lb/octavo/provider"
	"github.com/octavo-lb/octavo/secrets"
	"github.com/octavo-lb/octavo/secrets/keymanager"
	"github.com/octavo-lb/octavo/store"
	"github.com/octavo-lb/octavo/worker"
)

// controllerConfig is what a controller is made of.
type controllerConfig struct {
	name     string // of this process's worker; no other has it
	version  string // of the program
	hash     string // of the configuration; empty without one
	roles    roles
	database string // SQLAlchemy's URL
	store    store.Options
	keyFile  string // seals what is stored
	ca       ca.Options

	cloud      controllerCloud
	keyManager keymanager.Manager // nil for none
	settings   plan.Settings
	pretends   func(provider string) bool // that nothing serves its load balancers; nil for none
	outside    func(provider string) bool // that a program outside of the service does; nil for none
	programs   *provider.Config           // where such programs are answered, without what the controller brings along; nil for nowhere
	workers    int
	builds     int // amphorae at once; any number when 0 or less

	api   api.Config    // without what every controller brings along: Store, VIPs, Secrets, Logger
	house houseSettings // how house is kept
	// programKey is what amphorae check agent programs with, in base64; empty for none.
	programKey string
	timeZone   string  // of new amphorae, as agentapi.Boot has it
	tell       notices // who is told of what happens; the zero value for nobody

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

// imageChooser is a cloud that has images: *cloud.Client is one.
type imageChooser interface {
	Image(ctx context.Context, want plan.Image) (id string, err error)
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
	api     http.Handler
	store   *store.Store
	metrics *metrics
	// authorities are what agents and controllers prove themselves with.
	authorities *ca.Authorities
	parts       []func(context.Context) error
	// stopping is closed as soon as run is asked to end, for what would not end by itself.
	stopping chan struct{}
}

// newController opens the database and the certificate authorities and puts the parts together. Nothing runs until run.
func newController(ctx context.Context, c controllerConfig) (*controller, error) {
	if len(c.tell.publishers) > 0 {
		c.store.Notify = notify.Text
	}
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
	ctl := &controller{store: st, authorities: authorities, metrics: newMetrics(c.version, c.hash), stopping: make(chan struct{})}
	ctl.metrics.registry.MustRegister(&deployment{store: st, authorities: authorities, deadAfter: c.settings.WithDefaults().DeadAfter, clock: time.Now})
	ctl.metrics.registry.MustRegister(&fleet{store: st, clock: time.Now})
	ctl.add(authorities.Run)
	if c.hash != "" {
		ctl.add((&roster{store: st, self: store.Controller{Name: c.name + " " + strings.Join(c.roles, ","), Version: c.version, Config: c.hash}, clock: time.Now, log: c.log}).Run)
	}
	var safe *keymanager.Safe
	if c.keyManager != nil {
		safe = keymanager.NewSafe(c.keyManager, keys)
		if session, ok := c.keyManager.(interface{ Run(context.Context) }); ok {
			ctl.add(session.Run)
		}
	}
	if c.roles.has(roleAPI) {
		front, err := newAPI(c, st, safe, ctl.stopping)
		if err != nil {
			return nil, err
		}
		ctl.api = ctl.metrics.timed(front)
	}
	if c.roles.has(roleWorker) {
		ctl.parts = append(ctl.parts, newWorker(c, st, authorities).Run)
	}
	if c.roles.has(roleHealth) && c.agents != nil {
		agents := newHealth(c, st, authorities, safe)
		ctl.parts = append(ctl.parts, func(ctx context.Context) error { return agents.Serve(ctx, c.agents) })
	}
	if c.roles.has(roleHealth) && c.programs != nil {
		programs, err := newPrograms(c, st, safe)
		if err != nil {
			return nil, err
		}
		ctl.parts = append(ctl.parts, programs.Serve)
	}
	if c.roles.has(roleHousekeeping) {
		ctl.keepHouse(c, st, safe)
	}
	return ctl, nil
}

func newAPI(c controllerConfig, st *store.Store, safe *keymanager.Safe, stopping <-chan struct{}) (http.Handler, error) {
	front := c.api
	front.Store, front.VIPs, front.Logger, front.Stopping = st, c.cloud, c.log, stopping
	if c.programKey != "" {
		var err error
		if front.ProgramKey, err = agentapi.ParseProgramKey(c.programKey); err != nil {
			return nil, err
		}
	}
	if safe != nil {
		front.Secrets = safe
	}
	return api.New(front)
}

func newWorker(c controllerConfig, st *store.Store, authorities *ca.Authorities) *worker.Worker {
	return worker.New(worker.Options{
		Store: st, Cloud: c.cloud, CA: authorities, Settings: c.settings, Pretends: c.pretends, Outside: c.outside, Name: c.name, Workers: c.workers, Builds: c.builds,
		Controllers: c.controllers, ProgramKey: c.programKey, TimeZone: c.timeZone, Logger: c.log,
	})
}

func newHealth(c controllerConfig, st *store.Store, authorities *ca.Authorities, safe *keymanager.Safe) *health.Server {
	o := health.Options{Store: st, CA: authorities, BuildState: worker.BuildState(c.settings), Unheard: worker.Unheard, ReportInterval: c.reportInterval, Logger: c.log}
	if safe != nil {
		o.Secrets = safe
	}
	return health.New(o)
}

// newPrograms opens the sockets of providers outside of the process.
func newPrograms(c controllerConfig, st *store.Store, safe *keymanager.Safe) (*provider.Server, error) {
	o := *c.programs
	o.Store, o.Logger = st, c.log
	o.Serves = func(name string) bool { return c.pretends(name) || c.outside(name) }
	if safe != nil {
		o.Secrets = safe
	}
	return provider.Listen(o)
}

func (ctl *controller) keepHouse(c controllerConfig, st *store.Store, safe *keymanager.Safe) {
	o := housekeeping.Options{Store: st, DeadAfter: c.settings.DeadAfter, Listen: c.house.listen, DeleteOrphans: c.house.ownsProject, Logger: c.log}
	if real, ok := c.cloud.(housekeeping.Cloud); ok {
		o.Cloud = real
	}
	ctl.add(housekeeping.New(o).Run)
	if images, ok := c.cloud.(imageChooser); ok {
		work := imageWork(st, c.settings, images)
		ctl.add((&housekeeping.Rollout{Store: st, Logger: c.log, Work: work}).Run)
	}
	ctl.add((&housekeeping.Rollout{Store: st, Logger: c.log, Work: &housekeeping.AgentWork{Store: st}}).Run)
	if len(c.tell.publishers) > 0 {
		announcer := &housekeeping.Announcer{Store: st, Publishers: c.tell.publishers, Name: c.name, Attempts: c.tell.attempts, Clock: time.Now, Logger: c.log}
		ctl.add(announcer.Run)
		if watch := c.tell.watchBrokers(); watch != nil {
			ctl.metrics.registry.MustRegister(watch)
			ctl.add(watch.Run)
		}
	}
	if safe != nil {
		renewal := &housekeeping.Renewal{Store: st, KeyManager: safe, Clock: time.Now, Logger: c.log}
		ctl.add(renewal.Run)
	}
}

// imageWork replaces amphorae that run another image than new ones of their load balancer would.
func imageWork(st *store.Store, settings plan.Settings, images imageChooser) *housekeeping.ImageWork {
	return &housekeeping.ImageWork{Image: func(ctx context.Context, b *lb.LoadBalancer) (string, error) {
		chosen, err := worker.SettingsOf(ctx, st, settings, b)
		if err != nil {
			return "", err
		}
		return images.Image(ctx, chosen.Image)
	}}
}

// add adds a part that ends by itself only.
func (ctl *controller) add(run func(context.Context)) {
	ctl.parts = append(ctl.parts, func(ctx context.Context) error { run(ctx); return nil })
}

// run runs all parts until ctx ends or one of them fails, then closes the database.
func (ctl *controller) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	context.AfterFunc(ctx, func() { close(ctl.stopping) })
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
		PolicyListeners: served("policy-listener"),
	}
	flavor := chosen(api.AmphoraFlavorSettings(), "loadbalancer_topology", "compute_flavor", "amp_image_tag")
	zone := chosen(api.AmphoraZoneSettings(), "compute_zone", "management_network", "valid_vip_networks")
	return []api.Provider{
		{Name: "octavia", Description: "Octavo's own amphorae, under the name that clients of Octavia know.", Can: can, FlavorSettings: flavor, ZoneSettings: zone},
		{Name: "amphora", Description: "The same under its other name.", Can: can, FlavorSettings: flavor, ZoneSettings: zone},
	}
}

// chosen are the settings of these names: a profile that asks for something else is refused rather than not obeyed.
func chosen(all []api.Setting, names ...string) []api.Setting {
	return slices.DeleteFunc(all, func(s api.Setting) bool { return !slices.Contains(names, s.Name) })
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
