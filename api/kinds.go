package api

import (
	"context"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/lb/attr"
	"github.com/octavo-lb/octavo/store"
)

// kinds are the seven resources.
type kinds struct {
	loadBalancer kind[lb.LoadBalancer]
	listener     kind[lb.Listener]
	pool         kind[lb.Pool]
	member       kind[lb.Member]
	monitor      kind[lb.HealthMonitor]
	policy       kind[lb.L7Policy]
	rule         kind[lb.L7Rule]
}

func newKinds() *kinds {
	return &kinds{
		loadBalancer: kind[lb.LoadBalancer]{
			name: "loadbalancer", member: "loadbalancer", plural: "loadbalancers", title: "Load Balancer",
			table: attr.Of[lb.LoadBalancer](), meta: func(o *lb.LoadBalancer) *lb.Meta { return &o.Meta },
			balancer: func(o *lb.LoadBalancer) string { return o.ID }, parents: none[lb.LoadBalancer],
			load: loaded(store.RefsOfLoadBalancers, func(r store.LoadBalancerRefs) []ref { return loadBalancerRefs(r) }),
			find: findBelowLoadBalancer,
		},
		listener: kind[lb.Listener]{
			name: "listener", member: "listener", plural: "listeners", title: "Listener",
			table: attr.Of[lb.Listener](), meta: func(o *lb.Listener) *lb.Meta { return &o.Meta },
			balancer: func(o *lb.Listener) string { return o.LoadBalancerID },
			parents:  func(o *lb.Listener) []ref { return []ref{list("loadbalancers", o.LoadBalancerID)} },
			load:     loaded(store.RefsOfListeners, listenerRefs),
			find:     findBelowListener,
		},
		pool: kind[lb.Pool]{
			name: "pool", member: "pool", plural: "pools", title: "Pool",
			table: attr.Of[lb.Pool](), meta: func(o *lb.Pool) *lb.Meta { return &o.Meta },
			balancer: func(o *lb.Pool) string { return o.LoadBalancerID },
			parents:  func(o *lb.Pool) []ref { return []ref{list("loadbalancers", o.LoadBalancerID)} },
			load:     loaded(store.RefsOfPools, poolRefs),
			find:     findBelowPool,
		},
		member: kind[lb.Member]{
			name: "member", member: "member", plural: "members", title: "Member",
			table: attr.Of[lb.Member](), meta: func(o *lb.Member) *lb.Meta { return &o.Meta },
			parents: none[lb.Member], load: loadNone, find: findNone,
		},
		monitor: kind[lb.HealthMonitor]{
			name: "healthmonitor", member: "healthmonitor", plural: "healthmonitors", title: "Health Monitor",
			table: attr.Of[lb.HealthMonitor](), meta: func(o *lb.HealthMonitor) *lb.Meta { return &o.Meta },
			parents: func(o *lb.HealthMonitor) []ref { return []ref{list("pools", o.PoolID)} },
			load:    loadNone, find: findNone,
		},
		policy: kind[lb.L7Policy]{
			name: "l7policy", member: "l7policy", plural: "l7policies", title: "L7 Policy",
			table: attr.Of[lb.L7Policy](), meta: func(o *lb.L7Policy) *lb.Meta { return &o.Meta },
			parents: none[lb.L7Policy],
			load:    loaded(store.RefsOfPolicies, policyRefs),
			find:    findBelowPolicy,
		},
		rule: kind[lb.L7Rule]{
			name: "l7rule", member: "rule", plural: "rules", title: "L7 Rule",
			table: attr.Of[lb.L7Rule](), meta: func(o *lb.L7Rule) *lb.Meta { return &o.Meta },
			parents: none[lb.L7Rule], load: loadNone, find: findNone,
		},
	}
}

func none[T any](*T) []ref            { return nil }
func findNone(*lb.Tree, string) []ref { return nil }
func noRefs(string) []ref             { return nil }
func loadNone(context.Context, store.Reader, []string) (func(string) []ref, error) {
	return noRefs, nil
}

// loaded adapts one of the store's readers of references.
func loaded[R any](read func(context.Context, store.Reader, ...string) (map[string]R, error), refs func(R) []ref) func(context.Context, store.Reader, []string) (func(string) []ref, error) {
	return func(ctx context.Context, r store.Reader, ids []string) (func(string) []ref, error) {
		of, err := read(ctx, r, ids...)
		return func(id string) []ref { return refs(of[id]) }, err
	}
}

func loadBalancerRefs(r store.LoadBalancerRefs) []ref {
	return []ref{list("listeners", r.Listeners...), list("pools", r.Pools...)}
}

func listenerRefs(r store.ListenerRefs) []ref { return []ref{list("l7policies", r.Policies...)} }

func poolRefs(r store.PoolRefs) []ref {
	return []ref{list("listeners", r.Listeners...), list("members", r.Members...), single("healthmonitor_id", r.Monitor)}
}

func policyRefs(r store.PolicyRefs) []ref { return []ref{list("rules", r.Rules...)} }

func findBelowLoadBalancer(t *lb.Tree, _ string) []ref {
	var r store.LoadBalancerRefs
	for i := range t.Listeners {
		r.Listeners = append(r.Listeners, t.Listeners[i].ID)
	}
	for i := range t.Pools {
		r.Pools = append(r.Pools, t.Pools[i].ID)
	}
	return loadBalancerRefs(r)
}

func findBelowListener(t *lb.Tree, id string) []ref {
	var r store.ListenerRefs
	for i := range t.Policies {
		if p := &t.Policies[i]; p.ListenerID == id {
			r.Policies = append(r.Policies, p.ID)
		}
	}
	return listenerRefs(r)
}

func findBelowPool(t *lb.Tree, id string) []ref {
	var r store.PoolRefs
	for i := range t.Listeners {
		if l := &t.Listeners[i]; t.Uses(l, id) {
			r.Listeners = append(r.Listeners, l.ID)
		}
	}
	for i := range t.Members {
		if m := &t.Members[i]; m.PoolID == id {
			r.Members = append(r.Members, m.ID)
		}
	}
	for i := range t.Monitors {
		if m := &t.Monitors[i]; m.PoolID == id {
			r.Monitor = m.ID
		}
	}
	return poolRefs(r)
}

func findBelowPolicy(t *lb.Tree, id string) []ref {
	var r store.PolicyRefs
	for i := range t.Rules {
		if u := &t.Rules[i]; u.L7PolicyID == id {
			r.Rules = append(r.Rules, u.ID)
		}
	}
	return policyRefs(r)
}
