package api

import (
	"context"
	"strings"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/lb/attr"
	"github.com/octavo-lb/octavo/policy"
	"github.com/octavo-lb/octavo/store"
)

// graph is a load balancer that a request asks for, with all that it wants on it.
type graph struct {
	lb.LoadBalancer
	listeners []listenerDraft
	pools     []poolDraft
}

const lbPath = "load_balancer.loadbalancer"

// createLoadBalancer makes a load balancer, alone or with everything on it. Three steps, of which a kill in between
// heals: the rows are written, the VIP's port is made (a worker would, too), and the rows learn its address, which the
// answer must have.
func (s *Server) createLoadBalancer(c *call) error {
	body, err := c.body("load_balancer", "loadbalancer")
	if err != nil {
		return err
	}
	g, given, err := s.decode.graph(body)
	if err != nil {
		return err
	}
	if err := s.allowCreate(c, &g.LoadBalancer, given); err != nil {
		return err
	}
	chosen, err := s.choose(c, &g.LoadBalancer)
	if err != nil {
		return err
	}
	g.Topology = chosen.topology
	if chosen.sriovVIP {
		g.VipVnicType = "direct"
	}
	subnets, err := s.place(c, &g.LoadBalancer, given, chosen.vipNetworks)
	if err != nil {
		return err
	}
	for i := range g.pools {
		if err := s.lookUpSubnets(c, g.pools[i].members); err != nil {
			return err
		}
	}
	if err := s.admitDrafts(c, g.listeners, g.pools, nil); err != nil {
		return err
	}
	tree, err := s.insertGraph(c, g, subnets[*g.VipSubnetID])
	if err != nil {
		return err
	}
	// From here on the client may go away: what was begun is finished.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Context()), creationTimeout)
	defer cancel()
	if err := s.ensureVIP(ctx, tree); err != nil {
		return err
	}
	return c.write(201, s.kinds.appendGraph(nil, tree))
}

// allowCreate fills in the project and asks the policy.
func (s *Server) allowCreate(c *call, b *lb.LoadBalancer, given attr.Given) error {
	if b.ProjectID == "" {
		b.ProjectID = c.who.ProjectID
	}
	if b.ProjectID == "" {
		return lb.Refuse(lb.Validation, "Validation failure: Missing project ID in request where one is required.")
	}
	if err := s.allow(c, "loadbalancer", policy.Create, b.ProjectID); err != nil {
		return err
	}
	if given["vip_sg_ids"] {
		return s.allow(c, "loadbalancer", policy.Create+":vip_sg_ids", b.ProjectID)
	}
	return nil
}

// insertGraph writes the rows. A worker leaves them alone until the VIP's port is known, or the API had its time.
func (s *Server) insertGraph(c *call, g *graph, subnet lb.Subnet) (*lb.Tree, error) {
	var tree *lb.Tree
	err := s.Store.Write(c.Context(), func(tx *store.Tx) error {
		tree = &lb.Tree{LB: g.LoadBalancer}
		b := &tree.LB
		b.ID, b.OperatingStatus, b.VipPortOwned = s.NewID(), lb.Offline, b.VipPortID == nil
		e := &edit{call: c, s: s, tx: tx, tree: tree, had: sizes{balancers: 1}}
		if err := e.addGraph(g, subnet); err != nil {
			return err
		}
		if err := e.checkQuota(); err != nil {
			return err
		}
		tx.Defer(tx.Now().Add(creationTimeout))
		if err := store.Insert(c.Context(), tx, b); err != nil {
			return err
		}
		if err := e.insertRows(); err != nil {
			return err
		}
		return e.putSecrets()
	})
	return tree, err
}

// addGraph adds pools first: listeners and policies lead to them by name. Until the VIP has an address, its subnet's
// stands for it: rules ask for the IP version.
func (e *edit) addGraph(g *graph, subnet lb.Subnet) error {
	b := &e.tree.LB
	if err := e.tree.ValidateLoadBalancer(b); err != nil {
		return err
	}
	if b.VipAddress == "" {
		b.VipAddress = subnet.CIDR.Addr().String()
		defer func() { b.VipAddress = "" }()
	}
	pools := make(map[string]string, len(g.pools))
	for i := range g.pools {
		id, err := e.addPool(&g.pools[i])
		if err != nil {
			return err
		}
		pools[g.pools[i].Name] = id
	}
	for i := range g.listeners {
		if _, err := e.addListener(&g.listeners[i], pools); err != nil {
			return err
		}
	}
	return nil
}

