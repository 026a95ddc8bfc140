package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/cloud"
	"github.com/octavo-lb/octavo/plan"
	"github.com/octavo-lb/octavo/store"
)

// doAmphora carries out a step on one amphora.
func (r *run) doAmphora(ctx context.Context, step plan.Step) error {
	switch s := step.(type) {
	case plan.AddAmphora:
		return r.addAmphora(ctx, s)
	case plan.EnsurePort:
		return r.ensurePort(ctx, s)
	case plan.EnsureServer:
		return r.ensureServer(ctx, s)
	case plan.ShowServer:
		return r.showServer(ctx, s)
	case plan.Plug:
		return r.plug(ctx, s)
	case plan.Unplug:
		return r.unplug(ctx, s)
	case plan.Retire:
		r.Logger.Info("retiring an amphora", "lb", r.lease.LB, "amphora", s.Amphora, "why", s.Why)
		return r.update(ctx, s.Amphora, func(a *store.Amphora) { a.Deleting = true })
	case plan.Fence:
		return r.fence(ctx, s)
	case plan.DeleteServer:
		left, err := r.Cloud.DeleteServer(ctx, s.Server)
		if err == nil {
			r.in.Seen.Servers[s.Amphora] = left
		}
		return err
	case plan.DeletePorts:
		for _, p := range s.Ports {
			if err := r.Cloud.DeletePort(ctx, p); err != nil {
				return err
			}
		}
		return nil
	case plan.ForgetAmphora:
		return r.forgetAmphora(ctx, s)
	}
	return fmt.Errorf("nobody knows how to %s", step)
}

func (r *run) addAmphora(ctx context.Context, s plan.AddAmphora) error {
	a := store.Amphora{ID: r.NewID(), Role: s.Role, Attempt: s.Attempt, VRRPID: 1, VRRPPriority: s.Priority,
		Interfaces: []store.Interface{}, Capabilities: []string{}}
	r.Logger.Info("adding an amphora", "lb", r.lease.LB, "amphora", a.ID, "attempt", s.Attempt, "why", s.Why)
	return r.rows(ctx, func(tx *store.Tx, _ []store.Amphora) error { return tx.InsertAmphora(ctx, &a) })
}

func (r *run) forgetAmphora(ctx context.Context, s plan.ForgetAmphora) error {
	return r.rows(ctx, func(tx *store.Tx, _ []store.Amphora) error { return tx.RemoveAmphora(ctx, s.Amphora) })
}

func (r *run) ensurePort(ctx context.Context, s plan.EnsurePort) error {
	port, err := r.Cloud.EnsurePort(ctx, s.Port)
	if err != nil {
		return err
	}
	if !s.VIP {
		return r.update(ctx, s.Amphora, func(a *store.Amphora) { a.MgmtPortID, a.LBNetworkIP = port.ID, firstAddress(port) })
	}
	vip := store.Interface(plan.VIPInterface(&r.in.Tree.LB, port, r.in.Seen.Subnets))
	return r.update(ctx, s.Amphora, func(a *store.Amphora) {
		a.VRRPPortID, a.VRRPMAC, a.VRRPIP = port.ID, port.MAC, ""
		if len(vip.Addresses) > 0 {
			a.VRRPIP = vip.Addresses[0].Addr().String()
		}
		a.Interfaces = slices.Insert(slices.DeleteFunc(a.Interfaces, func(i store.Interface) bool { return i.VIP }), 0, vip)
	})
}

func firstAddress(p plan.Port) string {
	if len(p.FixedIPs) == 0 {
		return ""
	}
	return p.FixedIPs[0].Address.String()
}

// ensureServer looks for the instance first: the answer to an earlier attempt may have been lost. The token's hash is
// stored before the instance is made, which may enrol before its id is stored.
func (r *run) ensureServer(ctx context.Context, s plan.EnsureServer) error {
	if err := r.builds.begin(ctx, r.Store, s.Amphora); err != nil {
		return err
	}
	found, err := r.Cloud.FindServer(ctx, s.Server.Name)
	if cloud.IsNotFound(err) {
		found, err = r.createServer(ctx, s)
	}
	if err != nil {
		r.builds.end(s.Amphora)
		return err
	}
	r.in.Seen.Servers[s.Amphora] = found
	return r.update(ctx, s.Amphora, func(a *store.Amphora) {
		a.ComputeID, a.ImageID, a.ComputeFlavor, a.CachedZone = found.ID, found.Image.ID, s.Server.FlavorID, s.Server.AvailabilityZone
	})
}

