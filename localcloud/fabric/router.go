package fabric

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Router joins networks, in a namespace of its own.
type Router struct {
	ID         string
	Interfaces []RouterPort
	Gateway    *RouterPort // to the external network; nil for none
	NextHops   []netip.Addr
	SNAT       bool // hide what leaves through the gateway behind the gateway's own address
	Floating   []FloatingIP
	Routes     []Route
}

// RouterPort is one of the router's interfaces.
type RouterPort struct {
	PortID    string
	NetworkID string
	MAC       net.HardwareAddr
	MTU       int
	Addresses []netip.Prefix
}

// FloatingIP is an external address that stands for a fixed one.
type FloatingIP struct{ Address, Fixed netip.Addr }

// Route leads to a destination through a neighbour.
type Route struct {
	Destination netip.Prefix
	NextHop     netip.Addr
}

// routerMemory is what routers were last told, so that the connections of a floating IP that goes elsewhere can be cut.
type routerMemory struct {
	sync.Mutex
	floating map[string][]FloatingIP
}

const (
	insideLink  = "qr-"
	outsideLink = "qg-"
	// protoStatic marks the routes that we set among those that the kernel makes.
	protoStatic = unix.RTPROT_STATIC
)

// SetRouter makes the router exactly this: what it does not mention is taken away. Connections that have nothing to do
// with a change go on.
func (f *Fabric) SetRouter(ctx context.Context, r Router) error {
	f.routers.Lock()
	defer f.routers.Unlock()
	ns, fresh, err := EnsureNamespace(routerNamespace(f.tag, r.ID))
	if err != nil {
		return err
	}
	defer ns.Close()
	if fresh {
		f.routers.remember(r.ID, nil)
	}
	if err := prepareRouter(ns); err != nil {
		return err
	}
	added, err := f.wireRouter(ns, r)
	if err != nil {
		return fmt.Errorf("cannot wire the router %s: %w", r.ID, err)
	}
	if err := ns.syncRoutes(r); err != nil {
		return fmt.Errorf("cannot set the routes of the router %s: %w", r.ID, err)
	}
	if err := ns.nft(ctx, r.script()); err != nil {
		return err
	}
	if err := ns.cutMoved(f.routers.floating[r.ID], r.Floating); err != nil {
		return err
	}
	f.routers.remember(r.ID, r.Floating)
	return ns.announce(added)
}

func (m *routerMemory) remember(id string, floating []FloatingIP) {
	if m.floating == nil {
		m.floating = map[string][]FloatingIP{}
	}
	m.floating[id] = slices.Clone(floating)
}

// RemoveRouter takes the router away. That there is none is no error.
func (f *Fabric) RemoveRouter(id string) error {
	f.routers.Lock()
	defer f.routers.Unlock()
	delete(f.routers.floating, id)
	return removeWithLinks(routerNamespace(f.tag, id))
}

