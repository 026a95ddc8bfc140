package api

import (
	"errors"
	"slices"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/lb/attr"
	"github.com/octavo-lb/octavo/policy"
	"github.com/octavo-lb/octavo/store"
)

// This call is not Octavia's: GET and PUT /v2.0/lbaas/loadbalancers/{id}/graph show and set a load balancer with everything
// on it, in the form of the answer to a single-call create. PUT makes it look like the request, in one transaction: what
// is not there is made, what is there and not in the request is deleted, what the request does not say of an object is
// set to its default. Objects are found by their ids, or by what tells them apart: listeners by port, pools by name,
// members by address and port, L7 policies by name, L7 rules by type, comparison, key and value. With ?dry_run=true the
// answer says what would change, and nothing does.

// showGraph answers with everything.
func (s *Server) showGraph(c *call) error {
	id := c.PathValue("id")
	if _, err := get(s, c, &s.kinds.loadBalancer, id, policy.Show); err != nil {
		return err
	}
	t, err := s.Store.Tree(c.Context(), id)
	if err != nil {
		return s.kinds.loadBalancer.absent(id, err)
	}
	return c.write(200, s.kinds.appendGraph(nil, t))
}

// errDryRun rolls a transaction back that was only to be tried.
var errDryRun = errors.New("dry run")

func (s *Server) putGraph(c *call) error {
	body, err := c.body("load_balancer", "loadbalancer")
	if err != nil {
		return err
	}
	id, dry := c.PathValue("id"), isTrue(c.URL.Query().Get("dry_run"))
	was, err := get(s, c, &s.kinds.loadBalancer, id, policy.Update)
	if err != nil {
		return err
	}
	g, given, err := decoder{k: s.kinds, shown: true}.graph(body)
	if err != nil {
		return err
	}
	if err := s.lookUpGraph(c, g, &was, given); err != nil {
		return err
	}
	var answer []byte
	err = s.edit(c, id, func(e *edit) error {
		r := &reconciler{edit: e}
		if err := r.balancer(&g.LoadBalancer, given); err != nil {
			return err
		}
		if err := r.reconcile(g); err != nil {
			return err
		}
		answer = r.answer()
		if dry {
			return errDryRun
		}
		return nil
	})
	if err != nil && !errors.Is(err, errDryRun) {
		return err
	}
	return c.write(200, answer)
}

func (s *Server) lookUpGraph(c *call, g *graph, was *lb.LoadBalancer, given attr.Given) error {
	if given["vip_sg_ids"] && !slices.Equal(g.VipSgIDs, was.VipSgIDs) {
		if err := s.allow(c, "loadbalancer", policy.Update+":vip_sg_ids", was.ProjectID); err != nil {
			return err
		}
	}
	if err := s.lookUpSecurity(c, &g.LoadBalancer, was); err != nil {
		return err
	}
	for i := range g.pools {
		if err := s.lookUpSubnets(c, g.pools[i].members); err != nil {
			return err
		}
	}
	return s.admitGraph(c, g, was.ID)
}

// reconciler makes a tree look like a request, and keeps account of what it does.
type reconciler struct {
	*edit
	changes []graphChange
	updated []func() error // writes what was changed
	gone    []func() error // writes what was deleted
	pools   map[string]string
}

type graphChange struct {
	action, kind, id, name string
	attributes             []byte // of updates: members of a JSON object
}

// answer shows the tree as it is now and what was done. Objects that are new have their ids already.
func (r *reconciler) answer() []byte {
	b := r.s.kinds.appendGraph(nil, r.alive())
	b = append(b[:len(b)-1], `,"changes":[`...)
	for _, ch := range r.changes {
		b = attr.AppendString(append(b, `{"action":`...), ch.action)
		b = attr.AppendString(append(b, `,"type":`...), ch.kind)
		b = attr.AppendString(append(b, `,"id":`...), ch.id)
		b = append(attr.AppendString(append(b, `,"name":`...), ch.name), ',')
		if ch.attributes != nil {
			b = append(append(append(b, `"attributes":{`...), ch.attributes...), '}', ',')
		}
		b = append(attr.Close(b, '}'), ',')
	}
	return append(attr.Close(b, ']'), '}')
}