// tokenReuse is for how long the same token is used again when making the instance failed: should it have been made
// without our knowing, it can still enrol.
const tokenReuse = time.Minute

func (r *run) createServer(ctx context.Context, s plan.EnsureServer) (plan.Server, error) {
	expiry := r.Clock().Add(r.EnrolLifetime).Truncate(time.Second)
	for _, a := range r.in.Amphorae {
		if a.ID == s.Amphora && !a.Started.IsZero() && r.Clock().Sub(a.Started) < tokenReuse {
			expiry = a.Started.Add(r.EnrolLifetime)
		}
	}
	token, hash := r.CA.EnrolToken(s.Amphora, expiry)
	if err := r.update(ctx, s.Amphora, func(a *store.Amphora) { a.EnrolHash, a.EnrolExpiry = hash, &expiry }); err != nil {
		return plan.Server{}, err
	}
	boot, err := json.Marshal(agentapi.Boot{AmphoraID: s.Amphora, Controllers: r.Controllers, ServerName: r.ServerName,
		Trust: r.CA.Trust(), Token: token.Reveal(), TokenExpiry: expiry, ProgramKey: r.ProgramKey, TimeZone: r.TimeZone})
	if err != nil {
		return plan.Server{}, fmt.Errorf("cannot write the config drive of amphora %s: %w", s.Amphora, err)
	}
	return r.Cloud.CreateServer(ctx, s.Server, boot)
}

func (r *run) showServer(ctx context.Context, s plan.ShowServer) error {
	found, err := r.Cloud.Server(ctx, s.ID)
	if cloud.IsNotFound(err) {
		found, err = plan.Server{ID: s.ID, State: plan.ServerGone}, nil
	}
	if err == nil {
		r.in.Seen.Servers[s.Amphora] = found
	}
	return err
}

// plug stores in which network the port will be before it makes it: by that the port's name can be computed whatever
// happens next. The agent is told of the interface when the instance has it.
func (r *run) plug(ctx context.Context, s plan.Plug) error {
	err := r.update(ctx, s.Amphora, func(a *store.Amphora) {
		if interfaceOn(a, s.Port.NetworkID) == nil {
			a.Interfaces = append(a.Interfaces, store.Interface{NetworkID: s.Port.NetworkID, SubnetIDs: []string{}})
		}
	})
	if err != nil {
		return err
	}
	port, err := r.Cloud.EnsurePort(ctx, s.Port)
	if err != nil {
		return err
	}
	if err := r.Cloud.AttachPort(ctx, s.ComputeID, port.ID); err != nil {
		return err
	}
	plugged := store.Interface(plan.InterfaceOf(port, r.in.Seen.Subnets, nil))
	plugged.Attached = true
	return r.update(ctx, s.Amphora, func(a *store.Amphora) {
		if i := interfaceOn(a, s.Port.NetworkID); i != nil {
			*i = plugged
		}
	})
}

func (r *run) unplug(ctx context.Context, s plan.Unplug) error {
	if s.Port.ID != "" {
		if err := r.Cloud.DetachPort(ctx, s.ComputeID, s.Port.ID); err != nil {
			return err
		}
	}
	if err := r.Cloud.DeletePort(ctx, s.Port); err != nil {
		return err
	}
	return r.update(ctx, s.Amphora, func(a *store.Amphora) {
		a.Interfaces = slices.DeleteFunc(a.Interfaces, func(i store.Interface) bool { return !i.VIP && i.NetworkID == s.Port.NetworkID })
	})
}

func interfaceOn(a *store.Amphora, networkID string) *store.Interface {
	for i := range a.Interfaces {
		if f := &a.Interfaces[i]; !f.VIP && f.NetworkID == networkID {
			return f
		}
	}
	return nil
}

func (r *run) fence(ctx context.Context, s plan.Fence) error {
	if err := r.Cloud.DeletePort(ctx, s.Port); err != nil {
		return err
	}
	return r.update(ctx, s.Amphora, func(a *store.Amphora) {
		a.VRRPPortID = ""
		a.Interfaces = slices.DeleteFunc(a.Interfaces, func(i store.Interface) bool { return i.VIP })
	})
}
