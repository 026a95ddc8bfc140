package management

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/agents"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/portsbinding"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"

	"github.com/octavo-lb/octavo/cloud"
)

// portOwner is who Neutron shows the port belongs to, as in Octavia's guides.
const portOwner = "Octavia:health-mgr"

// How Neutron says that a port is connected.
const (
	VIFBridge      = "bridge" // Linux bridge
	VIFOpenVSwitch = "ovs"    // Open vSwitch, also under OVN
)

// Port is a controller's port.
type Port struct {
	object
	NetworkID      string         `json:"network_id"`
	MAC            string         `json:"mac_address"`
	DeviceOwner    string         `json:"device_owner"`
	SecurityGroups []string       `json:"security_groups"`
	FixedIPs       []fixedIP      `json:"fixed_ips"`
	Host           string         `json:"binding:host_id"`
	VIF            string         `json:"binding:vif_type"` // VIFBridge, VIFOpenVSwitch or something else
	Status         string         `json:"status"`
	MTU            int            `json:"-"` // of its network
	Addresses      []netip.Prefix `json:"-"` // with their subnets' lengths
}

type fixedIP struct {
	SubnetID string     `json:"subnet_id"`
	Address  netip.Addr `json:"ip_address"`
}

// Address is the one that agents are told.
func (p Port) Address() netip.Addr { return preferred(p.Addresses) }

// PortName is the name of a controller's port.
func PortName(controller string) string {
	return portPrefix + controller + "-listen-port"
}

const portPrefix = "octavia-health-manager-"

func (s *setup) ensurePort(ctx context.Context) error {
	k := s.kind("ports", "port")
	name, tags := PortName(s.Controller), []string{Tag, Tag + "-" + s.Controller}
	found, err := find[Port](ctx, s, k, name, tags, url.Values{"network_id": {s.NetworkID}})
	if err != nil {
		return err
	}
	var port Port
	if len(found) > 0 {
		port, err = one(k, tags[1], found)
	} else {
		port, err = s.makePort(ctx, k, name, tags)
	}
	if err == nil {
		port, err = s.correctPort(ctx, port)
	}
	if err != nil {
		return err
	}
	if port.VIF != VIFBridge && port.VIF != VIFOpenVSwitch {
		return s.unbound(ctx, port)
	}
	port.MTU, port.Addresses = s.network.MTU, s.addresses(port)
	if len(port.Addresses) == 0 {
		return fmt.Errorf("port %s has no address in a subnet with the tag %s: delete it, and run this again", port, Tag)
	}
	if len(found) > 0 {
		s.say("port %s, %v: there", port, port.Address())
	} else {
		s.say("port %s, %v: made", port, port.Address())
	}
	s.Port = port
	return s.listControllers(ctx, k)
}

func (s *setup) makePort(ctx context.Context, k kind, name string, tags []string) (Port, error) {
	create := ports.CreateOpts{NetworkID: s.NetworkID, Name: name, Description: mark, DeviceOwner: portOwner, SecurityGroups: &[]string{s.ControllerGroup}}
	var made Port
	r := ports.Create(ctx, s.api, portsbinding.CreateOptsExt{CreateOptsBuilder: create, HostID: s.Host})
	if err := r.Result.ExtractInto(&struct{ Port *Port }{&made}); err != nil {
		return made, cloud.Explain(err, "make port %s", name)
	}
	s.Changed = true
	return made, s.tag(ctx, k, made.ID, tags)
}

// correctPort sees to it that the port is on this host and has the controllers' security group. A port that Neutron could
// not bind is bound again: its agent may run by now.
func (s *setup) correctPort(ctx context.Context, port Port) (Port, error) {
	if !slices.Equal(port.SecurityGroups, []string{s.ControllerGroup}) {
		if err := s.updatePort(ctx, &port, ports.UpdateOpts{SecurityGroups: &[]string{s.ControllerGroup}}, "its security group corrected"); err != nil {
			return port, err
		}
	}
	if port.Host == s.Host && port.VIF != "binding_failed" {
		return port, nil
	}
	if port.Host != "" {
		if err := s.updatePort(ctx, &port, portsbinding.UpdateOptsExt{UpdateOptsBuilder: ports.UpdateOpts{}, HostID: new("")}, ""); err != nil {
			return port, err
		}
	}
	return port, s.updatePort(ctx, &port, portsbinding.UpdateOptsExt{UpdateOptsBuilder: ports.UpdateOpts{}, HostID: &s.Host}, "bound to host "+s.Host)
}

func (s *setup) updatePort(ctx context.Context, port *Port, opts ports.UpdateOptsBuilder, done string) error {
	r := ports.Update(ctx, s.api, port.ID, opts)
	if err := r.Result.ExtractInto(&struct{ Port *Port }{port}); err != nil {
		return cloud.Explain(err, "change port %s", *port)
	}
	if s.Changed = true; done != "" {
		s.say("port %s: %s", *port, done)
	}
	return nil
}

// unbound says why a port is on no host, as far as it can be seen.
func (s *setup) unbound(ctx context.Context, port Port) error {
	var hosts []string
	if pages, err := agents.List(s.api, agents.ListOpts{}).AllPages(ctx); err == nil {
		all, _ := agents.ExtractAgents(pages)
		for _, a := range all {
			if strings.Contains(a.AgentType, "bridge") || strings.Contains(a.AgentType, "vSwitch") || strings.Contains(a.AgentType, "Controller") {
				hosts = append(hosts, a.Host)
			}
		}
	}
	slices.Sort(hosts)
	return fmt.Errorf("cannot connect port %s to host %q (Neutron says %s): a Linux bridge, Open vSwitch or OVN agent must run there. "+
		"Hosts with one: %s. If this machine is one of them, give that name with --host",
		port, s.Host, port.VIF, strings.Join(append(slices.Compact(hosts), "none else"), ", "))
}

func (s *setup) addresses(port Port) (found []netip.Prefix) {
	for _, ip := range port.FixedIPs {
		for _, sub := range s.subnets {
			if sub.ID == ip.SubnetID {
				found = append(found, netip.PrefixFrom(ip.Address, sub.CIDR.Bits()))
			}
		}
	}
	return found
}

// listControllers finds the ports of all controllers that were set up so far.
func (s *setup) listControllers(ctx context.Context, k kind) error {
	all, err := list[Port](ctx, s, k, url.Values{"network_id": {s.NetworkID}, "tags": {Tag}})
	if err != nil {
		return err
	}
	for _, p := range all {
		if address := preferred(s.addresses(p)); strings.HasPrefix(p.Name, portPrefix) && address.IsValid() {
			s.Controllers = append(s.Controllers, address)
		}
	}
	slices.SortFunc(s.Controllers, netip.Addr.Compare)
	return nil
}
