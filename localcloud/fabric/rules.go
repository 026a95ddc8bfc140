package fabric

import (
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// script is text for nft. Each command can be repeated and undone without looking first: what is added may be there, and
// what is deleted is added before.
type script struct{ strings.Builder }

func (s *script) line(format string, args ...any) { fmt.Fprintf(&s.Builder, format+"\n", args...) }

// tables are the base chains, see the package's doc. Marks: 1 may begin a connection, 0 may not.
const tables = `
table bridge octavo {
	map guards { type ifname : verdict; }
	map egress { type ifname : verdict; }
	map ingress { type ifname : verdict; }
	chain prerouting {
		type filter hook prerouting priority -250; policy accept;
		iifname vmap @guards
	}
	chain egress {
		type filter hook forward priority -210; policy accept;
		meta mark set 1
		ether type arp accept
		icmpv6 type { 130-136, 143 } accept
		iifname vmap @egress
	}
	chain ingress {
		type filter hook forward priority -200; policy accept;
		ether type arp accept
		icmpv6 type { 130-136, 143 } accept
		oifname vmap @ingress
	}
}
table inet octavo {
	map zones { typeof iifname : ct zone; }
	chain prerouting {
		type filter hook prerouting priority -300; policy accept;
		meta pkttype != host notrack
		ct zone set iifname map @zones
	}
	chain forward {
		type filter hook forward priority 0; policy drop;
		ct state established,related accept
		ct state invalid drop
		meta mark 1 accept
	}
}
`

// resetTables replaces whatever rules there are by the base chains, in the same transaction as what follows it.
const resetTables = `
add table bridge octavo
add table inet octavo
delete table bridge octavo
delete table inet octavo
` + tables

// zone is a network's connection tracking zone: networks may use the same addresses.
func zone(networkID string) uint16 {
	h := fnv.New32a()
	h.Write([]byte(networkID))
	return uint16(h.Sum32()%65535) + 1
}

func (s *script) network(n Network) {
	s.line("add element inet octavo zones { %q : %d }", bridgeName(n.ID), zone(n.ID))
}

func (s *script) goneNetwork(id string) {
	s.network(Network{ID: id})
	s.line("delete element inet octavo zones { %q }", bridgeName(id))
}

// portChains are a port's chains by the map that leads to each.
var portChains = map[string]string{"guards": "guard", "egress": "out", "ingress": "in"}

func portChain(kind, portID string) string { return kind + "-" + TapName(portID) }

func (s *script) port(p Port) {
	if !p.Secured {
		s.gonePort(p.ID)
		return
	}
	s.eachPortChain(p.ID, func(string, string) {})
	s.guard(p)
	for _, kind := range []string{"out", "in"} {
		for _, g := range p.Groups {
			s.emptyGroup(g)
			s.line("add rule bridge octavo %s jump %s", portChain(kind, p.ID), groupChain(kind, g))
		}
		s.line("add rule bridge octavo %s meta mark set 0", portChain(kind, p.ID))
	}
}

func (s *script) gonePort(id string) {
	s.eachPortChain(id, func(toChain, chain string) {
		s.line("delete element bridge octavo %s { %q }", toChain, TapName(id))
		s.line("delete chain bridge octavo %s", chain)
	})
}

// eachPortChain leaves the port's chains there and empty.
func (s *script) eachPortChain(id string, then func(toChain, chain string)) {
	for _, toChain := range []string{"guards", "egress", "ingress"} {
		chain := portChain(portChains[toChain], id)
		s.line("add chain bridge octavo %s", chain)
		s.line("flush chain bridge octavo %s", chain)
		s.line("add element bridge octavo %s { %q : jump %s }", toChain, TapName(id), chain)
		then(toChain, chain)
	}
}

// guard lets pass what a port may send, by source. Router advertisements are a router's, and a neighbour advertisement
// must be about an address of the port.
func (s *script) guard(p Port) {
	rule := func(format string, args ...any) {
		s.line("add rule bridge octavo %s %s", portChain("guard", p.ID), fmt.Sprintf(format, args...))
	}
	rule("icmpv6 type { nd-router-advert, nd-redirect } drop")
	for _, source := range p.Sources {
		if source.Address.Addr().Is6() {
			rule("ether saddr %s icmpv6 type nd-neighbor-advert %s accept", source.MAC, ndTarget(source.Address))
			continue
		}
		rule("ether saddr %s ip saddr %s accept", source.MAC, source.Address)
		rule("ether saddr %s ether type arp arp saddr ether %s arp saddr ip %s accept", source.MAC, source.MAC, source.Address)
	}
	for _, mac := range p.macs() {
		rule("ether saddr %s ether type arp arp saddr ether %s arp saddr ip 0.0.0.0 accept", mac, mac)
		rule("ether saddr %s icmpv6 type nd-neighbor-advert %s accept", mac, ndTarget(netip.PrefixFrom(linkLocal(mac), 128)))
		rule("ether saddr %s ip6 saddr :: icmpv6 type { nd-neighbor-solicit, nd-router-solicit, mld-listener-report, mld2-listener-report } accept", mac)
	}
	rule("icmpv6 type nd-neighbor-advert drop")
	for _, mac := range p.macs() {
		rule("ether saddr %s ip6 saddr %s accept", mac, linkLocal(mac))
	}
	for _, source := range p.Sources {
		if source.Address.Addr().Is6() {
			rule("ether saddr %s ip6 saddr %s accept", source.MAC, source.Address)
		}
	}
	rule("drop")
}

func (p Port) macs() []net.HardwareAddr {
	macs := []net.HardwareAddr{p.MAC}
	for _, source := range p.Sources {
		if !slices.ContainsFunc(macs, func(m net.HardwareAddr) bool { return slices.Equal(m, source.MAC) }) {
			macs = append(macs, source.MAC)
		}
	}
	return macs
}

// ndTarget matches the address that a neighbour advertisement is about, by whole bytes of the prefix. (nft 1.0.6 does not
// know the field by name.)
func ndTarget(p netip.Prefix) string {
	if p.Bits() < 8 {
		return ""
	}
	address := p.Addr().As16()
	return fmt.Sprintf("@th,64,%d 0x%x", p.Bits()/8*8, address[:p.Bits()/8])
}

// linkLocal is the address that IPv6 makes of a MAC.
func linkLocal(mac net.HardwareAddr) netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 8: mac[0] ^ 2, 9: mac[1], 10: mac[2], 11: 0xff, 12: 0xfe, 13: mac[3], 14: mac[4], 15: mac[5]})
}

