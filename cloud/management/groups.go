package management

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"

	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/security/groups"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/security/rules"

	"github.com/octavo-lb/octavo/cloud"
)

const (
	amphoraGroupName    = "lb-mgmt-sec-grp"
	controllerGroupName = "lb-health-mgr-sec-grp"
)

type group struct {
	object
	Rules []rule `json:"security_group_rules"`
}

// rule is a rule of a security group, as it is on the wire.
type rule struct {
	ID             string  `json:"id"`
	Direction      string  `json:"direction"`
	EtherType      string  `json:"ethertype"`
	Protocol       *string `json:"protocol"`
	PortMin        *int    `json:"port_range_min"`
	PortMax        *int    `json:"port_range_max"`
	RemotePrefix   *string `json:"remote_ip_prefix"`
	RemoteGroup    *string `json:"remote_group_id"`
	RemoteAddrList *string `json:"remote_address_group_id"`
}

// ensureGroups: agents call controllers and nobody calls agents, so that one port of controllers is all that is open.
func (s *setup) ensureGroups(ctx context.Context) error {
	amphorae, err := s.ensureGroup(ctx, amphoraGroupName, Tag)
	if err != nil {
		return err
	}
	controllers, err := s.ensureGroup(ctx, controllerGroupName, ControllerTag)
	if err != nil || amphorae.ID == "" || controllers.ID == "" {
		return err
	}
	s.AmphoraGroup, s.ControllerGroup = amphorae.ID, controllers.ID
	for _, sub := range s.subnets {
		if err := s.ensureRule(ctx, amphorae, "egress", sub.CIDR); err != nil {
			return err
		}
		if err := s.ensureRule(ctx, controllers, "ingress", sub.CIDR); err != nil {
			return err
		}
	}
	s.tellSurplus(amphorae, "nothing has to reach an amphora on the management network")
	s.tellSurplus(controllers, fmt.Sprintf("only TCP port %d of a controller has to be reached from there", s.AgentPort))
	return nil
}

func (s *setup) ensureGroup(ctx context.Context, name, tag string) (group, error) {
	k := s.kind("security-groups", "security group")
	found, err := find[group](ctx, s, k, name, []string{tag}, nil)
	if err != nil {
		return group{}, err
	}
	if len(found) > 0 {
		g, err := one(k, tag, found)
		if err == nil {
			s.say("security group %s: there", g)
		}
		return g, err
	}
	if !s.Create {
		s.lacks("no security group of the service's project has the tag "+tag, "openstack security group create --project %s --tag %s %s", s.ProjectID, tag, name)
		return group{}, nil
	}
	var made group
	r := groups.Create(ctx, s.api, groups.CreateOpts{Name: name, Description: mark})
	if err := r.ExtractInto(&struct {
		Group *group `json:"security_group"`
	}{&made}); err != nil {
		return made, cloud.Explain(err, "make security group %s", name)
	}
	if err := s.tag(ctx, k, made.ID, []string{tag}); err != nil {
		return made, err
	}
	s.made("security group %s: made", made)
	return made, nil
}

// ensureRule lets agents call controllers in that range of addresses.
func (s *setup) ensureRule(ctx context.Context, g group, direction string, with netip.Prefix) error {
	for _, r := range g.Rules {
		if r.allows(direction, s.AgentPort, with) {
			return nil
		}
	}
	family := rules.EtherType4
	if with.Addr().Is6() {
		family = rules.EtherType6
	}
	if !s.Create {
		s.lacks(fmt.Sprintf("security group %s has no rule for TCP port %d with %v", g, s.AgentPort, with),
			"openstack security group rule create --%s --ethertype %s --protocol tcp --dst-port %d --remote-ip %v %s", direction, family, s.AgentPort, with, g.ID)
		return nil
	}
	err := rules.Create(ctx, s.api, rules.CreateOpts{Direction: rules.RuleDirection(direction), EtherType: family, SecGroupID: g.ID,
		Protocol: rules.ProtocolTCP, PortRangeMin: s.AgentPort, PortRangeMax: s.AgentPort, RemoteIPPrefix: with.String()}).Err
	if err != nil {
		return cloud.Explain(err, "open TCP port %d in security group %s", s.AgentPort, g)
	}
	s.made("security group %s: %s of TCP port %d with %v allowed", g, direction, s.AgentPort, with)
	return nil
}

// tellSurplus names what lets more in than is needed. It is not taken away: an operator may know why it is there.
func (s *setup) tellSurplus(g group, why string) {
	for _, r := range g.Rules {
		if r.Direction != "ingress" || g.ID == s.ControllerGroup && r.onlyAgents(s.AgentPort) {
			continue
		}
		s.say("security group %s: lets in %s, and %s. Close it with `openstack security group rule delete %s`", g, r, why, r.ID)
	}
}

// allows tells whether connections to a TCP port with all of these addresses pass by this rule alone.
func (r rule) allows(direction string, port int, with netip.Prefix) bool {
	if r.Direction != direction || (r.EtherType == "IPv6") != with.Addr().Is6() || r.RemoteGroup != nil || r.RemoteAddrList != nil {
		return false
	}
	if r.Protocol != nil && *r.Protocol != "tcp" && *r.Protocol != "6" && *r.Protocol != "any" {
		return false
	}
	if r.PortMin != nil && *r.PortMin > port || r.PortMax != nil && *r.PortMax < port {
		return false
	}
	if r.RemotePrefix == nil {
		return true
	}
	remote, err := netip.ParsePrefix(*r.RemotePrefix)
	return err == nil && remote.Bits() <= with.Bits() && remote.Masked().Contains(with.Addr())
}

func (r rule) onlyAgents(port int) bool {
	return r.Protocol != nil && (*r.Protocol == "tcp" || *r.Protocol == "6") && r.PortMin != nil && r.PortMax != nil && *r.PortMin == port && *r.PortMax == port
}

func (r rule) String() string {
	text := r.EtherType
	if r.Protocol != nil {
		text += " " + *r.Protocol
	}
	if r.PortMin != nil && r.PortMax != nil {
		text += " " + strconv.Itoa(*r.PortMin)
		if *r.PortMax != *r.PortMin {
			text += "-" + strconv.Itoa(*r.PortMax)
		}
	}
	if r.RemotePrefix != nil {
		text += " from " + *r.RemotePrefix
	}
	return text
}
