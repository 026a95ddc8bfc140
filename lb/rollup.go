package lb

// Seen is what the amphorae of one load balancer last reported. Where two disagree about a member, callers put in what
// the one says that carries the traffic.
type Seen struct {
	Serving   bool                       // an amphora has reported at all
	Listeners map[string]OperatingStatus // by listener id: ONLINE, or DEGRADED at its connection limit
	Members   map[string]OperatingStatus // by member id: only members with a verdict
}

// RollUp tells the operating status of every object of a tree, by id, from what was seen. It gives each status the
// meaning it has in Octavia (octavia/amphorae/drivers/health/heartbeat_udp.py):
//
//   - a member is what its health checks say; DRAINING with weight 0, OFFLINE when disabled or not judged yet, NO_MONITOR
//     when nothing checks it;
//   - a pool is ERROR when no member of it can take a connection, DEGRADED when some are in ERROR, OFFLINE when no
//     enabled listener leads to it, else ONLINE, also when it is empty;
//   - a listener is ERROR when it should be served and is not;
//   - a load balancer is the worst of its pools and of its listeners at their limit, OFFLINE when disabled;
//   - the rest is ONLINE when enabled and in force, else OFFLINE.
func RollUp(t *Tree, seen Seen) map[string]OperatingStatus {
	r := rollUp{tree: t, seen: seen, out: make(map[string]OperatingStatus), worst: Online}
	r.on = t.LB.AdminStateUp && seen.Serving
	r.listeners()
	r.pools()
	for i := range t.Monitors {
		r.settled(&t.Monitors[i].Meta)
	}
	for i := range t.Policies {
		r.settled(&t.Policies[i].Meta)
	}
	for i := range t.Rules {
		r.settled(&t.Rules[i].Meta)
	}
	if !r.on {
		r.worst = Offline
	}
	r.out[t.LB.ID] = r.worst
	return r.out
}

type rollUp struct {
	tree  *Tree
	seen  Seen
	on    bool
	worst OperatingStatus // of the load balancer
	out   map[string]OperatingStatus
}

func (r *rollUp) listeners() {
	active := r.tree.LB.Provisioning() == Active
	for i := range r.tree.Listeners {
		l := &r.tree.Listeners[i]
		reported, ok := r.seen.Listeners[l.ID]
		switch {
		case !r.on || !l.AdminStateUp || l.Deleting:
			r.out[l.ID] = Offline
		case ok:
			r.out[l.ID] = reported
			if reported == Degraded {
				r.degrade()
			}
		case active:
			r.out[l.ID] = OperError
		default:
			r.out[l.ID] = Offline
		}
	}
}

func (r *rollUp) pools() {
	served := r.servedPools()
	for i := range r.tree.Pools {
		p := &r.tree.Pools[i]
		status := Online
		members, usable, failed := 0, 0, 0
		monitored := r.monitored(p.ID)
		for j := range r.tree.Members {
			m := &r.tree.Members[j]
			if m.PoolID != p.ID {
				continue
			}
			r.out[m.ID] = r.member(m, monitored, served[p.ID])
			if m.Deleting {
				continue
			}
			members++
			switch {
			case r.out[m.ID] == OperError:
				failed++
			case m.AdminStateUp && m.Weight > 0:
				usable++ // also when not judged yet: the data plane takes a member for good until a check fails
			}
		}
		switch {
		case !r.on || !served[p.ID]:
			status = Offline
		case members > 0 && usable == 0:
			status = OperError
			r.worst = OperError
		case failed > 0:
			status = Degraded
			r.degrade()
		}
		r.out[p.ID] = status
	}
}

func (r *rollUp) member(m *Member, monitored, served bool) OperatingStatus {
	verdict, judged := r.seen.Members[m.ID]
	switch {
	case !m.AdminStateUp || m.Deleting:
		return Offline
	case !monitored:
		return NoMonitor
	case !judged || !r.on || !served || verdict == NoMonitor:
		return Offline
	case m.Weight == 0 && verdict == Online:
		return Draining
	}
	return verdict
}

func (r *rollUp) degrade() {
	if r.worst == Online {
		r.worst = Degraded
	}
}

// settled is for objects that nothing measures.
func (r *rollUp) settled(m *Meta) {
	r.out[m.ID] = Offline
	if m.AdminStateUp && !m.Deleting && m.Created <= r.tree.LB.ObservedGeneration {
		r.out[m.ID] = Online
	}
}

func (r *rollUp) monitored(poolID string) bool {
	m := r.tree.MonitorOf(poolID)
	return m != nil && m.AdminStateUp
}

// servedPools are those that an enabled listener leads to, by itself or by an L7 policy in effect.
func (r *rollUp) servedPools() map[string]bool {
	t := r.tree
	served := make(map[string]bool)
	enabled := make(map[string]bool)
	for i := range t.Listeners {
		l := &t.Listeners[i]
		if !l.AdminStateUp || l.Deleting {
			continue
		}
		enabled[l.ID] = true
		if l.DefaultPoolID != nil && t.enabledPool(*l.DefaultPoolID) {
			served[*l.DefaultPoolID] = true
		}
	}
	for i := range t.Policies {
		p := &t.Policies[i]
		if enabled[p.ListenerID] && p.AdminStateUp && !p.Deleting && p.RedirectPoolID != nil &&
			t.hasEnabledRule(p.ID) && t.enabledPool(*p.RedirectPoolID) {
			served[*p.RedirectPoolID] = true
		}
	}
	return served
}

func (t *Tree) enabledPool(id string) bool {
	p := t.Pool(id)
	return p != nil && p.AdminStateUp
}

func (t *Tree) hasEnabledRule(policyID string) bool {
	for i := range t.Rules {
		if r := &t.Rules[i]; r.L7PolicyID == policyID && r.AdminStateUp && !r.Deleting {
			return true
		}
	}
	return false
}
