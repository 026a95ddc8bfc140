package boot

import (
	"fmt"
	"net/netip"
	"strings"
)

// networkData is network_data.json as Nova writes it (nova/virt/netutils.py).
type networkData struct {
	Links    []linkData    `json:"links"`
	Networks []subnetData  `json:"networks"`
	Services []serviceData `json:"services"`
}

type linkData struct {
	ID  string `json:"id"`
	MAC string `json:"ethernet_mac_address"`
	MTU int    `json:"mtu"`
}

type subnetData struct {
	Link      string        `json:"link"`
	Type      string        `json:"type"`
	IPAddress string        `json:"ip_address"`
	Netmask   string        `json:"netmask"`
	Gateway   string        `json:"gateway"`
	Routes    []routeData   `json:"routes"`
	Services  []serviceData `json:"services"`
}

type routeData struct {
	Network string `json:"network"`
	Netmask string `json:"netmask"`
	Gateway string `json:"gateway"`
}

type serviceData struct {
	Type    string `json:"type"`
	Address string `json:"address"`
}

// management is how the management interface shall be configured.
type management struct {
	MAC       string // empty: the first interface there is
	MTU       int
	Addresses []netip.Prefix
	Routes    []route
	DNS       []netip.Addr
	DHCPv4    bool
	DHCPv6    bool // asks for an address
	RA        bool // router advertisements are listened to: for routes, and for addresses where the router says so
}

type route struct {
	To  netip.Prefix
	Via netip.Addr
}

// plan reads the management interface's configuration out of the instance's description. It is the first interface: the
// controller asks for it first, and Nova keeps the order. Every other one carries tenants' traffic and is left alone
// for the agent. Without a description, DHCP on the first interface is the best guess.
func (d networkData) plan() (management, error) {
	if len(d.Links) == 0 {
		return management{DHCPv4: true, RA: true}, nil
	}
	link := d.Links[0]
	m := management{MAC: strings.ToLower(link.MAC), MTU: link.MTU}
	services := d.Services
	for _, s := range d.Networks {
		if s.Link != link.ID {
			continue
		}
		if err := m.addSubnet(s); err != nil {
			return m, fmt.Errorf("interface %s: %w", m.MAC, err)
		}
		services = append(services, s.Services...)
	}
	for _, s := range services {
		if address, err := netip.ParseAddr(s.Address); err == nil && s.Type == "dns" {
			m.DNS = append(m.DNS, address)
		}
	}
	return m, nil
}

func (m *management) addSubnet(s subnetData) error {
	switch s.Type {
	case "ipv4", "ipv6":
		return m.addStatic(s)
	case "ipv4_dhcp":
		m.DHCPv4 = true
	case "ipv6_slaac", "ipv6_dhcpv6-stateless":
		m.RA = true
	case "ipv6_dhcp", "ipv6_dhcpv6-stateful":
		m.DHCPv6, m.RA = true, true
	default:
		return fmt.Errorf("a network of type %q, which is unknown here", s.Type)
	}
	return nil
}

func (m *management) addStatic(s subnetData) error {
	address, err := parsePrefix(s.IPAddress, s.Netmask)
	if err != nil {
		return err
	}
	m.Addresses = append(m.Addresses, address)
	routes := s.Routes
	if s.Gateway != "" {
		routes = append(routes, routeData{Network: unspecified(address.Addr()), Netmask: "0", Gateway: s.Gateway})
	}
	for _, r := range routes {
		to, err := parsePrefix(r.Network, r.Netmask)
		if err != nil {
			return err
		}
		via, err := netip.ParseAddr(r.Gateway)
		if err != nil {
			return fmt.Errorf("the route to %s: %w", to, err)
		}
		m.addRoute(route{to.Masked(), via})
	}
	return nil
}

// addRoute leaves out what is there already: Nova gives the default route in two places.
func (m *management) addRoute(r route) {
	for _, have := range m.Routes {
		if have.To == r.To {
			return
		}
	}
	m.Routes = append(m.Routes, r)
}

func unspecified(a netip.Addr) string {
	if a.Is4() {
		return "0.0.0.0"
	}
	return "::"
}

// parsePrefix reads an address with a mask in any form that is found in the wild: "10.0.0.5/24", or a mask of its own as
// "255.255.255.0", "ffff:ffff:ffff:ffff::" or "64".
func parsePrefix(address, mask string) (netip.Prefix, error) {
	if strings.Contains(address, "/") {
		return netip.ParsePrefix(address)
	}
	a, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Prefix{}, err
	}
	if m, err := netip.ParseAddr(mask); err == nil && m.BitLen() == a.BitLen() {
		bits, err := maskLength(m)
		if err != nil {
			return netip.Prefix{}, err
		}
		return netip.PrefixFrom(a, bits), nil
	}
	return netip.ParsePrefix(address + "/" + mask)
}

func maskLength(mask netip.Addr) (int, error) {
	for bits := range mask.BitLen() + 1 {
		if ones, _ := allOnes(mask.BitLen()).Prefix(bits); ones.Addr() == mask {
			return bits, nil
		}
	}
	return 0, fmt.Errorf("%s is not a netmask", mask)
}

func allOnes(bits int) netip.Addr {
	if bits == 32 {
		return netip.AddrFrom4([4]byte{255, 255, 255, 255})
	}
	var a [16]byte
	for i := range a {
		a[i] = 255
	}
	return netip.AddrFrom16(a)
}
