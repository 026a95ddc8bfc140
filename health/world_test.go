package health_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/ca"
	"github.com/octavo-lb/octavo/health"
	"github.com/octavo-lb/octavo/health/agenttest"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/secrets"
	"github.com/octavo-lb/octavo/store"
	"github.com/octavo-lb/octavo/test/dbtest"
)

// clock starts at the real time, so that certificates are good for peers without it, and runs by itself plus what a test
// adds.
type clock struct {
	mu    sync.Mutex
	added time.Duration
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.added)
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.added += d
}

// world is a controller's agents' side with its database, at work on a free port.
type world struct {
	t       testing.TB
	clock   *clock
	store   *store.Store
	keyring *secrets.Keyring
	ca      *ca.Authorities
	server  *health.Server
	url     string
}

// waitFor returns once n requests wait for a change.
func (w *world) waitFor(n int) {
	w.t.Helper()
	eventually(w.t, fmt.Sprintf("%d requests wait", n), func() bool { return w.server.Waiting() == n })
}

// newWorld starts one; change may alter the options before.
func newWorld(t testing.TB, change ...func(*health.Options)) *world {
	t.Helper()
	return newWorldOn(t, dbtest.DSN(t, "sqlite"), change...)
}

func newWorldOn(t testing.TB, dsn string, change ...func(*health.Options)) *world {
	t.Helper()
	w := &world{t: t, clock: &clock{}}
	var err error
	w.store, err = store.Open(t.Context(), dsn, store.Options{Clock: w.clock.Now})
	must(t, err)
	t.Cleanup(func() { must(t, w.store.Close()) })
	w.keyring, err = secrets.OpenKeyring(filepath.Join(t.TempDir(), "key"))
	must(t, err)
	w.ca, err = ca.Open(t.Context(), w.store, w.keyring, ca.Options{Clock: w.clock.Now})
	must(t, err)
	w.server, w.url = w.serve(change...)
	return w
}

// serve starts a controller on the world's database until the test ends.
func (w *world) serve(change ...func(*health.Options)) (server *health.Server, url string) {
	w.t.Helper()
	options := health.Options{Store: w.store, CA: w.ca, BuildState: buildState, Clock: w.clock.Now, FlushInterval: 50 * time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(w.t.Output(), nil))}
	for _, c := range change {
		c(&options)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	server = health.New(options)
	go func() { served <- server.Serve(ctx, ln) }()
	w.t.Cleanup(func() {
		cancel()
		must(w.t, <-served)
	})
	return server, "https://" + ln.Addr().String()
}

// buildState is the wanted state as far as these tests look at it.
func buildState(tree *lb.Tree, amphorae []store.Amphora, amphoraID string) (agentapi.State, bool, error) {
	s := agentapi.State{Version: 1, Generation: tree.LB.Generation, AmphoraID: amphoraID, LB: tree.LB.ID, ProjectID: tree.LB.ProjectID,
		Listeners: tree.Listeners, Pools: tree.Pools}
	for _, m := range tree.Members {
		s.Members = append(s.Members, agentapi.Member{Member: m, PoolID: m.PoolID})
	}
	for _, m := range tree.Monitors {
		s.Monitors = append(s.Monitors, agentapi.Monitor{HealthMonitor: m, PoolID: m.PoolID})
	}
	return s, true, nil
}

// balancer is a load balancer with a listener, a pool, two members and a monitor, and the amphorae that serve it.
type balancer struct {
	w        *world
	id       string
	listener string
	pool     string
	members  []string
	monitor  string
	amphorae []string
}

func (w *world) newBalancer(amphorae int) *balancer {
	w.t.Helper()
	b := &balancer{w: w, id: uuid.NewString()}
	must(w.t, w.store.Write(w.t.Context(), func(tx *store.Tx) error { return b.insert(w.t.Context(), tx, amphorae) }))
	return b
}

