package noop

import (
	"cmp"
	"context"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/plan"
)

// Cloud does nothing, and says that it is done. It stands in for a *cloud.Client.
type Cloud struct{}

// FreeAddresses tells of no network how many addresses are free.
func (Cloud) FreeAddresses(context.Context, string) (map[string]int, error) { return nil, nil }

// EnsureVIP writes a VIP's port and addresses into b.
func (c Cloud) EnsureVIP(ctx context.Context, b *lb.LoadBalancer) error {
	port, err := c.EnsurePort(ctx, plan.VIPPort(b, nil))
	if err != nil {
		return err
	}
	return plan.PlaceVIP(b, port)
}

// EnsurePort answers the port with what it lacks.
func (Cloud) EnsurePort(_ context.Context, want plan.Port) (plan.Port, error) {
	p := want
	p.ID = cmp.Or(want.ID, derived(want.Name, "port"))
	p.NetworkID = cmp.Or(want.NetworkID, derived(want.Name, "network"))
	p.FixedIPs = append([]lb.FixedIP{}, want.FixedIPs...)
	if len(p.FixedIPs) == 0 {
		p.FixedIPs = append(p.FixedIPs, lb.FixedIP{})
	}
	for i := range p.FixedIPs {
		f := &p.FixedIPs[i]
		f.SubnetID = cmp.Or(f.SubnetID, derived(p.NetworkID, "ipv4"))
		if !f.Address.IsValid() {
			f.Address = addressOf(want.Name+f.SubnetID, f.SubnetID == derived(p.NetworkID, "ipv6"))
		}
	}
	return p, nil
}

// Subnet answers an empty subnet of that id.
func (Cloud) Subnet(_ context.Context, id string) (plan.Subnet, error) {
	return plan.Subnet{ID: id, NetworkID: derived(id, "network"), CIDR: allIPv4}, nil
}

// Port answers a port of that id.
func (c Cloud) Port(ctx context.Context, id string) (plan.Port, error) {
	return c.EnsurePort(ctx, plan.Port{ID: id, Name: id})
}

// The rest is done at once.

func (Cloud) DeletePort(context.Context, plan.Port) error { return nil }

func (Cloud) EnsureSecurityGroup(_ context.Context, want plan.SecurityGroup) (plan.SecurityGroup, error) {
	want.ID = derived(want.Name, "group")
	return want, nil
}

func (Cloud) DeleteSecurityGroup(context.Context, string) error { return nil }

func (Cloud) EnsureServerGroup(_ context.Context, name, _ string) (string, error) {
	return derived(name, "group"), nil
}

func (Cloud) DeleteServerGroup(context.Context, string) error { return nil }

func (Cloud) Server(_ context.Context, id string) (plan.Server, error) {
	return plan.Server{ID: id, State: plan.ServerGone}, nil
}

func (Cloud) FindServer(_ context.Context, name string) (plan.Server, error) {
	return plan.Server{Name: name, State: plan.ServerGone}, nil
}

func (Cloud) CreateServer(_ context.Context, want plan.Server, _ []byte) (plan.Server, error) {
	want.ID, want.State = derived(want.Name, "server"), plan.ServerActive
	return want, nil
}

func (Cloud) DeleteServer(_ context.Context, s plan.Server) (plan.Server, error) {
	s.State = plan.ServerGone
	return s, nil
}

func (Cloud) AttachPort(context.Context, string, string) error { return nil }
func (Cloud) DetachPort(context.Context, string, string) error { return nil }
