package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"golang.org/x/sync/errgroup"

	"github.com/octavo-lb/octavo/api"
	"github.com/octavo-lb/octavo/app/demo"
	"github.com/octavo-lb/octavo/ca"
	"github.com/octavo-lb/octavo/cloud"
	"github.com/octavo-lb/octavo/identity"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/localcloud"
	"github.com/octavo-lb/octavo/plan"
	"github.com/octavo-lb/octavo/policy"
	"github.com/octavo-lb/octavo/secrets"
	"github.com/octavo-lb/octavo/secrets/keymanager"
	"github.com/octavo-lb/octavo/store"
)

const (
	region = "RegionOne"
	// memoryLimit is where the garbage collector begins to work hard: what the whole process should weigh with some dozens
	// of load balancers. It is no bound on what it may use.
	memoryLimit = 64 << 20
)

// StandaloneOptions are the flags of octavo standalone.
type StandaloneOptions struct {
	DataDir string
	Listen  string // ADDR:PORT of all APIs
	Demo    bool
	Keep    bool
	// Topology is that of load balancers whose flavor names none: SINGLE, or ACTIVE_STANDBY for a pair of amphorae.
	Topology string
	// LogTarget is HOST:PORT of a syslog server for the logs of all load balancers; :PORT is this machine.
	LogTarget string
	Version   string
	Out       *os.File // what users read
	Log       *slog.Logger
}

// Standalone runs the whole service and a small cloud on this machine until ctx ends. Then it takes away everything that
// it made, unless o.Keep: then servers go on, and the next Standalone with the same data directory finds them.
func Standalone(ctx context.Context, o StandaloneOptions) error {
	if err := preflight(); err != nil {
		return err
	}
	if !slices.Contains([]string{"", "SINGLE", "ACTIVE_STANDBY"}, o.Topology) {
		return fmt.Errorf("the topology %q is neither SINGLE nor ACTIVE_STANDBY", o.Topology)
	}
	if err := validTarget(o.LogTarget); err != nil {
		return err
	}
	agent, err := agentProgram()
	if err != nil {
		return err
	}
	listener, err := listen(o.Listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	dir, err := openDataDir(o.DataDir)
	if err != nil {
		return err
	}
	defer dir.close()
	debug.SetMemoryLimit(memoryLimit)

	err = runStandalone(ctx, o, dir, listener, agent)
	if o.Keep {
		fmt.Fprintf(o.Out, "Load balancers and servers go on without a controller; start again with --data-dir %s to find them.\n", dir.path)
		return err
	}
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	return errors.Join(err, dir.wipe(clean))
}

// Clean removes what a killed Standalone with this data directory left on the machine, its data included.
func Clean(ctx context.Context, o StandaloneOptions) error {
	if err := preflight(); err != nil {
		return err
	}
	dir, err := openDataDir(o.DataDir)
	if err != nil {
		return err
	}
	defer dir.close()
	return dir.wipe(ctx)
}

// agentProgram finds octavo-agent beside this program.
func agentProgram() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	path := filepath.Join(filepath.Dir(self), "octavo-agent")
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("octavo-agent, which runs in the load balancers, is not beside %s: build both with `make build`", self)
	}
	return path, nil
}

