package api

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/lb/attr"
	"github.com/octavo-lb/octavo/store"
)

// pair is what is there and what is wanted of one object: one of them may be nil.
type pair[H, W any] struct {
	have *H
	want *W
}

// match finds to each wanted object the one that is there: by id, else by what tells objects apart. An object that is
// there but differs in what cannot be changed makes room for a new one.
func match[H, W any, K comparable](k *attr.Table, have []*H, want []W, idOf func(*W) string, of func(*W) *H, key func(*H) K, meta func(*H) *lb.Meta) (pairs []pair[H, W], gone []*H, err error) {
	taken := make(map[*H]bool)
	byID, byKey := make(map[string]*H), make(map[K][]*H)
	for _, h := range have {
		byID[meta(h).ID] = h
		byKey[key(h)] = append(byKey[key(h)], h)
	}
	for i := range want {
		w := &want[i]
		candidates := byKey[key(of(w))]
		if id := idOf(w); id != "" {
			if byID[id] == nil {
				return nil, nil, attr.Invalid("id", id, "There is no such object where the request has it")
			}
			candidates = []*H{byID[id]}
		}
		p := pair[H, W]{want: w}
		if at := slices.IndexFunc(candidates, func(h *H) bool { return !taken[h] && k.Becomes(h, of(w)) }); at >= 0 {
			p.have = candidates[at]
			taken[p.have] = true
		}
		pairs = append(pairs, p)
	}
	for _, h := range have {
		if !taken[h] {
			gone = append(gone, h)
		}
	}
	return pairs, gone, nil
}

func pointers[T any](objects []T, pick func(*T) bool) []*T {
	var out []*T
	for i := range objects {
		if pick(&objects[i]) {
			out = append(out, &objects[i])
		}
	}
	return out
}

// reconcile goes through the tree twice: first what goes is marked, so that it is in nobody's way, then the rest is
// changed and made, pools first, because listeners and policies lead to them.
func (r *reconciler) reconcile(g *graph) error {
	t, k := r.tree, r.s.kinds
	r.makeRoom(g)
	pools, gonePools, err := match(k.pool.table, pointers(t.Pools, func(p *lb.Pool) bool { return !p.Deleting }), g.pools,
		func(d *poolDraft) string { return d.ID }, func(d *poolDraft) *lb.Pool { return &d.Pool },
		func(p *lb.Pool) string { return p.Name }, k.pool.meta)
	if err != nil {
		return err
	}
	listeners, goneListeners, err := match(k.listener.table, pointers(t.Listeners, func(l *lb.Listener) bool { return !l.Deleting }), g.listeners,
		func(d *listenerDraft) string { return d.ID }, func(d *listenerDraft) *lb.Listener { return &d.Listener },
		func(l *lb.Listener) string { return l.Slot() }, k.listener.meta)
	if err != nil {
		return err
	}
	for _, l := range goneListeners {
		if err := r.removeListener(l); err != nil {
			return err
		}
	}
	// A policy that goes frees its pool, so policies are matched before pools are removed.
	policies := make([][]pair[lb.L7Policy, policyDraft], len(listeners))
	for i, p := range listeners {
		if policies[i], err = r.matchPolicies(p); err != nil {
			return err
		}
	}
	for _, p := range gonePools {
		if err := r.removePoolTree(p); err != nil {
			return err
		}
	}
	if err := r.reconcilePools(pools); err != nil {
		return err
	}
	for i, p := range listeners {
		if err := r.reconcileListener(p, policies[i]); err != nil {
			return err
		}
	}
	for _, p := range gonePools {
		if err := t.ValidatePoolDelete(p); err != nil {
			return err
		}
	}
	return r.write()
}

// makeRoom lets the tree take everything new without moving: pointers into it stay good.
func (r *reconciler) makeRoom(g *graph) {
	t := r.tree
	var members, policies, rules int
	for i := range g.pools {
		members += len(g.pools[i].members)
	}
	for i := range g.listeners {
		policies += len(g.listeners[i].policies)
		for j := range g.listeners[i].policies {
			rules += len(g.listeners[i].policies[j].rules)
		}
	}
	t.Listeners, t.Pools = slices.Grow(t.Listeners, len(g.listeners)), slices.Grow(t.Pools, len(g.pools))
	t.Members, t.Monitors = slices.Grow(t.Members, members), slices.Grow(t.Monitors, len(g.pools))
	t.Policies, t.Rules = slices.Grow(t.Policies, policies), slices.Grow(t.Rules, rules)
}

