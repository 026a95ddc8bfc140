package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/firewall"
)

// protocol marks the routes that the agent made, in the kernel's table of who made a route.
const protocol = 98

// What traffic that leaves from a VIP is routed by: its own table, because a client may be in the subnet of another
// interface, and its answers have to leave where its requests came in.
const (
	vipTable    = 1
	vipPriority = 100
)

// interfaceConfig is one interface on its way to the wanted state.
type interfaceConfig struct {
	handle  *netlink.Handle
	link    netlink.Link
	wanted  agentapi.Interface
	multi   bool           // there are others
	vips    []agentapi.VIP // to put on the interface
	sources []agentapi.VIP // to route from it
	leave   []agentapi.VIP // to leave as they are, there or not
	keep    bool           // nothing is taken off
}

func (c *interfaceConfig) apply() error {
	if mtu := c.wanted.MTU; mtu > 0 && mtu != c.link.Attrs().MTU {
		if err := c.handle.LinkSetMTU(c.link, mtu); err != nil {
			return fmt.Errorf("setting the MTU to %d: %w", mtu, err)
		}
	}
	if err := c.setAddresses(); err != nil {
		return err
	}
	if err := c.handle.LinkSetUp(c.link); err != nil {
		return fmt.Errorf("bringing it up: %w", err)
	}
	if err := c.setRoutes(); err != nil {
		return err
	}
	if c.wanted.VIP {
		return c.setRules()
	}
	return nil
}

func (c *interfaceConfig) setAddresses() error {
	var wanted []netip.Prefix
	wanted = append(wanted, c.wanted.Addresses...)
	for _, v := range c.vips {
		wanted = append(wanted, c.vipPrefix(v))
	}
	have, err := c.handle.AddrList(c.link, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("listing addresses: %w", err)
	}
	for _, a := range have {
		p, ok := toPrefix(a.IPNet)
		if !ok || p.Addr().IsLinkLocalUnicast() && p.Addr().Is6() || c.leaves(p.Addr()) {
			continue
		}
		if i := slices.Index(wanted, p); i >= 0 {
			wanted = slices.Delete(wanted, i, i+1)
		} else if c.keep {
			continue
		} else if err := c.handle.AddrDel(c.link, &a); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return fmt.Errorf("removing address %s: %w", p, err)
		}
	}
	for _, p := range wanted {
		a := &netlink.Addr{IPNet: toIPNet(p)}
		if p.Addr().Is6() {
			a.Flags = unix.IFA_F_NODAD
		}
		if err := c.handle.AddrReplace(c.link, a); err != nil {
			return fmt.Errorf("adding address %s: %w", p, err)
		}
	}
	return nil
}

func (c *interfaceConfig) leaves(a netip.Addr) bool {
	return slices.ContainsFunc(c.leave, func(v agentapi.VIP) bool { return v.Address.Addr() == a })
}

// vipPrefix is the VIP alone where an address of the interface has its subnet already: the interface's own address stays
// the one that connections to members leave from.
func (c *interfaceConfig) vipPrefix(v agentapi.VIP) netip.Prefix {
	for _, own := range c.wanted.Addresses {
		if own.Contains(v.Address.Addr()) && own.Addr() != v.Address.Addr() {
			return netip.PrefixFrom(v.Address.Addr(), v.Address.Addr().BitLen())
		}
	}
	return v.Address
}

func (c *interfaceConfig) setRoutes() error {
	wanted := c.routes(unix.RT_TABLE_MAIN)
	if c.wanted.VIP && c.multi {
		wanted = append(wanted, c.routes(vipTable)...)
	}
	for i := range wanted {
		if err := c.handle.RouteReplace(&wanted[i]); err != nil {
			return fmt.Errorf("adding route %s: %w", wanted[i], err)
		}
	}
	if c.keep {
		return nil
	}
	have, err := c.handle.RouteListFiltered(netlink.FAMILY_ALL,
		&netlink.Route{LinkIndex: c.link.Attrs().Index, Protocol: protocol, Table: unix.RT_TABLE_UNSPEC},
		netlink.RT_FILTER_OIF|netlink.RT_FILTER_PROTOCOL|netlink.RT_FILTER_TABLE)
	if err != nil {
		return fmt.Errorf("listing routes: %w", err)
	}
	for i := range have {
		if slices.ContainsFunc(wanted, func(w netlink.Route) bool { return sameRoute(w, have[i]) }) {
			continue
		}
		if err := c.handle.RouteDel(&have[i]); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("removing route %s: %w", have[i], err)
		}
	}
	return nil
}

