package boot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// connect configures the management interface. What fails is tried again until it works: a network that comes up an hour
// late must not cost the amphora.
func connect(ctx context.Context, data networkData, log *slog.Logger) {
	wanted, err := data.plan()
	if err != nil {
		log.Error("the management network is described wrongly; using what is right of it", "err", err)
	}
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		name, err := configure(ctx, wanted)
		if err == nil {
			log.Info("management network is up", "interface", name, "addresses", addresses(name))
			return
		}
		log.Error("cannot configure the management network, trying again", "err", err, "after", wait)
		time.Sleep(wait)
	}
}

// configure brings the interface to the wanted state and returns its name. It may be called again after a failure.
func configure(ctx context.Context, m management) (string, error) {
	if lo, err := netlink.LinkByName("lo"); err == nil {
		_ = netlink.LinkSetUp(lo)
	}
	link, err := findLink(m.MAC)
	if err != nil {
		return "", err
	}
	name := link.Attrs().Name
	setIPv6(name, m.RA)
	if m.MTU > 0 {
		if err := netlink.LinkSetMTU(link, m.MTU); err != nil {
			return name, fmt.Errorf("cannot set the MTU of %s to %d: %w", name, m.MTU, err)
		}
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return name, fmt.Errorf("cannot set %s up: %w", name, err)
	}
	var failed []error
	if m.DHCPv4 {
		failed = append(failed, m.askDHCPv4(ctx, name))
	}
	if m.DHCPv6 {
		failed = append(failed, m.askDHCPv6(ctx, name))
	}
	failed = append(failed, m.apply(link))
	if m.RA && !m.DHCPv6 && len(m.Addresses) == 0 {
		failed = append(failed, waitForAddress(ctx, link))
	}
	return name, errors.Join(failed...)
}

// apply sets addresses and routes, and the name servers.
func (m *management) apply(link netlink.Link) error {
	for _, address := range m.Addresses {
		a := &netlink.Addr{IPNet: ipNet(address)}
		if address.Addr().Is6() {
			// The network service gave the address to this port alone: looking for another holder only costs a second.
			a.Flags = unix.IFA_F_NODAD
		}
		if err := netlink.AddrReplace(link, a); err != nil {
			return fmt.Errorf("cannot set the address %s: %w", address, err)
		}
	}
	for _, r := range m.Routes {
		to := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(r.To), Gw: r.Via.AsSlice()}
		if !r.Via.IsValid() || r.Via.IsUnspecified() {
			to.Gw, to.Scope = nil, netlink.SCOPE_LINK
		} else if !m.reaches(r.Via) {
			to.Flags = int(netlink.FLAG_ONLINK)
		}
		if err := netlink.RouteReplace(to); err != nil {
			return fmt.Errorf("cannot set the route to %s: %w", r.To, err)
		}
	}
	return writeResolvConf(m.DNS)
}

// reaches tells whether a gateway is in one of the interface's own subnets; one that is not (a /32 address) is on the
// link all the same.
func (m *management) reaches(gateway netip.Addr) bool {
	for _, a := range m.Addresses {
		if a.Contains(gateway) {
			return true
		}
	}
	return gateway.IsLinkLocalUnicast()
}

func writeResolvConf(servers []netip.Addr) error {
	var text strings.Builder
	for _, s := range servers {
		fmt.Fprintln(&text, "nameserver", s)
	}
	return os.WriteFile(resolvConf, []byte(text.String()), 0o644)
}

// findLink finds an interface by its MAC; without one, the first that is not the loopback.
func findLink(mac string) (netlink.Link, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("cannot list interfaces: %w", err)
	}
	for _, link := range links {
		attrs := link.Attrs()
		if attrs.Flags&net.FlagLoopback != 0 || len(attrs.HardwareAddr) == 0 {
			continue
		}
		if mac == "" || attrs.HardwareAddr.String() == mac {
			return link, nil
		}
	}
	return nil, fmt.Errorf("no interface with the address %s; there are %d", mac, len(links))
}

// setIPv6 lets the interface listen to routers only where the network is described so, and then without delay: the
// kernel's random pauses protect from many hosts asking at once, and duplicate addresses cannot be on a port of its own.
func setIPv6(name string, listen bool) {
	for key, value := range map[string]bool{"accept_ra": listen, "autoconf": listen} {
		setInterface(name, key, map[bool]string{true: "1", false: "0"}[value])
	}
	if listen {
		setInterface(name, "dad_transmits", "0")
		setInterface(name, "router_solicitation_delay", "0")
		setInterface(name, "addr_gen_mode", "0") // the address that the network service expects
		setInterface(name, "use_tempaddr", "0")
	}
}

func setInterface(name, key, value string) {
	_ = os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/"+key, []byte(value), 0o644)
}

// waitForAddress waits until a router has given the interface an address.
func waitForAddress(ctx context.Context, link netlink.Link) error {
	updates := make(chan netlink.AddrUpdate)
	done := make(chan struct{})
	defer close(done)
	if err := netlink.AddrSubscribeWithOptions(updates, done, netlink.AddrSubscribeOptions{ListExisting: true}); err != nil {
		return fmt.Errorf("cannot wait for an address: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, dhcpTimeout)
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return errors.New("no router has advertised a prefix")
		case u := <-updates:
			a, ok := netip.AddrFromSlice(u.LinkAddress.IP)
			if ok && u.NewAddr && u.LinkIndex == link.Attrs().Index && a.Is6() && !a.Is4In6() && !a.IsLinkLocalUnicast() {
				return nil
			}
		}
	}
}

func addresses(name string) []string {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return nil
	}
	var all []string
	list, _ := netlink.AddrList(link, netlink.FAMILY_ALL)
	for _, a := range list {
		if a.Scope == int(netlink.SCOPE_UNIVERSE) {
			all = append(all, a.IPNet.String())
		}
	}
	return all
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
