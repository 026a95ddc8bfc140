package cloud

import (
	"context"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/qos/policies"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/security/groups"

	"github.com/octavo-lb/octavo/plan"
	"github.com/octavo-lb/octavo/secrets"
)

// Tenant looks things up with a user's own token: it finds what that user may see and nothing else. Whatever id a user
// names is resolved by it.
type Tenant struct {
	client *Client
	token  secrets.Secret
}

// As makes lookups with a user's token.
func (c *Client) As(token secrets.Secret) *Tenant { return &Tenant{c, token} }

func (t *Tenant) begin(ctx context.Context) (context.Context, context.CancelFunc, *gophercloud.ServiceClient, error) {
	ctx, cancel, s, err := t.client.begin(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	provider := &gophercloud.ProviderClient{HTTPClient: t.client.http, UserAgent: s.provider.UserAgent, TokenID: t.token.Reveal()}
	network := *s.network
	network.ProviderClient = provider
	return ctx, cancel, &network, nil
}

// Subnet reads a subnet, without its network's MTU. NotFound.
func (t *Tenant) Subnet(ctx context.Context, id string) (plan.Subnet, error) {
	ctx, cancel, network, err := t.begin(ctx)
	if err != nil {
		return plan.Subnet{}, err
	}
	defer cancel()
	return getSubnet(ctx, network, id)
}

// Network reads a network. NotFound.
func (t *Tenant) Network(ctx context.Context, id string) (plan.Network, error) {
	ctx, cancel, network, err := t.begin(ctx)
	if err != nil {
		return plan.Network{}, err
	}
	defer cancel()
	return getNetwork(ctx, network, id)
}

// Port reads a port. NotFound.
func (t *Tenant) Port(ctx context.Context, id string) (plan.Port, error) {
	ctx, cancel, network, err := t.begin(ctx)
	if err != nil {
		return plan.Port{}, err
	}
	defer cancel()
	return getPort(ctx, network, id)
}

// QosPolicy tells whether the user sees a QoS policy. NotFound, also where the cloud has no QoS.
func (t *Tenant) QosPolicy(ctx context.Context, id string) error {
	ctx, cancel, network, err := t.begin(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	return wrap(policies.Get(ctx, network, id).Err, "read QoS policy %s", id)
}

// SecurityGroup tells whether the user sees a security group. NotFound.
func (t *Tenant) SecurityGroup(ctx context.Context, id string) error {
	ctx, cancel, network, err := t.begin(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	return wrap(groups.Get(ctx, network, id).Err, "read security group %s", id)
}
