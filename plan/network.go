package plan

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/lb"
)

// InterfaceOf is what an agent is told of a port, from the port and the subnets of its addresses. vips are the subnets of
// the load balancer's VIPs, the primary one first, and nil for a port that carries no VIP.
func InterfaceOf(p Port, subnets map[string]Subnet, vips []string) Interface {
	i := Interface{PortID: p.ID, NetworkID: p.NetworkID, SubnetIDs: []string{}, Interface: agentapi.Interface{MAC: p.MAC,
		VIP: len(vips) > 0, Addresses: []netip.Prefix{}, Routes: []agentapi.Route{}, Gateway: []netip.Addr{}}}
	ips := slices.Clone(p.FixedIPs)
	slices.SortStableFunc(ips, func(a, b lb.FixedIP) int {
		return cmp.Or(cmp.Compare(place(vips, a.SubnetID), place(vips, b.SubnetID)), cmp.Compare(a.SubnetID, b.SubnetID), a.Address.Compare(b.Address))
	})
	for _, f := range ips {
		s, ok := subnets[f.SubnetID]
		if !ok || s.Missing || !f.Address.IsValid() {
			continue
		}
		i.Addresses = append(i.Addresses, netip.PrefixFrom(f.Address.Unmap(), s.CIDR.Bits()))
		i.SubnetIDs = append(i.SubnetIDs, f.SubnetID)
		i.MTU = cmp.Or(s.MTU, i.MTU)
		i.addRoutes(s, slices.Contains(vips, f.SubnetID))
	}
	slices.Sort(i.SubnetIDs)
	i.SubnetIDs = slices.Compact(i.SubnetIDs)
	return i
}

// place is where in a list something is, behind all when it is not.
func place(list []string, s string) int {
	if i := slices.Index(list, s); i >= 0 {
		return i
	}
	return len(list)
}

// addRoutes takes a subnet's host routes, and its gateway if it is a VIP's subnet. A default route among the host routes
// takes the gateway's place, as it does for a DHCP client. That of a members' subnet does not count: it would draw the
// answers to clients into the members' network.
func (i *Interface) addRoutes(s Subnet, vip bool) {
	gateway := s.Gateway
	for _, r := range s.Routes {
		switch {
		case r.Destination.Bits() == 0:
			gateway = r.NextHop
		case !slices.Contains(i.Routes, r):
			i.Routes = append(i.Routes, r)
		}
	}
	gateway = gateway.Unmap()
	sameFamily := func(g netip.Addr) bool { return g.Is4() == gateway.Is4() }
	if vip && gateway.IsValid() && !slices.ContainsFunc(i.Gateway, sameFamily) {
		i.Gateway = append(i.Gateway, gateway)
	}
}

// vipSubnets are the subnets of the VIPs, the primary one's first.
func vipSubnets(b *lb.LoadBalancer) []string {
	var ids []string
	for _, v := range vips(b) {
		if v.SubnetID != "" && !slices.Contains(ids, v.SubnetID) {
			ids = append(ids, v.SubnetID)
		}
	}
	return ids
}

// memberSubnets are the subnets that members are reached through, sorted, without those of the VIPs.
func memberSubnets(t *lb.Tree) []string {
	vip := vipSubnets(&t.LB)
	var ids []string
	for i := range t.Members {
		m := &t.Members[i]
		if m.Deleting || m.SubnetID == nil || *m.SubnetID == "" || slices.Contains(vip, *m.SubnetID) {
			continue
		}
		ids = append(ids, *m.SubnetID)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// VIPInterface is InterfaceOf the port that carries the load balancer's VIPs, with which the instance boots.
func VIPInterface(b *lb.LoadBalancer, p Port, subnets map[string]Subnet) Interface {
	i := InterfaceOf(p, subnets, vipSubnets(b))
	i.Attached = true
	return i
}
