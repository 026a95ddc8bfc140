// Package cloudtest is the contract between package cloud and a cloud: one suite for the fake, for localcloud and for a
// real OpenStack. A cloud that passes it can carry load balancers.
package cloudtest

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/octavo-lb/octavo/cloud"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/plan"
)

// Target is a cloud that is ready for the suite.
type Target struct {
	// Client speaks for the service account.
	Client *cloud.Client
	// ProjectID is of the user that UserToken belongs to; the user has no other rights. StrangerToken is of another project.
	ProjectID     string
	UserToken     string
	StrangerToken string
	// NetworkID is a network of the user's with the IPv4 subnet SubnetID, which has a gateway; OtherNetworkID is another with
	// OtherSubnetID. A stranger sees neither.
	NetworkID, SubnetID           string
	OtherNetworkID, OtherSubnetID string
	// ManagementNetworkID is the service's.
	ManagementNetworkID string
	FlavorID            string
	Image               plan.Image
	// Wait is how long something may take that the cloud does by and by, such as booting; 2 minutes if zero.
	Wait time.Duration
}

// Run runs the suite. What it makes it deletes.
func Run(t *testing.T, target Target) {
	if target.Wait <= 0 {
		target.Wait = 2 * time.Minute
	}
	for _, c := range []struct {
		name string
		test func(*suite)
	}{
		{"a VIP port is made once and keeps its address", (*suite).vip},
		{"a VIP port that is taken away comes back with its address", (*suite).vipAgain},
		{"an address in use is a conflict", (*suite).taken},
		{"a port of that name in another project is not ours", (*suite).planted},
		{"a port that the user brought is read only", (*suite).brought},
		{"a port's groups and pairs and addresses are changed to what is wanted", (*suite).portChanges},
		{"a security group has exactly the wanted rules", (*suite).group},
		{"an instance is found by its name and goes away", (*suite).instance},
		{"a running instance is plugged into a network and out again", (*suite).plug},
		{"deleting what is not there succeeds", (*suite).absent},
		{"a user finds what that user may see", (*suite).lookups},
		{"the image is the newest with the tag", (*suite).image},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.test(&suite{T: t, Target: target, id: uuid.NewString(), ctx: t.Context()})
		})
	}
}

type suite struct {
	*testing.T
	Target
	id  string // of a load balancer or amphora of this test
	ctx context.Context
}

func (s *suite) ok(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *suite) balancer() *lb.LoadBalancer {
	b := &lb.LoadBalancer{Meta: lb.Meta{ID: s.id, ProjectID: s.ProjectID}, VipNetworkID: &s.NetworkID, VipSubnetID: &s.SubnetID,
		VipPortOwned: true}
	s.cleanPort(plan.VIPPort(b, nil))
	return b
}

// cleanPort deletes what a test leaves behind, also when it failed.
func (s *suite) cleanPort(p plan.Port) {
	p.ID = ""
	s.Cleanup(func() {
		if err := s.Client.DeletePort(context.Background(), p); err != nil {
			s.Errorf("cannot clean up: %v", err)
		}
	})
}

func (s *suite) vip() {
	b := s.balancer()
	s.ok(s.Client.EnsureVIP(s.ctx, b))
	first, address := *b.VipPortID, b.VipAddress
	if subnet, err := s.Client.Subnet(s.ctx, s.SubnetID); err != nil || !subnet.CIDR.Contains(netip.MustParseAddr(address)) {
		s.Fatalf("address %s is not in subnet %v (%v)", address, subnet.CIDR, err)
	}
	again := &lb.LoadBalancer{Meta: b.Meta, VipNetworkID: &s.NetworkID, VipSubnetID: &s.SubnetID, VipPortOwned: true}
	s.ok(s.Client.EnsureVIP(s.ctx, again))
	s.ok(s.Client.EnsureVIP(s.ctx, b))
	if *again.VipPortID != first || *b.VipPortID != first || again.VipAddress != address {
		s.Errorf("port %s with %s, then %s with %s", first, address, *again.VipPortID, again.VipAddress)
	}
	p, err := s.Client.Port(s.ctx, first)
	s.ok(err)
	if p.Name != plan.VIPPortName(s.id) || p.DeviceOwner != plan.Owner || p.DeviceID != plan.VIPDeviceID(s.id) || p.ProjectID != s.ProjectID {
		s.Errorf("%+v", p)
	}
}

