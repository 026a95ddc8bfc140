package lb

import (
	"net/netip"
	"slices"
)

// ValidateMember checks a member. See Rules.
func (r *Rules) ValidateMember(t *Tree, m, was *Member) error {
	p := t.Pool(m.PoolID)
	if p == nil {
		return gone(t.Pools, "Pool", m.PoolID)
	}
	if was == nil {
		if err := r.memberAddress(t, m.Address, "member address"); err != nil {
			return err
		}
		if err := t.checkDuplicateMember(m); err != nil {
			return err
		}
		if isDatagram(p.Protocol) && !t.LB.hasFamilyOf(m.Address) {
			return Refuse(NotProvided, "Provider '%s' does not support a requested option: "+
				"members of %s pools need a VIP of their own IP version", t.LB.Provider, p.Protocol)
		}
	}
	if m.MonitorAddress != nil && (was == nil || !same(m.MonitorAddress, was.MonitorAddress)) {
		return r.memberAddress(t, *m.MonitorAddress, "monitor_address")
	}
	return nil
}

// memberAddress refuses addresses to which the data plane must not connect on a user's behalf: its own, and those of
// the control plane. An IPv4 address written as IPv6 is still that IPv4 address.
func (r *Rules) memberAddress(t *Tree, address, option string) error {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return badOption(address, option)
	}
	a = a.Unmap()
	local := a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() ||
		slices.Contains(t.LB.addresses(), a)
	denied := slices.ContainsFunc(r.DeniedMembers, func(p netip.Prefix) bool { return p.Contains(a) })
	if denied || local && !r.AllowLocalMembers {
		return badOption(address, option)
	}
	return nil
}

func (t *Tree) checkDuplicateMember(m *Member) error {
	for i := range t.Members {
		if o := &t.Members[i]; o.ID != m.ID && o.PoolID == m.PoolID && !o.Deleting && o.Endpoint() == m.Endpoint() {
			return Refuse(Duplicate, "Another member on this pool is already using ip %s on protocol_port %d",
				m.Address, m.ProtocolPort)
		}
	}
	return nil
}

// Endpoint is what tells members of a pool apart, however the address is spelled.
func (m *Member) Endpoint() netip.AddrPort {
	a, _ := netip.ParseAddr(m.Address)
	return netip.AddrPortFrom(a.Unmap(), uint16(m.ProtocolPort))
}

func (b *LoadBalancer) hasFamilyOf(address string) bool {
	a, err := netip.ParseAddr(address)
	vips := b.addresses()
	return err != nil || len(vips) == 0 ||
		slices.ContainsFunc(vips, func(v netip.Addr) bool { return v.Is4() == a.Unmap().Is4() })
}
