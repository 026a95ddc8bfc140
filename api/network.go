package api

import (
	"context"
	"slices"
	"strings"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/lb/attr"
)

// seen asks the network service for something with the caller's token. What the caller cannot see is a mistake in the
// request (400), not a page that is not there (404), as in Octavia.
func seen[T any](c *call, look func(ctx context.Context, token, id string) (T, error), id string) (T, error) {
	v, err := look(c.Context(), c.who.Token, id)
	if f := lb.AsFault(err); f != nil && f.Code == lb.NotFound {
		err = lb.Refuse(lb.InvalidReference, "%s", f.Message)
	}
	return v, err
}

// only adapts a look-up that has no result.
func only(look func(ctx context.Context, token, id string) error) func(context.Context, string, string) (struct{}, error) {
	return func(ctx context.Context, token, id string) (struct{}, error) { return struct{}{}, look(ctx, token, id) }
}

// lookUpSubnets makes sure that the caller can see the members' subnets; each is looked up once.
func (s *Server) lookUpSubnets(c *call, members []lb.Member) error {
	known := map[string]bool{}
	for _, m := range members {
		if m.SubnetID == nil || known[*m.SubnetID] {
			continue
		}
		known[*m.SubnetID] = true
		if _, err := seen(c, s.Networks.Subnet, *m.SubnetID); err != nil {
			return err
		}
	}
	return nil
}

// absentNetwork stands in where there is no network service.
type absentNetwork struct{}

var noNetwork = lb.Refuse(lb.NotProvided, "This deployment has no network service.")

func (absentNetwork) Port(context.Context, string, string) (lb.Port, error) {
	return lb.Port{}, noNetwork
}
func (absentNetwork) Subnet(context.Context, string, string) (lb.Subnet, error) {
	return lb.Subnet{}, noNetwork
}
func (absentNetwork) Network(context.Context, string, string) (lb.Network, error) {
	return lb.Network{}, noNetwork
}
func (absentNetwork) QosPolicy(context.Context, string, string) error     { return noNetwork }
func (absentNetwork) SecurityGroup(context.Context, string, string) error { return noNetwork }
func (absentNetwork) EnsureVIP(context.Context, *lb.LoadBalancer) error   { return noNetwork }
func (absentNetwork) FreeAddresses(context.Context, string) (map[string]int, error) {
	return nil, noNetwork
}

// lookUpSecurity makes sure that the caller can see the QoS policy and the security groups, those of was excepted.
func (s *Server) lookUpSecurity(c *call, now, was *lb.LoadBalancer) error {
	if q := now.VipQosPolicyID; q != nil && (was.VipQosPolicyID == nil || *was.VipQosPolicyID != *q) {
		if _, err := seen(c, only(s.Networks.QosPolicy), *q); err != nil {
			return err
		}
	}
	for _, id := range now.VipSgIDs {
		if slices.Contains(was.VipSgIDs, id) {
			continue
		}
		if _, err := seen(c, only(s.Networks.SecurityGroup), id); err != nil {
			return err
		}
	}
	return nil
}

