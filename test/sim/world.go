package sim

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/cloud/cloudfake"
	"github.com/octavo-lb/octavo/housekeeping"
	"github.com/octavo-lb/octavo/plan"
	"github.com/octavo-lb/octavo/secrets"
	"github.com/octavo-lb/octavo/store"
	"github.com/octavo-lb/octavo/worker"
)

// Options choose a run.
type Options struct {
	Seed uint64
	// Trouble is for how long things go wrong, Calm for how long they are left to settle after that.
	Trouble, Calm time.Duration
	// Broken, if not nil, wraps the cloud of workers into one that breaks a rule, to show that the judge notices.
	Broken func(worker.Cloud) worker.Cloud
	// Log, if not nil, hears what happens.
	Log func(format string, args ...any)
}

// Result is how a run went.
type Result struct {
	// Violations are empty when all was well.
	Violations []string
	// Trace stands for everything that happened: the same seed gives the same one.
	Trace string
	// What the run saw, so that a suite can show that it tries what it means to try.
	Kills, Takeovers, LostAnswers, Refusals, Replaced int
}

type world struct {
	*scheduler
	Options
	ctx      context.Context
	store    *store.Store
	fake     *cloudfake.Cloud
	settings plan.Settings
	outside  *process // agents, users, and trouble itself: they are not killed
	workers  []*process
	users    map[string]*wanted // by load balancer
	agents   map[string]*agent  // by instance
	calm     bool
	written  bool      // since watch looked last
	outage   time.Time // until when the cloud is away
	network  string
	subnet   string
	others   []string // subnets of other networks
	foreign  string   // a subnet of the VIP's network
	trace    strings.Builder
	result   Result
}

const project = "22222222222222222222222222222222"

// Run runs one seed.
func Run(t testing.TB, o Options) Result {
	w := &world{scheduler: newScheduler(o.Seed), Options: o, ctx: context.Background(), outside: &process{name: "outside", fuse: -1},
		users: map[string]*wanted{}, agents: map[string]*agent{}}
	w.open(t)
	defer w.store.Close()
	w.start()
	w.run(o.Trouble, w.watch)
	w.calmDown()
	w.settle()
	w.end()
	sum := sha256.Sum256([]byte(w.trace.String()))
	w.result.Trace = hex.EncodeToString(sum[:8])
	return w.result
}

// settle lets time pass until all is well, and a while longer: an amphora that was cut off for good may only then be found
// out. After that all must be well again.
func (w *world) settle() {
	w.untilWell()
	w.run(5*time.Minute, w.watch)
	for _, wrong := range w.untilWell() {
		w.fail("%s", wrong)
	}
}

// untilWell tells what is still wrong when patience is at its end.
func (w *world) untilWell() []string {
	for end := w.now.Add(w.Calm); ; w.run(30*time.Second, w.watch) {
		if wrong := w.judge(); len(wrong) == 0 || w.now.After(end) {
			return wrong
		}
	}
}

func (w *world) open(t testing.TB) {
	s, err := store.Open(w.ctx, "sqlite:"+freshDatabase(t), store.Options{Clock: w.clock, Rand: w.rand.IntN,
		Trace: func(_ context.Context, statement string, _ time.Duration, _ error) {
			w.written = w.written || strings.Contains(statement, `"observed_generation" = ?`)
		}})
	if err != nil {
		t.Fatal(err)
	}
	w.store = s
	w.fake = cloudfake.New(cloudfake.Options{Clock: func() time.Time { return w.now }, PageSize: 50, BootTime: 3 * time.Second, DeleteTime: 2 * time.Second,
		TokenLifetime: 10000 * time.Hour, Before: w.before, After: w.after})
	network, subnets := w.fake.AddNetwork(cloudfake.Network{Name: "private", Project: project, Subnets: []cloudfake.Subnet{
		{CIDR: "192.168.21.0/24", Gateway: "192.168.21.1"}, {CIDR: "10.9.0.0/24"}}})
	w.network, w.subnet, w.foreign = network, subnets[0], subnets[1]
	for i := range 2 {
		_, other := w.fake.AddNetwork(cloudfake.Network{Project: project, Subnets: []cloudfake.Subnet{{CIDR: fmt.Sprintf("10.%d.0.0/16", i)}}})
		w.others = append(w.others, other...)
	}
	management, _ := w.fake.AddNetwork(cloudfake.Network{Project: cloudfake.ServiceProject, Subnets: []cloudfake.Subnet{{CIDR: "172.16.0.0/20"}}})
	w.fake.AddImage(cloudfake.ServiceProject, "octavia-amphora")
	w.settings = plan.Settings{ManagementNetwork: management, FlavorID: "amphora", Image: plan.Image{Tag: "octavia-amphora"}, AntiAffinity: "anti-affinity"}.WithDefaults()
}

