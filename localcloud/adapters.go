package localcloud

import (
	"context"
	"errors"
	"net/netip"
	"slices"

	"github.com/octavo-lb/octavo/localcloud/compute"
	"github.com/octavo-lb/octavo/localcloud/fabric"
	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/image"
	"github.com/octavo-lb/octavo/localcloud/network"
)

// images tells compute what an image runs.
type images struct{ *image.Service }

// Image implements compute.Images.
func (i images) Image(who httpx.Caller, id string) (compute.Image, error) {
	v, ok := i.Get(id)
	if !ok || !v.SeenBy(who) {
		return compute.Image{}, httpx.BadRequest("", "Image %s could not be found.", id)
	}
	name := ""
	if v.Name != nil {
		name = *v.Name
	}
	return compute.Image{ID: v.ID, Name: name, Program: v.Properties[image.ProgramProperty]}, nil
}

// ports are the network service's ports as compute sees them.
type ports struct{ *network.Service }

// AttachPort implements compute.Network. What Neutron refuses, Nova refuses as a bad request.
func (p ports) AttachPort(who httpx.Caller, serverID string, want compute.PortRequest, taken []string) (compute.Port, error) {
	id, err := p.attach(who, serverID, want, taken)
	var refused *httpx.Error
	switch {
	case errors.Is(err, network.ErrPortInUse):
		return compute.Port{}, httpx.Conflict("", "Port %s is still in use.", want.PortID)
	case errors.As(err, &refused):
		return compute.Port{}, httpx.BadRequest("", "%s", refused.Message)
	case err != nil:
		return compute.Port{}, err
	}
	return p.Port(id)
}

func (p ports) attach(who httpx.Caller, serverID string, want compute.PortRequest, taken []string) (id string, err error) {
	if want.PortID != "" {
		port, err := p.ClaimPort(who, want.PortID, serverID)
		return port.ID, err
	}
	var address netip.Addr
	if want.FixedIP != "" {
		if address, err = netip.ParseAddr(want.FixedIP); err != nil {
			return "", httpx.BadRequest("", "Invalid input for field/attribute fixed_ip. Value: %s.", want.FixedIP)
		}
	}
	// One that a killed process made for this server is not made again.
	for _, port := range p.ServerPorts(serverID) {
		if port.NetworkID == want.NetworkID && !slices.Contains(taken, port.ID) {
			return port.ID, nil
		}
	}
	port, err := p.CreateServerPort(context.Background(), who, network.NewServerPort{
		NetworkID: want.NetworkID, FixedIP: address, SecurityGroups: want.SecurityGroups, ServerID: serverID,
	})
	return port.ID, err
}

// ReleasePort implements compute.Network.
func (p ports) ReleasePort(serverID, portID string) error {
	return p.Service.ReleasePort(context.Background(), portID, serverID)
}

// RemovePort implements compute.Network.
func (p ports) RemovePort(portID string) error {
	return p.Service.RemovePort(context.Background(), portID)
}

// Plug implements compute.Network.
func (p ports) Plug(portID string, ns *fabric.Namespace, link string) error {
	return p.Service.Plug(context.Background(), portID, link, ns)
}

// Port implements compute.Network.
func (p ports) Port(portID string) (compute.Port, error) {
	i, err := p.Interface(portID)
	if err != nil {
		return compute.Port{}, err
	}
	port := compute.Port{ID: i.Port.ID, NetworkID: i.Port.NetworkID, NetworkName: p.NetworkName(i.Port.NetworkID), MAC: i.Port.MACAddress,
		MTU: i.MTU, SecurityGroups: p.GroupNames(i.Port.SecurityGroups)}
	for n, a := range i.Addresses {
		address := compute.Address{SubnetID: i.Port.FixedIPs[n].SubnetID, Prefix: a.Prefix, Gateway: a.Gateway}
		for _, r := range a.Routes {
			address.Routes = append(address.Routes, compute.Route{Destination: r.Destination, NextHop: r.NextHop})
		}
		port.Addresses = append(port.Addresses, address)
	}
	for _, f := range p.FloatingIPs(portID) {
		port.Floating = append(port.Floating, *f.FloatingIPAddress)
	}
	return port, nil
}

// Networks implements compute.Network.
func (p ports) Networks(who httpx.Caller) (ids []string) {
	for _, n := range p.TenantNetworks(who) {
		ids = append(ids, n.ID)
	}
	return ids
}
