package api

import (
	"slices"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/lb/attr"
	"github.com/octavo-lb/octavo/policy"
	"github.com/octavo-lb/octavo/store"
)

func updateAll[T store.Resource](e *edit, objects []*T) error {
	if len(objects) == 0 {
		return nil
	}
	return store.Update(e.Context(), e.tx, objects...)
}

// added answers a POST below a load balancer: add appends the object to the tree and returns where it is.
func added[T store.Resource](s *Server, c *call, k *kind[T], lbID string, add func(e *edit) (*T, error)) error {
	var show func() []byte
	err := s.edit(c, lbID, func(e *edit) error {
		o, err := add(e)
		show = func() []byte { return k.inTree(e.tree, o) }
		return err
	})
	if err != nil {
		return err
	}
	return c.write(201, show())
}

// last is the object that was appended to a slice of the tree just now.
func last[T any](objects []T) *T { return &objects[len(objects)-1] }

// parent reads the object that a new one belongs to, of which the project is the one that counts.
func parent[P store.Resource, T store.Resource](s *Server, c *call, k *kind[P], id string, child *kind[T]) (P, error) {
	p, err := store.Get[P](c.Context(), s.Store, id)
	if err != nil {
		return p, k.absent(id, err)
	}
	return p, s.allow(c, child.name, policy.Create, k.meta(&p).ProjectID)
}

func (s *Server) createListener(c *call) error {
	body, err := c.body("listener_", "listener")
	if err != nil {
		return err
	}
	d, err := s.decode.listener("listener_.listener", body, attr.Create)
	if err != nil {
		return err
	}
	if _, err := parent(s, c, &s.kinds.loadBalancer, d.LoadBalancerID, &s.kinds.listener); err != nil {
		return err
	}
	if d.pool != nil && d.pool.full != nil {
		if err := s.lookUpSubnets(c, d.pool.full.members); err != nil {
			return err
		}
	}
	if err := s.admitDrafts(c, []listenerDraft{d}, nil, nil); err != nil {
		return err
	}
	return added(s, c, &s.kinds.listener, d.LoadBalancerID, func(e *edit) (*lb.Listener, error) {
		_, err := e.addListener(&d, nil)
		if err != nil {
			return nil, err
		}
		return last(e.tree.Listeners), nil
	})
}

func (s *Server) createPool(c *call) error {
	body, err := c.body("pool_", "pool")
	if err != nil {
		return err
	}
	listenerID, err := takeID(body, "listener_id")
	if err != nil {
		return err
	}
	d, err := s.decode.pool("pool_.pool", body, attr.Create)
	if err != nil {
		return err
	}
	lbID := d.LoadBalancerID
	switch {
	case lbID != "":
		_, err = parent(s, c, &s.kinds.loadBalancer, lbID, &s.kinds.pool)
	case listenerID != "":
		var l lb.Listener
		l, err = parent(s, c, &s.kinds.listener, listenerID, &s.kinds.pool)
		lbID = l.LoadBalancerID
	default:
		err = lb.Refuse(lb.Validation, "Validation failure: Must provide at least one of: loadbalancer_id, listener_id")
	}
	if err != nil {
		return err
	}
	if err := s.lookUpSubnets(c, d.members); err != nil {
		return err
	}
	if err := s.admitDrafts(c, nil, []poolDraft{d}, nil); err != nil {
		return err
	}
	return added(s, c, &s.kinds.pool, lbID, func(e *edit) (*lb.Pool, error) {
		if listenerID != "" {
			return e.addDefaultPool(&d, listenerID)
		}
		_, err := e.addPool(&d)
		if err != nil {
			return nil, err
		}
		return last(e.tree.Pools), nil
	})
}

// addDefaultPool adds a pool and makes it the default of a listener that has none.
func (e *edit) addDefaultPool(d *poolDraft, listenerID string) (*lb.Pool, error) {
	l := e.tree.Listener(listenerID)
	if l == nil {
		return nil, lb.Missing("Listener", listenerID)
	}
	if err := l.ValidateDefaultPool(&d.Pool); err != nil {
		return nil, err
	}
	id, err := e.addPool(d)
	if err != nil {
		return nil, err
	}
	l.DefaultPoolID = &id
	return last(e.tree.Pools), store.Update(e.Context(), e.tx, l)
}

// takeID reads a member that holds an id and is no attribute of the object.
func takeID(body attr.Body, member string) (string, error) {
	raw, ok := body.Take(member)
	if !ok || raw == nil {
		return "", nil
	}
	return attr.ID(member, raw)
}

func (s *Server) createMember(c *call) error {
	body, err := c.body("member_", "member")
	if err != nil {
		return err
	}
	var m lb.Member
	if _, err := s.kinds.member.table.Decode("member_.member", body, &m, attr.Create); err != nil {
		return err
	}
	m.PoolID = c.PathValue("pool")
	pool, err := parent(s, c, &s.kinds.pool, m.PoolID, &s.kinds.member)
	if err != nil {
		return err
	}
	if err := s.lookUpSubnets(c, []lb.Member{m}); err != nil {
		return err
	}
	return added(s, c, &s.kinds.member, pool.LoadBalancerID, func(e *edit) (*lb.Member, error) {
		if _, err := e.addMember(m); err != nil {
			return nil, err
		}
		return last(e.tree.Members), nil
	})
}

func (s *Server) createMonitor(c *call) error {
	body, err := c.body("health_monitor_", "healthmonitor")
	if err != nil {
		return err
	}
	var m lb.HealthMonitor
	if _, err := s.kinds.monitor.table.Decode("health_monitor_.healthmonitor", body, &m, attr.Create); err != nil {
		return err
	}
	pool, err := parent(s, c, &s.kinds.pool, m.PoolID, &s.kinds.monitor)
	if err != nil {
		return err
	}
	return added(s, c, &s.kinds.monitor, pool.LoadBalancerID, func(e *edit) (*lb.HealthMonitor, error) {
		if err := e.addMonitor(m); err != nil {
			return nil, err
		}
		return last(e.tree.Monitors), nil
	})
}