func (s *suite) vipAgain() {
	b := s.balancer()
	s.ok(s.Client.EnsureVIP(s.ctx, b))
	first, address := *b.VipPortID, b.VipAddress
	s.ok(s.Client.DeletePort(s.ctx, plan.VIPPort(b, nil)))
	s.ok(s.Client.EnsureVIP(s.ctx, b))
	if *b.VipPortID == first || b.VipAddress != address {
		s.Errorf("port %s with %s after %s with %s", *b.VipPortID, b.VipAddress, first, address)
	}
}

func (s *suite) taken() {
	b := s.balancer()
	s.ok(s.Client.EnsureVIP(s.ctx, b))
	s.id = uuid.NewString()
	other := s.balancer()
	other.VipAddress = b.VipAddress
	err := s.Client.EnsureVIP(s.ctx, other)
	if fault := lb.AsFault(err); fault == nil || fault.Code.Status() != 409 {
		s.Errorf("taking an address in use: %v", err)
	}
	other.VipAddress = "203.0.113.77"
	if fault := lb.AsFault(s.Client.EnsureVIP(s.ctx, other)); fault == nil || fault.Code.Status() != 400 {
		s.Errorf("taking an address of another subnet: %v", fault)
	}
}

func (s *suite) planted() {
	wanted := plan.Port{Name: plan.VRRPPortName(s.id), NetworkID: s.NetworkID}
	planted := wanted
	planted.ProjectID = s.ProjectID // the user's, not the service's
	s.cleanPort(planted)
	s.cleanPort(wanted)
	theirs, err := s.Client.EnsurePort(s.ctx, planted)
	s.ok(err)
	ours, err := s.Client.EnsurePort(s.ctx, wanted)
	s.ok(err)
	if ours.ID == theirs.ID {
		s.Fatal("somebody else's port was taken for ours")
	}
	s.ok(s.Client.DeletePort(s.ctx, wanted))
	if _, err := s.Client.Port(s.ctx, theirs.ID); err != nil {
		s.Errorf("somebody else's port: %v", err)
	}
}

func (s *suite) brought() {
	brought := plan.Port{Name: "brought-" + s.id, NetworkID: s.NetworkID, ProjectID: s.ProjectID,
		FixedIPs: []lb.FixedIP{{SubnetID: s.SubnetID}}}
	s.cleanPort(brought)
	p, err := s.Client.EnsurePort(s.ctx, brought)
	s.ok(err)
	b := &lb.LoadBalancer{Meta: lb.Meta{ID: s.id, ProjectID: s.ProjectID}, VipPortID: &p.ID}
	s.ok(s.Client.EnsureVIP(s.ctx, b))
	after, err := s.Client.Port(s.ctx, p.ID)
	s.ok(err)
	if b.VipAddress != p.FixedIPs[0].Address.String() || *b.VipSubnetID != s.SubnetID || *b.VipNetworkID != s.NetworkID {
		s.Errorf("VIP %s on %s", b.VipAddress, *b.VipSubnetID)
	}
	if after.Name != p.Name || after.DeviceOwner != p.DeviceOwner || after.Down != p.Down {
		s.Errorf("the user's port was changed: %+v, before %+v", after, p)
	}
	gone := uuid.NewString()
	b.VipPortID = &gone
	if fault := lb.AsFault(s.Client.EnsureVIP(s.ctx, b)); fault == nil || fault.Code.Status() != 404 {
		s.Errorf("a port that does not exist: %v", fault)
	}
}

