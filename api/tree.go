package api

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/lb/attr"
	"github.com/octavo-lb/octavo/policy"
	"github.com/octavo-lb/octavo/store"
)

// settle computes the provisioning statuses of a tree that was just written, and puts its policies in their order.
func settle(t *lb.Tree) {
	slices.SortStableFunc(t.Policies, func(a, b lb.L7Policy) int { return cmp.Compare(a.Position, b.Position) })
	t.LB.ProvisioningStatus = t.LB.Provisioning()
	for i := range t.Listeners {
		t.Listeners[i].ProvisioningStatus = t.Listeners[i].Meta.Provisioning(&t.LB)
	}
	for i := range t.Pools {
		t.Pools[i].ProvisioningStatus = t.Pools[i].Meta.Provisioning(&t.LB)
	}
	for i := range t.Members {
		t.Members[i].ProvisioningStatus = t.Members[i].Meta.Provisioning(&t.LB)
	}
	for i := range t.Monitors {
		t.Monitors[i].ProvisioningStatus = t.Monitors[i].Meta.Provisioning(&t.LB)
	}
	for i := range t.Policies {
		t.Policies[i].ProvisioningStatus = t.Policies[i].Meta.Provisioning(&t.LB)
	}
	for i := range t.Rules {
		t.Rules[i].ProvisioningStatus = t.Rules[i].Meta.Provisioning(&t.LB)
	}
}

// appendGraph shows a load balancer with everything on it written out, as the answer to its creation does.
func (k *kinds) appendGraph(dst []byte, t *lb.Tree) []byte {
	settle(t)
	dst = append(dst, `{"loadbalancer":{`...)
	dst = k.loadBalancer.table.AppendMembers(dst, &t.LB, nil)
	dst = appendEach(dst, "listeners", t.Listeners, all, k.appendListenerGraph(t))
	dst = appendEach(dst, "pools", t.Pools, all, k.appendPoolGraph(t))
	return append(attr.Close(dst, '}'), '}')
}

func (k *kinds) appendListenerGraph(t *lb.Tree) func([]byte, *lb.Listener) []byte {
	return func(dst []byte, l *lb.Listener) []byte {
		dst = k.listener.table.AppendMembers(append(dst, '{'), l, nil)
		dst = appendEach(dst, "l7policies", t.Policies,
			func(p *lb.L7Policy) bool { return p.ListenerID == l.ID },
			func(dst []byte, p *lb.L7Policy) []byte {
				dst = k.policy.table.AppendMembers(append(dst, '{'), p, nil)
				dst = appendEach(dst, "rules", t.Rules, func(u *lb.L7Rule) bool { return u.L7PolicyID == p.ID },
					func(dst []byte, u *lb.L7Rule) []byte { return k.rule.table.AppendObject(dst, u) })
				return attr.Close(dst, '}')
			})
		return attr.Close(dst, '}')
	}
}

func (k *kinds) appendPoolGraph(t *lb.Tree) func([]byte, *lb.Pool) []byte {
	return func(dst []byte, p *lb.Pool) []byte {
		dst = k.pool.table.AppendMembers(append(dst, '{'), p, nil)
		dst = findBelowPool(t, p.ID)[0].append(dst)
		dst = attr.AppendName(dst, "healthmonitor")
		if m := t.MonitorOf(p.ID); m != nil {
			dst = append(k.monitor.table.AppendObject(dst, m), ',')
		} else {
			dst = append(dst, "null,"...)
		}
		dst = appendEach(dst, "members", t.Members, func(m *lb.Member) bool { return m.PoolID == p.ID },
			func(dst []byte, m *lb.Member) []byte { return k.member.table.AppendObject(dst, m) })
		return attr.Close(dst, '}')
	}
}

func all[T any](*T) bool { return true }

// appendEach appends a member with a list of objects, and a comma.
func appendEach[T any](dst []byte, name string, objects []T, pick func(*T) bool, one func([]byte, *T) []byte) []byte {
	dst = append(attr.AppendName(dst, name), '[')
	for i := range objects {
		if pick(&objects[i]) {
			dst = append(one(dst, &objects[i]), ',')
		}
	}
	return append(attr.Close(dst, ']'), ',')
}