func (s *Server) createPolicy(c *call) error {
	body, err := c.body("l7policy_", "l7policy")
	if err != nil {
		return err
	}
	d, err := s.decode.policy("l7policy_.l7policy", body, attr.Create)
	if err != nil {
		return err
	}
	listener, err := parent(s, c, &s.kinds.listener, d.ListenerID, &s.kinds.policy)
	if err != nil {
		return err
	}
	return added(s, c, &s.kinds.policy, listener.LoadBalancerID, func(e *edit) (*lb.L7Policy, error) {
		_, err := e.addPolicy(&d, nil)
		if err != nil {
			return nil, err
		}
		return last(e.tree.Policies), nil
	})
}

func (s *Server) createRule(c *call) error {
	body, err := c.body("rule_", "rule")
	if err != nil {
		return err
	}
	var u lb.L7Rule
	if _, err := s.kinds.rule.table.Decode("rule_.rule", body, &u, attr.Create); err != nil {
		return err
	}
	u.L7PolicyID = c.PathValue("policy")
	if _, err := parent(s, c, &s.kinds.policy, u.L7PolicyID, &s.kinds.rule); err != nil {
		return err
	}
	lbID, err := store.OwnerOf[lb.L7Policy](c.Context(), s.Store, u.L7PolicyID)
	if err != nil {
		return s.kinds.policy.absent(u.L7PolicyID, err)
	}
	return added(s, c, &s.kinds.rule, lbID, func(e *edit) (*lb.L7Rule, error) {
		_, err := e.addRule(u)
		if err != nil {
			return nil, err
		}
		return last(e.tree.Rules), nil
	})
}

// changes says how the six resources below a load balancer are updated and deleted.
func (s *Server) changes() (l *change[lb.Listener], p *change[lb.Pool], m *change[lb.Member], h *change[lb.HealthMonitor], y *change[lb.L7Policy], r *change[lb.L7Rule]) {
	l = &change[lb.Listener]{kind: &s.kinds.listener, argument: "listener_", in: (*lb.Tree).Listener,
		lookUp: func(c *call, now, was *lb.Listener, _ attr.Given) error {
			return s.admitListener(c, now, was.Secrets())
		},
		update: func(e *edit, now, was *lb.Listener, _ attr.Given) error {
			return s.Rules.ValidateListener(e.tree, e.can(), now, was)
		}}
	p = &change[lb.Pool]{kind: &s.kinds.pool, argument: "pool_", in: (*lb.Tree).Pool, remove: removePool,
		lookUp: func(c *call, now, was *lb.Pool, _ attr.Given) error { return s.admitPool(c, now, was.Secrets()) },
		update: func(e *edit, now, was *lb.Pool, _ attr.Given) error {
			return s.Rules.ValidatePool(e.tree, e.can(), now, was)
		}}
	m = &change[lb.Member]{kind: &s.kinds.member, argument: "member_", in: (*lb.Tree).Member,
		within: func(c *call, o *lb.Member) bool { return o.PoolID == c.PathValue("pool") },
		update: func(e *edit, now, was *lb.Member, _ attr.Given) error {
			return s.Rules.ValidateMember(e.tree, now, was)
		}}
	h = &change[lb.HealthMonitor]{kind: &s.kinds.monitor, argument: "health_monitor_", in: (*lb.Tree).Monitor,
		update: func(e *edit, now, was *lb.HealthMonitor, _ attr.Given) error {
			return s.Rules.ValidateMonitor(e.tree, e.can(), now, was)
		}}
	y = &change[lb.L7Policy]{kind: &s.kinds.policy, argument: "l7policy_", in: (*lb.Tree).Policy, update: s.updatePolicy,
		remove: func(e *edit, o *lb.L7Policy) error {
			o.Deleting = true
			return e.arrange(o.ListenerID, "")
		}}
	r = &change[lb.L7Rule]{kind: &s.kinds.rule, argument: "l7rule_", in: (*lb.Tree).Rule,
		within: func(c *call, o *lb.L7Rule) bool { return o.L7PolicyID == c.PathValue("policy") },
		update: func(e *edit, now, was *lb.L7Rule, _ attr.Given) error {
			return s.Rules.ValidateRule(e.tree, now, was)
		}}
	return l, p, m, h, y, r
}

// removePool takes the pool from the listeners that it is the default of.
func removePool(e *edit, p *lb.Pool) error {
	if err := e.tree.ValidatePoolDelete(p); err != nil {
		return err
	}
	var using []*lb.Listener
	for i := range e.tree.Listeners {
		if l := &e.tree.Listeners[i]; l.DefaultPoolID != nil && *l.DefaultPoolID == p.ID && !l.Deleting {
			l.DefaultPoolID = nil
			using = append(using, l)
		}
	}
	return updateAll(e, using)
}

func (s *Server) updatePolicy(e *edit, now, was *lb.L7Policy, given attr.Given) error {
	if err := s.Rules.ValidatePolicy(e.tree, e.can(), now, given); err != nil {
		return err
	}
	if now.Position == was.Position {
		return nil
	}
	i := slices.IndexFunc(e.tree.Policies, func(p lb.L7Policy) bool { return p.ID == now.ID })
	e.tree.Policies[i].Position = now.Position
	if err := e.arrange(now.ListenerID, now.ID); err != nil {
		return err
	}
	now.Position = e.tree.Policies[i].Position
	return nil
}
