package cloudtest

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/octavo-lb/octavo/cloud"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/plan"
)

// boot makes an instance with a management port and one in the user's network.
func (s *suite) boot() plan.Server {
	s.Helper()
	s.Cleanup(func() {
		s.eventually("the instance is gone", func() error {
			left, err := s.Client.DeleteServer(context.Background(), plan.Server{Name: plan.ServerName(s.id)})
			if err == nil && left.State != plan.ServerGone {
				err = fmt.Errorf("it is %s", left.State)
			}
			return err
		})
	})
	want := plan.Server{Name: plan.ServerName(s.id), FlavorID: s.FlavorID, Image: s.Image}
	for _, p := range []plan.Port{
		{Name: plan.ManagementPortName(s.id), NetworkID: s.ManagementNetworkID, DeviceOwner: plan.Owner},
		{Name: plan.VRRPPortName(s.id), NetworkID: s.NetworkID, DeviceOwner: plan.Owner, FixedIPs: []lb.FixedIP{{SubnetID: s.SubnetID}}},
	} {
		made, err := s.Client.EnsurePort(s.ctx, p)
		s.ok(err)
		s.Cleanup(func() { s.ok(s.Client.DeletePort(context.Background(), p)) })
		want.PortIDs = append(want.PortIDs, made.ID)
	}
	made, err := s.Client.CreateServer(s.ctx, want, []byte(`{"amphora_id": "`+s.id+`", "note": "not an agent's"}`))
	s.ok(err)
	s.eventually("the instance runs", func() error {
		found, err := s.Client.Server(s.ctx, made.ID)
		if err == nil && found.State == plan.ServerFailed {
			s.Fatalf("the instance failed: %s", found.Fault)
		}
		if err == nil && found.State != plan.ServerActive {
			err = fmt.Errorf("it is %s", found.State)
		}
		return err
	})
	// Cleanups run last first: the instance goes before its ports.
	s.Cleanup(func() {
		s.eventually("the instance is gone", func() error {
			left, err := s.Client.DeleteServer(context.Background(), made)
			if err == nil && left.State != plan.ServerGone {
				err = fmt.Errorf("it is %s", left.State)
			}
			return err
		})
	})
	return made
}

func (s *suite) instance() {
	made := s.boot()
	found, err := s.Client.FindServer(s.ctx, made.Name)
	s.ok(err)
	if found.ID != made.ID || found.Name != made.Name {
		s.Errorf("found %+v, made %+v", found, made)
	}
	if _, err := s.Client.FindServer(s.ctx, plan.ServerName(uuid.NewString())); !cloud.IsNotFound(err) {
		s.Errorf("an instance that does not exist: %v", err)
	}
	port, err := s.Client.Port(s.ctx, made.PortIDs[1])
	s.ok(err)
	if port.DeviceID != made.ID {
		s.Errorf("its port is used by %q", port.DeviceID)
	}
	owned, err := s.Client.Owned(s.ctx, plan.ServerKind)
	s.ok(err)
	seen := false
	for _, o := range owned {
		seen = seen || o.ID == made.ID && o.AmphoraID == s.id
	}
	if !seen {
		s.Errorf("the instance is not among the service's own: %v", owned)
	}
	s.eventually("the instance is gone", func() error {
		left, err := s.Client.DeleteServer(s.ctx, made)
		if err == nil && left.State != plan.ServerGone {
			err = fmt.Errorf("it is %s", left.State)
		}
		return err
	})
	if _, err := s.Client.Server(s.ctx, made.ID); !cloud.IsNotFound(err) {
		s.Errorf("the instance after its deletion: %v", err)
	}
	if port, err := s.Client.Port(s.ctx, made.PortIDs[1]); err != nil || port.DeviceID != "" {
		s.Errorf("a port that was made before the instance outlives it: %+v, %v", port, err)
	}
}

