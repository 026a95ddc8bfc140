package cloud

import (
	"context"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/plan"
)

// EnsureVIP sees to it that the port of the VIPs exists and writes its id, addresses, subnet and network into b. A port that
// the user brought is read and not changed. What the user could avoid is a *lb.Fault, in Neutron's words.
func (c *Client) EnsureVIP(ctx context.Context, b *lb.LoadBalancer) error {
	port, err := c.vipPort(ctx, b)
	if err != nil {
		return vipFault(err)
	}
	return plan.PlaceVIP(b, port)
}

func (c *Client) vipPort(ctx context.Context, b *lb.LoadBalancer) (plan.Port, error) {
	if b.VipPortID != nil && !b.VipPortOwned {
		return c.Port(ctx, *b.VipPortID)
	}
	return c.EnsurePort(ctx, plan.VIPPort(b, nil))
}

// vipFault keeps Neutron's status, as Octavia does (octavia/api/v2/controllers/load_balancer.py).
func vipFault(err error) error {
	e, ok := err.(*Error)
	if !ok {
		return err
	}
	switch e.Kind {
	case Conflict:
		return lb.Refuse(lb.InUse, "%s", e.Message)
	case Quota, Capacity:
		return lb.Refuse(lb.TooMany, "%s", e.Message)
	case NotFound:
		return lb.Refuse(lb.NotFound, "%s", e.Message)
	case Invalid:
		return lb.Refuse(lb.Validation, "%s", e.Message)
	}
	return err
}
