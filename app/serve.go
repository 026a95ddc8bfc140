package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/octavo-lb/octavo/api"
	"github.com/octavo-lb/octavo/config"
	"github.com/octavo-lb/octavo/identity"
	"github.com/octavo-lb/octavo/store"
)

// ServeOptions are the flags of octavo serve.
type ServeOptions struct {
	Config  config.Sources
	Roles   []string // none for all
	Version string
	Stderr  io.Writer
}

// heapGrowth is by how many percent the heap grows between two collections of garbage. A controller's lasting heap is some
// MB, and a list of 1000 load balancers makes as much garbage again: with Go's 100 every such request would pay for a
// collection, a sixth of its time.
const heapGrowth = 400

// Serve runs a controller as octavia.conf says, until ctx ends. An error is one sentence for each problem.
func Serve(ctx context.Context, o ServeOptions) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(heapGrowth)
	}
	roles, err := parseRoles(o.Roles)
	if err != nil {
		return err
	}
	cfg, err := config.Load(o.Config)
	if err != nil {
		return err
	}
	log, reopen, err := newLogger(&cfg.Default, o.Stderr)
	if err != nil {
		return err
	}
	tellUnused(cfg, log)
	s := &server{cfg: cfg, sources: o.Config, roles: roles, log: log, reopen: reopen, version: o.Version}
	defer s.close()
	if err := s.prepare(ctx, o.Config.Files); err != nil {
		return err
	}
	log.Info("octavo serves", "version", o.Version, "roles", strings.Join(roles, ","), "api", s.address(s.api), "agents", s.address(s.agents),
		"metrics", s.address(s.metrics),
		"config", cfg.Hash())
	return s.run(ctx)
}

// tellUnused lists, once, what the operator wrote and what does nothing.
func tellUnused(cfg *config.Config, log *slog.Logger) {
	if len(cfg.Unknown) > 0 {
		log.Warn("the configuration has keys that nobody knows", "keys", strings.Join(cfg.Unknown, "; "))
	}
	for _, warning := range cfg.Warnings() {
		log.Warn("the configuration can be used, but: " + warning)
	}
	if idle := append(idleKeys(cfg), cfg.WithoutEffect...); len(idle) > 0 {
		log.Info("the configuration has keys without effect in Octavo", "keys", strings.Join(idle, "; "))
	}
}

// server is a controller with its sockets.
type server struct {
	cfg     *config.Config
	sources config.Sources // of cfg
	roles   roles
	log     *slog.Logger
	reopen  func() error // of the log file
	version string

	api, agents net.Listener // nil without the role
	metrics     net.Listener // nil for none
	secure      *tls.Config  // of the API; nil for HTTP
	policy      *api.LivePolicy
	controller  *controller
}

// prepare opens everything, the sockets first: what is wrong there is found before anything is changed.
func (s *server) prepare(ctx context.Context, files []string) error {
	if err := s.listen(); err != nil {
		return err
	}
	c, err := s.settings(files)
	if err != nil {
		return err
	}
	s.controller, err = s.open(ctx, c)
	return err
}

func (s *server) listen() (err error) {
	if s.roles.has(roleAPI) {
		a := &s.cfg.API
		if s.api, err = listenAs("[api_settings] bind_host and bind_port", a.BindHost, a.BindPort); err != nil {
			return err
		}
		if a.TLSCertFile != "" {
			if s.secure, err = api.TLS(a.TLSCertFile, a.TLSKeyFile, nil, s.log); err != nil {
				return err
			}
		}
	}
	if s.roles.has(roleHealth) && !servesNothing(s.cfg) {
		h := &s.cfg.HealthManager
		if s.agents, err = listenAs("[health_manager] bind_ip and bind_port", h.BindIP, h.BindPort); err != nil {
			return err
		}
	}
	return s.listenForMetrics()
}

// listenForMetrics goes on without them where another controller has the address that nobody chose.
func (s *server) listenForMetrics() (err error) {
	address := s.cfg.Octavo.MetricsAddress
	if address == "" {
		return nil
	}
	if s.metrics, err = net.Listen("tcp", address); err == nil {
		return nil
	}
	if !s.cfg.IsSet("octavo", "metrics_address") {
		s.log.Warn("no metrics are served: set [octavo] metrics_address to a free address, or to nothing", "err", err)
		return nil
	}
	return fmt.Errorf("cannot serve metrics (%w): set [octavo] metrics_address to a free address of this machine, or to nothing", err)
}

func listenAs(keys string, host netip.Addr, port int) (net.Listener, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(host.String(), strconv.Itoa(port)))
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("another program listens on %v port %d already: stop it, or change %s", host, port, keys)
	case err != nil:
		return nil, fmt.Errorf("cannot listen on %v port %d (%w): set %s to an address of this machine", host, port, err, keys)
	}
	return l, nil
}

func (s *server) address(l net.Listener) string {
	if l == nil {
		return "none"
	}
	return l.Addr().String()
}