// routes are the interface's routes in one table: its subnets (which the kernel itself puts into the main one), its host
// routes, its gateways.
func (c *interfaceConfig) routes(table int) []netlink.Route {
	var routes []netlink.Route
	add := func(destination netip.Prefix, via netip.Addr) {
		r := netlink.Route{LinkIndex: c.link.Attrs().Index, Dst: toIPNet(destination), Table: table, Protocol: protocol}
		if via.IsValid() {
			r.Gw = via.AsSlice()
			r.Flags = int(netlink.FLAG_ONLINK) // the subnet of a VIP need not be one of the interface's own
		} else {
			r.Scope = netlink.SCOPE_LINK
		}
		if destination.Addr().Is6() {
			r.Scope = netlink.SCOPE_UNIVERSE // there are no others in IPv6
		}
		routes = append(routes, r)
	}
	if table != unix.RT_TABLE_MAIN {
		for _, p := range c.wanted.Addresses {
			add(p.Masked(), netip.Addr{})
		}
		for _, v := range c.sources {
			if p := v.Address.Masked(); !p.IsSingleIP() && !slices.ContainsFunc(c.wanted.Addresses, func(own netip.Prefix) bool { return own.Masked() == p }) {
				add(p, netip.Addr{})
			}
		}
	}
	for _, r := range c.wanted.Routes {
		add(r.Destination.Masked(), r.NextHop)
	}
	for _, g := range c.wanted.Gateway {
		add(netip.PrefixFrom(zero(g), 0), g)
	}
	return routes
}

// origin tells packets that are routed by the VIPs' table: those from a VIP, and those marked as answers, which will be
// from one.
type origin struct {
	family int
	source netip.Prefix
	mark   uint32
}

// setRules sends what leaves from a VIP to the VIPs' table, if there is a choice of interfaces.
func (c *interfaceConfig) setRules() error {
	wanted := c.origins()
	have, err := c.handle.RuleList(netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("listing rules: %w", err)
	}
	for i := range have {
		if have[i].Table != vipTable {
			continue
		}
		p, _ := toPrefix(have[i].Src)
		if j := slices.Index(wanted, origin{have[i].Family, p, have[i].Mark}); j >= 0 {
			wanted = slices.Delete(wanted, j, j+1)
		} else if c.keep {
			continue
		} else if err := c.handle.RuleDel(&have[i]); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("removing rule %s: %w", have[i], err)
		}
	}
	for _, o := range wanted {
		r := netlink.NewRule()
		r.Table, r.Priority, r.Family, r.Mark = vipTable, vipPriority, o.family, o.mark
		if o.source.IsValid() {
			r.Src = toIPNet(o.source)
		}
		if err := c.handle.RuleAdd(r); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("adding rule %s: %w", r, err)
		}
	}
	return nil
}

func (c *interfaceConfig) origins() []origin {
	if !c.multi {
		return nil
	}
	var all []origin
	for _, v := range c.sources {
		a := v.Address.Addr()
		all = append(all, origin{family: family(a), source: netip.PrefixFrom(a, a.BitLen())})
		if answers := (origin{family: family(a), mark: firewall.AnswerMark}); !slices.Contains(all, answers) {
			all = append(all, answers)
		}
	}
	return all
}

func sameRoute(a, b netlink.Route) bool {
	pa, _ := toPrefix(a.Dst)
	pb, _ := toPrefix(b.Dst)
	return pa == pb && a.Table == b.Table && a.Gw.Equal(b.Gw)
}

func family(a netip.Addr) int {
	if a.Is6() {
		return netlink.FAMILY_V6
	}
	return netlink.FAMILY_V4
}

func zero(a netip.Addr) netip.Addr {
	if a.Is6() {
		return netip.IPv6Unspecified()
	}
	return netip.IPv4Unspecified()
}

func toIPNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func toPrefix(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	a, ok := netip.AddrFromSlice(n.IP)
	ones, _ := n.Mask.Size()
	return netip.PrefixFrom(a.Unmap(), ones), ok
}