// showStatuses answers with the statuses of a load balancer and all below it. Beside what Octavia has there are the L7
// policies, and the load balancer's pools, which neutron-lbaas had and Terraform looks for.
func (s *Server) showStatuses(c *call) error {
	id := c.PathValue("id")
	if _, err := get(s, c, &s.kinds.loadBalancer, id, policy.Status); err != nil {
		return err
	}
	t, err := s.Store.Tree(c.Context(), id)
	if err != nil {
		return s.kinds.loadBalancer.absent(id, err)
	}
	settle(t)
	b := appendStatus([]byte(`{"statuses":{"loadbalancer":{`), t.LB.Name, &t.LB.Meta)
	b = appendEach(b, "listeners", t.Listeners, all, func(b []byte, l *lb.Listener) []byte {
		b = appendStatus(append(b, '{'), l.Name, &l.Meta)
		b = appendEach(b, "pools", t.Pools, func(p *lb.Pool) bool { return t.Uses(l, p.ID) }, appendPoolStatus(t))
		b = appendEach(b, "l7policies", t.Policies, func(p *lb.L7Policy) bool { return p.ListenerID == l.ID }, appendPolicyStatus(t))
		return attr.Close(b, '}')
	})
	b = appendEach(b, "pools", t.Pools, all, appendPoolStatus(t))
	return c.write(200, append(attr.Close(b, '}'), "}}"...))
}

func appendStatus(b []byte, name string, m *lb.Meta) []byte {
	b = attr.AppendString(append(b, `"id":`...), m.ID)
	b = attr.AppendString(append(b, `,"name":`...), name)
	b = attr.AppendString(append(b, `,"provisioning_status":`...), string(m.ProvisioningStatus))
	b = attr.AppendString(append(b, `,"operating_status":`...), string(m.OperatingStatus))
	return append(b, ',')
}

func appendPoolStatus(t *lb.Tree) func([]byte, *lb.Pool) []byte {
	return func(b []byte, p *lb.Pool) []byte {
		b = appendStatus(append(b, '{'), p.Name, &p.Meta)
		if m := t.MonitorOf(p.ID); m != nil {
			b = appendStatus(append(b, `"health_monitor":{`...), m.Name, &m.Meta)
			b = append(attr.AppendString(append(b, `"type":`...), m.Type), "},"...)
		}
		b = appendEach(b, "members", t.Members, func(m *lb.Member) bool { return m.PoolID == p.ID },
			func(b []byte, m *lb.Member) []byte {
				b = appendStatus(append(b, '{'), m.Name, &m.Meta)
				b = attr.AppendString(append(b, `"address":`...), m.Address)
				return append(strconv.AppendInt(append(b, `,"protocol_port":`...), int64(m.ProtocolPort), 10), '}')
			})
		return attr.Close(b, '}')
	}
}

func appendPolicyStatus(t *lb.Tree) func([]byte, *lb.L7Policy) []byte {
	return func(b []byte, p *lb.L7Policy) []byte {
		b = appendStatus(append(b, '{'), p.Name, &p.Meta)
		b = append(attr.AppendString(append(b, `"action":`...), p.Action), ',')
		b = appendEach(b, "rules", t.Rules, func(u *lb.L7Rule) bool { return u.L7PolicyID == p.ID },
			func(b []byte, u *lb.L7Rule) []byte {
				b = appendStatus(append(b, '{'), "", &u.Meta)
				return append(attr.AppendString(append(b, `"type":`...), u.Type), '}')
			})
		return attr.Close(b, '}')
	}
}

// showStatistics answers with the counters that read reads for the ids of the objects of k.
func showStatistics[T store.Resource](s *Server, k *kind[T], read func(c *call, id string) (store.Statistics, error)) handler {
	return func(c *call) error {
		id := c.PathValue("id")
		if _, err := get(s, c, k, id, policy.Stats); err != nil {
			return err
		}
		n, err := read(c, id)
		if err != nil {
			return err
		}
		return c.write(200, append(appendStatistics([]byte(`{"stats":{`), n), "}}"...))
	}
}
