package boot

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/dhcpv6/nclient6"
)

// A first answer may be lost while the network service still wires the port, so questions are repeated quickly.
const (
	dhcpAttempt = 500 * time.Millisecond
	dhcpTries   = 10
	dhcpTimeout = dhcpAttempt * dhcpTries
)

// askDHCPv4 adds what the DHCP server says. The lease is taken for good, never renewed: Neutron keeps the address with
// the port for as long as the port exists, and an amphora must not lose its controllers because a DHCP agent is down.
func (m *management) askDHCPv4(ctx context.Context, name string) error {
	client, err := nclient4.New(name, nclient4.WithTimeout(dhcpAttempt), nclient4.WithRetry(dhcpTries))
	if err != nil {
		return fmt.Errorf("DHCP: %w", err)
	}
	defer client.Close()
	lease, err := client.Request(ctx, dhcpv4.WithRequestedOptions(dhcpv4.OptionSubnetMask, dhcpv4.OptionRouter,
		dhcpv4.OptionDomainNameServer, dhcpv4.OptionInterfaceMTU, dhcpv4.OptionClasslessStaticRoute))
	if err != nil {
		return fmt.Errorf("DHCP: %w", err)
	}
	return m.addLease(lease.ACK)
}

func (m *management) addLease(ack *dhcpv4.DHCPv4) error {
	address, ok := netip.AddrFromSlice(ack.YourIPAddr.To4())
	if !ok || ack.SubnetMask() == nil {
		return fmt.Errorf("DHCP: the server %s gives no address or no netmask", ack.ServerIPAddr)
	}
	bits, _ := ack.SubnetMask().Size()
	m.Addresses = append(m.Addresses, netip.PrefixFrom(address, bits))
	for _, r := range ack.ClasslessStaticRoute() {
		to, ok := netip.AddrFromSlice(r.Dest.IP.To4())
		via, ok2 := netip.AddrFromSlice(r.Router.To4())
		if length, _ := r.Dest.Mask.Size(); ok && ok2 {
			m.addRoute(route{netip.PrefixFrom(to, length), via})
		}
	}
	// RFC 3442: who gives classless routes means them instead of the router option.
	if routers := ack.Router(); len(routers) > 0 && len(ack.ClasslessStaticRoute()) == 0 {
		if via, ok := netip.AddrFromSlice(routers[0].To4()); ok {
			m.addRoute(route{netip.PrefixFrom(netip.IPv4Unspecified(), 0), via})
		}
	}
	m.addServers(ack.DNS())
	return nil
}

// askDHCPv6 adds the address that a DHCPv6 server says; routes come by router advertisement.
func (m *management) askDHCPv6(ctx context.Context, name string) error {
	client, err := nclient6.New(name, nclient6.WithTimeout(dhcpAttempt), nclient6.WithRetry(dhcpTries))
	if err != nil {
		return fmt.Errorf("DHCPv6: %w", err)
	}
	defer client.Close()
	advertised, err := client.Solicit(ctx, dhcpv6.WithRequestedOptions(dhcpv6.OptionDNSRecursiveNameServer))
	if err != nil {
		return fmt.Errorf("DHCPv6: %w", err)
	}
	reply, err := client.Request(ctx, advertised)
	if err != nil {
		return fmt.Errorf("DHCPv6: %w", err)
	}
	for _, association := range reply.Options.IANA() {
		for _, option := range association.Options.Addresses() {
			if address, ok := netip.AddrFromSlice(option.IPv6Addr.To16()); ok {
				m.Addresses = append(m.Addresses, netip.PrefixFrom(address, 128))
			}
		}
	}
	m.addServers(reply.Options.DNS())
	return nil
}

func (m *management) addServers(servers []net.IP) {
	for _, s := range servers {
		if a, ok := netip.AddrFromSlice(s); ok && !slices.Contains(m.DNS, a.Unmap()) {
			m.DNS = append(m.DNS, a.Unmap())
		}
	}
}
