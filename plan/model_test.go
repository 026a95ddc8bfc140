package plan_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/plan"
)

// model is a cloud, rows and agents in which a step is a few lines. What package worker does in earnest is tried in
// test/sim; this is about the plan alone: whatever there is, its steps lead to the goal, and in the right order.
type model struct {
	t        *rapid.T
	in       plan.Input
	ports    map[string][]string // by name: the subnets that it is in
	attached map[string]string   // port name → amphora
	servers  map[string]bool     // by amphora
	cutOff   map[string]bool     // amphorae that reach no controller, and go on as they are
	carries  map[string]bool     // amphorae that were told to carry the VIP
	group    *plan.SecurityGroup
	vip      bool
	gone     bool
	serial   int
	history  []string
	settled  string
}

var modelSubnets = map[string]plan.Subnet{
	"vip": {ID: "vip", NetworkID: "front", CIDR: prefix("192.168.21.0/24"), Gateway: addr("192.168.21.1"), MTU: 1500},
	"too": {ID: "too", NetworkID: "front", CIDR: prefix("10.9.0.0/24"), MTU: 1500},
	"one": {ID: "one", NetworkID: "back1", CIDR: prefix("10.1.0.0/16"), MTU: 1500},
	"two": {ID: "two", NetworkID: "back1", CIDR: prefix("10.2.0.0/16"), MTU: 1500},
	"six": {ID: "six", NetworkID: "back2", CIDR: prefix("2001:db8::/64"), MTU: 1280},
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// anyModel is a load balancer in any state: half made, half deleted, with amphorae of any age and condition.
func anyModel(t *rapid.T) *model {
	m := &model{t: t, ports: map[string][]string{}, attached: map[string]string{}, servers: map[string]bool{},
		cutOff: map[string]bool{}, carries: map[string]bool{}}
	b := lb.LoadBalancer{Meta: lb.Meta{ID: "lb", ProjectID: "p", AdminStateUp: true, Generation: rapid.Int64Range(1, 5).Draw(t, "generation")},
		VipNetworkID: new("front"), VipSubnetID: new("vip"), VipPortOwned: true, Topology: rapid.SampledFrom([]string{"SINGLE", "ACTIVE_STANDBY"}).Draw(t, "topology")}
	b.Deleting = rapid.Bool().Draw(t, "deleting")
	if m.vip = rapid.Bool().Draw(t, "placed"); m.vip {
		b.VipPortID, b.VipAddress = new("vip-port"), "192.168.21.9"
	}
	if rapid.Bool().Draw(t, "failed before") {
		b.Failure = "some failure"
	}
	tree := &lb.Tree{LB: b}
	for i, subnet := range rapid.SliceOfN(rapid.SampledFrom([]string{"", "vip", "too", "one", "two", "six"}), 0, 4).Draw(t, "members") {
		member := lb.Member{Meta: lb.Meta{ID: fmt.Sprint("m", i)}, PoolID: "pool"}
		if member.Deleting = rapid.Bool().Draw(t, "member deleted"); subnet != "" {
			member.SubnetID = &subnet
		}
		tree.Members = append(tree.Members, member)
	}
	tree.Pools = []lb.Pool{{Meta: lb.Meta{ID: "pool"}}}
	tree.Listeners = []lb.Listener{listener("TCP", 80)}
	m.in = plan.Input{Tree: tree, Settings: plan.Settings{ManagementNetwork: "mgmt"}.WithDefaults(), Now: noon, Watching: noon.Add(-time.Hour), Since: noon,
		CloudGeneration: rapid.Int64Range(0, b.Generation).Draw(t, "cloud")}
	if rapid.Bool().Draw(t, "group") {
		m.group = &plan.SecurityGroup{Name: plan.GroupName("lb")}
	}
	for range rapid.IntRange(0, 4).Draw(t, "amphorae") {
		m.anyAmphora()
	}
	return m
}

func (m *model) anyAmphora() {
	t := m.t
	m.serial++
	a := plan.Amphora{ID: fmt.Sprint("a", m.serial), Role: rapid.SampledFrom([]string{plan.Standalone, plan.Master, plan.Backup}).Draw(t, "role"),
		Attempt: rapid.IntRange(0, 3).Draw(t, "attempt"), Created: noon.Add(time.Duration(m.serial-10) * 10 * time.Minute),
		Deleting: rapid.Bool().Draw(t, "amphora deleted"), Replacing: rapid.IntRange(0, 3).Draw(t, "replacing") == 0}
	if rapid.Bool().Draw(t, "ports") {
		a.VRRPPortID, a.MgmtPortID = plan.VRRPPortName(a.ID), plan.ManagementPortName(a.ID)
		a.Interfaces = []plan.Interface{{PortID: a.VRRPPortID, NetworkID: "front", SubnetIDs: []string{"vip"}, Attached: true}}
		a.Interfaces[0].VIP, a.Interfaces[0].MAC = true, a.VRRPPortID
		a.Interfaces[0].Addresses = []netip.Prefix{prefix("192.168.21.50/24")}
		m.ports[a.VRRPPortID], m.ports[a.MgmtPortID] = []string{"vip"}, nil
	}
	if a.VRRPPortID != "" && rapid.Bool().Draw(t, "server") {
		a.ComputeID, a.Started = "server-"+a.ID, a.Created
		m.servers[a.ID] = rapid.IntRange(0, 4).Draw(t, "server lost") > 0
		if rapid.Bool().Draw(t, "reported") {
			a.Reported = noon.Add(-time.Duration(rapid.IntRange(0, 600).Draw(t, "silence")) * time.Second)
			a.Applied = rapid.Int64Range(0, m.in.Tree.LB.Generation).Draw(t, "applied")
			m.cutOff[a.ID] = noon.Sub(a.Reported) > time.Minute && rapid.Bool().Draw(t, "cut off")
			m.carries[a.ID] = a.Applied > 0
		}
	}
	m.in.Amphorae = append(m.in.Amphorae, a)
}

func (m *model) amphora(id string) *plan.Amphora {
	for i := range m.in.Amphorae {
		if m.in.Amphorae[i].ID == id {
			return &m.in.Amphorae[i]
		}
	}
	m.t.Fatalf("a step on amphora %s, which does not exist", id)
	return nil
}

// run does what a plan says until it has no more, each step twice.
func (m *model) run() {
	m.in.Seen = plan.Seen{Subnets: map[string]plan.Subnet{}, Servers: map[string]plan.Server{}}
	m.in.Done, m.in.Held = map[string]bool{}, map[string]bool{}
	m.in.Settled = m.settled
	if m.in.Applied.IsZero() && !slices.ContainsFunc(m.in.Amphorae, func(a plan.Amphora) bool { return !a.Deleting && a.Applied < m.in.Tree.LB.Generation }) {
		m.in.Applied = m.in.Now
	}
	for range 60 {
		steps := plan.Next(m.in)
		if len(steps) == 0 || m.gone {
			m.settled = m.in.Settled
			return
		}
		for _, s := range steps {
			if m.in.Done[s.String()] {
				m.t.Fatalf("%s again", s)
			}
			m.history = append(m.history, s.String())
			m.check(s)
			m.do(s)
			if !once(s) {
				m.do(s)
			}
			m.in.Done[s.String()] = true
		}
	}
	m.t.Fatalf("the plan does not end: %s", strings.Join(m.history, "\n"))
}

// once tells the steps that the worker does in the database only, in one transaction with the row that it changes.
func once(s plan.Step) bool {
	_, add := s.(plan.AddAmphora)
	return add
}

// check holds the order of things.
func (m *model) check(step plan.Step) {
	b := m.in.Tree.LB
	switch s := step.(type) {
	case plan.ReleaseVIP:
		if !b.Deleting || len(m.in.Amphorae) > 0 {
			m.t.Fatalf("the VIP is released with %d amphorae, deleting is %t", len(m.in.Amphorae), b.Deleting)
		}
	case plan.DeletePorts:
		if m.servers[s.Amphora] {
			m.t.Fatalf("ports are deleted under a running instance of %s", s.Amphora)
		}
	case plan.DeleteServer:
		if a := m.amphora(s.Amphora); !a.Deleting || m.ports[plan.VRRPPortName(a.ID)] != nil {
			m.t.Fatalf("the instance of %s goes before its port", a.ID)
		}
	case plan.ForgetAmphora:
		if m.servers[s.Amphora] || m.portsOf(s.Amphora) > 0 {
			m.t.Fatalf("amphora %s is forgotten with things left", s.Amphora)
		}
	case plan.Retire:
		m.checkRetire(m.amphora(s.Amphora))
	case plan.SetInForce:
		if m.group == nil || !slices.Equal(m.group.Rules, plan.Group(m.in.Tree).Rules) {
			m.t.Fatal("in force with a group that is not open")
		}
	case plan.EnsurePort:
		m.checkShrink(s)
	case plan.Unplug:
		if a := m.amphora(s.Amphora); a.Applied < b.Generation && slices.ContainsFunc(a.Interfaces, func(i plan.Interface) bool { return i.PortID == s.Port.ID && i.Attached }) {
			m.t.Fatalf("amphora %s is unplugged while its agent uses the port", s.Amphora)
		}
	}
}

// checkShrink holds that a port keeps the addresses that its agent still uses.
func (m *model) checkShrink(s plan.EnsurePort) {
	a := m.amphora(s.Amphora)
	for _, i := range a.Interfaces {
		for _, id := range i.SubnetIDs {
			if s.VIP && i.VIP && a.Applied < m.in.Tree.LB.Generation && !slices.Contains(subnetsOf(s.Port), id) {
				m.t.Fatalf("amphora %s loses its address in subnet %s while its agent uses it", a.ID, id)
			}
		}
	}
}

// checkRetire holds that one that may serve goes only when another one of its role is up.
func (m *model) checkRetire(a *plan.Amphora) {
	roles := map[string][]string{"SINGLE": {plan.Standalone}, "ACTIVE_STANDBY": {plan.Master, plan.Backup}}[m.in.Tree.LB.Topology]
	if m.in.Tree.LB.Deleting || a.Reported.IsZero() || !slices.Contains(roles, a.Role) {
		return
	}
	for _, other := range m.in.Amphorae {
		if other.ID != a.ID && other.Role == a.Role && !other.Deleting && !other.Reported.IsZero() && m.in.Now.Sub(other.Reported) <= m.in.Settings.DeadAfter {
			return
		}
	}
	m.t.Fatalf("amphora %s goes and no other %s is up", a.ID, a.Role)
}

func (m *model) portsOf(amphora string) int {
	n := 0
	for name := range m.ports {
		if strings.Contains(name, amphora) {
			n++
		}
	}
	return n
}

func (m *model) do(step plan.Step) {
	switch s := step.(type) {
	case plan.ReadSubnet:
		m.in.Seen.Subnets[s.ID] = modelSubnets[s.ID]
	case plan.EnsureVIP:
		m.vip = true
		m.in.Tree.LB.VipPortID, m.in.Tree.LB.VipAddress = new("vip-port"), "192.168.21.9"
	case plan.EnsureGroup:
		m.group, m.in.Seen.GroupID = &s.Group, "group"
	case plan.AddAmphora:
		m.serial++
		m.in.Amphorae = append(m.in.Amphorae, plan.Amphora{ID: fmt.Sprint("a", m.serial), Role: s.Role, Attempt: s.Attempt, Priority: s.Priority, Created: m.in.Now})
	case plan.EnsurePort:
		m.ensurePort(s)
	case plan.EnsureServer:
		a := m.amphora(s.Amphora)
		for _, id := range s.Server.PortIDs {
			if _, ok := m.ports[id]; !ok {
				m.t.Fatalf("an instance without its port %q", id)
			}
		}
		a.ComputeID, a.Started, m.servers[a.ID] = "server-"+a.ID, m.in.Now, true
		m.in.Seen.Servers[a.ID] = plan.Server{State: plan.ServerActive}
	case plan.ShowServer:
		m.in.Seen.Servers[s.Amphora] = plan.Server{State: map[bool]plan.ServerState{true: plan.ServerActive, false: plan.ServerGone}[m.servers[s.Amphora]]}
	case plan.Plug:
		m.ports[s.Port.Name] = subnetsOf(s.Port)
		m.setInterface(m.amphora(s.Amphora), s.Port, false)
	case plan.Unplug:
		delete(m.ports, s.Port.Name)
		a := m.amphora(s.Amphora)
		a.Interfaces = slices.DeleteFunc(a.Interfaces, func(i plan.Interface) bool { return !i.VIP && i.NetworkID == s.Port.NetworkID })
	case plan.Retire:
		m.amphora(s.Amphora).Deleting = true
	case plan.Fence:
		delete(m.ports, s.Port.Name)
		m.amphora(s.Amphora).VRRPPortID = ""
	case plan.DeleteServer:
		m.servers[s.Amphora] = false
		m.in.Seen.Servers[s.Amphora] = plan.Server{State: plan.ServerGone}
	case plan.DeletePorts:
		for _, p := range s.Ports {
			delete(m.ports, p.Name)
		}
	case plan.ForgetAmphora:
		m.in.Amphorae = slices.DeleteFunc(m.in.Amphorae, func(a plan.Amphora) bool { return a.ID == s.Amphora })
	case plan.ReleaseVIP:
		m.vip = false
	case plan.DeleteGroup:
		m.group = nil
	case plan.ForgetLoadBalancer:
		m.gone = true
	case plan.SetInForce:
		m.in.CloudGeneration, m.in.Tree.LB.Failure = s.Generation, ""
	case plan.Settle:
		m.in.Settled = s.Digest
	case plan.CountFleet:
		m.in.Seen.Fleet = &plan.Fleet{Total: 100, Silent: 1}
	}
}

func subnetsOf(p plan.Port) []string {
	ids := []string{}
	for _, f := range p.FixedIPs {
		ids = append(ids, f.SubnetID)
	}
	return ids
}

func (m *model) ensurePort(s plan.EnsurePort) {
	m.ports[s.Port.Name] = subnetsOf(s.Port)
	a := m.amphora(s.Amphora)
	if !s.VIP {
		a.MgmtPortID = s.Port.Name
		return
	}
	a.VRRPPortID = s.Port.Name
	m.setInterface(a, s.Port, true)
}

func (m *model) setInterface(a *plan.Amphora, p plan.Port, vip bool) {
	a.Interfaces = slices.DeleteFunc(slices.Clone(a.Interfaces), func(i plan.Interface) bool { return i.NetworkID == p.NetworkID && i.VIP == vip })
	p.ID, p.MAC = p.Name, p.Name
	for i := range p.FixedIPs {
		p.FixedIPs[i].Address = modelSubnets[p.FixedIPs[i].SubnetID].CIDR.Addr().Next()
	}
	var vips []string
	if vip {
		vips = []string{"vip"}
	}
	made := plan.InterfaceOf(p, modelSubnets, vips)
	made.Attached = true
	a.Interfaces = append(a.Interfaces, made)
}

// agents let every agent that may apply what it is told, and report. None is told to carry the VIP while another one of
// its role may.
func (m *model) agents() {
	for i := range m.in.Amphorae {
		a := &m.in.Amphorae[i]
		if !m.servers[a.ID] || a.Deleting || m.cutOff[a.ID] {
			continue
		}
		if state, ready := plan.AgentState(m.in.Tree, m.in.Amphorae, a.ID, m.in.Settings); ready {
			for _, other := range m.in.Amphorae {
				if !m.carries[a.ID] && m.carries[other.ID] && other.Role == a.Role && m.servers[other.ID] && m.ports[plan.VRRPPortName(other.ID)] != nil {
					m.t.Fatalf("amphora %s is told to carry the VIP while %s may", a.ID, other.ID)
				}
			}
			a.Applied, m.carries[a.ID] = state.Generation, true
		}
		a.Reported = m.in.Now
	}
}

// TestImmunity07_FromAnyStateToTheGoal starts anywhere, does every step twice, and arrives: no state needs a repair of its own.
func TestImmunity07_FromAnyStateToTheGoal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := anyModel(t)
		for i := range 80 {
			if i < 6 {
				m.change()
			}
			m.run()
			if m.gone {
				break
			}
			m.in.Now = m.in.Now.Add(2 * time.Minute)
			m.agents()
		}
		if m.in.Tree.LB.Deleting {
			if !m.gone || len(m.in.Amphorae) > 0 || len(m.ports) > 0 || m.group != nil || m.vip {
				t.Fatalf("left: gone %t, amphorae %v, ports %v, group %v, VIP %t\n%s", m.gone, m.in.Amphorae, m.ports, m.group, m.vip, strings.Join(m.history, "\n"))
			}
			return
		}
		m.checkGoal()
	})
}

