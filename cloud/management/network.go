package management

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/common/extensions"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/routers"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"

	"github.com/octavo-lb/octavo/cloud"
)

// Names of what is made.
const (
	networkName = "lb-mgmt-net"
	subnetName  = "lb-mgmt-subnet"
	subnetName6 = "lb-mgmt-subnetv6"
	routerName  = "lb-mgmt"
)

// slaac is the mode in which routers tell hosts their prefix.
const slaac = "slaac"

type network struct {
	object
	MTU int `json:"mtu"`
}

type subnet struct {
	object
	NetworkID string       `json:"network_id"`
	CIDR      netip.Prefix `json:"cidr"`
	RAMode    string       `json:"ipv6_ra_mode"`
}

func (s *setup) ensureNetwork(ctx context.Context) error {
	k := s.kind("networks", "network")
	found, err := find[network](ctx, s, k, networkName, []string{Tag}, nil)
	if err != nil {
		return err
	}
	switch {
	case len(found) > 0:
		if s.network, err = one(k, Tag, found); err != nil {
			return err
		}
		s.say("network %s: there", s.network)
	case !s.Create:
		s.lacks("no network of the service's project has the tag "+Tag, "openstack network create --project %s --tag %s %s", s.ProjectID, Tag, networkName)
		return nil
	default:
		r := networks.Create(ctx, s.api, networks.CreateOpts{Name: networkName, Description: mark})
		if err := r.Result.ExtractInto(&struct{ Network *network }{&s.network}); err != nil {
			return cloud.Explain(err, "make network %s", networkName)
		}
		if err := s.tag(ctx, k, s.network.ID, []string{Tag}); err != nil {
			return err
		}
		s.made("network %s: made", s.network)
	}
	s.NetworkID = s.network.ID
	return nil
}

func (s *setup) ensureSubnets(ctx context.Context) error {
	prefix := s.Prefix
	if !prefix.IsValid() {
		prefix = localPrefix(s.NetworkID)
	}
	opts := subnets.CreateOpts{NetworkID: s.NetworkID, Name: subnetName, Description: mark, CIDR: prefix.String(), IPVersion: gophercloud.IPv4}
	byHand := "openstack subnet create --project %s --network %s --tag %s --subnet-range %s"
	if prefix.Addr().Is6() {
		opts.Name, opts.IPVersion, opts.IPv6AddressMode, opts.IPv6RAMode = subnetName6, gophercloud.IPv6, slaac, slaac
		byHand += " --ip-version 6 --ipv6-ra-mode slaac --ipv6-address-mode slaac"
	}
	k := s.kind("subnets", "subnet")
	found, err := find[subnet](ctx, s, k, opts.Name, []string{Tag}, url.Values{"network_id": {s.NetworkID}})
	if err != nil {
		return err
	}
	for _, f := range found {
		s.say("subnet %s, %v: there", f, f.CIDR)
	}
	if len(found) == 0 {
		if !s.Create {
			s.lacks(fmt.Sprintf("network %s has no subnet with the tag %s", s.network, Tag), byHand+" %s", s.ProjectID, s.NetworkID, Tag, prefix, opts.Name)
			return nil
		}
		made := subnet{NetworkID: s.NetworkID, CIDR: prefix, RAMode: opts.IPv6RAMode}
		r := subnets.Create(ctx, s.api, opts)
		if err := r.ExtractInto(&struct{ Subnet *subnet }{&made}); err != nil {
			return cloud.Explain(err, "make subnet %s of %v", opts.Name, prefix)
		}
		if err := s.tag(ctx, k, made.ID, []string{Tag}); err != nil {
			return err
		}
		s.made("subnet %s, %v: made", made, prefix)
		found = append(found, made)
	}
	s.subnets = found
	return nil
}

// localPrefix is a unique local prefix (RFC 4193) that follows from the network's id, as in Octavia's charm: every controller
// computes the same.
func localPrefix(networkID string) netip.Prefix {
	last := networkID[strings.LastIndexByte(networkID, '-')+1:]
	if len(last) == 12 {
		if p, err := netip.ParsePrefix("fc00:" + last[0:4] + ":" + last[4:8] + ":" + last[8:12] + "::/64"); err == nil {
			return p
		}
	}
	return netip.MustParsePrefix("fc00:6f63:7461:766f::/64")
}

// ensureRouter: the router tells amphorae their IPv6 prefix. It leads nowhere unless an operator gives it a gateway.
func (s *setup) ensureRouter(ctx context.Context) error {
	k := s.kind("routers", "router")
	found, err := find[object](ctx, s, k, routerName, []string{Tag}, nil)
	if err != nil {
		return err
	}
	for _, f := range found {
		s.say("router %s: there", f)
	}
	lonely, err := s.withoutRouter(ctx)
	if err != nil {
		return err
	}
	if len(found) == 0 && s.Create {
		made, err := s.makeRouter(ctx, k)
		if err != nil {
			return err
		}
		found = append(found, made)
	}
	for _, sub := range lonely {
		switch {
		case s.Create:
			if err := routers.AddInterface(ctx, s.api, found[0].ID, routers.AddInterfaceOpts{SubnetID: sub.ID}).Err; err != nil {
				return cloud.Explain(err, "connect router %s to subnet %s", found[0], sub)
			}
			s.made("router %s: connected to subnet %s", found[0], sub)
		case sub.RAMode == slaac && len(found) > 0:
			s.lacks(fmt.Sprintf("no router tells hosts of subnet %s their addresses", sub), "openstack router add subnet %s %s", found[0].ID, sub.ID)
		case sub.RAMode == slaac:
			s.lacks(fmt.Sprintf("no router tells hosts of subnet %s their addresses, and none has the tag %s", sub, Tag),
				"openstack router create --project %s --tag %s %s && openstack router add subnet %s %s", s.ProjectID, Tag, routerName, routerName, sub.ID)
		}
	}
	return nil
}

func (s *setup) makeRouter(ctx context.Context, k kind) (object, error) {
	opts := routers.CreateOpts{Name: routerName, Description: mark}
	switch err := extensions.Get(ctx, s.api, "dvr").Err; {
	case err == nil:
		opts.Distributed = new(bool) // a distributed one does not reach a controller's port
	case !gophercloud.ResponseCodeIs(err, http.StatusNotFound):
		return object{}, cloud.Explain(err, "ask what kinds of routers there are")
	}
	var made object
	if err := routers.Create(ctx, s.api, opts).ExtractInto(&struct{ Router *object }{&made}); err != nil {
		return made, cloud.Explain(err, "make router %s", routerName)
	}
	if err := s.tag(ctx, k, made.ID, []string{Tag}); err != nil {
		return made, err
	}
	s.made("router %s: made", made)
	return made, nil
}

// routerOwners are whose ports routers' interfaces are: plain, distributed and highly available ones.
var routerOwners = []string{"network:router_interface", "network:router_interface_distributed", "network:ha_router_replicated_interface"}

// withoutRouter are the subnets on which no router has an interface.
func (s *setup) withoutRouter(ctx context.Context) ([]subnet, error) {
	ports, err := list[Port](ctx, s, kind{"ports", "port", ""}, url.Values{"network_id": {s.NetworkID}, "device_owner": routerOwners})
	if err != nil {
		return nil, err
	}
	lonely := slices.Clone(s.subnets)
	for _, p := range ports {
		lonely = slices.DeleteFunc(lonely, func(sub subnet) bool {
			return slices.ContainsFunc(p.FixedIPs, func(ip fixedIP) bool { return ip.SubnetID == sub.ID })
		})
	}
	return lonely, nil
}
