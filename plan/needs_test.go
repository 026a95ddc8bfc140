package plan_test

import (
	"slices"
	"testing"

	"github.com/octavo-lb/octavo/firewall"
	"github.com/octavo-lb/octavo/haproxy"
	"github.com/octavo-lb/octavo/keepalived"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/lb/attr"
	"github.com/octavo-lb/octavo/plan"
)

// TestAgentsOfThisVersionHaveWhatIsNeeded: no name of a capability is spelled in two ways. Each value that users may choose is one
// that agents report, and that a load balancer with it needs.
func TestAgentsOfThisVersionHaveWhatIsNeeded(t *testing.T) {
	have := slices.Concat(haproxy.Capabilities(), firewall.Capabilities(), keepalived.Capabilities())
	tree := func() *lb.Tree {
		up := func(id string) lb.Meta { return lb.Meta{ID: id, AdminStateUp: true} }
		return &lb.Tree{LB: lb.LoadBalancer{Meta: up("b"), Topology: "SINGLE"},
			Listeners: []lb.Listener{{Meta: up("l"), Protocol: "HTTP", DefaultPoolID: new("p")}},
			Pools:     []lb.Pool{{Meta: up("p"), Protocol: "HTTP", LBAlgorithm: "ROUND_ROBIN", SessionPersistence: &lb.SessionPersistence{Type: "SOURCE_IP"}}},
			Monitors:  []lb.HealthMonitor{{Meta: up("h"), PoolID: "p", Type: "TCP"}},
			Policies:  []lb.L7Policy{{Meta: up("y"), ListenerID: "l", Action: "REJECT"}},
			Rules:     []lb.L7Rule{{Meta: up("r"), L7PolicyID: "y", Type: "PATH"}}}
	}
	values := func(table *attr.Table, name string) []string { return table.Find(name).Enum }
	for kind, c := range map[string]struct {
		values []string
		set    func(t *lb.Tree, v string)
	}{
		"listener":    {values(attr.Of[lb.Listener](), "protocol"), func(t *lb.Tree, v string) { t.Listeners[0].Protocol = v }},
		"pool":        {values(attr.Of[lb.Pool](), "protocol"), func(t *lb.Tree, v string) { t.Pools[0].Protocol = v }},
		"algorithm":   {values(attr.Of[lb.Pool](), "lb_algorithm"), func(t *lb.Tree, v string) { t.Pools[0].LBAlgorithm = v }},
		"persistence": {values(attr.Of[lb.SessionPersistence](), "type"), func(t *lb.Tree, v string) { t.Pools[0].SessionPersistence.Type = v }},
		"monitor":     {values(attr.Of[lb.HealthMonitor](), "type"), func(t *lb.Tree, v string) { t.Monitors[0].Type = v }},
		"policy":      {values(attr.Of[lb.L7Policy](), "action"), func(t *lb.Tree, v string) { t.Policies[0].Action = v }},
		"rule":        {values(attr.Of[lb.L7Rule](), "type"), func(t *lb.Tree, v string) { t.Rules[0].Type = v }},
		"topology":    {[]string{"ACTIVE_STANDBY"}, func(t *lb.Tree, v string) { t.LB.Topology = v }},
		"option":      {[]string{"tls"}, func(t *lb.Tree, _ string) { t.Pools[0].TLSEnabled = true }},
	} {
		if len(c.values) == 0 {
			t.Errorf("there are no values of %s", kind)
		}
		for _, v := range c.values {
			tr := tree()
			c.set(tr, v)
			if name := kind + ":" + v; !slices.Contains(plan.Needs(tr), name) || !slices.Contains(have, name) {
				t.Errorf("%s: needed by %v, and agents have %v", name, plan.Needs(tr), have)
			}
		}
	}
	for what, off := range map[string]func(t *lb.Tree){
		"disabled":  func(t *lb.Tree) { t.Listeners[0].AdminStateUp = false },
		"deleted":   func(t *lb.Tree) { t.Listeners[0].Deleting = true },
		"not there": func(t *lb.Tree) { t.Listeners = nil },
	} {
		tr := tree()
		off(tr)
		if needs := plan.Needs(tr); len(needs) > 0 {
			t.Errorf("a listener that is %s needs %v", what, needs)
		}
	}
}
