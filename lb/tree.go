package lb

// Tree is one load balancer with everything below it, as one read of the store gives it. Objects marked Deleting are in
// it until the data plane has let go of them. Slices are ordered: policies by position, the rest by creation and id.
type Tree struct {
	LB        LoadBalancer
	Listeners []Listener
	Pools     []Pool
	Members   []Member
	Monitors  []HealthMonitor
	Policies  []L7Policy
	Rules     []L7Rule
	// Secrets are the versions in use of what listeners and pools refer to, by reference.
	Secrets []Secret
}

// Children calls a function with every object below the load balancer.
func (t *Tree) Children(do func(*Meta)) {
	for i := range t.Listeners {
		do(&t.Listeners[i].Meta)
	}
	for i := range t.Pools {
		do(&t.Pools[i].Meta)
	}
	for i := range t.Members {
		do(&t.Members[i].Meta)
	}
	for i := range t.Monitors {
		do(&t.Monitors[i].Meta)
	}
	for i := range t.Policies {
		do(&t.Policies[i].Meta)
	}
	for i := range t.Rules {
		do(&t.Rules[i].Meta)
	}
}

// Listener returns the listener with that id, nil if there is none or it is being deleted. So do the methods below.
func (t *Tree) Listener(id string) *Listener {
	return live(t.Listeners, id, func(o *Listener) *Meta { return &o.Meta })
}

func (t *Tree) Pool(id string) *Pool {
	return live(t.Pools, id, func(o *Pool) *Meta { return &o.Meta })
}

func (t *Tree) Member(id string) *Member {
	return live(t.Members, id, func(o *Member) *Meta { return &o.Meta })
}

func (t *Tree) Monitor(id string) *HealthMonitor {
	return live(t.Monitors, id, func(o *HealthMonitor) *Meta { return &o.Meta })
}

func (t *Tree) Policy(id string) *L7Policy {
	return live(t.Policies, id, func(o *L7Policy) *Meta { return &o.Meta })
}

func (t *Tree) Rule(id string) *L7Rule {
	return live(t.Rules, id, func(o *L7Rule) *Meta { return &o.Meta })
}

// MonitorOf returns the health monitor of a pool, nil if it has none or it is being deleted.
func (t *Tree) MonitorOf(poolID string) *HealthMonitor {
	for i := range t.Monitors {
		if m := &t.Monitors[i]; m.PoolID == poolID && !m.Deleting {
			return m
		}
	}
	return nil
}

func live[T any](objects []T, id string, meta func(*T) *Meta) *T {
	for i := range objects {
		if m := meta(&objects[i]); m.ID == id && !m.Deleting {
			return &objects[i]
		}
	}
	return nil
}

// gone tells why an object cannot be referred to: it is being deleted, or there is none.
func gone[T interface{ meta() Meta }](objects []T, resource, id string) error {
	for _, o := range objects {
		if o.meta().ID == id {
			return BeingDeleted(resource, id)
		}
	}
	return Missing(resource, id)
}

// Uses tells whether a listener leads to a pool: by default, or through an enabled policy that has rules.
func (t *Tree) Uses(l *Listener, poolID string) bool {
	if l.DefaultPoolID != nil && *l.DefaultPoolID == poolID {
		return true
	}
	for i := range t.Policies {
		p := &t.Policies[i]
		if p.ListenerID == l.ID && p.AdminStateUp && !p.Deleting && p.RedirectPoolID != nil &&
			*p.RedirectPoolID == poolID && t.hasEnabledRule(p.ID) {
			return true
		}
	}
	return false
}

// PoolsOf are the ids of the pools that a listener leads to, its default pool first.
func (t *Tree) PoolsOf(l *Listener) []string {
	var ids []string
	for i := range t.Pools {
		if p := &t.Pools[i]; t.Uses(l, p.ID) {
			if l.DefaultPoolID != nil && *l.DefaultPoolID == p.ID {
				ids = append([]string{p.ID}, ids...)
			} else {
				ids = append(ids, p.ID)
			}
		}
	}
	return ids
}
