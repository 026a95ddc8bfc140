package network

import (
	"net/http"
	"slices"

	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/state"
)

// interfaceRequest names the interface to add or remove: by subnet, by port, or by both.
type interfaceRequest struct {
	SubnetID string `json:"subnet_id"`
	PortID   string `json:"port_id"`
}

func (s *Service) addInterface(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	var asked interfaceRequest
	if err := httpx.Read(w, r, &asked); err != nil {
		return err
	}
	var router Router
	var p Port
	err := s.state.Update(func(tx *state.Tx) (err error) {
		if router, err = s.routerFor(tx, r.PathValue("id"), who); err != nil {
			return err
		}
		switch {
		case (asked.PortID == "") == (asked.SubnetID == ""):
			return httpx.BadRequest("BadRequest", "Bad router request: Either subnet_id or port_id must be specified, and not both.")
		case asked.PortID != "":
			p, err = s.takePort(tx, asked.PortID, router, who)
		default:
			p, err = s.makeInterface(tx, asked.SubnetID, router, who)
		}
		return err
	})
	if err != nil {
		return err
	}
	s.apply(r.Context(), dirty{ports: ids(p.ID), routers: ids(router.ID)})
	return answerInterface(w, router, p)
}

// makeInterface gives the router the subnet's gateway address.
func (s *Service) makeInterface(tx *state.Tx, subnetID string, router Router, who httpx.Caller) (Port, error) {
	sub, err := s.subnetFor(tx, subnetID, who)
	if err != nil {
		return Port{}, err
	}
	if sub.GatewayIP == nil {
		return Port{}, httpx.BadRequest("BadRequest", "Bad router request: Subnet for router interface must have a gateway IP.")
	}
	if err := s.noOverlap(tx, sub, router); err != nil {
		return Port{}, err
	}
	n, err := state.Get[Network](tx, sub.NetworkID)
	if err != nil {
		return Port{}, err
	}
	return s.insertServicePort(tx, n, router.ProjectID, router.ID, ownerRouterInterface, []FixedIP{{sub.ID, *sub.GatewayIP}})
}

// takePort makes a port that somebody made into the router's.
func (s *Service) takePort(tx *state.Tx, portID string, router Router, who httpx.Caller) (Port, error) {
	p, err := s.portFor(tx, portID, who)
	if err != nil {
		return p, err
	}
	if p.DeviceID != "" {
		return p, httpx.Conflict("PortInUse", "Unable to complete operation on port %s for network %s. Port already has an attached device %s.", p.ID, p.NetworkID, p.DeviceID)
	}
	if len(p.FixedIPs) == 0 {
		return p, httpx.BadRequest("BadRequest", "Bad router request: Router port must have at least one fixed IP.")
	}
	for _, ip := range p.FixedIPs {
		sub, err := state.Get[Subnet](tx, ip.SubnetID)
		if err != nil {
			return p, err
		}
		if err := s.noOverlap(tx, sub, router); err != nil {
			return p, err
		}
	}
	p.DeviceID, p.DeviceOwner, p.Status, p.HostID, p.VIFType = router.ID, ownerRouterInterface, "ACTIVE", s.opts.Host, "bridge"
	p.SecurityGroups, p.AllowedAddressPairs, p.PortSecurityEnabled = []string{}, []AddressPair{}, false
	p.touch(s.now())
	return p, tx.Put(p)
}

// noOverlap: a router cannot tell two networks with the same addresses apart.
func (s *Service) noOverlap(r state.Reader, sub Subnet, router Router) error {
	for _, p := range routerPorts(r, router.ID) {
		for _, ip := range p.FixedIPs {
			other, err := state.Get[Subnet](r, ip.SubnetID)
			if err != nil {
				return err
			}
			if other.ID == sub.ID {
				return httpx.BadRequest("BadRequest", "Bad router request: Router already has a port on subnet %s.", sub.ID)
			}
			if other.CIDR.Overlaps(sub.CIDR) {
				return httpx.BadRequest("BadRequest", "Bad router request: Cidr %v of subnet %s overlaps with cidr %v of subnet %s.", sub.CIDR, sub.ID, other.CIDR, other.ID)
			}
		}
	}
	return nil
}

func (s *Service) removeInterface(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	var asked interfaceRequest
	if err := httpx.Read(w, r, &asked); err != nil {
		return err
	}
	var router Router
	var p Port
	err := s.state.Update(func(tx *state.Tx) (err error) {
		if router, err = s.routerFor(tx, r.PathValue("id"), who); err != nil {
			return err
		}
		if p, err = interfaceOf(tx, router.ID, asked); err != nil {
			return err
		}
		if err := notNeeded(tx, router, p); err != nil {
			return err
		}
		tx.Delete(p)
		return nil
	})
	if err != nil {
		return err
	}
	s.apply(r.Context(), dirty{ports: ids(p.ID), routers: ids(router.ID)})
	return answerInterface(w, router, p)
}

// notNeeded: floating IPs and routes must not lose their way.
func notNeeded(r state.Reader, router Router, p Port) error {
	subnet := p.FixedIPs[0].SubnetID
	for _, ip := range state.List(r, func(ip *FloatingIP) bool { return ip.RouterID != nil && *ip.RouterID == router.ID }) {
		if behind, err := state.Get[Port](r, *ip.PortID); err == nil && behind.NetworkID == p.NetworkID {
			return httpx.Conflict("RouterInterfaceInUseByFloatingIP", "Router interface for subnet %s on router %s cannot be deleted, as it is required by one or more floating IPs.", subnet, router.ID)
		}
	}
	for _, route := range router.Routes {
		if slices.ContainsFunc(subnetsOf(r, p.NetworkID), func(sub Subnet) bool { return sub.CIDR.Contains(route.NextHop) }) {
			return httpx.Conflict("RouterInterfaceInUseByRoute", "Router interface for subnet %s on router %s cannot be deleted, as it is required by one or more routes.", subnet, router.ID)
		}
	}
	return nil
}

func interfaceOf(r state.Reader, routerID string, asked interfaceRequest) (Port, error) {
	for _, p := range routerPorts(r, routerID) {
		onSubnet := asked.SubnetID == "" || slices.ContainsFunc(p.FixedIPs, func(f FixedIP) bool { return f.SubnetID == asked.SubnetID })
		if p.DeviceOwner == ownerRouterInterface && onSubnet && (asked.PortID == "" || asked.PortID == p.ID) {
			return p, nil
		}
	}
	if asked.PortID != "" {
		return Port{}, httpx.NotFound("RouterInterfaceNotFound", "Router %s does not have an interface with id %s", routerID, asked.PortID)
	}
	return Port{}, httpx.NotFound("RouterInterfaceNotFoundForSubnet", "Router %s has no interface on subnet %s", routerID, asked.SubnetID)
}

func answerInterface(w http.ResponseWriter, router Router, p Port) error {
	subnets := []string{}
	for _, ip := range p.FixedIPs {
		subnets = append(subnets, ip.SubnetID)
	}
	return httpx.Write(w, http.StatusOK, map[string]any{
		"id": router.ID, "project_id": router.ProjectID, "tenant_id": router.ProjectID, "port_id": p.ID,
		"network_id": p.NetworkID, "subnet_id": subnets[0], "subnet_ids": subnets,
	})
}
