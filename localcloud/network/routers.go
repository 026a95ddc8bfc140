package network

import (
	"net/http"
	"slices"

	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/state"
)

func noRouter(id string) error {
	return httpx.NotFound("RouterNotFound", "Router %s could not be found", id)
}

func (s *Service) routerFor(r state.Reader, id string, who httpx.Caller) (Router, error) {
	return find(r, id, func(router Router) bool { return who.Sees(router.ProjectID) }, noRouter)
}

// routerPorts are the router's interfaces and its gateway.
func routerPorts(r state.Reader, routerID string) []Port {
	return state.List(r, func(p *Port) bool { return p.DeviceID == routerID && isRouters(*p) })
}

func gatewayPort(r state.Reader, routerID string) (Port, bool) {
	return state.Find(r, func(p *Port) bool { return p.DeviceID == routerID && p.DeviceOwner == ownerRouterGateway })
}

// viewRouter fills in where the gateway is.
func viewRouter(r state.Reader, router Router) Router {
	if router.ExternalGateway != nil {
		gateway := *router.ExternalGateway
		gateway.ExternalFixedIPs = []FixedIP{}
		if p, ok := gatewayPort(r, router.ID); ok {
			gateway.ExternalFixedIPs = p.FixedIPs
		}
		router.ExternalGateway = &gateway
	}
	return router
}

func (s *Service) listRouters(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	var visible []Router
	for _, router := range state.List(s.state, func(router *Router) bool { return who.Sees(router.ProjectID) }) {
		visible = append(visible, viewRouter(s.state, router))
	}
	page, err := httpx.Select(r, visible, httpx.Strict)
	if err != nil {
		return err
	}
	return page.Write(w, "routers")
}

func (s *Service) answerRouter(w http.ResponseWriter, status int, router Router) error {
	return httpx.Write(w, status, map[string]any{"router": viewRouter(s.state, router)})
}

func (s *Service) showRouter(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	router, err := s.routerFor(s.state, r.PathValue("id"), who)
	if err != nil {
		return err
	}
	return s.answerRouter(w, http.StatusOK, router)
}

func newRouter() Router {
	return Router{AdminStateUp: true, Status: "ACTIVE", Routes: []HostRoute{}, AvailabilityZoneHints: []string{}, AvailabilityZones: []string{zone}}
}

func (s *Service) createRouter(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	router := newRouter()
	if _, err := read(w, r, who, "router", &router); err != nil {
		return err
	}
	if err := s.begin(&router.common, "router", who); err != nil {
		return err
	}
	d := dirty{routers: ids(router.ID)}
	err := s.state.Update(func(tx *state.Tx) error {
		port, err := s.setGateway(tx, &router, who)
		d.ports = port
		if err != nil {
			return err
		}
		return tx.Put(router)
	})
	if err != nil {
		return err
	}
	s.apply(r.Context(), d)
	return s.answerRouter(w, http.StatusCreated, router)
}

// setGateway makes the router's gateway port what external_gateway_info says, and answers the ports concerned.
func (s *Service) setGateway(tx *state.Tx, router *Router, who httpx.Caller) (changed []string, err error) {
	wanted := router.ExternalGateway
	if wanted != nil && wanted.NetworkID == "" {
		wanted, router.ExternalGateway = nil, nil
	}
	if old, ok := gatewayPort(tx, router.ID); ok {
		if wanted != nil && wanted.NetworkID == old.NetworkID && has(old, wanted.ExternalFixedIPs) {
			return nil, nil
		}
		if ip, used := state.Find(tx, func(ip *FloatingIP) bool { return ip.RouterID != nil && *ip.RouterID == router.ID }); used {
			return nil, httpx.Conflict("RouterExternalGatewayInUseByFloatingIp", "Gateway cannot be updated for router %s, since a gateway to external network %s is required by one or more floating IPs (%v).", router.ID, old.NetworkID, *ip.FloatingIPAddress)
		}
		tx.Delete(old)
		changed = append(changed, old.ID)
	}
	if wanted == nil {
		return changed, nil
	}
	n, err := s.networkFor(tx, wanted.NetworkID, who)
	if err != nil {
		return nil, err
	}
	if !n.External {
		return nil, httpx.BadRequest("BadRequest", "Bad router request: Network %s is not an external network.", n.ID)
	}
	p, err := s.insertServicePort(tx, n, "", router.ID, ownerRouterGateway, wanted.ExternalFixedIPs)
	if wanted.EnableSNAT == nil {
		wanted.EnableSNAT = new(true)
	}
	return append(changed, p.ID), err
}