// KeepRouters removes every router but these.
func (f *Fabric) KeepRouters(ids []string) error {
	names, err := namespaces(routerNamespace(f.tag, ""))
	if err != nil {
		return err
	}
	for _, name := range names {
		if !slices.ContainsFunc(ids, func(id string) bool { return routerNamespace(f.tag, id) == name }) {
			if err := removeWithLinks(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeWithLinks deletes a namespace's links first: the kernel ends namespaces later than we return, and the peers of
// its links would still be in the bridges.
func removeWithLinks(name string) error {
	ns, err := OpenNamespace(name)
	if err == nil {
		defer ns.Close()
		links, err := dump(ns.LinkList)
		if err != nil {
			return fmt.Errorf("cannot list the links of %s: %w", name, err)
		}
		for _, l := range links {
			if l.Type() == "veth" {
				if err := ns.removeLink(l.Attrs().Name); err != nil {
					return err
				}
			}
		}
	}
	return RemoveNamespace(name)
}

func prepareRouter(ns *Namespace) error {
	if err := ns.up("lo"); err != nil {
		return err
	}
	return ns.sysctl(map[string]string{
		"ipv4/ip_forward":              "1",
		"ipv4/conf/all/rp_filter":      "0",
		"ipv4/conf/default/rp_filter":  "0",
		"ipv6/conf/all/forwarding":     "1",
		"ipv6/conf/default/accept_dad": "0", // the addresses are ours by decision, and wanted at once
	}, tracking)
}

// ports are the router's interfaces by their links' names.
func (r Router) ports() map[string]RouterPort {
	ports := map[string]RouterPort{}
	for _, p := range r.Interfaces {
		ports[insideLink+short(p.PortID)] = p
	}
	if r.Gateway != nil {
		gateway := *r.Gateway
		gateway.Addresses = slices.Clone(gateway.Addresses)
		for _, ip := range r.Floating {
			gateway.Addresses = append(gateway.Addresses, netip.PrefixFrom(ip.Address, ip.Address.BitLen()))
		}
		ports[outsideLink+short(gateway.PortID)] = gateway
	}
	return ports
}

// wireRouter plugs and addresses the router's links and answers which addresses are new on which link.
func (f *Fabric) wireRouter(ns *Namespace, r Router) (added map[string][]netip.Addr, err error) {
	ports := r.ports()
	links, err := dump(ns.LinkList)
	if err != nil {
		return nil, err
	}
	for _, l := range links {
		if _, wanted := ports[l.Attrs().Name]; !wanted && l.Type() == "veth" {
			if err := ns.removeLink(l.Attrs().Name); err != nil {
				return nil, err
			}
		}
	}
	added = map[string][]netip.Addr{}
	for name, p := range ports {
		if err := f.Plug(Plug{p.PortID, p.NetworkID, p.MAC, p.MTU, name}, ns); err != nil {
			return nil, err
		}
		if err := ns.setMTU(name, p.MTU); err != nil {
			return nil, err
		}
		if added[name], err = ns.syncAddresses(name, p.Addresses); err != nil {
			return nil, err
		}
		if err := f.Settle(p.PortID); err != nil {
			return nil, err
		}
	}
	return added, nil
}

// syncAddresses brings the link up with exactly these addresses, and answers the new ones.
func (n *Namespace) syncAddresses(name string, wanted []netip.Prefix) (added []netip.Addr, err error) {
	link, err := n.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("cannot find the link %s: %w", name, err)
	}
	present, err := dump(func() ([]netlink.Addr, error) { return n.AddrList(link, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("cannot list the addresses of %s: %w", name, err)
	}
	have := map[netip.Prefix]bool{}
	for _, a := range present {
		prefix := prefixOf(a.IPNet)
		if slices.Contains(wanted, prefix) || prefix.Addr().IsLinkLocalUnicast() {
			have[prefix] = true
			continue
		}
		if err := n.AddrDel(link, &a); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return nil, fmt.Errorf("cannot remove the address %v from %s: %w", prefix, name, err)
		}
	}
	for _, prefix := range wanted {
		if have[prefix] {
			continue
		}
		if err := n.AddrReplace(link, &netlink.Addr{IPNet: ipNet(prefix)}); err != nil {
			return nil, fmt.Errorf("cannot give %s the address %v: %w", name, prefix, err)
		}
		added = append(added, prefix.Addr())
	}
	return added, n.up(name)
}

// syncRoutes sets the default and the extra routes, and removes those that are no longer wanted.
func (n *Namespace) syncRoutes(r Router) error {
	wanted := slices.Clone(r.Routes)
	for _, hop := range r.NextHops {
		wanted = append(wanted, Route{netip.PrefixFrom(unspecified(hop), 0), hop})
	}
	present, err := dump(func() ([]netlink.Route, error) {
		return n.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Protocol: protoStatic}, netlink.RT_FILTER_PROTOCOL)
	})
	if err != nil {
		return err
	}
	for _, p := range present {
		if !slices.ContainsFunc(wanted, func(w Route) bool { return w.is(p) }) {
			if err := n.RouteDel(&p); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
	}
	for _, w := range wanted {
		route := &netlink.Route{Dst: ipNet(w.Destination), Gw: w.NextHop.AsSlice(), Protocol: protoStatic}
		if err := n.RouteReplace(route); err != nil {
			return fmt.Errorf("%v via %v: %w", w.Destination, w.NextHop, err)
		}
	}
	return nil
}

func (r Route) is(p netlink.Route) bool {
	return p.Gw.Equal(r.NextHop.AsSlice()) && (p.Dst == nil && r.Destination.Bits() == 0 || p.Dst != nil && prefixOf(p.Dst) == r.Destination.Masked())
}

func unspecified(like netip.Addr) netip.Addr {
	if like.Is6() {
		return netip.IPv6Unspecified()
	}
	return netip.IPv4Unspecified()
}

func prefixOf(n *net.IPNet) netip.Prefix {
	addr, _ := netip.AddrFromSlice(n.IP)
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(addr.Unmap(), bits)
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// script is the router's address translation. What arrives from outside for a floating IP goes to its fixed address, and
// what that sends out comes from the floating IP. A connection from inside to a floating IP hides behind the gateway's
// address, for the answer would not come back through the router otherwise; mark 1 is what came from outside.
func (r Router) script() string {
	var s script
	s.line("add table ip octavo\ndelete table ip octavo\ntable ip octavo {")
	var in, out []string
	for _, ip := range r.Floating {
		in = append(in, fmt.Sprintf("%v : %v", ip.Address, ip.Fixed))
		out = append(out, fmt.Sprintf("%v : %v", ip.Fixed, ip.Address))
	}
	s.addressMap("fixed", in)
	s.addressMap("floating", out)
	s.line("chain prerouting {\n type nat hook prerouting priority -100;\n dnat to ip daddr map @fixed\n}")
	s.line("chain arrival {\n type filter hook prerouting priority -150;\n iifname %q meta mark set 1\n}", outsideLink+"*")
	s.line("chain postrouting {\n type nat hook postrouting priority 100;")
	if own := r.gatewayAddress(); own.IsValid() {
		s.line("meta mark != 1 oifname %q snat to ip saddr map @floating", outsideLink+"*")
		if r.SNAT {
			s.line("meta mark != 1 oifname %q snat to %v", outsideLink+"*", own)
		}
		s.line("meta mark != 1 ct status dnat snat to %v", own)
	}
	s.line("}\n}")
	return s.String()
}

func (s *script) addressMap(name string, elements []string) {
	s.line("map %s {\n type ipv4_addr : ipv4_addr;", name)
	if len(elements) > 0 {
		s.line("elements = { %s };", strings.Join(elements, ", "))
	}
	s.line("}")
}

// gatewayAddress is the router's own IPv4 address outside.
func (r Router) gatewayAddress() netip.Addr {
	if r.Gateway != nil {
		for _, a := range r.Gateway.Addresses {
			if a.Addr().Is4() {
				return a.Addr()
			}
		}
	}
	return netip.Addr{}
}

// cutMoved ends the connections of floating IPs that are gone or stand for something else now: they would go on to the
// old place for as long as somebody talks.
func (n *Namespace) cutMoved(before, now []FloatingIP) error {
	moved := map[netip.Addr]bool{}
	for _, ip := range before {
		if !slices.Contains(now, ip) {
			moved[ip.Address] = true
		}
	}
	if len(moved) == 0 {
		return nil
	}
	return n.cut(func(c *netlink.ConntrackFlow) bool {
		return moved[addrOf(c.Forward.DstIP)] || moved[addrOf(c.Reverse.DstIP)]
	})
}