// freshDatabase copies a database that was made once, in memory if the machine has a place for it.
func freshDatabase(t testing.TB) string {
	dir := t.TempDir()
	if shm, err := os.MkdirTemp("/dev/shm", "octavo-sim-"); err == nil {
		dir = shm
		t.Cleanup(func() { os.RemoveAll(shm) })
	}
	return filepath.Join(dir, "octavo.db")
}

func (w *world) start() {
	for i := range 2 {
		p := &process{name: fmt.Sprint("worker", i)}
		w.workers = append(w.workers, p)
		w.startWorker(p)
	}
	w.spawn(w.outside, w.instances)
	w.spawn(w.outside, w.keepHouse)
	for range 3 {
		w.spawn(w.outside, w.user)
	}
	w.spawn(w.outside, w.trouble)
}

// startWorker starts a process with two threads that share what a process remembers.
func (w *world) startWorker(p *process) {
	p.dead, p.fuse, p.frozen = false, -1, time.Time{}
	var cloud worker.Cloud = w.fake.Client()
	if w.Broken != nil {
		cloud = w.Broken(cloud)
	}
	wk := worker.New(worker.Options{
		Store: w.store, Cloud: cloud, CA: authorities{}, Settings: w.settings, Controllers: []string{"https://controller"},
		Name: p.name, Workers: 2, LeaseTTL: leaseTTL, Clock: w.clock, Rand: w.rand.Float64, NewID: w.newID, Within: w.within, Logger: slog.New(&listener{w: w}),
	})
	for range 2 {
		w.spawn(p, func() { w.work(p, wk) })
	}
}

// leaseTTL is short, so that others take over often.
const leaseTTL = 40 * time.Second

// work is what Worker.Run does, one load balancer at a time.
func (w *world) work(p *process, wk *worker.Worker) {
	for {
		lease, err := w.store.Acquire(w.ctx, p.name, leaseTTL)
		switch {
		case err == nil:
			w.note("%s leases %s", p.name, lease.LB)
			wk.Work(w.ctx, lease)
		case errors.Is(err, store.ErrNothingDue):
			w.sleep(w.between(time.Second/2, 5*time.Second))
		default:
			w.fail("acquire: %v", err)
			w.sleep(time.Second)
		}
	}
}

func (w *world) keepHouse() {
	keeper := housekeeping.New(housekeeping.Options{Store: w.store, Cloud: w.fake.Client(), DeadAfter: w.settings.DeadAfter,
		DeleteOrphans: true, Clock: w.clock})
	sweep := w.now
	for {
		w.sleep(w.between(time.Second, 10*time.Second))
		if err := keeper.WakeSilent(w.ctx); err != nil {
			w.fail("look for silent amphorae: %v", err)
		}
		if w.now.Sub(sweep) < 10*time.Minute {
			continue
		}
		sweep = w.now
		if err := keeper.SweepCloud(w.ctx); err != nil {
			w.note("sweep: %v", err)
		}
	}
}

func (w *world) newID() string {
	id, err := uuid.NewRandomFromReader(entropy{w.scheduler})
	if err != nil {
		panic(err) // entropy never fails
	}
	return id.String()
}

type entropy struct{ *scheduler }

func (e entropy) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(e.rand.Uint32())
	}
	return len(b), nil
}

// authorities stands in for package ca: what matters here is that a token is a function of amphora and expiry.
type authorities struct{}

func (authorities) EnrolToken(id string, expiry time.Time) (secrets.Secret, string) {
	token := fmt.Sprint(id, ".", expiry.Unix())
	return secrets.New(token), hashToken(token)
}

func (authorities) Trust() agentapi.Trust { return agentapi.Trust{} }

func hashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// listener counts what workers log.
type listener struct {
	w     *world
	attrs []slog.Attr
}

func (l *listener) Enabled(context.Context, slog.Level) bool { return true }
func (l *listener) WithGroup(string) slog.Handler            { return l }
func (l *listener) WithAttrs(a []slog.Attr) slog.Handler {
	return &listener{l.w, append(l.attrs[:len(l.attrs):len(l.attrs)], a...)}
}

func (l *listener) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	r.Attrs(func(a slog.Attr) bool {
		fmt.Fprintf(&b, " %s=%v", a.Key, a.Value)
		return true
	})
	l.w.note("%s:%s", r.Message, b.String())
	switch r.Message {
	case "another worker took over":
		l.w.result.Takeovers++
	case "retiring an amphora":
		l.w.result.Replaced++
	}
	return nil
}

func (w *world) note(format string, args ...any) {
	fmt.Fprintf(&w.trace, "%s "+format+"\n", append([]any{w.now.Format("15:04:05.000")}, args...)...)
	if w.Log != nil {
		w.Log("%s "+format, append([]any{w.now.Format("15:04:05.000")}, args...)...)
	}
}

func (w *world) fail(format string, args ...any) {
	if len(w.result.Violations) < 20 {
		w.result.Violations = append(w.result.Violations, w.now.Format("15:04:05")+" "+fmt.Sprintf(format, args...))
	}
	w.note("VIOLATION "+format, args...)
}