// has tells whether the port has the addresses that are asked for.
func has(p Port, asked []FixedIP) bool {
	return !slices.ContainsFunc(asked, func(a FixedIP) bool {
		return !slices.ContainsFunc(p.FixedIPs, func(f FixedIP) bool {
			return (a.SubnetID == "" || a.SubnetID == f.SubnetID) && (!a.IPAddress.IsValid() || a.IPAddress == f.IPAddress)
		})
	})
}

// insertServicePort makes a port that the network service itself uses.
func (s *Service) insertServicePort(tx *state.Tx, n Network, project, device, owner string, asked []FixedIP) (Port, error) {
	p := newPort()
	p.stamp(s.now())
	p.ProjectID, p.TenantID, p.NetworkID, p.DeviceID, p.DeviceOwner = project, project, n.ID, device, owner
	p.PortSecurityEnabled, p.Status, p.VIFType, p.HostID = false, "ACTIVE", "bridge", s.opts.Host
	if owner == ownerFloatingIP {
		p.Status, p.VIFType, p.HostID = "N/A", "unbound", ""
	}
	if len(asked) == 0 {
		asked = anyAddresses(tx, n.ID)
	}
	if err := s.setMAC(tx, &p); err != nil {
		return p, err
	}
	if err := s.assign(tx, &p, asked); err != nil {
		return p, err
	}
	return p, tx.Put(p)
}

func (s *Service) updateRouter(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	g, err := parse(w, r, "router")
	if err != nil {
		return err
	}
	var router Router
	d := dirty{routers: ids(r.PathValue("id"))}
	err = s.state.Update(func(tx *state.Tx) (err error) {
		if router, err = s.routerFor(tx, r.PathValue("id"), who); err != nil {
			return err
		}
		if g.has("external_gateway_info") {
			router.ExternalGateway = nil // it is replaced, not merged
		}
		if err := g.onto(who, "router", update, &router); err != nil {
			return err
		}
		if g.has("routes") {
			if err := checkRoutes(tx, router); err != nil {
				return err
			}
		}
		if d.ports, err = s.setGateway(tx, &router, who); err != nil {
			return err
		}
		router.touch(s.now())
		return tx.Put(router)
	})
	if err != nil {
		return err
	}
	s.apply(r.Context(), d)
	return s.answerRouter(w, http.StatusOK, router)
}

// checkRoutes: a next hop must be a neighbour on one of the router's networks.
func checkRoutes(r state.Reader, router Router) error {
	for _, route := range router.Routes {
		reachable := slices.ContainsFunc(routerPorts(r, router.ID), func(p Port) bool {
			return slices.ContainsFunc(subnetsOf(r, p.NetworkID), func(sub Subnet) bool { return sub.CIDR.Contains(route.NextHop) })
		})
		if !reachable || !route.Destination.IsValid() {
			return httpx.BadRequest("InvalidRoutes", "Invalid format for routes: %v, the nexthop is not connected with router", route)
		}
	}
	return nil
}

func (s *Service) deleteRouter(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	d := dirty{routers: ids(r.PathValue("id"))}
	err := s.state.Update(func(tx *state.Tx) error {
		router, err := s.routerFor(tx, r.PathValue("id"), who)
		if err != nil {
			return err
		}
		ports := routerPorts(tx, router.ID)
		for _, p := range ports {
			if p.DeviceOwner == ownerRouterInterface {
				return httpx.Conflict("RouterInUse", "Router %s still has ports", router.ID)
			}
		}
		for _, p := range ports {
			d.ports = append(d.ports, p.ID)
			tx.Delete(p)
		}
		tx.Delete(router)
		return nil
	})
	if err != nil {
		return err
	}
	s.apply(r.Context(), d)
	return httpx.NoContent(w)
}
