package plan

import "time"

// remove takes down an amphora that is not wanted any more. It is taken off the VIP's network first: from then on another
// one can carry the VIP, whatever becomes of the instance.
func (p *planner) remove(a Amphora) {
	b := &p.Tree.LB
	if p.standsDown(a) {
		return
	}
	if !p.also(Fence{a.ID, vrrpPort(b, a, "", nil)}) {
		return
	}
	if !p.also(DeleteServer{a.ID, Server{ID: a.ComputeID, Name: ServerName(a.ID)}}) {
		return
	}
	if p.Seen.Servers[a.ID].State != ServerGone {
		p.also(Wait{Until: p.Now.Add(leavingPoll), For: "server " + ServerName(a.ID) + " to go"})
		return
	}
	ports := []Port{managementPort(a, p.Settings), vrrpPort(b, a, "", nil)}
	for _, i := range a.Interfaces {
		if !i.VIP {
			ports = append(ports, memberPort(a, i.NetworkID, nil))
		}
	}
	if p.also(DeletePorts{a.ID, ports}) && !p.remembered(a) {
		p.also(ForgetAmphora{a.ID})
	}
}

// StandDownTime is how long an amphora that is replaced although nothing is wrong with it may take to end its clients'
// connections: those that last longer are cut off.
const StandDownTime = 5 * time.Second

// standsDown tells whether an amphora is still ending its clients' connections.
func (p *planner) standsDown(a Amphora) bool {
	until := a.Retired.Add(StandDownTime)
	if !a.Replacing || a.Drained || a.VRRPPortID == "" || p.Tree.LB.Deleting || !p.Now.Before(until) {
		return false
	}
	if c, _, _ := p.judge(a); c != alive || a.Applied == 0 {
		return false
	}
	p.also(Wait{Until: until, For: "amphora " + a.ID + " to end its clients' connections"})
	return true
}

const leavingPoll = time.Second

// removeAll takes down a load balancer that its user deleted: the amphorae, then what they stood on, then the rows.
func (p *planner) removeAll() {
	for _, a := range p.Amphorae {
		if !a.Deleting {
			p.also(Retire{a.ID, "the load balancer was deleted"})
		}
	}
	if len(p.Amphorae) > 0 {
		return
	}
	b := &p.Tree.LB
	released := p.also(ReleaseVIP{Port: VIPPort(b, nil), Owned: b.VipPortOwned || b.VipPortID == nil})
	if !released || !p.also(DeleteGroup{GroupName(b.ID)}) {
		return
	}
	if b.Topology == activeStandby && !p.also(DeleteServerGroup{ServerGroupName(b.ID)}) {
		return
	}
	p.also(ForgetLoadBalancer{})
}
