package cloud

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/plan"
)

// subnetCache spares the cloud from being asked for the same subnet by a hundred load balancers that are made at once.
type subnetCache struct {
	mu      sync.Mutex
	entries map[string]cachedSubnet
}

type cachedSubnet struct {
	subnet plan.Subnet
	until  time.Time
}

const (
	subnetLife = 10 * time.Second
	maxSubnets = 4096
)

func (s *subnetCache) get(id string, now time.Time) (plan.Subnet, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.entries[id]
	return e.subnet, ok && now.Before(e.until)
}

func (s *subnetCache) put(subnet plan.Subnet, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries == nil || len(s.entries) >= maxSubnets {
		s.entries = map[string]cachedSubnet{}
	}
	s.entries[subnet.ID] = cachedSubnet{subnet, now.Add(subnetLife)}
}

// Subnet reads a subnet and its network's MTU; the answer may be some seconds old. NotFound.
func (c *Client) Subnet(ctx context.Context, id string) (plan.Subnet, error) {
	if known, ok := c.subnets.get(id, c.options.Clock()); ok {
		return known, nil
	}
	ctx, cancel, s, err := c.begin(ctx)
	if err != nil {
		return plan.Subnet{}, err
	}
	defer cancel()
	subnet, err := getSubnet(ctx, s.network, id)
	if err != nil {
		return plan.Subnet{}, err
	}
	network, err := getNetwork(ctx, s.network, subnet.NetworkID)
	if err != nil {
		return plan.Subnet{}, err
	}
	subnet.MTU = network.MTU
	c.subnets.put(subnet, c.options.Clock())
	return subnet, nil
}

// Network reads a network. NotFound.
func (c *Client) Network(ctx context.Context, id string) (plan.Network, error) {
	ctx, cancel, s, err := c.begin(ctx)
	if err != nil {
		return plan.Network{}, err
	}
	defer cancel()
	return getNetwork(ctx, s.network, id)
}

func getSubnet(ctx context.Context, network *gophercloud.ServiceClient, id string) (plan.Subnet, error) {
	found, err := subnets.Get(ctx, network, id).Extract()
	if err != nil {
		return plan.Subnet{}, wrap(err, "read subnet %s", id)
	}
	subnet := plan.Subnet{ID: found.ID, NetworkID: found.NetworkID, ProjectID: found.ProjectID}
	if subnet.CIDR, err = netip.ParsePrefix(found.CIDR); err != nil {
		return plan.Subnet{}, &Error{Kind: Invalid, Doing: "read subnet " + id, Message: err.Error(), err: err}
	}
	subnet.Gateway, _ = netip.ParseAddr(found.GatewayIP)
	for _, r := range found.HostRoutes {
		destination, err := netip.ParsePrefix(r.DestinationCIDR)
		if err != nil {
			continue
		}
		if hop, err := netip.ParseAddr(r.NextHop); err == nil {
			subnet.Routes = append(subnet.Routes, agentapi.Route{Destination: destination.Masked(), NextHop: hop})
		}
	}
	return subnet, nil
}

func getNetwork(ctx context.Context, network *gophercloud.ServiceClient, id string) (plan.Network, error) {
	var found struct {
		networks.Network
		MTU      int  `json:"mtu"`
		External bool `json:"router:external"`
	}
	if err := networks.Get(ctx, network, id).ExtractInto(&found); err != nil {
		return plan.Network{}, wrap(err, "read network %s", id)
	}
	return plan.Network{ID: found.ID, Name: found.Name, ProjectID: found.ProjectID, SubnetIDs: found.Subnets,
		MTU: found.MTU, External: found.External}, nil
}