func (s *suite) portChanges() {
	group, err := s.Client.EnsureSecurityGroup(s.ctx, plan.SecurityGroup{Name: plan.GroupName(s.id)})
	s.Cleanup(func() {
		s.eventually("the group is gone", func() error { return s.Client.DeleteSecurityGroup(context.Background(), group.Name) })
	})
	s.ok(err)
	vip := netip.MustParseAddr("192.0.2.77")
	want := plan.Port{Name: plan.VRRPPortName(s.id), NetworkID: s.NetworkID, DeviceOwner: plan.Owner,
		FixedIPs: []lb.FixedIP{{SubnetID: s.SubnetID}}, SecurityGroups: []string{group.ID}, Allowed: []netip.Addr{vip}}
	s.cleanPort(want)
	made, err := s.Client.EnsurePort(s.ctx, want)
	s.ok(err)
	if made.MAC == "" || !slices.Equal(made.Allowed, want.Allowed) || !slices.Equal(made.SecurityGroups, want.SecurityGroups) {
		s.Errorf("made %+v", made)
	}
	for name, change := range map[string]func(*plan.Port){
		"as it is":        func(*plan.Port) {},
		"without a group": func(p *plan.Port) { p.SecurityGroups = []string{} },
		"with other VIPs": func(p *plan.Port) { p.Allowed = []netip.Addr{vip.Next(), vip.Next().Next()} },
		"down":            func(p *plan.Port) { p.Down = true },
		"whatever groups": func(p *plan.Port) { p.SecurityGroups = nil },
	} {
		wanted := want
		change(&wanted)
		got, err := s.Client.EnsurePort(s.ctx, wanted)
		s.ok(err)
		if got.ID != made.ID || !slices.Equal(got.FixedIPs, made.FixedIPs) || got.Down != wanted.Down || !slices.Equal(got.Allowed, wanted.Allowed) {
			s.Errorf("%s: %+v", name, got)
		}
		if wanted.SecurityGroups != nil && !slices.Equal(got.SecurityGroups, wanted.SecurityGroups) {
			s.Errorf("%s: groups %v", name, got.SecurityGroups)
		}
	}
}

func (s *suite) group() {
	name := plan.GroupName(s.id)
	s.Cleanup(func() { s.ok(s.Client.DeleteSecurityGroup(context.Background(), name)) })
	out := []plan.Rule{{Egress: true}, {Egress: true, IPv6: true}}
	web := plan.Rule{Protocol: "tcp", Port: 80}
	lan := plan.Rule{Protocol: "udp", Port: 53, Remote: netip.MustParsePrefix("10.1.0.0/16")}
	six := plan.Rule{Protocol: "tcp", Port: 443, IPv6: true, Remote: netip.MustParsePrefix("2001:db8::/32")}
	vrrp := plan.Rule{Protocol: "112", Peers: true}
	id := ""
	for _, rules := range [][]plan.Rule{nil, {web}, {web, lan, six}, {web, lan, six}, {lan, vrrp}, {web}, nil} {
		want := plan.SecurityGroup{Name: name, Rules: append(slices.Clone(out), rules...)}
		made, err := s.Client.EnsureSecurityGroup(s.ctx, want)
		s.ok(err)
		if id == "" {
			id = made.ID
		}
		got, err := s.Client.SecurityGroup(s.ctx, name)
		s.ok(err)
		if got.ID != id || len(got.Rules) != len(want.Rules) {
			s.Errorf("group %s has %v, want %v", got.ID, got.Rules, want.Rules)
		}
		for _, r := range want.Rules {
			if !slices.Contains(got.Rules, r) {
				s.Errorf("rule %+v is missing of %+v", r, got.Rules)
			}
		}
	}
}

func (s *suite) eventually(what string, try func() error) {
	s.Helper()
	deadline := time.Now().Add(s.Wait)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			s.Fatalf("%s: %v", what, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}
