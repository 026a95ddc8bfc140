package plan

import (
	"net/netip"
	"slices"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/lb"
)

// StateVersion is the version of the state's format.
const StateVersion = 1

// AgentState is what one amphora of a load balancer shall do. It answers false while the amphora must be told nothing
// newer than it has: its ports are not known yet, a network that members are in is not plugged yet, or another amphora
// that had its role before may still carry the VIP.
//
// Of two calls with the same generation of the tree the answers differ in being ready (and VRRP's Join) only, or else whoever changed the
// amphora's row raises the generation with it (StateChanged).
func AgentState(t *lb.Tree, amphorae []Amphora, id string, s Settings) (agentapi.State, bool) {
	i := slices.IndexFunc(amphorae, func(a Amphora) bool { return a.ID == id })
	if i < 0 || t.LB.Deleting || amphorae[i].Deleting {
		return agentapi.State{}, false
	}
	a := &amphorae[i]
	vip := a.vip()
	if vip == nil || !vip.Attached || !placed(&t.LB) || !foremost(amphorae, i) {
		return agentapi.State{}, false
	}
	if !plugged(t, a) && t.LB.Failure == "" {
		return agentapi.State{}, false
	}
	state := agentapi.State{
		Version: StateVersion, Generation: t.LB.Generation, AmphoraID: a.ID, LB: t.LB.ID, ProjectID: t.LB.ProjectID,
		Disabled: !t.LB.AdminStateUp, Interfaces: stateInterfaces(t, a), VIPs: stateVIPs(&t.LB, vip),
		VRRP: stateVRRP(&t.LB, amphorae, a, s), Logging: s.Logging, Program: a.Program,
	}
	addObjects(&state, t)
	return state, true
}

// StateChanged tells whether a change of rows changes the state that an amphora may have got already for the tree's
// generation: then the generation must be raised, or it will not ask again.
func StateChanged(t *lb.Tree, before, after []Amphora, id string, s Settings) bool {
	old, ready := AgentState(t, before, id, s)
	if !ready {
		return false
	}
	changed, ready := AgentState(t, after, id, s)
	return ready && !sameNetworking(old, changed)
}

func sameNetworking(a, b agentapi.State) bool {
	same := func(a, b agentapi.Interface) bool {
		return a.MAC == b.MAC && a.MTU == b.MTU && a.VIP == b.VIP && slices.Equal(a.Addresses, b.Addresses) &&
			slices.Equal(a.Routes, b.Routes) && slices.Equal(a.Gateway, b.Gateway)
	}
	if (a.VRRP == nil) != (b.VRRP == nil) {
		return false
	}
	if v, w := a.VRRP, b.VRRP; v != nil && (v.RouterID != w.RouterID || v.Priority != w.Priority || v.Interval != w.Interval ||
		v.Address != w.Address || !slices.Equal(v.Peers, w.Peers) || !slices.Equal(v.PeerNames, w.PeerNames)) {
		return false
	}
	return slices.EqualFunc(a.Interfaces, b.Interfaces, same) && slices.Equal(a.VIPs, b.VIPs)
}

// foremost tells whether no other amphora of the same role has a better claim to the VIP and may still use it. One that
// has it already comes before one that has not, and then the older one: controllers' clocks may differ.
func foremost(amphorae []Amphora, i int) bool {
	a := amphorae[i]
	for j, other := range amphorae {
		if j == i || other.Role != a.Role || other.VRRPPortID == "" {
			continue
		}
		if has := other.Applied > 0; has == (a.Applied > 0) && j < i || has && a.Applied == 0 {
			return false
		}
	}
	return true
}

// plugged tells whether the amphora is in all networks that members are in.
func plugged(t *lb.Tree, a *Amphora) bool {
	for _, id := range memberSubnets(t) {
		if !slices.ContainsFunc(a.Interfaces, func(i Interface) bool { return i.Attached && slices.Contains(i.SubnetIDs, id) }) {
			return false
		}
	}
	return true
}

// stateInterfaces are those that carry a VIP or lead to members; the agent lets go of the others, and then they are
// detached.
func stateInterfaces(t *lb.Tree, a *Amphora) []agentapi.Interface {
	wanted := memberSubnets(t)
	interfaces := []agentapi.Interface{}
	for _, i := range a.Interfaces {
		leads := slices.ContainsFunc(i.SubnetIDs, func(id string) bool { return slices.Contains(wanted, id) })
		if i.Attached && (i.VIP || leads) {
			interfaces = append(interfaces, i.Interface)
		}
	}
	return interfaces
}

// stateVIPs give each VIP the prefix length of its subnet, which the amphora's own address in that subnet tells.
func stateVIPs(b *lb.LoadBalancer, on *Interface) []agentapi.VIP {
	all := []agentapi.VIP{}
	for _, v := range vips(b) {
		prefix := netip.PrefixFrom(v.Address, v.Address.BitLen())
		for _, own := range on.Addresses {
			if own.Contains(v.Address) {
				prefix = netip.PrefixFrom(v.Address, own.Bits())
				break
			}
		}
		all = append(all, agentapi.VIP{Address: prefix})
	}
	return all
}

// vrrpRouterID is the same for all load balancers: the amphorae of a pair speak to each other by unicast only.
const vrrpRouterID = 1

// joinDelay is longer than it takes keepalived, in milliseconds, to begin to speak to a peer that its amphora has been told of.
const joinDelay = 1000

// Unheard tells whether an amphora of a pair should not begin yet, because the one that serves has not been told of it so far:
// that one speaks to those it knows only, and an amphora that hears nobody takes the VIPs.
func Unheard(t *lb.Tree, amphorae []Amphora, id string) bool {
	i := slices.IndexFunc(amphorae, func(a Amphora) bool { return a.ID == id })
	if i < 0 || amphorae[i].Role == Standalone || amphorae[i].Applied > 0 {
		return false
	}
	for j, other := range amphorae {
		if peers(amphorae, &amphorae[i], j) && other.Applied > 0 && other.Applied < t.LB.Generation {
			return true
		}
	}
	return false
}

// peers tells whether the j-th amphora is the other one of a's pair. One that stands down is until it is off the network: it
// says when it lets go of the VIPs, and who would not hear that had to wait until it has been silent for long enough.
func peers(amphorae []Amphora, a *Amphora, j int) bool {
	other := &amphorae[j]
	return (!other.Deleting || other.VRRPPortID != "") && other.Role != a.Role && foremost(amphorae, j)
}

func stateVRRP(b *lb.LoadBalancer, amphorae []Amphora, a *Amphora, s Settings) *agentapi.VRRP {
	if a.Role == Standalone {
		return nil
	}
	family := address(b.VipAddress)
	v := &agentapi.VRRP{RouterID: vrrpRouterID, Priority: a.Priority, Interval: int(s.VRRPInterval.Milliseconds()),
		Address: ownAddress(a, family), Peers: []netip.Addr{}, PeerNames: []string{}}
	for i, other := range amphorae {
		if !peers(amphorae, a, i) {
			continue
		}
		if other.Applied > 0 {
			v.Join = joinDelay
		}
		if peer := ownAddress(&other, family); peer.IsValid() {
			v.Peers = append(v.Peers, peer)
			v.PeerNames = append(v.PeerNames, other.ID)
		}
	}
	return v
}

// ownAddress is the amphora's own address in the VIP's subnet.
func ownAddress(a *Amphora, vip netip.Addr) netip.Addr {
	i := a.vip()
	if i == nil {
		return netip.Addr{}
	}
	for _, own := range i.Addresses {
		if own.Contains(vip) {
			return own.Addr()
		}
	}
	return netip.Addr{}
}
