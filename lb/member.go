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
// the control plane. An IPv4 address written as IPv6 is still that IPv4 address, and one that gateways translate into an
// IPv4 address is that one, too.
func (r *Rules) memberAddress(t *Tree, address, option string) error {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return badOption(address, option)
	}
	if r.mustNotReach(t, a.Unmap()) || a.Is6() && r.mustNotReach(t, translated(a)) {
		return badOption(address, option)
	}
	return nil
}

func (r *Rules) mustNotReach(t *Tree, a netip.Addr) bool {
	local := a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() ||
		slices.Contains(t.LB.addresses(), a)
	denied := slices.ContainsFunc(r.DeniedMembers, func(p netip.Prefix) bool { return p.Contains(a) })
	return denied || local && !r.AllowLocalMembers
}

var (
	nat64     = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052
	sixToFour = netip.MustParsePrefix("2002::/16")    // RFC 3056
	embedded  = netip.MustParsePrefix("::/96")        // RFC 4291, 2.5.5.1
)

// translated is the IPv4 address to which a gateway takes what is sent to an IPv6 address; invalid for none.
func translated(a netip.Addr) netip.Addr {
	b := a.As16()
	switch {
	case nat64.Contains(a), embedded.Contains(a):
		return netip.AddrFrom4([4]byte(b[12:]))
	case sixToFour.Contains(a):
		return netip.AddrFrom4([4]byte(b[2:6]))
	}
	return netip.Addr{}
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
