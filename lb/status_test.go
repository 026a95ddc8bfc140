package lb_test

import (
	"testing"

	"github.com/octavo-lb/octavo/lb"
)

func TestProvisioningStatusOfALoadBalancer(t *testing.T) {
	for _, c := range []struct {
		generation, observed int64
		failure              string
		deleting             bool
		want                 lb.ProvisioningStatus
	}{
		{1, 0, "", false, lb.PendingCreate},
		{5, 0, "", false, lb.PendingCreate},
		{1, 1, "", false, lb.Active},
		{2, 1, "", false, lb.PendingUpdate},
		{2, 1, "no image", false, lb.ProvError},
		{1, 0, "no image", false, lb.ProvError},
		{2, 2, "an old failure", false, lb.Active},
		{3, 2, "", true, lb.PendingDelete},
		{3, 3, "", true, lb.PendingDelete},
		{3, 2, "port in use", true, lb.ProvError},
	} {
		b := lb.LoadBalancer{ObservedGeneration: c.observed, Failure: c.failure}
		b.Generation, b.Deleting = c.generation, c.deleting
		if got := b.Provisioning(); got != c.want {
			t.Errorf("%+v: got %s", c, got)
		}
	}
}

func TestProvisioningStatusOfAChild(t *testing.T) {
	for _, c := range []struct {
		created, written, observed int64
		failure                    string
		deleting                   bool
		want                       lb.ProvisioningStatus
	}{
		{2, 2, 1, "", false, lb.PendingCreate},
		{2, 3, 1, "", false, lb.PendingCreate},
		{2, 3, 2, "", false, lb.PendingUpdate},
		{2, 3, 3, "", false, lb.Active},
		{2, 3, 3, "of another object", false, lb.Active},
		{2, 3, 2, "no image", false, lb.ProvError},
		{2, 4, 3, "", true, lb.PendingDelete},
		{2, 4, 3, "port in use", true, lb.ProvError},
	} {
		b := lb.LoadBalancer{ObservedGeneration: c.observed, Failure: c.failure}
		m := lb.Meta{Created: c.created, Generation: c.written, Deleting: c.deleting}
		if got := m.Provisioning(&b); got != c.want {
			t.Errorf("%+v: got %s", c, got)
		}
	}
}

// node is a tree of one listener, one pool with a monitor and two members.
type node struct {
	lbOff, listenerOff, poolOff, monitorOff, noMonitor, unused bool
	weights                                                    [2]int
	off                                                        [2]bool
}

func (n node) tree() *lb.Tree {
	meta := func(id string, off bool) lb.Meta {
		return lb.Meta{ID: id, AdminStateUp: !off, Generation: 1, Created: 1}
	}
	t := &lb.Tree{LB: lb.LoadBalancer{Meta: meta("lb", n.lbOff), ObservedGeneration: 1}}
	t.Listeners = []lb.Listener{{Meta: meta("listener", n.listenerOff)}}
	if !n.unused {
		t.Listeners[0].DefaultPoolID = new("pool")
	}
	t.Pools = []lb.Pool{{Meta: meta("pool", n.poolOff)}}
	for i, id := range []string{"a", "b"} {
		t.Members = append(t.Members, lb.Member{Meta: meta(id, n.off[i]), PoolID: "pool", Weight: n.weights[i]})
	}
	if !n.noMonitor {
		t.Monitors = []lb.HealthMonitor{{Meta: meta("monitor", n.monitorOff), PoolID: "pool"}}
	}
	return t
}