// alive is the tree without what is being deleted.
func (r *reconciler) alive() *lb.Tree {
	t := *r.tree
	t.Listeners = living(t.Listeners, func(o *lb.Listener) bool { return o.Deleting })
	t.Pools = living(t.Pools, func(o *lb.Pool) bool { return o.Deleting })
	t.Members = living(t.Members, func(o *lb.Member) bool { return o.Deleting })
	t.Monitors = living(t.Monitors, func(o *lb.HealthMonitor) bool { return o.Deleting })
	t.Policies = living(t.Policies, func(o *lb.L7Policy) bool { return o.Deleting })
	t.Rules = living(t.Rules, func(o *lb.L7Rule) bool { return o.Deleting })
	return &t
}

func living[T any](objects []T, deleting func(*T) bool) []T {
	return slices.DeleteFunc(slices.Clone(objects), func(o T) bool { return deleting(&o) })
}

// balancer changes the load balancer itself.
func (r *reconciler) balancer(want *lb.LoadBalancer, given attr.Given) error {
	k, b := &r.s.kinds.loadBalancer, &r.tree.LB
	now := *b
	copyWritable(k.table, &now, want)
	for _, a := range k.table.Attrs {
		if given[a.Name] && !a.Writable(attr.Update) && !sameValue(a, want, b) {
			return attr.Invalid(a.Name, "", "Value cannot be changed after the load balancer was made")
		}
	}
	if err := r.tree.ValidateLoadBalancer(&now); err != nil {
		return err
	}
	return changed(r, k, b, &now, b.Name)
}

// copyWritable copies what can be updated.
func copyWritable(t *attr.Table, dst, src any) {
	for _, a := range t.Attrs {
		if a.Writable(attr.Update) {
			a.Set(dst, a.Get(src))
		}
	}
}

func sameValue(a *attr.Attr, x, y any) bool {
	return string(a.Append(nil, x)) == string(a.Append(nil, y))
}

// changed takes note of an object's new attributes, if they are new, and puts them into the tree.
func changed[T store.Resource](r *reconciler, k *kind[T], o, now *T, name string) error {
	var b []byte
	for _, a := range k.table.Attrs {
		if a.Writable(attr.Update) && !sameValue(a, o, now) {
			b = a.Append(append(attr.AppendName(b, a.Name), `{"from":`...), o)
			b = append(a.Append(append(b, `,"to":`...), now), '}', ',')
		}
	}
	if b == nil {
		return nil
	}
	*o = *now
	return r.note(k.name, policy.Update, graphChange{id: k.meta(o).ID, name: name, attributes: b[:len(b)-1]},
		&r.updated, func() error { return store.Update(r.Context(), r.tx, o) })
}

// removed takes note of an object that goes, and marks it.
func removed[T store.Resource](r *reconciler, k *kind[T], o *T, name string) error {
	m := k.meta(o)
	m.Deleting = true
	return r.note(k.name, policy.Delete, graphChange{id: m.ID, name: name},
		&r.gone, func() error { return store.Delete[T](r.Context(), r.tx, m.ID) })
}

// made takes note of an object that was appended to the tree.
func made[T store.Resource](r *reconciler, k *kind[T], id, name string) error {
	return r.note(k.name, policy.Create, graphChange{id: id, name: name}, nil, nil)
}

// note asks the policy, and remembers the change and the write.
func (r *reconciler) note(kind, verb string, ch graphChange, writes *[]func() error, write func() error) error {
	if err := r.s.allow(r.call, kind, verb, r.tree.LB.ProjectID); err != nil {
		return err
	}
	ch.kind, ch.action = kind, map[string]string{policy.Create: "create", policy.Update: "update", policy.Delete: "delete"}[verb]
	r.changes = append(r.changes, ch)
	if writes != nil {
		*writes = append(*writes, write)
	}
	return nil
}

// write runs what was noted. Deleted rows make room in the quota for new ones.
func (r *reconciler) write() error {
	for _, w := range r.gone {
		if err := w(); err != nil {
			return err
		}
	}
	if err := r.insertNew(); err != nil {
		return err
	}
	r.had = sizesOf(r.tree)
	for _, w := range r.updated {
		if err := w(); err != nil {
			return err
		}
	}
	return nil
}