func (r *reconciler) removeListener(l *lb.Listener) error {
	for i := range r.tree.Policies {
		if p := &r.tree.Policies[i]; p.ListenerID == l.ID {
			p.Deleting = true // goes with the listener's row
		}
	}
	return removed(r, &r.s.kinds.listener, l, l.Name)
}

func (r *reconciler) removePoolTree(p *lb.Pool) error {
	for i := range r.tree.Members {
		if m := &r.tree.Members[i]; m.PoolID == p.ID {
			m.Deleting = true
		}
	}
	if m := r.tree.MonitorOf(p.ID); m != nil {
		m.Deleting = true
	}
	return removed(r, &r.s.kinds.pool, p, p.Name)
}

func (r *reconciler) reconcilePools(pairs []pair[lb.Pool, poolDraft]) error {
	r.pools = make(map[string]string, len(pairs))
	type below struct {
		id   string
		want *poolDraft
	}
	var all []below
	var fresh []*poolDraft
	for _, p := range pairs {
		if p.have == nil {
			fresh = append(fresh, p.want)
			continue
		}
		now := *p.have
		copyWritable(r.s.kinds.pool.table, &now, &p.want.Pool)
		if err := r.s.Rules.ValidatePool(r.tree, r.can(), &now, p.have); err != nil {
			return err
		}
		if err := changed(r, &r.s.kinds.pool, p.have, &now, now.Name); err != nil {
			return err
		}
		r.pools[now.Name] = now.ID
		all = append(all, below{now.ID, p.want})
	}
	for _, b := range all {
		if err := r.reconcileMonitor(b.id, b.want.monitor); err != nil {
			return err
		}
		if err := r.reconcileMembers(b.id, b.want.members); err != nil {
			return err
		}
	}
	for _, d := range fresh {
		id, err := r.addPool(d)
		if err != nil {
			return err
		}
		r.pools[d.Name] = id
		if err := made(r, &r.s.kinds.pool, id, d.Name); err != nil {
			return err
		}
	}
	return nil
}

func (r *reconciler) reconcileMonitor(poolID string, want *lb.HealthMonitor) error {
	k, have := &r.s.kinds.monitor, r.tree.MonitorOf(poolID)
	if have != nil && (want == nil || !k.table.Becomes(have, want)) {
		if err := removed(r, k, have, have.Name); err != nil {
			return err
		}
		have = nil
	}
	switch {
	case want == nil:
		return nil
	case have == nil:
		m := *want
		m.PoolID = poolID
		if err := r.addMonitor(m); err != nil {
			return err
		}
		return made(r, k, last(r.tree.Monitors).ID, m.Name)
	}
	now := *have
	copyWritable(k.table, &now, want)
	if err := r.s.Rules.ValidateMonitor(r.tree, r.can(), &now, have); err != nil {
		return err
	}
	return changed(r, k, have, &now, now.Name)
}

// leaf is what members and L7 rules differ in: objects that have nothing below them.
type leaf[T store.Resource, K comparable] struct {
	kind     *kind[T]
	key      func(*T) K
	name     func(*T) string
	validate func(now, was *T) error
	add      func(T) (id string, err error)
}

// reconcileLeaves makes the objects of one parent what is wanted of them. Those that go are in nobody's way before others change,
// and new ones come last.
func reconcileLeaves[T store.Resource, K comparable](r *reconciler, l leaf[T, K], have []*T, want []T) error {
	pairs, gone, err := match(l.kind.table, have, want, func(o *T) string { return l.kind.meta(o).ID }, func(o *T) *T { return o }, l.key, l.kind.meta)
	if err != nil {
		return err
	}
	for _, o := range gone {
		if err := removed(r, l.kind, o, l.name(o)); err != nil {
			return err
		}
	}
	var fresh []*T
	for _, p := range pairs {
		if p.have == nil {
			fresh = append(fresh, p.want)
			continue
		}
		now := *p.have
		copyWritable(l.kind.table, &now, p.want)
		if err := l.validate(&now, p.have); err != nil {
			return err
		}
		if err := changed(r, l.kind, p.have, &now, l.name(&now)); err != nil {
			return err
		}
	}
	for _, o := range fresh {
		id, err := l.add(*o)
		if err != nil {
			return err
		}
		if err := made(r, l.kind, id, l.name(o)); err != nil {
			return err
		}
	}
	return nil
}