func TestOperatingStatusesRollUp(t *testing.T) {
	up := map[string]lb.OperatingStatus{"listener": lb.Online}
	both := [2]int{1, 1}
	for _, c := range []struct {
		name                            string
		node                            node
		listeners                       map[string]lb.OperatingStatus
		a, b                            lb.OperatingStatus // what the checks say, empty for no verdict
		lb, listener, pool, wantA, want lb.OperatingStatus // want is member b's
	}{
		{"all well", node{weights: both}, up, "ONLINE", "ONLINE", "ONLINE", "ONLINE", "ONLINE", "ONLINE", "ONLINE"},
		{"one failed", node{weights: both}, up, "ONLINE", "ERROR", "DEGRADED", "ONLINE", "DEGRADED", "ONLINE", "ERROR"},
		{"all failed", node{weights: both}, up, "ERROR", "ERROR", "ERROR", "ONLINE", "ERROR", "ERROR", "ERROR"},
		{"not judged yet", node{weights: both}, up, "", "", "ONLINE", "ONLINE", "ONLINE", "OFFLINE", "OFFLINE"},
		{"one drains", node{weights: [2]int{1, 0}}, up, "ONLINE", "ONLINE", "ONLINE", "ONLINE", "ONLINE", "ONLINE", "DRAINING"},
		{"all drain", node{}, up, "ONLINE", "ONLINE", "ERROR", "ONLINE", "ERROR", "DRAINING", "DRAINING"},
		{"one disabled", node{weights: both, off: [2]bool{false, true}}, up, "ONLINE", "ONLINE", "ONLINE", "ONLINE", "ONLINE", "ONLINE", "OFFLINE"},
		{"the other failed", node{weights: both, off: [2]bool{false, true}}, up, "ERROR", "", "ERROR", "ONLINE", "ERROR", "ERROR", "OFFLINE"},
		{"unmonitored", node{weights: both, noMonitor: true}, up, "NO_MONITOR", "", "ONLINE", "ONLINE", "ONLINE", "NO_MONITOR", "NO_MONITOR"},
		{"monitor disabled", node{weights: both, monitorOff: true}, up, "", "", "ONLINE", "ONLINE", "ONLINE", "NO_MONITOR", "NO_MONITOR"},
		{"listener full", node{weights: both}, map[string]lb.OperatingStatus{"listener": lb.Degraded}, "ONLINE", "ONLINE", "DEGRADED", "DEGRADED", "ONLINE", "ONLINE", "ONLINE"},
		{"listener not served", node{weights: both}, nil, "ONLINE", "ONLINE", "ONLINE", "ERROR", "ONLINE", "ONLINE", "ONLINE"},
		{"listener disabled", node{weights: both, listenerOff: true}, nil, "", "", "ONLINE", "OFFLINE", "OFFLINE", "OFFLINE", "OFFLINE"},
		{"pool disabled", node{weights: both, poolOff: true}, up, "", "", "ONLINE", "ONLINE", "OFFLINE", "OFFLINE", "OFFLINE"},
		{"pool unused", node{weights: both, unused: true}, up, "", "", "ONLINE", "ONLINE", "OFFLINE", "OFFLINE", "OFFLINE"},
		{"load balancer disabled", node{weights: both, lbOff: true}, nil, "", "", "OFFLINE", "OFFLINE", "OFFLINE", "OFFLINE", "OFFLINE"},
	} {
		seen := lb.Seen{Serving: true, Listeners: c.listeners, Members: map[string]lb.OperatingStatus{}}
		for id, s := range map[string]lb.OperatingStatus{"a": c.a, "b": c.b} {
			if s != "" {
				seen.Members[id] = s
			}
		}
		got := lb.RollUp(c.node.tree(), seen)
		for id, want := range map[string]lb.OperatingStatus{"lb": c.lb, "listener": c.listener, "pool": c.pool, "a": c.wantA, "b": c.want} {
			if got[id] != want {
				t.Errorf("%s: %s is %s, want %s", c.name, id, got[id], want)
			}
		}
	}
}

func TestBeforeTheFirstReportNothingIsOnline(t *testing.T) {
	tree := node{weights: [2]int{1, 1}}.tree()
	tree.LB.ObservedGeneration = 0
	for id, s := range lb.RollUp(tree, lb.Seen{}) {
		if s != lb.Offline {
			t.Errorf("%s is %s", id, s)
		}
	}
}

func TestAnEmptyPoolIsOnline(t *testing.T) {
	tree := node{}.tree()
	tree.Members = nil
	if got := lb.RollUp(tree, lb.Seen{Serving: true, Listeners: map[string]lb.OperatingStatus{"listener": lb.Online}}); got["pool"] != lb.Online || got["lb"] != lb.Online {
		t.Error(got)
	}
}

func TestAPoolBehindAnL7PolicyCounts(t *testing.T) {
	tree := node{weights: [2]int{1, 1}, unused: true}.tree()
	meta := lb.Meta{ID: "policy", AdminStateUp: true}
	tree.Policies = []lb.L7Policy{{Meta: meta, ListenerID: "listener", RedirectPoolID: new("pool")}}
	seen := lb.Seen{Serving: true, Members: map[string]lb.OperatingStatus{"a": lb.OperError, "b": lb.OperError}}
	if got := lb.RollUp(tree, seen)["pool"]; got != lb.Offline {
		t.Errorf("without a rule the policy is not in effect, yet its pool is %s", got)
	}
	tree.Rules = []lb.L7Rule{{Meta: lb.Meta{ID: "rule", AdminStateUp: true}, L7PolicyID: "policy"}}
	got := lb.RollUp(tree, seen)
	if got["pool"] != lb.OperError || got["lb"] != lb.OperError || got["policy"] != lb.Online || got["rule"] != lb.Online {
		t.Error(got)
	}
}