// change is a user's: members come and go, and the load balancer may be deleted.
func (m *model) change() {
	t, tree := m.t, m.in.Tree
	switch rapid.IntRange(0, 9).Draw(t, "change") {
	case 0, 1, 2:
		subnet := rapid.SampledFrom([]string{"too", "one", "two", "six"}).Draw(t, "subnet")
		tree.Members = append(tree.Members, lb.Member{Meta: lb.Meta{ID: fmt.Sprint("n", len(tree.Members))}, PoolID: "pool", SubnetID: &subnet})
	case 3, 4, 5:
		if len(tree.Members) > 0 {
			tree.Members[rapid.IntRange(0, len(tree.Members)-1).Draw(t, "member")].Deleting = true
		}
	case 6:
		tree.LB.Deleting = true
	default:
		return
	}
	tree.LB.Generation++
	m.in.Since, m.in.Applied = m.in.Now, time.Time{}
	if rapid.Bool().Draw(t, "agents first") {
		m.agents()
	}
}

func (m *model) checkGoal() {
	var roles []string
	front := []string{"vip"}
	for _, member := range m.in.Tree.Members {
		if member.SubnetID != nil && !member.Deleting && *member.SubnetID == "too" {
			front = []string{"vip", "too"}
		}
	}
	for _, a := range m.in.Amphorae {
		roles = append(roles, a.Role)
		if got := m.ports[plan.VRRPPortName(a.ID)]; !slices.Equal(got, front) {
			m.t.Fatalf("amphora %s has addresses in %v, want %v\n%s", a.ID, got, front, strings.Join(m.history, "\n"))
		}
		if !m.servers[a.ID] || a.Applied < m.in.Tree.LB.Generation || a.Deleting {
			m.t.Fatalf("amphora %+v is not in force\n%s", a, strings.Join(m.history, "\n"))
		}
		networks := map[string]bool{}
		for _, member := range m.in.Tree.Members {
			if member.SubnetID != nil && !member.Deleting && modelSubnets[*member.SubnetID].NetworkID != "front" {
				networks[modelSubnets[*member.SubnetID].NetworkID] = true
			}
		}
		if m.portsOf(a.ID) != 2+len(networks) || len(a.Interfaces) != 1+len(networks) {
			m.t.Fatalf("amphora %s has ports %v and interfaces %v for %v", a.ID, m.ports, a.Interfaces, networks)
		}
	}
	slices.Sort(roles)
	want := map[string][]string{"SINGLE": {plan.Standalone}, "ACTIVE_STANDBY": {plan.Backup, plan.Master}}[m.in.Tree.LB.Topology]
	if !slices.Equal(roles, want) || m.in.CloudGeneration != m.in.Tree.LB.Generation || m.in.Tree.LB.Failure != "" || !m.vip {
		m.t.Fatalf("roles %v, cloud %d of %d, failure %q, VIP %t\n%s", roles, m.in.CloudGeneration, m.in.Tree.LB.Generation, m.in.Tree.LB.Failure, m.vip, strings.Join(m.history, "\n"))
	}
	m.run()
	if steps := plan.Next(m.in); len(steps) > 0 {
		m.t.Fatalf("the goal is reached, and yet: %v", steps)
	}
}
