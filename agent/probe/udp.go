package probe

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// udpPatience is how long a refusal may take to come back; silence is a good sign.
const udpPatience = time.Second

// checkUDP sends an empty datagram. A port that nobody listens on answers by ICMP, and a host that is gone not at all: that
// is told from silence by whether there is somebody at the next hop.
func checkUDP(ctx context.Context, ns Namespace, to netip.AddrPort) error {
	ctx, cancel := context.WithTimeout(ctx, udpPatience)
	defer cancel()
	c, err := dial(ctx, ns, unix.SOCK_DGRAM, 0, to)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write(nil); err != nil {
		return short(err)
	}
	_, err = c.Read(make([]byte, 1))
	if err == nil {
		return nil
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return short(err)
	}
	if absent(ns, to.Addr()) {
		return unix.EHOSTUNREACH
	}
	return nil
}

// absent tells that the kernel asks in vain for the hardware address of the next hop.
func absent(ns Namespace, to netip.Addr) bool {
	state := 0
	_ = ns.Do(func() error { // what cannot be found out is taken for good
		routes, err := netlink.RouteGet(to.AsSlice())
		if err != nil || len(routes) == 0 {
			return err
		}
		hop := to
		if gateway, ok := netip.AddrFromSlice(routes[0].Gw); ok {
			hop = gateway.Unmap()
		}
		state, err = neighbour(routes[0].LinkIndex, hop)
		return err
	})
	return state&(netlink.NUD_FAILED|netlink.NUD_INCOMPLETE) != 0
}

// neighbour asks for one entry of the kernel's table of neighbours; the netlink library reads all of them.
func neighbour(link int, hop netip.Addr) (state int, err error) {
	family := unix.AF_INET
	if hop.Is6() {
		family = unix.AF_INET6
	}
	r := nl.NewNetlinkRequest(unix.RTM_GETNEIGH, 0)
	r.AddData(&netlink.Ndmsg{Family: uint8(family), Index: uint32(link)})
	r.AddData(nl.NewRtAttr(netlink.NDA_DST, hop.AsSlice()))
	answers, err := r.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWNEIGH)
	if err != nil || len(answers) == 0 {
		return 0, err
	}
	n, err := netlink.NeighDeserialize(answers[0])
	if err != nil {
		return 0, err
	}
	return n.State, nil
}