func (r *reconciler) reconcileMembers(poolID string, want []lb.Member) error {
	have := pointers(r.tree.Members, func(m *lb.Member) bool { return m.PoolID == poolID && !m.Deleting })
	return reconcileLeaves(r, leaf[lb.Member, netip.AddrPort]{
		kind: &r.s.kinds.member, key: (*lb.Member).Endpoint,
		name:     func(m *lb.Member) string { return m.Name },
		validate: func(now, was *lb.Member) error { return r.s.Rules.ValidateMember(r.tree, now, was) },
		add: func(m lb.Member) (string, error) {
			m.PoolID = poolID
			return r.addMember(m)
		},
	}, have, want)
}

func (r *reconciler) matchPolicies(p pair[lb.Listener, listenerDraft]) ([]pair[lb.L7Policy, policyDraft], error) {
	if p.have == nil {
		return nil, nil
	}
	k := &r.s.kinds.policy
	inOrder(p.want.policies)
	pairs, gone, err := match(k.table, pointers(r.tree.Policies, func(y *lb.L7Policy) bool { return y.ListenerID == p.have.ID && !y.Deleting }), p.want.policies,
		func(d *policyDraft) string { return d.ID }, func(d *policyDraft) *lb.L7Policy { return &d.L7Policy },
		func(y *lb.L7Policy) string { return y.Name }, k.meta)
	if err != nil {
		return nil, err
	}
	for _, y := range gone {
		if err := removed(r, k, y, y.Name); err != nil {
			return nil, err
		}
	}
	return pairs, nil
}

// inOrder numbers policies by the positions that they ask for, and those that ask for none or the same as they are listed.
func inOrder(policies []policyDraft) {
	slices.SortStableFunc(policies, func(a, b policyDraft) int { return cmp.Compare(a.Position, b.Position) })
	for i := range policies {
		policies[i].Position = i + 1
	}
}

func (r *reconciler) reconcileListener(p pair[lb.Listener, listenerDraft], policies []pair[lb.L7Policy, policyDraft]) error {
	k := &r.s.kinds.listener
	if p.have == nil {
		inOrder(p.want.policies)
		id, err := r.addListener(p.want, r.pools)
		if err != nil {
			return err
		}
		return made(r, k, id, p.want.Name)
	}
	now := *p.have
	copyWritable(k.table, &now, &p.want.Listener)
	if p.want.pool != nil {
		var err error
		if now.DefaultPoolID, err = r.resolve(p.want.pool, r.pools); err != nil {
			return err
		}
	}
	if err := r.s.Rules.ValidateListener(r.tree, r.can(), &now, p.have); err != nil {
		return err
	}
	if err := changed(r, k, p.have, &now, now.Name); err != nil {
		return err
	}
	return r.reconcilePolicies(now.ID, policies)
}

func (r *reconciler) reconcilePolicies(listenerID string, pairs []pair[lb.L7Policy, policyDraft]) error {
	k := &r.s.kinds.policy
	for _, p := range pairs {
		if p.have == nil {
			continue
		}
		now := *p.have
		copyWritable(k.table, &now, &p.want.L7Policy)
		if p.want.pool != nil {
			var err error
			if now.RedirectPoolID, err = r.resolve(p.want.pool, r.pools); err != nil {
				return err
			}
		}
		if err := r.s.Rules.ValidatePolicy(r.tree, r.can(), &now, attr.Given{"action": true}); err != nil {
			return err
		}
		if err := changed(r, k, p.have, &now, now.Name); err != nil {
			return err
		}
		if err := r.reconcileRules(now.ID, p.want.rules); err != nil {
			return err
		}
	}
	// Those that stay have their new positions: the new ones fit in between.
	for _, p := range pairs {
		if p.have != nil {
			continue
		}
		d := *p.want
		d.ListenerID = listenerID
		id, err := r.addPolicy(&d, r.pools)
		if err != nil {
			return err
		}
		if err := made(r, k, id, d.Name); err != nil {
			return err
		}
	}
	return nil
}

type ruleKey struct{ kind, compare, key, value string }

func (r *reconciler) reconcileRules(policyID string, want []lb.L7Rule) error {
	have := pointers(r.tree.Rules, func(u *lb.L7Rule) bool { return u.L7PolicyID == policyID && !u.Deleting })
	return reconcileLeaves(r, leaf[lb.L7Rule, ruleKey]{
		kind:     &r.s.kinds.rule,
		key:      func(u *lb.L7Rule) ruleKey { return ruleKey{u.Type, u.CompareType, *cmp.Or(u.Key, new("")), u.Value} },
		name:     func(u *lb.L7Rule) string { return u.Value },
		validate: func(now, was *lb.L7Rule) error { return r.s.Rules.ValidateRule(r.tree, now, was) },
		add: func(u lb.L7Rule) (string, error) {
			u.L7PolicyID = policyID
			return r.addRule(u)
		},
	}, have, want)
}
