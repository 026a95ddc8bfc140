package lb

import (
	"net/netip"
	"slices"
)

// Subnet, Network and Port are what the rules for a VIP ask of the network service's objects.
type Subnet struct {
	ID        string
	NetworkID string
	CIDR      netip.Prefix
}

type Network struct {
	ID      string
	Subnets []string // ids, in the network service's order
}

type Port struct {
	ID          string
	NetworkID   string
	DeviceID    string // who uses it, empty for nobody
	QosPolicyID string
	FixedIPs    []FixedIP
}

type FixedIP struct {
	SubnetID string
	Address  netip.Addr
}

// PlaceOnPort takes subnet and address of the VIP from the port that the user brings, as far as they are not given. See
// _validate_port_and_fill_or_validate_subnet in Octavia for the cases.
func (b *LoadBalancer) PlaceOnPort(p Port) error {
	if p.DeviceID != "" {
		return invalid("Port %s is already used by device %s", p.ID, p.DeviceID)
	}
	b.VipNetworkID = &p.NetworkID
	if p.QosPolicyID != "" && b.VipQosPolicyID == nil {
		b.VipQosPolicyID = &p.QosPolicyID
	}
	address, _ := netip.ParseAddr(b.VipAddress)
	i := slices.IndexFunc(p.FixedIPs, func(f FixedIP) bool {
		switch {
		case b.VipSubnetID != nil:
			return f.SubnetID == *b.VipSubnetID
		case address.IsValid():
			return f.Address.Unmap() == address.Unmap()
		}
		return len(p.FixedIPs) == 1
	})
	switch {
	case i >= 0:
		b.VipSubnetID, b.VipAddress = &p.FixedIPs[i].SubnetID, p.FixedIPs[i].Address.String()
		return nil
	case b.VipSubnetID != nil:
		return invalid("the port %s has no address of the subnet %s", p.ID, *b.VipSubnetID)
	case address.IsValid():
		return invalid("the port %s does not have the address %s", p.ID, b.VipAddress)
	}
	return invalid("the port %s has several addresses: give vip_subnet_id or vip_address as well", p.ID)
}

// PlaceOnNetwork chooses the VIP's subnet among those of a network: the one that holds the given address, else the
// first one of IPv4 that has enough free addresses, else the first with enough. free is nil where that is not known.
func (b *LoadBalancer) PlaceOnNetwork(n Network, subnets []Subnet, free map[string]int) error {
	b.VipNetworkID = &n.ID
	if len(subnets) == 0 {
		return invalid("the network %s has no subnet", n.ID)
	}
	if address, err := netip.ParseAddr(b.VipAddress); err == nil {
		i := slices.IndexFunc(subnets, func(s Subnet) bool { return s.CIDR.Contains(address.Unmap()) })
		if i < 0 {
			return invalid("the network %s has no subnet for the address %s", n.ID, b.VipAddress)
		}
		b.VipSubnetID = &subnets[i].ID
		return nil
	}
	needed := 2 // the VIP and one amphora
	if b.Topology == "ACTIVE_STANDBY" {
		needed = 3
	}
	roomy := slices.DeleteFunc(slices.Clone(subnets), func(s Subnet) bool {
		n, known := free[s.ID]
		return known && n < needed
	})
	if len(roomy) == 0 {
		return invalid("no subnet of the network %s has %d free addresses", n.ID, needed)
	}
	i := slices.IndexFunc(roomy, func(s Subnet) bool { return s.CIDR.Addr().Is4() })
	b.VipSubnetID = &roomy[max(i, 0)].ID
	return nil
}

// CheckSubnets makes sure that all VIPs live on one network and on different subnets, all of which are given.
func (b *LoadBalancer) CheckSubnets(subnets map[string]Subnet) error {
	used := map[string]bool{*b.VipSubnetID: true}
	for _, v := range b.AdditionalVips {
		if used[v.SubnetID] {
			return invalid("the subnet %s is given for two VIPs: each has a subnet of its own", v.SubnetID)
		}
		used[v.SubnetID] = true
		if s := subnets[v.SubnetID]; s.NetworkID != *b.VipNetworkID {
			return invalid("the subnet %s is not of the VIP's network %s", v.SubnetID, *b.VipNetworkID)
		}
		if a, err := netip.ParseAddr(v.IPAddress); err == nil && !subnets[v.SubnetID].CIDR.Contains(a.Unmap()) {
			return invalid("the address %s is not of the subnet %s", v.IPAddress, v.SubnetID)
		}
	}
	return nil
}

// ValidateLoadBalancer checks a load balancer that shall be changed against what is on it.
func (t *Tree) ValidateLoadBalancer(b *LoadBalancer) error {
	if len(b.VipSgIDs) == 0 {
		return nil
	}
	if b.VipVnicType == "direct" {
		return invalid("vip_sg_ids cannot be used with a VIP port of VNIC type direct")
	}
	for i := range t.Listeners {
		if l := &t.Listeners[i]; len(l.AllowedCidrs) > 0 && !l.Deleting {
			return invalid("vip_sg_ids cannot be used while the listener %s has allowed_cidrs", l.ID)
		}
	}
	return nil
}

// HasChildren tells whether anything is on the load balancer that is not being deleted.
func (t *Tree) HasChildren() bool {
	return slices.ContainsFunc(t.Listeners, func(l Listener) bool { return !l.Deleting }) ||
		slices.ContainsFunc(t.Pools, func(p Pool) bool { return !p.Deleting })
}
