package fabric

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// hostLock is the name of a socket that whoever looks for addresses listens on until they are in use. It leaves no file,
// ends with the process and is known in this network namespace only, as the addresses are.
const hostLock = "@octavo/addresses"

// benchmarking is 198.18.0.0/15 (RFC 2544): no real network should use it.
var benchmarking = netip.MustParsePrefix("198.18.0.0/15")

// LockHost keeps other clouds on this machine from choosing prefixes until unlock is called. It waits for them.
func LockHost(ctx context.Context) (unlock func(), err error) {
	for {
		lock, err := net.Listen("unix", hostLock)
		if err == nil {
			return func() { lock.Close() }, nil
		}
		if !errors.Is(err, unix.EADDRINUSE) {
			return nil, fmt.Errorf("cannot lock this machine's addresses: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("another cloud on this machine takes very long to start: %w", ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// FreePrefixes answers n /24 prefixes that the host has no route to and no address in. Hold LockHost until they are
// used.
func (f *Fabric) FreePrefixes(n int) ([]netip.Prefix, error) {
	routes, err := dump(func() ([]netlink.Route, error) {
		return f.host.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Table: 0}, netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return nil, fmt.Errorf("cannot list the host's routes: %w", err)
	}
	var free []netip.Prefix
	for p := netip.PrefixFrom(benchmarking.Addr(), 24); benchmarking.Contains(p.Addr()); p = next24(p) {
		if !routed(routes, p) {
			if free = append(free, p); len(free) == n {
				return free, nil
			}
		}
	}
	return nil, errors.New("no prefix in 198.18.0.0/15 is free: other clouds on this machine use them all, or the host routes the range elsewhere")
}

func routed(routes []netlink.Route, p netip.Prefix) bool {
	for _, r := range routes {
		if r.Dst != nil && prefixOf(r.Dst).Bits() > 0 && prefixOf(r.Dst).Overlaps(p) {
			return true
		}
	}
	return false
}

func next24(p netip.Prefix) netip.Prefix {
	a := p.Addr().As4()
	if a[2]++; a[2] == 0 {
		a[1]++
	}
	return netip.PrefixFrom(netip.AddrFrom4(a), 24)
}

// PlugHost gives the machine itself the port, with its address. It fails when the host has the prefix elsewhere already.
func (f *Fabric) PlugHost(p Plug, address netip.Prefix) error {
	present, err := dump(func() ([]netlink.Addr, error) { return f.host.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return fmt.Errorf("cannot list the host's addresses: %w", err)
	}
	for _, a := range present {
		if a.Label != p.Name && prefixOf(a.IPNet).Overlaps(address) {
			return fmt.Errorf("the host has %v already on %s: is another cloud with these addresses running?", prefixOf(a.IPNet), a.Label)
		}
	}
	if err := f.Plug(p, f.host); err != nil {
		return err
	}
	if _, err := f.host.syncAddresses(p.Name, []netip.Prefix{address}); err != nil {
		return err
	}
	return f.Settle(p.PortID)
}