func (b *balancer) insert(ctx context.Context, tx *store.Tx, amphorae int) error {
	up := func() lb.Meta { return lb.Meta{ID: uuid.NewString(), ProjectID: "p", AdminStateUp: true} }
	balancer := &lb.LoadBalancer{Meta: up(), VipAddress: "192.0.2.1", Topology: "SINGLE", Provider: "octavia"}
	balancer.ID = b.id
	if err := store.Insert(ctx, tx, balancer); err != nil {
		return err
	}
	pool := &lb.Pool{Meta: up(), LoadBalancerID: b.id, Protocol: "HTTP", LBAlgorithm: "ROUND_ROBIN"}
	listener := &lb.Listener{Meta: up(), LoadBalancerID: b.id, Protocol: "HTTP", ProtocolPort: 80, DefaultPoolID: &pool.ID}
	monitor := &lb.HealthMonitor{Meta: up(), PoolID: pool.ID, Type: "TCP", Delay: 1, Timeout: 1, MaxRetries: 1, MaxRetriesDown: 1}
	b.pool, b.listener, b.monitor, b.members, b.amphorae = pool.ID, listener.ID, monitor.ID, nil, nil
	if err := store.Insert(ctx, tx, pool); err != nil {
		return err
	}
	if err := store.Insert(ctx, tx, listener); err != nil {
		return err
	}
	if err := store.Insert(ctx, tx, monitor); err != nil {
		return err
	}
	for i := range 2 {
		m := &lb.Member{Meta: up(), PoolID: pool.ID, Address: "192.0.2.2", ProtocolPort: 8000 + i, Weight: 1}
		if err := store.Insert(ctx, tx, m); err != nil {
			return err
		}
		b.members = append(b.members, m.ID)
	}
	for range amphorae {
		a := &store.Amphora{ID: uuid.NewString(), LoadBalancerID: b.id, Role: "STANDALONE"}
		expiry := b.w.clock.Now().Add(time.Hour)
		_, a.EnrolHash = b.w.ca.EnrolToken(a.ID, expiry)
		a.EnrolExpiry = &expiry
		if err := tx.InsertAmphora(ctx, a); err != nil {
			return err
		}
		b.amphorae = append(b.amphorae, a.ID)
	}
	return nil
}

// inCloud tells the store, as a worker does, that the cloud is right for the newest generation.
func (b *balancer) inCloud() {
	b.w.t.Helper()
	must(b.w.t, b.w.store.Write(b.w.t.Context(), func(tx *store.Tx) error {
		l, err := tx.Lock(b.w.t.Context(), b.id)
		if err != nil {
			return err
		}
		return tx.SetCloudGeneration(b.w.t.Context(), l.Generation)
	}))
}

func (b *balancer) tree() *lb.Tree {
	b.w.t.Helper()
	tree, err := b.w.store.Tree(b.w.t.Context(), b.id)
	must(b.w.t, err)
	return tree
}

// boot is what an amphora of the world finds on its config drive.
func (w *world) boot(amphora string) agentapi.Boot {
	w.t.Helper()
	row := w.amphora(amphora)
	boot := agentapi.Boot{AmphoraID: amphora, Controllers: []string{w.url}, ServerName: ca.DefaultServerName, Trust: w.ca.Trust()}
	if row.EnrolExpiry != nil {
		token, _ := w.ca.EnrolToken(amphora, *row.EnrolExpiry)
		boot.Token, boot.TokenExpiry = token.Reveal(), *row.EnrolExpiry
	}
	return boot
}

func (w *world) amphora(id string) store.Amphora {
	w.t.Helper()
	row, err := w.store.Amphora(w.t.Context(), id)
	must(w.t, err)
	return row
}

// agent is one that has not enrolled yet.
func (w *world) agent(amphora string) *agenttest.Agent {
	w.t.Helper()
	a := agenttest.New(w.boot(amphora))
	a.Clock = w.clock.Now
	w.t.Cleanup(a.CloseIdle)
	return a
}

// enrolled is an agent that has.
func (w *world) enrolled(amphora string) *agenttest.Agent {
	w.t.Helper()
	a := w.agent(amphora)
	must(w.t, a.Enrol(w.t.Context()))
	return a
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits for what happens after an answer, such as a flush.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