// settings translates the configuration.
func (s *server) settings(files []string) (controllerConfig, error) {
	cfg := s.cfg
	at, err := newBackend(cfg)
	if err != nil {
		return controllerConfig{}, err
	}
	certificates, err := caOptions(cfg, s.log)
	if err != nil {
		return controllerConfig{}, err
	}
	c := controllerConfig{
		name: cfg.Default.Host, version: s.version, hash: cfg.Hash(), roles: s.roles, database: cfg.Database.Connection.Reveal(), keyFile: cfg.Octavo.KeyFile,
		store: store.Options{Logger: s.log, MaxConns: cfg.Database.MaxPoolSize + cfg.Database.MaxOverflow, MaxConnAge: cfg.Database.RecycleTime},
		ca:    certificates,
		cloud: at.cloud, settings: planSettings(cfg), pretends: pretends(cfg), outside: outside(cfg), programs: providerSockets(cfg), workers: cfg.Octavo.Workers, builds: cfg.HaproxyAmphora.BuildRateLimit,
		house:  houseSettings{listen: cfg.HealthManager.CheckInterval, ownsProject: cfg.Octavo.DeleteOrphans},
		agents: s.agents, reportInterval: cfg.HealthManager.HeartbeatInterval, log: s.log,
	}
	if c.programKey, err = readProgramKey(cfg.Octavo.AgentUpdateKey); err != nil {
		return c, fmt.Errorf("[octavo] agent_update_key: %w", err)
	}
	if c.timeZone, err = zoneRule(zoneInfo, cfg.ControllerWorker.Timezone); err != nil {
		return c, fmt.Errorf("[controller_worker] amp_timezone: %w", err)
	}
	if c.name == "" {
		if c.name, err = os.Hostname(); err != nil {
			return c, fmt.Errorf("this machine has no name (%w): set [DEFAULT] host", err)
		}
	}
	if c.tell, err = newNotices(cfg, s.log); err != nil {
		return c, err
	}
	if c.keyManager, err = newKeyManager(cfg, at, s.log); err != nil {
		return c, err
	}
	if c.controllers, err = s.controllers(); err != nil {
		return c, err
	}
	if s.roles.has(roleAPI) {
		c.api, err = s.frontSettings(files, at)
	}
	return c, err
}

// controllers are where agents are told to report. Nobody needs to know without amphorae.
func (s *server) controllers() ([]string, error) {
	if servesNothing(s.cfg) || !s.roles.has(roleWorker) {
		return nil, nil
	}
	if s.agents != nil {
		return controllerURLs(s.cfg, s.agents.Addr())
	}
	h := &s.cfg.HealthManager
	return controllerURLs(s.cfg, net.TCPAddrFromAddrPort(netip.AddrPortFrom(h.BindIP, uint16(h.BindPort))))
}

func (s *server) frontSettings(files []string, at backend) (api.Config, error) {
	front, err := apiConfig(s.cfg)
	if err != nil {
		return front, err
	}
	front.Networks = at.networks
	if front.Providers, err = enabledProviders(s.cfg, s.log); err != nil {
		return front, err
	}
	if front.Auth, err = newAuthenticator(s.cfg, identity.Options{Logger: s.log}); err != nil {
		return front, err
	}
	if s.policy, err = api.NewLivePolicy(policyFiles(s.cfg, files), s.log); err != nil {
		return front, err
	}
	front.Policy = s.policy
	return front, nil
}

// open opens the database, whose server may still be starting.
func (s *server) open(ctx context.Context, c controllerConfig) (*controller, error) {
	d := &s.cfg.Database
	if err := os.MkdirAll(s.cfg.Octavo.DataDir, 0o750); err != nil {
		return nil, fmt.Errorf("cannot use [octavo] data_dir: %w", err)
	}
	remote := !strings.HasPrefix(c.database, "sqlite:")
	for attempt := 1; ; attempt++ {
		ctl, err := newController(ctx, c)
		if err == nil || !remote || !store.IsTemporary(err) || d.MaxRetries >= 0 && attempt > d.MaxRetries {
			return ctl, err
		}
		s.log.Warn("cannot start yet, trying again", "err", err, "after", d.RetryInterval)
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(d.RetryInterval):
		}
	}
}

// policyPoll is how often the policy's files are looked at.
const policyPoll = 10 * time.Second

func (s *server) run(ctx context.Context) error {
	c := s.controller
	if s.api != nil {
		// Parts of the controller, so that the database is there until the last request was answered.
		c.parts = append(c.parts, func(ctx context.Context) error { return answer(ctx, s.api, c.api, s.secure) },
			func(ctx context.Context) error { return s.policy.Run(ctx, policyPoll) })
	}
	if s.metrics != nil {
		c.parts = append(c.parts, func(ctx context.Context) error { return c.metrics.serve(ctx, s.metrics) })
	}
	c.add(s.obeyHangups)
	return c.run(ctx)
}

// close closes what run has not taken over.
func (s *server) close() {
	for _, l := range []net.Listener{s.api, s.agents, s.metrics} {
		if l != nil {
			l.Close()
		}
	}
}
