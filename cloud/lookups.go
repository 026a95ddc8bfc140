package cloud

import (
	"context"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/qos/policies"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/security/groups"

	"github.com/octavo-lb/octavo/lb"
)

// Lookups looks things up with a user's own token: it finds what that user may see and nothing else. What is not found is
// a fault of code lb.NotFound.
type Lookups struct{ client *Client }

// Lookups are the calls that are made with users' tokens.
func (c *Client) Lookups() Lookups { return Lookups{c} }

func (l Lookups) begin(ctx context.Context, token string) (context.Context, context.CancelFunc, *gophercloud.ServiceClient, error) {
	ctx, cancel, s, err := l.client.begin(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	network := *s.network
	network.ProviderClient = &gophercloud.ProviderClient{HTTPClient: l.client.http, UserAgent: s.provider.UserAgent, TokenID: token}
	return ctx, cancel, &network, nil
}

// Subnet reads a subnet.
func (l Lookups) Subnet(ctx context.Context, token, id string) (lb.Subnet, error) {
	ctx, cancel, network, err := l.begin(ctx, token)
	if err != nil {
		return lb.Subnet{}, err
	}
	defer cancel()
	s, err := getSubnet(ctx, network, id)
	return lb.Subnet{ID: s.ID, NetworkID: s.NetworkID, CIDR: s.CIDR}, missing(err, "Subnet", id)
}

// Network reads a network.
func (l Lookups) Network(ctx context.Context, token, id string) (lb.Network, error) {
	ctx, cancel, network, err := l.begin(ctx, token)
	if err != nil {
		return lb.Network{}, err
	}
	defer cancel()
	n, err := getNetwork(ctx, network, id)
	return lb.Network{ID: n.ID, Subnets: n.SubnetIDs}, missing(err, "Network", id)
}

// Port reads a port.
func (l Lookups) Port(ctx context.Context, token, id string) (lb.Port, error) {
	ctx, cancel, network, err := l.begin(ctx, token)
	if err != nil {
		return lb.Port{}, err
	}
	defer cancel()
	p, err := getPort(ctx, network, id)
	if err != nil {
		return lb.Port{}, missing(err, "Port", id)
	}
	return lb.Port{ID: p.ID, NetworkID: p.NetworkID, DeviceID: p.DeviceID, QosPolicyID: *p.QosPolicyID, FixedIPs: p.FixedIPs}, nil
}

// QosPolicy tells whether the user sees a QoS policy; in a cloud without QoS there is none to see.
func (l Lookups) QosPolicy(ctx context.Context, token, id string) error {
	ctx, cancel, network, err := l.begin(ctx, token)
	if err != nil {
		return err
	}
	defer cancel()
	return missing(wrap(policies.Get(ctx, network, id).Err, "read QoS policy %s", id), "QoS policy", id)
}

// SecurityGroup tells whether the user sees a security group.
func (l Lookups) SecurityGroup(ctx context.Context, token, id string) error {
	ctx, cancel, network, err := l.begin(ctx, token)
	if err != nil {
		return err
	}
	defer cancel()
	return missing(wrap(groups.Get(ctx, network, id).Err, "read security group %s", id), "Security group", id)
}

func missing(err error, resource, id string) error {
	if IsNotFound(err) {
		return lb.Missing(resource, id)
	}
	return err
}
