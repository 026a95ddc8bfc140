package plan

import (
	"fmt"
	"slices"
	"time"
)

// equip gives an amphora what it needs in the cloud.
func (p *planner) equip(a Amphora) {
	if !p.ports(a) {
		return
	}
	if a.ComputeID == "" {
		p.done(EnsureServer{a.ID, server(a, p.Settings, p.Seen.ServerGroupID)})
		return
	}
	if a.Reported.IsZero() && !p.booting(a) {
		// Only what runs can be plugged into networks.
		p.unfinished = p.unfinished || len(p.membersByNetwork()) > 0
		return
	}
	p.memberNetworks(a)
}

// ports ensures the ports that the instance boots with. They need the foundation.
func (p *planner) ports(a Amphora) bool {
	if p.Seen.GroupID == "" || !p.have(vipSubnets(&p.Tree.LB)) {
		p.unfinished = true
		return false
	}
	ready := a.ComputeID != "" || p.done(EnsurePort{Amphora: a.ID, Port: managementPort(a, p.Settings)})
	if !p.subnets(memberSubnets(p.Tree)) && !p.looked(memberSubnets(p.Tree)) {
		return false // one that does not exist keeps nobody else from being served; one that is not known yet may
	}
	beside := p.onVIPNetwork(a)
	return p.read(beside) && p.done(EnsurePort{Amphora: a.ID, VIP: true, Port: vrrpPort(&p.Tree.LB, a, p.Seen.GroupID, beside)}) && ready
}

// read looks at subnets, whether they exist or not: an interface is stored with its addresses in those that were looked at.
func (p *planner) read(ids []string) bool {
	all := true
	for _, id := range ids {
		all = p.done(ReadSubnet{id}) && all
	}
	return all
}

func (p *planner) looked(ids []string) bool {
	for _, id := range ids {
		if _, ok := p.Seen.Subnets[id]; !ok {
			return false
		}
	}
	return true
}

func (p *planner) have(ids []string) bool {
	for _, id := range ids {
		if s, ok := p.Seen.Subnets[id]; !ok || s.Missing {
			return false
		}
	}
	return true
}

// onVIPNetwork are the members' subnets that the port of the VIP needs an address in. One that is not wanted any more stays
// until the agent has let go of it.
func (p *planner) onVIPNetwork(a Amphora) []string {
	var ids []string
	for _, id := range memberSubnets(p.Tree) {
		if s := p.Seen.Subnets[id]; s.NetworkID == deref(p.Tree.LB.VipNetworkID) {
			ids = append(ids, id)
		}
	}
	if vip := a.vip(); vip != nil {
		ids = append(ids, p.lingering(a, vip, append(vipSubnets(&p.Tree.LB), ids...))...)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// lingering are the subnets of an interface that are not wanted any more, but that the agent may still use: they stay, and
// the generation is not in force, until it has let go of them.
func (p *planner) lingering(a Amphora, i *Interface, wanted []string) []string {
	if !i.Attached || p.letGo(a) {
		return nil
	}
	rest := slices.DeleteFunc(slices.Clone(i.SubnetIDs), func(id string) bool { return slices.Contains(wanted, id) })
	if len(rest) > 0 {
		p.unfinished = true
		if a.Applied >= p.generation { // or else the agent's report wakes the worker
			applied := p.Applied
			if applied.IsZero() {
				applied = p.Now // another amphora is behind
			}
			p.also(Wait{Until: applied.Add(p.Settings.Drain), For: "requests over port " + i.PortID + " to end"})
		}
	}
	return rest
}

// letGo tells whether an amphora's agent uses only what it is to use at the newest generation, and has had time to end
// the rest.
func (p *planner) letGo(a Amphora) bool {
	return a.Applied >= p.generation && !p.Applied.IsZero() && p.Now.Sub(p.Applied) >= p.Settings.Drain
}

// booting looks after an instance whose agent has not reported yet, and tells whether it runs. The looks become rarer.
func (p *planner) booting(a Amphora) bool {
	if !p.done(ShowServer{a.ID, a.ComputeID}) {
		return false
	}
	state := p.Seen.Servers[a.ID].State
	if state != ServerActive && state != ServerBuilding {
		return false
	}
	poll := min(max(p.Now.Sub(a.Started)/4, 250*time.Millisecond), 10*time.Second)
	p.also(Wait{Until: p.Now.Add(poll), For: "amphora " + a.ID + " to boot"})
	return state == ServerActive
}

// memberNetworks plugs the amphora into the networks that members are in, and out of those that none is in any more.
func (p *planner) memberNetworks(a Amphora) {
	wanted := p.membersByNetwork()
	for _, network := range wanted {
		subnets := slices.Clone(network.subnets)
		if i := a.on(network.id); i != nil {
			subnets = append(subnets, p.lingering(a, i, subnets)...)
			slices.Sort(subnets)
		}
		if !p.read(subnets) {
			continue
		}
		p.done(Plug{Amphora: a.ID, ComputeID: a.ComputeID, Port: memberPort(a, network.id, subnets)})
	}
	for _, i := range a.Interfaces {
		if i.VIP || slices.ContainsFunc(wanted, func(n memberNetwork) bool { return n.id == i.NetworkID }) {
			continue
		}
		if len(p.lingering(a, &i, nil)) > 0 {
			continue
		}
		p.done(Unplug{Amphora: a.ID, ComputeID: a.ComputeID, Port: memberPort(a, i.NetworkID, nil)})
	}
}

type memberNetwork struct {
	id      string
	subnets []string
}

// membersByNetwork are the networks, other than the VIP's, that members are in.
func (p *planner) membersByNetwork() []memberNetwork {
	var networks []memberNetwork
	for _, id := range memberSubnets(p.Tree) {
		s := p.Seen.Subnets[id]
		if s.Missing || s.NetworkID == deref(p.Tree.LB.VipNetworkID) {
			continue
		}
		i := slices.IndexFunc(networks, func(n memberNetwork) bool { return n.id == s.NetworkID })
		if i < 0 {
			networks = append(networks, memberNetwork{id: s.NetworkID})
			i = len(networks) - 1
		}
		networks[i].subnets = append(networks[i].subnets, id)
	}
	return networks
}

// applying looks after a running agent that has not applied the newest generation: its next report is waited for, but not
// for ever.
func (p *planner) applying(a Amphora) {
	if a.Reported.IsZero() || a.Applied >= p.generation {
		return
	}
	silent := later(a.Reported, p.Watching).Add(p.Settings.DeadAfter + time.Second)
	slow := later(p.Since, a.Created).Add(p.Settings.ApplyTimeout)
	if p.Now.After(slow) && a.Failure == "" {
		p.report(fmt.Sprintf("amphora %s reports, but has not applied generation %d in %s; it is at %d",
			a.ID, p.generation, p.Settings.ApplyTimeout, a.Applied), false)
		slow = p.Now.Add(p.Settings.ApplyTimeout)
	}
	next := silent
	if slow.Before(next) {
		next = slow
	}
	p.also(Wait{Until: next, For: "amphora " + a.ID + " to apply what is wanted"})
}

// refused tells why an agent could not apply the newest generation, in the words in which it is shown when it reports it.
func (p *planner) refused(serving []Amphora) string {
	for _, a := range serving {
		if a.Failure != "" && a.FailedGen > a.Applied {
			return fmt.Sprintf("amphora %s cannot apply generation %d: %s", a.ID, a.FailedGen, a.Failure)
		}
	}
	return ""
}