func (s *suite) plug() {
	made := s.boot()
	want := plan.Port{Name: plan.MemberPortName(s.id, s.OtherNetworkID), NetworkID: s.OtherNetworkID, DeviceOwner: plan.Owner,
		FixedIPs: []lb.FixedIP{{SubnetID: s.OtherSubnetID}}}
	s.cleanPort(want)
	port, err := s.Client.EnsurePort(s.ctx, want)
	s.ok(err)
	for range 2 {
		s.ok(s.Client.AttachPort(s.ctx, made.ID, port.ID))
	}
	attached, err := s.Client.Port(s.ctx, port.ID)
	s.ok(err)
	if attached.DeviceID != made.ID {
		s.Errorf("the port is used by %q", attached.DeviceID)
	}
	for range 2 {
		s.eventually("the port is detached", func() error { return s.Client.DetachPort(s.ctx, made.ID, port.ID) })
	}
	if after, err := s.Client.Port(s.ctx, port.ID); err == nil && after.DeviceID != "" {
		s.Errorf("the port is used by %q", after.DeviceID)
	}
	s.ok(s.Client.DeletePort(s.ctx, want))
	s.ok(s.Client.DetachPort(s.ctx, made.ID, port.ID))
}

func (s *suite) absent() {
	b := &lb.LoadBalancer{Meta: lb.Meta{ID: s.id, ProjectID: s.ProjectID}}
	gone := uuid.NewString()
	b.VipPortID = &gone
	s.ok(s.Client.DeletePort(s.ctx, plan.VIPPort(b, nil)))
	s.ok(s.Client.DeletePort(s.ctx, plan.Port{Name: plan.VRRPPortName(s.id)}))
	s.ok(s.Client.DeleteSecurityGroup(s.ctx, plan.GroupName(s.id)))
	s.ok(s.Client.DeleteServerGroup(s.ctx, plan.ServerGroupName(s.id)))
	left, err := s.Client.DeleteServer(s.ctx, plan.Server{ID: gone, Name: plan.ServerName(s.id)})
	if err != nil || left.State != plan.ServerGone {
		s.Errorf("%v, %v", left.State, err)
	}
}

func (s *suite) lookups() {
	look := s.Client.Lookups()
	subnet, err := look.Subnet(s.ctx, s.UserToken, s.SubnetID)
	s.ok(err)
	if subnet.ID != s.SubnetID || subnet.NetworkID != s.NetworkID || !subnet.CIDR.IsValid() {
		s.Errorf("%+v", subnet)
	}
	network, err := look.Network(s.ctx, s.UserToken, s.NetworkID)
	s.ok(err)
	if len(network.Subnets) == 0 {
		s.Error("the network has no subnet")
	}
	p := plan.Port{Name: "looked-up-" + s.id, NetworkID: s.NetworkID, ProjectID: s.ProjectID}
	s.cleanPort(p)
	port, err := s.Client.EnsurePort(s.ctx, p)
	s.ok(err)
	found, err := look.Port(s.ctx, s.UserToken, port.ID)
	s.ok(err)
	if found.ID != port.ID || len(found.FixedIPs) == 0 || found.DeviceID != "" {
		s.Errorf("%+v", found)
	}
	unknown := uuid.NewString()
	for what, try := range map[string]func(token, id string) error{
		"subnet":         func(token, id string) error { _, err := look.Subnet(s.ctx, token, id); return err },
		"network":        func(token, id string) error { _, err := look.Network(s.ctx, token, id); return err },
		"port":           func(token, id string) error { _, err := look.Port(s.ctx, token, id); return err },
		"QoS policy":     func(token, id string) error { return look.QosPolicy(s.ctx, token, id) },
		"security group": func(token, id string) error { return look.SecurityGroup(s.ctx, token, id) },
	} {
		if fault := lb.AsFault(try(s.UserToken, unknown)); fault == nil || fault.Code != lb.NotFound {
			s.Errorf("a %s that does not exist: %v", what, fault)
		}
		foreign := map[string]string{"subnet": s.SubnetID, "network": s.NetworkID, "port": port.ID}[what]
		if foreign == "" {
			continue
		}
		if fault := lb.AsFault(try(s.StrangerToken, foreign)); fault == nil || fault.Code != lb.NotFound {
			s.Errorf("another project's %s: %v", what, fault)
		}
	}
	if _, err := look.Subnet(s.ctx, "nonsense", s.SubnetID); err == nil || lb.AsFault(err) != nil {
		s.Errorf("a token that is none: %v", err)
	}
}

func (s *suite) image() {
	id, err := s.Client.Image(s.ctx, s.Image)
	s.ok(err)
	if id == "" {
		s.Error("no image")
	}
	if _, err := s.Client.Image(s.ctx, plan.Image{Tag: "no-image-has-this-tag"}); !cloud.IsNotFound(err) {
		s.Errorf("a tag that no image has: %v", err)
	}
}
