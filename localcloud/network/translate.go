package network

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/octavo-lb/octavo/localcloud/fabric"
	"github.com/octavo-lb/octavo/localcloud/state"
)

// change is what the fabric has to be told about dirty objects, as they are now.
func (s *Service) change(d dirty) fabric.Change {
	var c fabric.Change
	for _, id := range d.networks {
		if n, err := state.Get[Network](s.state, id); err == nil {
			c.Networks = append(c.Networks, fabric.Network{ID: n.ID, MTU: n.MTU})
		} else {
			c.GoneNetworks = append(c.GoneNetworks, id)
		}
	}
	for _, id := range d.groups {
		if g, err := state.Get[SecurityGroup](s.state, id); err == nil {
			c.Groups = append(c.Groups, s.fabricGroup(g))
		} else {
			c.GoneGroups = append(c.GoneGroups, id)
		}
	}
	for _, id := range d.ports {
		if p, err := state.Get[Port](s.state, id); err == nil {
			c.Ports = append(c.Ports, s.fabricPort(p))
		} else {
			c.GonePorts = append(c.GonePorts, id)
		}
	}
	return c
}

// restore makes the fabric what the state says, and plugs the machine itself.
func (s *Service) restore(ctx context.Context) error {
	var c fabric.Change
	for _, n := range state.List[Network](s.state, nil) {
		c.Networks = append(c.Networks, fabric.Network{ID: n.ID, MTU: n.MTU})
	}
	for _, g := range state.List[SecurityGroup](s.state, nil) {
		c.Groups = append(c.Groups, s.fabricGroup(g))
	}
	ports := state.List[Port](s.state, nil)
	for _, p := range ports {
		c.Ports = append(c.Ports, s.fabricPort(p))
	}
	if err := s.fabric.Reset(ctx, c); err != nil {
		return fmt.Errorf("cannot restore the networks: %w", err)
	}
	for _, p := range ports {
		if p.DeviceOwner == ownerHost {
			if err := s.plugHost(p); err != nil {
				return err
			}
		}
	}
	return s.restoreRouters(ctx)
}

func (s *Service) restoreRouters(ctx context.Context) error {
	var known []string
	for _, r := range state.List[Router](s.state, nil) {
		known = append(known, r.ID)
		if err := s.fabric.SetRouter(ctx, s.fabricRouter(r)); err != nil {
			return fmt.Errorf("cannot restore the router %s: %w", r.ID, err)
		}
	}
	return s.fabric.KeepRouters(known)
}

// fabricPort: a port that is down is one from which nothing may come and at which nothing may begin.
func (s *Service) fabricPort(p Port) fabric.Port {
	mac := parseMAC(p.MACAddress)
	f := fabric.Port{ID: p.ID, NetworkID: p.NetworkID, MAC: mac}
	n, _ := state.Get[Network](s.state, p.NetworkID)
	if !p.AdminStateUp || !n.AdminStateUp {
		f.Secured = true
		return f
	}
	if !p.PortSecurityEnabled || strings.HasPrefix(p.DeviceOwner, "network:") || p.DeviceOwner == ownerHost {
		return f
	}
	f.Secured, f.Groups = true, p.SecurityGroups
	for _, ip := range p.FixedIPs {
		f.Sources = append(f.Sources, fabric.Source{MAC: mac, Address: single(ip.IPAddress)})
	}
	for _, pair := range p.AllowedAddressPairs {
		if prefix, ok := pair.prefix(); ok {
			f.Sources = append(f.Sources, fabric.Source{MAC: parseMAC(pair.MACAddress), Address: prefix.Masked()})
		}
	}
	return f
}

func parseMAC(s string) net.HardwareAddr {
	mac, _ := net.ParseMAC(s) // checked when it came
	return mac
}

func (s *Service) fabricGroup(g SecurityGroup) fabric.Group {
	f := fabric.Group{ID: g.ID}
	for _, r := range rulesOf(s.state, g.ID) {
		f.Rules = append(f.Rules, r.fabric())
	}
	for _, p := range state.List(s.state, func(p *Port) bool { return slices.Contains(p.SecurityGroups, g.ID) }) {
		for _, ip := range p.FixedIPs {
			f.Addresses = append(f.Addresses, single(ip.IPAddress))
		}
		for _, pair := range p.AllowedAddressPairs {
			if prefix, ok := pair.prefix(); ok {
				f.Addresses = append(f.Addresses, prefix.Masked())
			}
		}
	}
	return f
}

func (r SecurityGroupRule) fabric() fabric.Rule {
	f := fabric.Rule{Egress: r.Direction == "egress", IPv6: r.EtherType == "IPv6", PortMin: -1, PortMax: -1}
	if r.Protocol != nil {
		f.Protocol, _ = protocolNumber(*r.Protocol, f.IPv6)
	}
	if r.PortRangeMin != nil {
		f.PortMin = *r.PortRangeMin
	}
	if r.PortRangeMax != nil {
		f.PortMax = *r.PortRangeMax
	}
	if r.RemoteIPPrefix != nil {
		f.Remote = *r.RemoteIPPrefix
	}
	if r.RemoteGroupID != nil {
		f.RemoteGroup = *r.RemoteGroupID
	}
	return f
}

func (s *Service) fabricRouter(r Router) fabric.Router {
	f := fabric.Router{ID: r.ID}
	if !r.AdminStateUp {
		return f
	}
	for _, p := range routerPorts(s.state, r.ID) {
		rp := s.routerPort(p)
		if p.DeviceOwner == ownerRouterInterface {
			f.Interfaces = append(f.Interfaces, rp)
			continue
		}
		f.Gateway, f.SNAT = &rp, r.ExternalGateway == nil || r.ExternalGateway.EnableSNAT == nil || *r.ExternalGateway.EnableSNAT
		f.NextHops = s.gatewaysOf(p)
	}
	for _, route := range r.Routes {
		f.Routes = append(f.Routes, fabric.Route{Destination: route.Destination, NextHop: route.NextHop})
	}
	for _, ip := range state.List(s.state, func(ip *FloatingIP) bool { return ip.RouterID != nil && *ip.RouterID == r.ID }) {
		f.Floating = append(f.Floating, fabric.FloatingIP{Address: *ip.FloatingIPAddress, Fixed: *ip.FixedIPAddress})
	}
	return f
}

func (s *Service) routerPort(p Port) fabric.RouterPort {
	n, _ := state.Get[Network](s.state, p.NetworkID)
	return fabric.RouterPort{PortID: p.ID, NetworkID: p.NetworkID, MAC: parseMAC(p.MACAddress), MTU: n.MTU, Addresses: s.addresses(p)}
}

// addresses are the port's, with their subnets' lengths.
func (s *Service) addresses(p Port) []netip.Prefix {
	var all []netip.Prefix
	for _, ip := range p.FixedIPs {
		if sub, err := state.Get[Subnet](s.state, ip.SubnetID); err == nil {
			all = append(all, netip.PrefixFrom(ip.IPAddress, sub.CIDR.Bits()))
		}
	}
	return all
}

// gatewaysOf are the gateways of the subnets that the port has addresses of, but for itself.
func (s *Service) gatewaysOf(p Port) []netip.Addr {
	var all []netip.Addr
	for _, ip := range p.FixedIPs {
		if sub, err := state.Get[Subnet](s.state, ip.SubnetID); err == nil && sub.GatewayIP != nil && *sub.GatewayIP != ip.IPAddress {
			all = append(all, *sub.GatewayIP)
		}
	}
	return all
}
