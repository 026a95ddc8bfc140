// Package agent is the program inside an amphora. It asks its controllers for the wanted state, brings the instance's network,
// HAProxy and the kernel's rules there, and reports what is in force and how the members are. Traffic depends on none of this
// going on: HAProxy and the kernel serve while the agent is away, and the agent serves its last good state while every
// controller is.
package agent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/octavo-lb/octavo/agent/controller"
	"github.com/octavo-lb/octavo/agent/datagram"
	"github.com/octavo-lb/octavo/agent/network"
	"github.com/octavo-lb/octavo/agent/probe"
	"github.com/octavo-lb/octavo/agent/proxy"
	"github.com/octavo-lb/octavo/agent/relay"
	"github.com/octavo-lb/octavo/agent/standby"
	"github.com/octavo-lb/octavo/agent/update"
	"github.com/octavo-lb/octavo/haproxy"
)

// Config says where things are in the instance.
type Config struct {
	ConfigDrive string // where the config drive is, or is to be mounted
	StateDir    string // survives a reboot: the amphora's identity, the last good state
	RunDir      string // in memory
	Namespace   string // of the load balancer's network
	HAProxy     string // the program
	Keepalived  string // the program; needed for pairs only
	User        string // that HAProxy runs as
	Version     string // of the agent
	// Trial is how long another program may take to prove itself as the agent.
	Trial  time.Duration
	Clock  func() time.Time
	Logger *slog.Logger
}

// Agent is one process of the agent.
type Agent struct {
	config     Config
	controller *controller.Client
	network    *network.Network
	proxy      *proxy.Proxy
	prober     *probe.Prober
	datagram   *datagram.Plane
	standby    *standby.Standby
	relay      *relay.Relay
	updater    *update.Updater
	kernel     *os.File // its messages; nil when they cannot be had
	events     *net.UnixConn
	board      *board
	ledger     *ledger
	boot       string // of this process
	// maxConnections is how many the instance carries at once.
	maxConnections int
	changing       sync.RWMutex // held while daemons are changed from one state to another
}

// Run is the agent's life, until the context ends. It fails only when it cannot begin; HAProxy serves on in any case.
func Run(ctx context.Context, config Config) error {
	a, err := prepare(ctx, config)
	if err != nil {
		return err
	}
	defer a.events.Close()
	defer a.network.Namespace.Close()
	a.restore(ctx)
	var wg sync.WaitGroup
	for _, task := range []func(context.Context){
		a.proxy.Run, a.datagram.Run, a.standby.Run, a.apply, a.listen, a.watch, a.watchAddresses, a.network.Announce, a.serveMetrics, a.relayFlow, a.relayKernel,
		a.update,
	} {
		wg.Go(func() { task(ctx) })
	}
	wg.Wait()
	a.relay.Stop()
	return a.ledger.save()
}

func prepare(ctx context.Context, config Config) (*Agent, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("octavo-agent sets up the instance's network and has to be started as root")
	}
	boot, err := readBoot(config.ConfigDrive)
	if err != nil {
		return nil, err
	}
	logs := relay.New(filepath.Join(config.StateDir, "log"), boot.AmphoraID, config.Clock, config.Logger)
	config.Logger = slog.New(slog.NewMultiHandler(config.Logger.Handler(), logs.Handler("octavo-agent")))
	a := &Agent{config: config, board: newBoard(), boot: rand.Text(), relay: logs}
	a.ledger = loadLedger(filepath.Join(config.StateDir, "counters.json"))
	a.controller, err = controller.New(boot, controller.Options{
		Dir: filepath.Join(config.StateDir, "identity"), Clock: config.Clock, Logger: config.Logger,
	})
	if err != nil {
		return nil, err
	}
	namespace, err := network.Open(config.Namespace)
	if err != nil {
		return nil, err
	}
	a.network = network.New(namespace, interfaceWait)
	uid, gid, err := lookUp(config.User)
	if err != nil {
		return nil, err
	}
	limit, err := connections()
	if err != nil {
		return nil, err
	}
	a.maxConnections = limit
	config.Logger.Info("this instance carries so many connections at once", "connections", limit)
	if a.kernel, err = relay.OpenKernel(); err != nil && !errors.Is(err, relay.ErrNotOurs) {
		config.Logger.Warn("the kernel's messages cannot be logged", "err", err)
	}
	if err := dropPrivileges(); errors.Is(err, unix.ENOTSUP) {
		config.Logger.Info("this octavo-agent was built with cgo and keeps all of root's capabilities")
	} else if err != nil {
		return nil, err
	}
	a.proxy, err = proxy.New(ctx, proxy.Options{
		Binary: config.HAProxy, RunDir: config.RunDir, UID: uid, GID: gid, MaxConn: limit, TimeZone: boot.TimeZone, Namespace: namespace, Logger: config.Logger,
	})
	if err != nil {
		return nil, err
	}
	a.prober = probe.New(namespace, config.Logger, func() { a.datagram.Wake() })
	found := filepath.Join(config.RunDir, "verdicts.json")
	a.prober.Load(found)
	a.datagram = datagram.New(datagram.Options{Namespace: namespace, Verdicts: a.prober.Verdicts, Logger: config.Logger, Changed: func() {
		tell(a.board.changed)
		if err := a.prober.Save(found); err != nil {
			config.Logger.Warn("the next agent will have to check all members anew", "err", err)
		}
	}})
	a.standby, err = standby.New(standby.Options{Binary: config.Keepalived, RunDir: config.RunDir, Namespace: namespace, Logger: config.Logger})
	if err != nil {
		return nil, err
	}
	if a.updater, err = a.newUpdater(boot); err != nil {
		return nil, err
	}
	a.events, err = openEvents(filepath.Join(config.RunDir, haproxy.EventsSocket))
	return a, err
}

// lookUp finds HAProxy's user; a system that has none gets the one that owns nothing.
func lookUp(name string) (uid, gid int, err error) {
	u, err := user.Lookup(name)
	if err != nil {
		u, err = user.Lookup("nobody")
	}
	if err != nil {
		return 0, 0, fmt.Errorf("there is neither a user %s nor nobody to run HAProxy as: %w", name, err)
	}
	uid, err = strconv.Atoi(u.Uid)
	if err == nil {
		gid, err = strconv.Atoi(u.Gid)
	}
	if err != nil || uid == 0 {
		return 0, 0, fmt.Errorf("HAProxy cannot run as user %s (%s)", u.Username, u.Uid)
	}
	return uid, gid, nil
}
