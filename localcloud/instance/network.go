package instance

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// configureNetwork brings up loopback and the drive's links, found by MAC, with their addresses and routes. It may run
// again: what is there stays.
func configureNetwork(d NetworkData, firstOnly bool) error {
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		return fmt.Errorf("cannot bring up loopback: %w", err)
	}
	links := d.Links
	if firstOnly && len(links) > 1 {
		links = links[:1]
	}
	for _, l := range links {
		if err := configureLink(l, d.Networks); err != nil {
			return fmt.Errorf("cannot configure the interface %s: %w", l.MAC, err)
		}
	}
	return nil
}

func configureLink(l Link, networks []Network) error {
	link, err := linkByMAC(l.MAC)
	if err != nil {
		return err
	}
	if l.MTU > 0 && link.Attrs().MTU != l.MTU {
		if err := netlink.LinkSetMTU(link, l.MTU); err != nil {
			return err
		}
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	for _, n := range networks {
		if n.Link != l.ID {
			continue
		}
		if err := addAddress(link, n); err != nil {
			return fmt.Errorf("address %s: %w", n.IPAddress, err)
		}
		for _, r := range n.Routes {
			if err := addRoute(link, r); err != nil {
				return fmt.Errorf("route to %s: %w", r.Network, err)
			}
		}
	}
	return nil
}

func linkByMAC(mac string) (netlink.Link, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, err
	}
	for _, l := range links {
		if strings.EqualFold(l.Attrs().HardwareAddr.String(), mac) {
			return l, nil
		}
	}
	return nil, errors.New("there is none with this MAC")
}

func addAddress(link netlink.Link, n Network) error {
	ip, err := netip.ParseAddr(n.IPAddress)
	if err != nil {
		return err
	}
	bits, ok := prefixLen(n.Netmask)
	if !ok {
		return fmt.Errorf("netmask %q", n.Netmask)
	}
	address := &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(ip, bits))}
	if ip.Is6() {
		address.Flags = unix.IFA_F_NODAD // ports have addresses of their own; no need to ask around
	}
	return netlink.AddrReplace(link, address)
}

func addRoute(link netlink.Link, r Route) error {
	destination, err := netip.ParseAddr(r.Network)
	if err != nil {
		return err
	}
	bits, ok := prefixLen(r.Netmask)
	if !ok {
		return fmt.Errorf("netmask %q", r.Netmask)
	}
	return netlink.RouteReplace(&netlink.Route{
		LinkIndex: link.Attrs().Index, Dst: ipNet(netip.PrefixFrom(destination, bits)), Gw: net.ParseIP(r.Gateway),
	})
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
