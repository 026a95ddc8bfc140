package fabric

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// Flow is a connection as it began.
type Flow struct {
	Protocol uint8
	From, To netip.Addr
	Port     int // destination port, 0 where the protocol has none
}

// flowFilter lets netlink delete what a function chooses.
type flowFilter func(*netlink.ConntrackFlow) bool

// MatchConntrackFlow implements netlink.CustomConntrackFilter.
func (f flowFilter) MatchConntrackFlow(flow *netlink.ConntrackFlow) bool { return f(flow) }

// Cut ends the network's connections that the function chooses: the rules are asked again, as for new ones.
func (f *Fabric) Cut(networkID string, chosen func(Flow) bool) error {
	inZone := zone(networkID)
	return f.ns.cut(func(c *netlink.ConntrackFlow) bool {
		return c.Zone == inZone && chosen(Flow{c.Forward.Protocol, addrOf(c.Forward.SrcIP), addrOf(c.Forward.DstIP), int(c.Forward.DstPort)})
	})
}

func addrOf(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}

func (n *Namespace) cut(chosen flowFilter) error {
	for _, family := range []netlink.InetFamily{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		_, err := dump(func() (uint, error) {
			return n.ConntrackDeleteFilters(netlink.ConntrackTable, family, chosen)
		})
		if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
			return fmt.Errorf("cannot cut connections in %s: %w", n.Name, err)
		}
	}
	return nil
}