// place finds out where the VIP goes, from what the request says and what the caller can see. subnets are those of all
// VIPs by id. allowed are the networks of the availability zone, nil for the configured ones.
func (s *Server) place(c *call, b *lb.LoadBalancer, given attr.Given, allowed []string) (subnets map[string]lb.Subnet, err error) {
	switch {
	case b.VipPortID != nil && s.NoVIPPort:
		err = notHere("vip_port_id")
	case b.VipNetworkID != nil && s.NoVIPNetwork:
		err = notHere("vip_network_id")
	case b.VipSubnetID != nil && s.NoVIPSubnet:
		err = notHere("vip_subnet_id")
	case b.VipPortID != nil:
		err = s.placeOnPort(c, b, given)
	case b.VipNetworkID != nil:
		err = s.placeOnNetwork(c, b)
	case b.VipSubnetID != nil:
		var subnet lb.Subnet
		subnet, err = seen(c, s.Networks.Subnet, *b.VipSubnetID)
		b.VipNetworkID = &subnet.NetworkID
	default:
		err = lb.Refuse(lb.Validation, "Validation failure: VIP must contain one of: %s.", strings.Join(s.vipWays(), ", "))
	}
	if err != nil {
		return nil, err
	}
	if err := s.checkVIPNetwork(*b.VipNetworkID, allowed); err != nil {
		return nil, err
	}
	subnets = map[string]lb.Subnet{}
	for _, id := range append([]string{*b.VipSubnetID}, additionalSubnets(b)...) {
		if subnets[id], err = seen(c, s.Networks.Subnet, id); err != nil {
			return nil, err
		}
	}
	for _, v := range b.AdditionalVips {
		if v.PortID == nil {
			continue
		}
		if _, err := seen(c, s.Networks.Port, *v.PortID); err != nil {
			return nil, err
		}
	}
	if err := s.lookUpSecurity(c, b, &lb.LoadBalancer{}); err != nil {
		return nil, err
	}
	return subnets, b.CheckSubnets(subnets)
}

func notHere(way string) error {
	return lb.Refuse(lb.Validation, "Validation failure: use of %s is disallowed by this deployment's configuration.", way)
}

// vipWays are the attributes by which users may say where a VIP goes.
func (s *Server) vipWays() []string {
	var ways []string
	for _, w := range []struct {
		name string
		no   bool
	}{{"vip_port_id", s.NoVIPPort}, {"vip_network_id", s.NoVIPNetwork}, {"vip_subnet_id", s.NoVIPSubnet}} {
		if !w.no {
			ways = append(ways, w.name)
		}
	}
	return ways
}

func additionalSubnets(b *lb.LoadBalancer) []string {
	ids := make([]string, len(b.AdditionalVips))
	for i, v := range b.AdditionalVips {
		ids[i] = v.SubnetID
	}
	return ids
}

func (s *Server) placeOnPort(c *call, b *lb.LoadBalancer, given attr.Given) error {
	port, err := seen(c, s.Networks.Port, *b.VipPortID)
	if err != nil {
		return err
	}
	asked := b.VipQosPolicyID
	err = b.PlaceOnPort(port)
	if given["vip_qos_policy_id"] {
		b.VipQosPolicyID = asked
	}
	return err
}

func (s *Server) placeOnNetwork(c *call, b *lb.LoadBalancer) error {
	network, err := seen(c, s.Networks.Network, *b.VipNetworkID)
	if err != nil {
		return err
	}
	if id := b.VipSubnetID; id != nil {
		subnet, err := seen(c, s.Networks.Subnet, *id)
		if err == nil && subnet.NetworkID != network.ID {
			err = lb.Refuse(lb.InvalidReference, "Subnet %s not found.", *id)
		}
		return err
	}
	subnets := make([]lb.Subnet, len(network.Subnets))
	for i, id := range network.Subnets {
		if subnets[i], err = seen(c, s.Networks.Subnet, id); err != nil {
			return err
		}
	}
	free, err := s.VIPs.FreeAddresses(c.Context(), network.ID)
	if err != nil {
		return err
	}
	return b.PlaceOnNetwork(network, subnets, free)
}

// checkVIPNetwork asks what the operator allows: in general, or in the load balancer's availability zone.
func (s *Server) checkVIPNetwork(id string, allowed []string) error {
	if allowed == nil {
		allowed = s.VIPNetworks
	}
	is := func(other string) bool { return strings.EqualFold(other, id) }
	if len(allowed) > 0 && !slices.ContainsFunc(allowed, is) || slices.ContainsFunc(s.DeniedVIPNetworks, is) {
		return lb.Refuse(lb.Validation, "Validation failure: Supplied VIP network_id is not allowed by the configuration of this deployment.")
	}
	return nil
}
