package network

import (
	"context"
	"errors"
	"net/netip"
	"slices"

	"github.com/octavo-lb/octavo/localcloud/fabric"
	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/state"
)

// Owner prefix of the ports of servers, before the availability zone.
const ownerCompute = "compute:"

// NewServerPort is what a server wants on a network where it has no port yet.
type NewServerPort struct {
	NetworkID      string
	FixedIP        netip.Addr // the zero Addr for any
	SecurityGroups []string   // ids or names; none for the default group
	ServerID       string
}

// CreateServerPort makes a port for a server, as its caller could. Its errors are the API's.
func (s *Service) CreateServerPort(ctx context.Context, who httpx.Caller, want NewServerPort) (Port, error) {
	p := newPort()
	p.NetworkID = want.NetworkID
	g := given{}
	if want.FixedIP.IsValid() {
		g["fixed_ips"], p.FixedIPs = nil, []FixedIP{{IPAddress: want.FixedIP}}
	}
	if err := s.begin(&p.common, "port", who); err != nil {
		return p, err
	}
	err := s.state.Update(func(tx *state.Tx) error {
		n, err := s.networkFor(tx, want.NetworkID, who)
		if err != nil {
			return err
		}
		if !who.Sees(n.ProjectID) && !n.Shared {
			return httpx.Forbidden("ExternalNetworkAttachForbidden", "It is not allowed to create an interface on external network %s", n.ID)
		}
		for _, name := range want.SecurityGroups {
			group, err := s.groupByName(tx, name, who)
			if err != nil {
				return err
			}
			g["security_groups"], p.SecurityGroups = nil, append(p.SecurityGroups, group.ID)
		}
		if !n.PortSecurityEnabled {
			p.SecurityGroups = []string{}
		}
		s.bind(&p, want.ServerID)
		return s.insertPort(tx, n, &p, g, who)
	})
	if err == nil {
		s.apply(ctx, dirty{ports: ids(p.ID), groups: p.SecurityGroups})
	}
	return p, err
}

func (s *Service) groupByName(tx *state.Tx, name string, who httpx.Caller) (SecurityGroup, error) {
	if g, err := s.groupFor(tx, name, who); err == nil {
		return g, nil
	}
	if name == defaultGroupName && who.ProjectID != "" {
		return s.defaultGroup(tx, who.ProjectID)
	}
	g, ok := state.Find(tx, func(g *SecurityGroup) bool { return g.ProjectID == who.ProjectID && g.Name == name })
	if !ok {
		return g, httpx.BadRequest("", "Unable to find security_group with name or id '%s'", name)
	}
	return g, nil
}

// bind makes the port a server's.
func (s *Service) bind(p *Port, serverID string) {
	p.DeviceID, p.DeviceOwner = serverID, ownerCompute+zone
	p.HostID, p.VIFType = s.opts.Host, "bridge"
}

// bindTo is the answer to an administrator who says which host a port is on: this machine is the only one.
func (s *Service) bindTo(p *Port) {
	switch p.HostID {
	case "":
		p.VIFType = "unbound"
	case s.opts.Host:
		p.VIFType = "bridge"
	default:
		p.VIFType = "binding_failed"
	}
}

// ErrPortInUse says that a port belongs to something else.
var ErrPortInUse = errors.New("the port is in use")

// ClaimPort makes a port that exists a server's. It may be repeated for the same server.
func (s *Service) ClaimPort(who httpx.Caller, portID, serverID string) (p Port, err error) {
	err = s.state.Update(func(tx *state.Tx) error {
		if p, err = s.portFor(tx, portID, who); err != nil {
			return err
		}
		if p.DeviceID == serverID && p.HostID != "" {
			return nil
		}
		if p.DeviceID != "" && (p.HostID != "" || isService(p)) {
			return ErrPortInUse
		}
		s.bind(&p, serverID)
		p.touch(s.now())
		return tx.Put(p)
	})
	return p, err
}

// isService tells whether a port serves something that is no server.
func isService(p Port) bool {
	return isRouters(p) || p.DeviceOwner == ownerFloatingIP || p.DeviceOwner == ownerHost
}