func groupChain(kind, id string) string { return kind + "-sg-" + id }

func groupSet(family, id string) string { return "sg-" + id + "-" + family }

// emptyGroup declares a group's chains and sets, so that others may refer to them.
func (s *script) emptyGroup(id string) {
	for _, kind := range []string{"out", "in"} {
		s.line("add chain bridge octavo %s", groupChain(kind, id))
	}
	s.emptyGroupSets(id)
}

func (s *script) emptyGroupSets(id string) {
	s.line("add set bridge octavo %s { type ipv4_addr; flags interval; }", groupSet("4", id))
	s.line("add set bridge octavo %s { type ipv6_addr; flags interval; }", groupSet("6", id))
}

func (s *script) group(g Group) {
	s.emptyGroup(g.ID)
	for _, kind := range []string{"out", "in"} {
		s.line("flush chain bridge octavo %s", groupChain(kind, g.ID))
	}
	for family, addresses := range map[string][]netip.Prefix{"4": nil, "6": nil} {
		for _, a := range g.Addresses {
			if a.Addr().Is6() == (family == "6") {
				addresses = append(addresses, a)
			}
		}
		s.line("flush set bridge octavo %s", groupSet(family, g.ID))
		if len(addresses) > 0 {
			s.line("add element bridge octavo %s { %s }", groupSet(family, g.ID), joined(disjoint(addresses)))
		}
	}
	for _, r := range g.Rules {
		if r.RemoteGroup != "" {
			s.emptyGroupSets(r.RemoteGroup)
		}
		s.line("add rule bridge octavo %s %s accept", groupChain(r.kind(), g.ID), r.match())
	}
}

func (s *script) goneGroup(id string) {
	s.emptyGroup(id)
	for _, kind := range []string{"out", "in"} {
		s.line("flush chain bridge octavo %s", groupChain(kind, id))
		s.line("delete chain bridge octavo %s", groupChain(kind, id))
	}
	for _, family := range []string{"4", "6"} {
		s.line("delete set bridge octavo %s", groupSet(family, id))
	}
}

func (r Rule) kind() string {
	if r.Egress {
		return "out"
	}
	return "in"
}

// match is the rule as nft says it.
func (r Rule) match() string {
	family, header := "4", "ip"
	if r.IPv6 {
		family, header = "6", "ip6"
	}
	words := []string{"meta protocol", header}
	side := "saddr"
	if r.Egress {
		side = "daddr"
	}
	switch {
	case r.RemoteGroup != "":
		words = append(words, header, side, "@"+groupSet(family, r.RemoteGroup))
	case r.Remote.IsValid() && r.Remote.Bits() > 0:
		words = append(words, header, side, r.Remote.Masked().String())
	}
	if r.Protocol != 0 {
		words = append(words, fmt.Sprintf("meta l4proto %d", r.Protocol), r.matchPorts())
	}
	return strings.TrimSpace(strings.Join(words, " "))
}

func (r Rule) matchPorts() string {
	switch r.Protocol {
	case unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6:
		header := map[uint8]string{unix.IPPROTO_ICMP: "icmp", unix.IPPROTO_ICMPV6: "icmpv6"}[r.Protocol]
		if r.PortMin < 0 {
			return ""
		}
		if r.PortMax < 0 {
			return fmt.Sprintf("%s type %d", header, r.PortMin)
		}
		return fmt.Sprintf("%s type %d %s code %d", header, r.PortMin, header, r.PortMax)
	default:
		if r.PortMin < 0 || r.PortMin <= 1 && r.PortMax == 65535 {
			return ""
		}
		return fmt.Sprintf("th dport %d-%d", r.PortMin, max(r.PortMin, r.PortMax))
	}
}

// disjoint leaves out prefixes that are inside of others, which an interval set refuses.
func disjoint(prefixes []netip.Prefix) []netip.Prefix {
	list := slices.Clone(prefixes)
	slices.SortFunc(list, func(a, b netip.Prefix) int { return a.Bits() - b.Bits() })
	var kept []netip.Prefix
	for _, p := range list {
		if !slices.ContainsFunc(kept, func(k netip.Prefix) bool { return k.Overlaps(p) }) {
			kept = append(kept, p.Masked())
		}
	}
	return kept
}

func joined(prefixes []netip.Prefix) string {
	words := make([]string, len(prefixes))
	for i, p := range prefixes {
		words[i] = p.String()
	}
	return strings.Join(words, ", ")
}
