package firewall

import (
	"net/netip"
	"slices"

	"github.com/octavo-lb/octavo/agentapi"
)

// route says which of the amphora's own addresses packets to a network leave from.
type route struct {
	to     netip.Prefix
	source netip.Addr
}

// sources finds the address that packets to a member leave from: answers have to come back to this amphora, and are to do
// so by an address that is its own, not by a VIP that moves to another.
type sourceTable []route

func sources(state *agentapi.State) sourceTable {
	var t sourceTable
	for _, i := range state.Interfaces {
		for _, own := range i.Addresses {
			t = append(t, route{own.Masked(), own.Addr()})
		}
		for _, r := range i.Routes {
			t = t.add(r.Destination.Masked(), r.NextHop, i)
		}
		for _, g := range i.Gateway {
			t = t.add(netip.PrefixFrom(zero(g), 0), g, i)
		}
	}
	// The longest first, as in a routing table.
	slices.SortStableFunc(t, func(a, b route) int { return b.to.Bits() - a.to.Bits() })
	return t
}

// add takes the address that is in the next hop's subnet, else the first of its IP version.
func (t sourceTable) add(to netip.Prefix, hop netip.Addr, i agentapi.Interface) sourceTable {
	n := slices.IndexFunc(i.Addresses, func(p netip.Prefix) bool { return p.Contains(hop) })
	if n < 0 {
		n = slices.IndexFunc(i.Addresses, func(p netip.Prefix) bool { return p.Addr().Is4() == hop.Is4() })
	}
	if n < 0 {
		return t
	}
	return append(t, route{to, i.Addresses[n].Addr()})
}

// to returns the address for a destination. Without one the kernel chooses, and false is returned.
func (t sourceTable) to(a netip.Addr) (netip.Addr, bool) {
	for _, r := range t {
		if r.to.Contains(a) {
			return r.source, true
		}
	}
	return netip.Addr{}, false
}

func zero(a netip.Addr) netip.Addr {
	if a.Is6() {
		return netip.IPv6Unspecified()
	}
	return netip.IPv4Unspecified()
}