// ensureVIP makes the VIP's port and stores its address. If it cannot, nothing is left of the load balancer; where it
// is not known what was made, a worker cleans up.
func (s *Server) ensureVIP(ctx context.Context, tree *lb.Tree) error {
	b := tree.LB
	failure := s.VIPs.EnsureVIP(ctx, &b)
	err := s.Store.Write(ctx, func(tx *store.Tx) error {
		row, err := tx.Lock(ctx, b.ID)
		switch {
		case err != nil:
			return err
		case row.VipPortOwned && row.VipPortID != nil:
			tree.LB, failure = *row, nil // a worker took this call for dead and was faster
			return nil
		case lb.AsFault(failure) != nil:
			return tx.Remove(ctx)
		case failure != nil:
			return store.Delete[lb.LoadBalancer](ctx, tx, b.ID)
		}
		row.VipAddress, row.VipPortID, row.VipSubnetID, row.VipNetworkID = b.VipAddress, b.VipPortID, b.VipSubnetID, b.VipNetworkID
		row.AdditionalVips, row.VipVnicType = b.AdditionalVips, b.VipVnicType
		tx.Wake()
		if err := store.Amend(ctx, tx, row); err != nil {
			return err
		}
		tree.LB = *row
		return nil
	})
	if failure != nil {
		return failure
	}
	return err
}

func (s *Server) changeOfLoadBalancer() *change[lb.LoadBalancer] {
	return &change[lb.LoadBalancer]{
		kind: &s.kinds.loadBalancer, argument: "load_balancer",
		in: func(t *lb.Tree, _ string) *lb.LoadBalancer { return &t.LB },
		lookUp: func(c *call, now, was *lb.LoadBalancer, given attr.Given) error {
			if given["vip_sg_ids"] {
				if err := s.allow(c, "loadbalancer", policy.Update+":vip_sg_ids", was.ProjectID); err != nil {
					return err
				}
			}
			return s.lookUpSecurity(c, now, was)
		},
		update: func(e *edit, now, _ *lb.LoadBalancer, _ attr.Given) error { return e.tree.ValidateLoadBalancer(now) },
	}
}

// deleteLoadBalancer takes what is on the load balancer along only when told to.
func (s *Server) deleteLoadBalancer(c *call) error {
	id := c.PathValue("id")
	if _, err := get(s, c, &s.kinds.loadBalancer, id, policy.Delete); err != nil {
		return err
	}
	cascade := isTrue(c.URL.Query().Get("cascade"))
	err := s.editForDelete(c, id, func(e *edit) error {
		if !cascade && e.tree.HasChildren() {
			return lb.Refuse(lb.Validation, "Validation failure: Cannot delete Load Balancer %s - it has children", id)
		}
		return store.Delete[lb.LoadBalancer](c.Context(), e.tx, id)
	})
	if err != nil {
		return err
	}
	return c.done(204)
}

// isTrue reads a flag of a query as oslo.utils does.
func isTrue(s string) bool {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "1", "t", "true", "on", "y", "yes":
		return true
	}
	return false
}

// graph decodes a single-call create.
func (d decoder) graph(body attr.Body) (*graph, attr.Given, error) {
	g := new(graph)
	listeners, err := takeList(lbPath, body, "listeners")
	if err != nil {
		return nil, nil, err
	}
	pools, err := takeList(lbPath, body, "pools")
	if err != nil {
		return nil, nil, err
	}
	given, err := d.object(d.k.loadBalancer.table, lbPath, body, &g.LoadBalancer, attr.Create)
	if err != nil {
		return nil, nil, err
	}
	for _, body := range pools {
		p, err := d.pool(lbPath+".pools", body, attr.Nested)
		if err != nil {
			return nil, nil, err
		}
		g.pools = append(g.pools, p)
	}
	for _, body := range listeners {
		l, err := d.listener(lbPath+".listeners", body, attr.Nested)
		if err != nil {
			return nil, nil, err
		}
		g.listeners = append(g.listeners, l)
	}
	return g, given, g.liftPools(d.shown)
}

// liftPools moves the pools that are written out inside listeners and policies to the others, and makes sure that each
// name means one pool. Of pools that may be there already only the names that are used have to.
func (g *graph) liftPools(shown bool) error {
	var named []*poolNamed
	for i := range g.listeners {
		l := &g.listeners[i]
		named = append(named, l.pool)
		for j := range l.policies {
			named = append(named, l.policies[j].pool)
		}
	}
	for _, n := range named {
		if n != nil && n.full != nil {
			g.pools = append(g.pools, *n.full)
			n.full = nil
		}
	}
	known, used := map[string]bool{}, map[string]bool{}
	for _, n := range named {
		if n != nil {
			used[n.name] = true
		}
	}
	for i := range g.pools {
		if name := g.pools[i].Name; known[name] && (used[name] || !shown) {
			return lb.Refuse(lb.Validation, "Validation failure: Pool names must be unique when creating a fully populated loadbalancer: '%s'", name)
		}
		known[g.pools[i].Name] = true
	}
	for _, n := range named {
		if n != nil && !known[n.name] {
			return lb.Refuse(lb.Validation, "Validation failure: Pool '%s' was referenced but no full definition was found.", n.name)
		}
	}
	return nil
}