func runStandalone(ctx context.Context, o StandaloneOptions, dir *dataDir, listener net.Listener, agent string) error {
	began := time.Now()
	passwords, err := loadCredentials(dir.path)
	if err != nil {
		return err
	}
	url := "http://" + listener.Addr().String()
	small, err := localcloud.NewMachine(localcloud.MachineConfig{
		Config: localcloud.Config{Dir: dir.file("cloud"), Region: region, Passwords: passwords, Logger: o.Log},
		Tag:    dir.tag(), Agent: agent, Hide: []string{dir.path},
	})
	if err != nil {
		return err
	}
	defer small.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := small.Start(ctx); err != nil {
		return err
	}
	agents, err := net.Listen("tcp", net.JoinHostPort(small.ManagementAddress().String(), agentPort))
	if err != nil {
		return fmt.Errorf("cannot listen for agents: %w", err)
	}
	settings, err := standaloneController(url, passwords[localcloud.ServiceUser], small, o.Log)
	if err != nil {
		return err
	}
	settings.database, settings.keyFile, settings.agents = "sqlite:"+dir.file("octavo.db"), dir.file("octavo.key"), agents
	settings.controllers, settings.api.Topology = []string{"https://" + agents.Addr().String()}, o.Topology
	settings.settings.Logging = standaloneLogging(o.LogTarget, small.ManagementAddress())
	if settings.programKey, err = standaloneProgramKey(dir); err != nil {
		return err
	}
	ctl, err := newController(ctx, settings)
	if err != nil {
		return errors.Join(err, agents.Close())
	}
	mux := http.NewServeMux()
	mux.Handle("/", small.Handler())
	if isLoopback(listener.Addr()) { // others are not told without being asked
		mux.Handle("GET /metrics", ctl.metrics.handler())
	}
	mux.Handle("/load-balancer", ctl.api)
	mux.Handle("/load-balancer/", ctl.api)

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return answer(ctx, listener, mux, nil) })
	g.Go(func() error { return ctl.run(ctx) })
	clouds := dir.file("clouds.yaml")
	if err := writeCloudsYAML(clouds, url+"/identity/v3", passwords); err != nil {
		return err
	}
	fmt.Fprintf(o.Out, "Octavo %s answers at %s after %.1f s\n\n  export OS_CLIENT_CONFIG_FILE=%s OS_CLOUD=octavo\n  openstack loadbalancer list\n\n",
		o.Version, url, time.Since(began).Seconds(), clouds)
	if o.Demo {
		g.Go(func() error {
			return demo.Demo{Clouds: clouds, Cloud: "octavo", Out: o.Out, Live: demo.IsTerminal(o.Out)}.Run(ctx)
		})
	}
	return g.Wait()
}

func isLoopback(a net.Addr) bool {
	at, err := netip.ParseAddrPort(a.String())
	return err == nil && at.Addr().IsLoopback()
}

// standaloneController is a controller of the small cloud, which it knows by its APIs only.
func standaloneController(url, password string, small *localcloud.Machine, log *slog.Logger) (controllerConfig, error) {
	client := cloud.New(cloud.Options{Region: region, Auth: cloud.Auth{URL: url + "/identity/v3", UserName: localcloud.ServiceUser,
		UserDomainName: "Default", Password: secrets.New(password), ProjectName: localcloud.ServiceProject, ProjectDomainName: "Default"}})
	account, err := identity.NewAccount(gophercloud.AuthOptions{IdentityEndpoint: url + "/identity/v3", Username: localcloud.ServiceUser,
		Password: password, DomainName: "Default", TenantName: localcloud.ServiceProject}, nil)
	if err != nil {
		return controllerConfig{}, err
	}
	rules, err := policy.New(nil, policy.Options{})
	if err != nil {
		return controllerConfig{}, err
	}
	return controllerConfig{
		name: "standalone", roles: allRoles, store: store.Options{Logger: log}, ca: ca.Options{Logger: log},
		cloud: client, keyManager: &keymanager.Barbican{Connect: client.KeyManager}, settings: standaloneSettings(small),
		house: houseSettings{ownsProject: true}, log: log,
		api: api.Config{
			Auth: identity.NewKeystone(account, identity.Options{Logger: log}), Policy: rules, Networks: client.Lookups(),
			Rules: standaloneRules(small), Providers: providers(), BasePath: "/load-balancer", AuthURI: url + "/identity",
		},
	}, nil
}

// standaloneSettings are for instances that start in a tenth of a second.
func standaloneSettings(m *localcloud.Machine) plan.Settings {
	return plan.Settings{
		ManagementNetwork: m.ManagementNetworkID(),
		Image:             plan.Image{Tag: localcloud.AmphoraImageTag, Owner: m.ProjectID(localcloud.ServiceProject)},
		FlavorID:          localcloud.AmphoraFlavor,
		BootTimeout:       time.Minute,
		DeadAfter:         20 * time.Second,
		VRRPInterval:      100 * time.Millisecond,
	}.WithDefaults()
}

// standaloneRules keep tenants from making members of the controller.
func standaloneRules(m *localcloud.Machine) lb.Rules {
	rules := lb.DefaultRules()
	rules.DeniedMembers = []netip.Prefix{netip.PrefixFrom(m.ManagementAddress(), 24).Masked()}
	return rules
}

// agentPort is where agents reach the controller, on the management network only.
const agentPort = "9443"
