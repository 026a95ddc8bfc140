package network

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/octavo-lb/octavo/localcloud/fabric"
	"github.com/octavo-lb/octavo/localcloud/state"
)

// Names of what a cloud starts with.
const (
	ExternalNetwork   = "ext_net"
	ExternalSubnet    = "ext_subnet"
	PrivateNetwork    = "private"
	PrivateSubnet     = "private_subnet"
	ManagementNetwork = "lb-mgmt-net"
	ManagementSubnet  = "lb-mgmt-subnet"
	DemoRouter        = "router1"
)

// Links of the host, which are also the device ids of its ports.
const (
	hostExternal   = "ext"
	hostManagement = "mgmt"
)

// Seed says whose the networks are that a cloud starts with: ids of projects.
type Seed struct{ AdminProject, DemoProject, ServiceProject string }

// seeded is kept once everything is there, so that what an operator deletes stays deleted.
type seeded struct {
	ID string `json:"id"`
}

func (seeded) Kind() string  { return "network.seeded" }
func (s seeded) Key() string { return s.ID }

// seed makes, once in a cloud's life, the external network, the demo project's private network with a router between
// them, and the management network. The machine itself is on the external network, whose gateway it is, and on the
// management network, where the controller is. Other clouds may choose addresses again when release is called, which has
// to be after the machine has these.
func (s *Service) seed(ctx context.Context, seed Seed) (release func(), err error) {
	done := seeded{"networks"}
	if _, err := state.Get[seeded](s.state, done.ID); err == nil {
		return func() {}, nil
	}
	release, err = fabric.LockHost(ctx)
	if err != nil {
		return nil, err
	}
	free, err := s.fabric.FreePrefixes(2)
	if err != nil {
		release()
		return nil, err
	}
	err = s.state.Update(func(tx *state.Tx) error {
		if err := s.seedNetworks(tx, seed, free[0], free[1]); err != nil {
			return err
		}
		return tx.Put(done)
	})
	if err != nil {
		release()
		return nil, fmt.Errorf("cannot make the first networks: %w", err)
	}
	return release, nil
}

func (s *Service) seedNetworks(tx *state.Tx, seed Seed, external, management netip.Prefix) error {
	ext, err := s.seedNetwork(tx, seed.AdminProject, ExternalNetwork, ExternalSubnet, external)
	if err != nil {
		return err
	}
	private, err := s.seedNetwork(tx, seed.DemoProject, PrivateNetwork, PrivateSubnet, netip.MustParsePrefix("192.168.21.0/24"))
	if err != nil {
		return err
	}
	mgmt, err := s.seedNetwork(tx, seed.ServiceProject, ManagementNetwork, ManagementSubnet, management)
	if err != nil {
		return err
	}
	if err := s.letMembersIn(tx, seed.DemoProject); err != nil {
		return err
	}
	router := newRouter()
	router.stamp(s.now())
	router.Name, router.ProjectID, router.TenantID = DemoRouter, seed.DemoProject, seed.DemoProject
	router.ExternalGateway = &Gateway{NetworkID: ext.ID, EnableSNAT: new(true)}
	for _, port := range []struct {
		on                     seededNetwork
		project, device, owner string
		address                netip.Addr
	}{
		{ext, seed.AdminProject, hostExternal, ownerHost, ext.first()},
		{mgmt, seed.ServiceProject, hostManagement, ownerHost, mgmt.first()},
		{ext, "", router.ID, ownerRouterGateway, netip.Addr{}},
		{private, seed.DemoProject, router.ID, ownerRouterInterface, private.first()},
	} {
		if _, err := s.insertServicePort(tx, port.on.Network, port.project, port.device, port.owner, []FixedIP{{port.on.subnet.ID, port.address}}); err != nil {
			return err
		}
	}
	return tx.Put(router)
}

// letMembersIn opens the project's default group as the guides' first steps do, so that a server made without a word about
// security can be pinged and be a member on port 80.
func (s *Service) letMembersIn(tx *state.Tx, project string) error {
	group, err := s.defaultGroup(tx, project)
	if err != nil {
		return err
	}
	for _, ethertype := range []string{"IPv4", "IPv6"} {
		web, ping := s.newRule(group, "ingress", ethertype, nil), s.newRule(group, "ingress", ethertype, nil)
		web.Protocol, web.PortRangeMin, web.PortRangeMax = new("tcp"), new(80), new(80)
		if ping.Protocol = new("icmp"); ethertype == "IPv6" {
			ping.Protocol = new("ipv6-icmp")
		}
		if err := errors.Join(tx.Put(web), tx.Put(ping)); err != nil {
			return err
		}
	}
	return nil
}

type seededNetwork struct {
	Network
	subnet Subnet
}

func (n seededNetwork) first() netip.Addr { return n.subnet.CIDR.Addr().Next() }

func (s *Service) seedNetwork(tx *state.Tx, project, name, subnet string, cidr netip.Prefix) (n seededNetwork, err error) {
	n.Network = newNetwork()
	n.stamp(s.now())
	n.Name, n.ProjectID, n.TenantID = name, project, project
	n.External = name == ExternalNetwork
	n.IsDefault = n.External
	first := cidr.Addr().Next()
	n.subnet = Subnet{NetworkID: n.ID, IPVersion: 4, CIDR: cidr, DNSNameservers: []string{}, HostRoutes: []HostRoute{}, ServiceTypes: []string{},
		AllocationPools: defaultPools(cidr, &first), EnableDHCP: !n.External}
	if name != ManagementNetwork { // which leads nowhere
		n.subnet.GatewayIP = &first
	}
	if name == PrivateNetwork {
		n.subnet.AllocationPools = withoutMembers(cidr)
	}
	n.subnet.stamp(s.now())
	n.subnet.Name, n.subnet.ProjectID, n.subnet.TenantID = subnet, project, project
	if err := tx.Put(n.Network); err != nil {
		return n, err
	}
	return n, tx.Put(n.subnet)
}

// withoutMembers leaves .100 to .109 to those who choose addresses themselves, as the guides' examples do.
func withoutMembers(cidr netip.Prefix) []Pool {
	at := func(n byte) netip.Addr {
		a := cidr.Addr().As4()
		a[3] = n
		return netip.AddrFrom4(a)
	}
	return []Pool{{at(2), at(99)}, {at(110), at(254)}}
}

// plugHost connects the machine itself.
func (s *Service) plugHost(p Port) error {
	n, err := state.Get[Network](s.state, p.NetworkID)
	if err != nil {
		return err
	}
	addresses := s.addresses(p)
	if len(addresses) == 0 {
		return nil
	}
	plug := fabric.Plug{PortID: p.ID, NetworkID: n.ID, MAC: parseMAC(p.MACAddress), MTU: n.MTU, Name: fabric.HostLink(s.fabric.Tag(), p.DeviceID)}
	if err := s.fabric.PlugHost(plug, addresses[0]); err != nil {
		return fmt.Errorf("cannot connect this machine to the network %s: %w", n.Name, err)
	}
	return nil
}

// ControllerAddress is the machine's own address in the management network, where agents reach the controller.
func (s *Service) ControllerAddress() (netip.Addr, bool) {
	p, ok := state.Find(s.state, func(p *Port) bool { return p.DeviceOwner == ownerHost && p.DeviceID == hostManagement })
	if !ok || len(p.FixedIPs) == 0 {
		return netip.Addr{}, false
	}
	return p.FixedIPs[0].IPAddress, true
}
