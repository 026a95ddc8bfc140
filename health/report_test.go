package health_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/health/agenttest"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/store"
)

// good is a report of an agent that applied the generation and has nothing to complain of.
func (b *balancer) good(generation int64) agentapi.Report {
	r := agentapi.Report{Applied: generation, Version: "1.0", Listeners: []agentapi.ListenerHealth{{ID: b.listener, Status: lb.Online}}}
	for _, m := range b.members {
		r.Members = append(r.Members, agentapi.MemberHealth{ID: m, PoolID: b.pool, Status: lb.Online})
	}
	return r
}

func send(t testing.TB, a *agenttest.Agent, r agentapi.Report) {
	t.Helper()
	if _, err := a.Report(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

// wants fails unless the tree has these statuses: "lb ONLINE", "member0 ERROR" ...
func (b *balancer) wants(statuses ...string) {
	b.w.t.Helper()
	tree := b.tree()
	got := map[string]lb.OperatingStatus{"lb": tree.LB.OperatingStatus, "listener": tree.Listeners[0].OperatingStatus,
		"pool": tree.Pools[0].OperatingStatus, "monitor": tree.Monitors[0].OperatingStatus}
	for _, m := range tree.Members {
		for i, id := range b.members {
			if m.ID == id {
				got[fmt.Sprint("member", i)] = m.OperatingStatus
			}
		}
	}
	for _, want := range statuses {
		name, status, _ := strings.Cut(want, " ")
		if string(got[name]) != status {
			b.w.t.Errorf("%s is %s, want %s", name, got[name], status)
		}
	}
}

func TestReportBecomesWhatUsersSee(t *testing.T) {
	w := newWorld(t)
	b := w.newBalancer(1)
	a := w.enrolled(b.amphorae[0])
	b.inCloud()
	generation := b.tree().LB.Generation
	send(t, a, b.good(generation))
	b.wants("lb ONLINE", "listener ONLINE", "pool ONLINE", "member0 ONLINE", "member1 ONLINE", "monitor ONLINE")
	if tree := b.tree(); tree.LB.Provisioning() != lb.Active {
		t.Errorf("provisioning status %s", tree.LB.Provisioning())
	}
	if row := w.amphora(b.amphorae[0]); row.AppliedGeneration != generation || row.LastReportAt == nil || row.Version != "1.0" {
		t.Errorf("row %+v", row)
	}

	r := b.good(generation)
	r.Members[0].Status, r.Members[0].Detail = lb.OperError, "L7STS 503"
	send(t, a, r)
	b.wants("lb DEGRADED", "pool DEGRADED", "member0 ERROR", "member1 ONLINE")
	r.Members[1].Status = lb.OperError
	send(t, a, r)
	b.wants("lb ERROR", "pool ERROR", "member1 ERROR")
	send(t, a, b.good(generation))
	b.wants("lb ONLINE", "pool ONLINE", "member0 ONLINE", "member1 ONLINE")
}

// The worker may say that the cloud is right after the agent's last news: what follows from that must not wait for more.
func TestStatusesFollowTheObservedGenerationWithoutNews(t *testing.T) {
	w := newWorld(t)
	b := w.newBalancer(1)
	a := w.enrolled(b.amphorae[0])
	send(t, a, b.good(b.tree().LB.Generation))
	b.wants("monitor OFFLINE")
	b.inCloud()
	eventually(t, "the monitor is ONLINE", func() bool { return b.tree().Monitors[0].OperatingStatus == lb.Online })
}

func TestReplayedAndStaleReportsChangeNothing(t *testing.T) {
	w := newWorld(t)
	b := w.newBalancer(1)
	a := w.enrolled(b.amphorae[0])
	b.inCloud()
	generation := b.tree().LB.Generation
	bad := b.good(generation)
	bad.Members[0].Status = lb.OperError
	bad = a.Stamp(bad)
	send(t, a, bad)
	send(t, a, b.good(generation))
	w.clock.Advance(5 * time.Second)
	restarted := w.agent(b.amphorae[0])
	restarted.Use(a.Certificate())

	refused := func(name string, r agentapi.Report) {
		t.Helper()
		if _, err := a.Report(t.Context(), r); agenttest.Code(err) != http.StatusConflict {
			t.Errorf("%s: %v", name, err)
		}
		b.wants("member0 ONLINE")
	}
	refused("replayed", bad)
	old := bad
	old.Sequence = 0
	old.Time = w.clock.Now().Add(-2 * time.Minute)
	refused("too long on its way", old)
	early := bad
	early.Sequence = 0
	early.Time = w.clock.Now().Add(2 * time.Minute)
	refused("from the future", early)

	send(t, restarted, b.good(generation))
	other := bad
	other.Sequence, other.Time = 1000, w.clock.Now().Add(-4*time.Second)
	refused("of the process before", other)
	if _, err := restarted.Report(t.Context(), b.good(generation)); err != nil {
		t.Errorf("the new process after all that: %v", err)
	}
}

func TestOtherControllersReportsAreNotOverwrittenByOlderOnes(t *testing.T) {
	w := newWorld(t)
	b := w.newBalancer(1)
	a := w.enrolled(b.amphorae[0])
	b.inCloud()
	generation := b.tree().LB.Generation
	first := w.url
	_, second := w.serve()
	through := func(url string, r agentapi.Report) error {
		a.Boot.Controllers = []string{url}
		_, err := a.Report(t.Context(), r)
		return err
	}
	must(t, through(first, b.good(generation)))
	delayed := b.good(generation)
	delayed.Members[0].Status = lb.OperError
	delayed = a.Stamp(delayed)
	must(t, through(second, b.good(generation))) // newer, and nothing new to the second controller's knowledge but its first
	if err := through(first, delayed); agenttest.Code(err) != http.StatusConflict {
		t.Errorf("a report that was overtaken: %v", err)
	}
	b.wants("member0 ONLINE")

	// The first controller knows the agent's news of before. What the second was told since must not be taken as known.
	bad := b.good(generation)
	bad.Members[0].Status = lb.OperError
	must(t, through(second, bad))
	b.wants("member0 ERROR")
	must(t, through(first, b.good(generation)))
	b.wants("member0 ONLINE")
}

func TestReportThatSaysNothingNewIsWrittenWithOthersLater(t *testing.T) {
	w := newWorld(t)
	b := w.newBalancer(1)
	a := w.enrolled(b.amphorae[0])
	b.inCloud()
	r := b.good(b.tree().LB.Generation)
	send(t, a, r)
	changes, err := w.store.LastChange(t.Context())
	must(t, err)
	written := w.amphora(b.amphorae[0])
	w.clock.Advance(10 * time.Second)
	r.Listeners[0].BytesIn, r.Listeners[0].TotalConnections = 1000, 3
	send(t, a, r)
	eventually(t, "the sequence is written", func() bool { return w.amphora(b.amphorae[0]).Sequence == written.Sequence+1 })
	if row := w.amphora(b.amphorae[0]); row.LastReportAt.Sub(*written.LastReportAt) < 9*time.Second {
		t.Errorf("last report %v, before %v", row.LastReportAt, written.LastReportAt)
	}
	counters, err := w.store.StatisticsOfListeners(t.Context(), b.listener)
	must(t, err)
	if c := counters[b.listener]; c.BytesIn != 1000 || c.TotalConnections != 3 {
		t.Errorf("counters %+v", c)
	}
	if after, err := w.store.LastChange(t.Context()); err != nil || after != changes {
		t.Errorf("a report without news is in the change log: %d, %d, %v", changes, after, err)
	}
}

func TestFailureToApplyIsTheLoadBalancersUntilItIsOver(t *testing.T) {
	w := newWorld(t)
	b := w.newBalancer(1)
	a := w.enrolled(b.amphorae[0])
	b.inCloud()
	generation := b.tree().LB.Generation
	send(t, a, b.good(generation))
	b.touch()
	b.inCloud()
	broken := b.good(generation)
	broken.FailedGen, broken.Failure = generation+1, "haproxy refuses line 3"
	send(t, a, broken)
	tree := b.tree()
	if tree.LB.Provisioning() != lb.ProvError || !strings.Contains(tree.LB.Failure, "haproxy refuses line 3") {
		t.Errorf("%s, failure %q", tree.LB.Provisioning(), tree.LB.Failure)
	}
	b.inCloud() // a worker that looked and found nothing to do does not take the agent's word back
	if tree := b.tree(); tree.LB.Provisioning() != lb.ProvError {
		t.Errorf("after a worker's run: %s", tree.LB.Provisioning())
	}
	send(t, a, b.good(generation+1))
	if tree := b.tree(); tree.LB.Provisioning() != lb.Active || tree.LB.Failure != "" {
		t.Errorf("afterwards: %s, failure %q", tree.LB.Provisioning(), tree.LB.Failure)
	}
}

func TestNewsWakeTheWorker(t *testing.T) {
	w := newWorld(t)
	b := w.newBalancer(1)
	a := w.enrolled(b.amphorae[0])
	lease, err := w.store.Acquire(t.Context(), "worker", time.Minute)
	must(t, err)
	must(t, lease.Release(t.Context(), time.Time{}))
	due := func() bool {
		lease, err := w.store.Acquire(t.Context(), "worker", time.Minute)
		if err != nil {
			return false
		}
		must(t, lease.Release(t.Context(), time.Time{}))
		return true
	}
	if due() {
		t.Fatal("due before any report")
	}
	send(t, a, b.good(1))
	if !due() {
		t.Error("the first report wakes nobody")
	}
	send(t, a, b.good(1))
	r := b.good(1)
	r.Members[0].Status = lb.OperError
	send(t, a, r)
	if due() {
		t.Error("a member's health wakes a worker, who has nothing to do with it")
	}
}

func TestTwoAmphoraeDisagreeAndTheOneWithTheTrafficIsRight(t *testing.T) {
	w := newWorld(t)
	b := w.newBalancer(2)
	b.inCloud()
	master, backup := w.enrolled(b.amphorae[0]), w.enrolled(b.amphorae[1])
	r := b.good(b.tree().LB.Generation)
	r.VRRPState = "MASTER"
	send(t, master, r)
	r = b.good(r.Applied)
	r.VRRPState, r.Members[0].Status = "BACKUP", lb.OperError
	send(t, backup, r)
	b.wants("member0 ONLINE", "lb ONLINE")
	r.VRRPState = "MASTER" // the other one has not noticed yet, or is dead
	send(t, backup, r)
	b.wants("member0 ERROR", "lb DEGRADED")
}

func TestClockOfTheInstanceMayBeWrong(t *testing.T) {
	w := newWorld(t)
	b := w.newBalancer(1)
	a := w.agent(b.amphorae[0])
	a.Clock = func() time.Time { return w.clock.Now().Add(-50 * time.Minute) }
	must(t, a.Enrol(t.Context()))
	send(t, a, b.good(0))
}

func TestAgentConvergesByItself(t *testing.T) {
	w := newWorld(t)
	b := w.newBalancer(1)
	b.inCloud()
	a := w.agent(b.amphorae[0])
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	var applied atomic.Int64
	go func() {
		ended <- a.Run(ctx, agenttest.DataPlane{Apply: func(_ context.Context, s agentapi.State) error {
			applied.Store(s.Generation)
			return nil
		}})
	}()
	active := func() bool { tree := b.tree(); return tree.LB.Provisioning() == lb.Active }
	eventually(t, "the load balancer is ACTIVE", active)
	b.touch()
	b.inCloud()
	eventually(t, "the change is ACTIVE", active)
	if applied.Load() != b.tree().LB.Generation {
		t.Errorf("applied %d of %d", applied.Load(), b.tree().LB.Generation)
	}
	b.write(func(ctx context.Context, tx *store.Tx) error {
		row := w.amphora(b.amphorae[0])
		row.Deleting = true
		return tx.UpdateAmphora(ctx, &row)
	})
	b.touch()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("an agent that is to be deleted goes on for ever")
	}
	cancel()
}
