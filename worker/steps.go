package worker

import (
	"context"
	"fmt"
	"reflect"

	"github.com/octavo-lb/octavo/cloud"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/plan"
	"github.com/octavo-lb/octavo/store"
)

// do carries out one step.
func (r *run) do(ctx context.Context, step plan.Step) error {
	switch s := step.(type) {
	case plan.ReadSubnet:
		return r.readSubnet(ctx, s)
	case plan.EnsureVIP:
		return r.ensureVIP(ctx, s)
	case plan.EnsureGroup:
		group, err := r.Cloud.EnsureSecurityGroup(ctx, s.Group)
		r.in.Seen.GroupID = group.ID
		return err
	case plan.EnsureServerGroup:
		id, err := r.Cloud.EnsureServerGroup(ctx, s.Name, s.Policy)
		r.in.Seen.ServerGroupID = id
		return err
	case plan.ReleaseVIP:
		if !s.Owned {
			return nil
		}
		return r.Cloud.DeletePort(ctx, s.Port)
	case plan.DeleteGroup:
		return r.Cloud.DeleteSecurityGroup(ctx, s.Name)
	case plan.DeleteServerGroup:
		return r.Cloud.DeleteServerGroup(ctx, s.Name)
	case plan.ForgetLoadBalancer:
		return r.forgetLoadBalancer(ctx)
	case plan.SetInForce:
		return r.setInForce(ctx, s)
	case plan.Settle:
		r.in.Settled, r.memory.verified = s.Digest, r.Clock()
		return nil
	case plan.CountFleet:
		return r.countFleet(ctx)
	case plan.Wait:
		if r.wake.IsZero() || s.Until.Before(r.wake) {
			r.wake = s.Until
		}
		return nil
	case plan.Forsake:
		return r.forsake(ctx)
	case plan.Report:
		r.problems = append(r.problems, problem{text: s.Reason, user: s.User})
		return nil
	}
	return r.doAmphora(ctx, step)
}

func (r *run) readSubnet(ctx context.Context, s plan.ReadSubnet) error {
	subnet, err := r.Cloud.Subnet(ctx, s.ID)
	if cloud.IsNotFound(err) {
		subnet, err = plan.Subnet{ID: s.ID, Missing: true}, nil
	}
	if err == nil {
		r.in.Seen.Subnets[s.ID] = subnet
	}
	return err
}

// ensureVIP stores what the port has, should the API have been killed before it could.
func (r *run) ensureVIP(ctx context.Context, s plan.EnsureVIP) error {
	var port plan.Port
	var err error
	if s.Owned {
		port, err = r.Cloud.EnsurePort(ctx, s.Port)
	} else {
		port, err = r.Cloud.Port(ctx, s.Port.ID)
	}
	if err != nil {
		return err
	}
	b := r.in.Tree.LB
	if err := plan.PlaceVIP(&b, port); err != nil {
		return &cloud.Error{Kind: cloud.Invalid, Doing: "use the VIP port", Message: err.Error()}
	}
	if reflect.DeepEqual(b, r.in.Tree.LB) {
		return nil
	}
	return r.write(ctx, func(tx *store.Tx) error {
		current, err := tx.Lock(ctx, r.lease.LB)
		if err != nil {
			return err
		}
		if err := plan.PlaceVIP(current, port); err != nil {
			return err
		}
		if s.Owned {
			current.VipPortOwned = true
		}
		if err := store.Amend(ctx, tx, current); err != nil {
			return err
		}
		b = *current
		return nil
	}, func() { r.in.Tree.LB = b })
}

func (r *run) forgetLoadBalancer(ctx context.Context) error {
	return r.write(ctx, func(tx *store.Tx) error { return tx.Remove(ctx) }, func() {
		r.gone = true
		r.Logger.Info("load balancer is gone", "lb", r.lease.LB)
	})
}

func (r *run) setInForce(ctx context.Context, s plan.SetInForce) error {
	return r.write(ctx, func(tx *store.Tx) error {
		if err := tx.SetCloudGeneration(ctx, s.Generation); err != nil {
			return err
		}
		if r.in.Pretend && !r.in.Outside {
			if err := r.pretend(ctx, tx); err != nil {
				return err
			}
		}
		if r.in.Tree.LB.Failure == "" {
			return nil
		}
		return tx.SetFailure(ctx, "", r.Clock())
	}, func() {
		r.in.CloudGeneration, r.in.Tree.LB.Failure = s.Generation, ""
	})
}

func (r *run) forsake(ctx context.Context) error {
	return r.write(ctx, func(tx *store.Tx) error { return tx.Forsake(ctx) }, func() {
		if b := &r.in.Tree.LB; b.Told.Pending() {
			b.Told = ""
		}
		r.in.Tree.Children(func(m *lb.Meta) {
			if m.Told.Pending() {
				m.Told = lb.ProvError
			}
		})
	})
}

// pretend gives everything the operating status that it would have if something served it and no member failed.
func (r *run) pretend(ctx context.Context, tx *store.Tx) error {
	if err := tx.Settle(ctx); err != nil {
		return err
	}
	tree, err := tx.LockTree(ctx, r.lease.LB)
	if err != nil {
		return err
	}
	seen := lb.Seen{Serving: true, Listeners: map[string]lb.OperatingStatus{}, Members: map[string]lb.OperatingStatus{}}
	for i := range tree.Listeners {
		seen.Listeners[tree.Listeners[i].ID] = lb.Online
	}
	for i := range tree.Members {
		seen.Members[tree.Members[i].ID] = lb.Online
	}
	return tx.SetOperatingStatuses(ctx, tree, lb.RollUp(tree, seen))
}

func (r *run) countFleet(ctx context.Context) error {
	fleet, err := r.fleet.count(ctx, r.Store, r.Clock(), r.Settings.DeadAfter)
	if err != nil {
		return storeError{err}
	}
	r.in.Seen.Fleet = &fleet
	return nil
}

// write writes under the lease, and then tells what is known by it. Whatever fails is the store's.
func (r *run) write(ctx context.Context, fn func(tx *store.Tx) error, after func()) error {
	if err := r.lease.Write(ctx, fn); err != nil {
		return storeError{fmt.Errorf("cannot write load balancer %s: %w", r.lease.LB, err)}
	}
	after()
	return nil
}