// ReleasePort unplugs a server's port and gives it back to who made it. That it is gone or another's is no error.
func (s *Service) ReleasePort(ctx context.Context, portID, serverID string) error {
	err := s.state.Update(func(tx *state.Tx) error {
		p, err := state.Get[Port](tx, portID)
		if err != nil || p.DeviceID != serverID {
			return nil
		}
		p.DeviceID, p.DeviceOwner, p.HostID, p.VIFType, p.Status = "", "", "", "unbound", "DOWN"
		p.touch(s.now())
		return tx.Put(p)
	})
	if err != nil {
		return err
	}
	return s.fabric.Unplug(portID)
}

// RemovePort deletes a port that was made for a server.
func (s *Service) RemovePort(ctx context.Context, portID string) error {
	return s.removePort(ctx, portID)
}

// Plug wires a port to a link of a server. It may be repeated.
func (s *Service) Plug(ctx context.Context, portID, link string, server *fabric.Namespace) error {
	p, err := state.Get[Port](s.state, portID)
	if err != nil {
		return err
	}
	n, err := state.Get[Network](s.state, p.NetworkID)
	if err != nil {
		return err
	}
	plug := fabric.Plug{PortID: p.ID, NetworkID: n.ID, MAC: parseMAC(p.MACAddress), MTU: n.MTU, Name: link}
	if err := s.fabric.Plug(plug, server); err != nil {
		return err
	}
	return s.setStatus(portID, "ACTIVE")
}

// Unplug takes a port's wire away and leaves it the server's.
func (s *Service) Unplug(portID string) error {
	if err := s.fabric.Unplug(portID); err != nil {
		return err
	}
	return s.setStatus(portID, "DOWN")
}

func (s *Service) setStatus(portID, status string) error {
	return s.state.Update(func(tx *state.Tx) error {
		p, err := state.Get[Port](tx, portID)
		if err != nil || p.Status == status {
			return nil
		}
		p.Status = status
		return tx.Put(p)
	})
}

// Interface is what a server has to know about one of its ports.
type Interface struct {
	Port      Port
	MTU       int
	Addresses []Address
}

// Address is one of a port's, with what its subnet says.
type Address struct {
	Prefix  netip.Prefix
	Gateway netip.Addr // the zero Addr for none
	Routes  []HostRoute
}

// Interface describes a port. The error is state.ErrNotFound when it is gone.
func (s *Service) Interface(portID string) (Interface, error) {
	p, err := state.Get[Port](s.state, portID)
	if err != nil {
		return Interface{}, err
	}
	n, err := state.Get[Network](s.state, p.NetworkID)
	if err != nil {
		return Interface{}, err
	}
	i := Interface{Port: p, MTU: n.MTU}
	for _, ip := range p.FixedIPs {
		sub, err := state.Get[Subnet](s.state, ip.SubnetID)
		if err != nil {
			return i, err
		}
		a := Address{Prefix: netip.PrefixFrom(ip.IPAddress, sub.CIDR.Bits()), Routes: sub.HostRoutes}
		if sub.GatewayIP != nil && *sub.GatewayIP != ip.IPAddress {
			a.Gateway = *sub.GatewayIP
		}
		i.Addresses = append(i.Addresses, a)
	}
	return i, nil
}

// ServerPorts are the ports of a server, oldest first.
func (s *Service) ServerPorts(serverID string) []Port {
	return state.List(s.state, func(p *Port) bool { return p.DeviceID == serverID && p.HostID != "" })
}

// FloatingIPs are those that lead to the port.
func (s *Service) FloatingIPs(portID string) []FloatingIP { return floatingIPsOf(s.state, portID) }

// NetworkName answers a network's name.
func (s *Service) NetworkName(id string) string {
	n, _ := state.Get[Network](s.state, id)
	return n.Name
}

// TenantNetworks are those that a server of the caller's could be on when it names none.
func (s *Service) TenantNetworks(who httpx.Caller) []Network {
	return slices.DeleteFunc(state.List[Network](s.state, nil), func(n Network) bool {
		return n.External && !n.Shared || n.ProjectID != who.ProjectID && !n.Shared || len(subnetsOf(s.state, n.ID)) == 0
	})
}
