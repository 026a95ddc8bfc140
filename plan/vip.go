package plan

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/octavo-lb/octavo/lb"
)

// VIPPort is the port that the service makes for a load balancer's VIPs. It is down: it reserves the addresses, the
// traffic goes to the amphorae's own ports. The security groups are those of groups, or as they are when that is nil.
func VIPPort(b *lb.LoadBalancer, groups []string) Port {
	p := Port{
		ID: deref(b.VipPortID), Name: VIPPortName(b.ID), ProjectID: b.ProjectID, NetworkID: deref(b.VipNetworkID),
		DeviceOwner: Owner, DeviceID: VIPDeviceID(b.ID), Down: true, SecurityGroups: groups,
	}
	if b.VipSubnetID != nil || b.VipAddress != "" {
		p.FixedIPs = append(p.FixedIPs, lb.FixedIP{SubnetID: deref(b.VipSubnetID), Address: address(b.VipAddress)})
	}
	for _, v := range b.AdditionalVips {
		p.FixedIPs = append(p.FixedIPs, lb.FixedIP{SubnetID: v.SubnetID, Address: address(v.IPAddress)})
	}
	return p
}

// PlaceVIP writes what a VIP port has into the load balancer. An error tells that the port does not have an address
// that the load balancer is to have.
func PlaceVIP(b *lb.LoadBalancer, p Port) error {
	vip, err := addressOn(p, deref(b.VipSubnetID), address(b.VipAddress))
	if err != nil {
		return err
	}
	additional := slices.Clone(b.AdditionalVips)
	for i, v := range additional {
		f, err := addressOn(p, v.SubnetID, address(v.IPAddress))
		if err != nil {
			return err
		}
		additional[i] = lb.VIP{SubnetID: f.SubnetID, IPAddress: f.Address.String(), PortID: &p.ID}
	}
	b.VipPortID, b.VipNetworkID, b.VipSubnetID = &p.ID, &p.NetworkID, &vip.SubnetID
	b.VipAddress, b.AdditionalVips = vip.Address.String(), additional
	return nil
}

func addressOn(p Port, subnetID string, wanted netip.Addr) (lb.FixedIP, error) {
	for _, f := range p.FixedIPs {
		if (subnetID == "" || f.SubnetID == subnetID) && (!wanted.IsValid() || f.Address.Unmap() == wanted) && f.Address.IsValid() {
			return f, nil
		}
	}
	if wanted.IsValid() {
		return lb.FixedIP{}, fmt.Errorf("port %s does not have the address %s", p.ID, wanted)
	}
	return lb.FixedIP{}, fmt.Errorf("port %s has no address of subnet %s", p.ID, subnetID)
}

// vips are all addresses of the load balancer, the primary one first.
func vips(b *lb.LoadBalancer) []lb.FixedIP {
	all := []lb.FixedIP{{SubnetID: deref(b.VipSubnetID), Address: address(b.VipAddress)}}
	for _, v := range b.AdditionalVips {
		all = append(all, lb.FixedIP{SubnetID: v.SubnetID, Address: address(v.IPAddress)})
	}
	return all
}

// placed tells whether all addresses of the load balancer are known.
func placed(b *lb.LoadBalancer) bool {
	for _, v := range vips(b) {
		if v.SubnetID == "" || !v.Address.IsValid() {
			return false
		}
	}
	return b.VipPortID != nil && b.VipNetworkID != nil
}

// address reads an address in the one form that this package compares, invalid for none. What is stored was validated.
func address(s string) netip.Addr {
	a, _ := netip.ParseAddr(s)
	return a.Unmap()
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
