package plan

import (
	"slices"

	"github.com/octavo-lb/octavo/lb"
)

// Needs are the capabilities that an agent must have to serve a load balancer, under the names that agents report. What is
// disabled, or led to by nothing, needs none.
func Needs(t *lb.Tree) []string {
	var needs []string
	add := func(kind, value string) {
		if name := kind + ":" + value; !slices.Contains(needs, name) {
			needs = append(needs, name)
		}
	}
	if t.LB.Topology == activeStandby {
		add("topology", activeStandby)
	}
	used := map[string]bool{}
	use := func(pool *string) {
		if pool != nil {
			used[*pool] = true
		}
	}
	served := map[string]bool{}
	for _, l := range t.Listeners {
		if l.AdminStateUp && !l.Deleting {
			served[l.ID] = true
			add("listener", l.Protocol)
			use(l.DefaultPoolID)
		}
	}
	policies := map[string]bool{}
	for _, p := range t.Policies {
		if served[p.ListenerID] && p.AdminStateUp && !p.Deleting {
			policies[p.ID] = true
			add("policy", p.Action)
			use(p.RedirectPoolID)
		}
	}
	for _, r := range t.Rules {
		if policies[r.L7PolicyID] && r.AdminStateUp && !r.Deleting {
			add("rule", r.Type)
		}
	}
	for _, p := range t.Pools {
		if !used[p.ID] || !p.AdminStateUp || p.Deleting {
			delete(used, p.ID)
			continue
		}
		add("pool", p.Protocol)
		add("algorithm", p.LBAlgorithm)
		if p.SessionPersistence != nil {
			add("persistence", p.SessionPersistence.Type)
		}
		if p.TLSEnabled {
			add("option", "tls")
		}
	}
	for _, m := range t.Monitors {
		if used[m.PoolID] && m.AdminStateUp && !m.Deleting {
			add("monitor", m.Type)
		}
	}
	return needs
}
