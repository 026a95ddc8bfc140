package network

import (
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/state"
)

func noFloatingIP(id string) error {
	return httpx.NotFound("FloatingIPNotFound", "Floating IP %s could not be found", id)
}

func (s *Service) floatingIPFor(r state.Reader, id string, who httpx.Caller) (FloatingIP, error) {
	return find(r, id, func(ip FloatingIP) bool { return who.Sees(ip.ProjectID) }, noFloatingIP)
}

func floatingIPsOf(r state.Reader, portID string) []FloatingIP {
	return state.List(r, func(ip *FloatingIP) bool { return ip.PortID != nil && *ip.PortID == portID })
}

func viewFloatingIP(r state.Reader, ip FloatingIP) FloatingIP {
	ip.PortForwardings, ip.SubnetID = []string{}, ""
	if ip.PortID == nil {
		return ip
	}
	if p, err := state.Get[Port](r, *ip.PortID); err == nil {
		ip.PortDetails = map[string]any{"name": p.Name, "network_id": p.NetworkID, "mac_address": p.MACAddress, "status": p.Status,
			"admin_state_up": p.AdminStateUp, "device_id": p.DeviceID, "device_owner": p.DeviceOwner}
	}
	return ip
}

func (s *Service) listFloatingIPs(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	var visible []FloatingIP
	for _, ip := range state.List(s.state, func(ip *FloatingIP) bool { return who.Sees(ip.ProjectID) }) {
		visible = append(visible, viewFloatingIP(s.state, ip))
	}
	page, err := httpx.Select(r, visible, httpx.Strict)
	if err != nil {
		return err
	}
	return page.Write(w, "floatingips")
}

func (s *Service) answerFloatingIP(w http.ResponseWriter, status int, ip FloatingIP) error {
	return httpx.Write(w, status, map[string]any{"floatingip": viewFloatingIP(s.state, ip)})
}

func (s *Service) showFloatingIP(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	ip, err := s.floatingIPFor(s.state, r.PathValue("id"), who)
	if err != nil {
		return err
	}
	return s.answerFloatingIP(w, http.StatusOK, ip)
}

func (s *Service) createFloatingIP(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	ip := FloatingIP{Status: "DOWN"}
	g, err := read(w, r, who, "floatingip", &ip)
	if err != nil {
		return err
	}
	if g.has("floating_ip_address") && !g.isNull("floating_ip_address") && !who.IsAdmin {
		return denied("create_floatingip:floating_ip_address")
	}
	if err := s.begin(&ip.common, "floatingip", who); err != nil {
		return err
	}
	err = s.state.Update(func(tx *state.Tx) error {
		if err := s.allocate(tx, &ip, who); err != nil {
			return err
		}
		if err := s.associate(tx, &ip, who); err != nil {
			return err
		}
		if err := s.checkQos(tx, ip.QosPolicyID, who); err != nil {
			return err
		}
		return tx.Put(ip)
	})
	if err != nil {
		return err
	}
	s.apply(r.Context(), dirty{routers: routersOf(ip)})
	return s.answerFloatingIP(w, http.StatusCreated, ip)
}

// allocate takes the external address, with a port that nobody sees but administrators, as Neutron does.
func (s *Service) allocate(tx *state.Tx, ip *FloatingIP, who httpx.Caller) error {
	n, err := s.networkFor(tx, ip.FloatingNetworkID, who)
	if err != nil {
		return err
	}
	if !n.External {
		return httpx.BadRequest("BadRequest", "Bad floatingip request: Network %s is not a valid external network.", n.ID)
	}
	asked := FixedIP{SubnetID: ip.SubnetID}
	if ip.FloatingIPAddress != nil {
		asked.IPAddress = *ip.FloatingIPAddress
	}
	if asked == (FixedIP{}) {
		sub, ok := state.Find(tx, func(sub *Subnet) bool { return sub.NetworkID == n.ID && sub.IPVersion == 4 })
		if !ok {
			return httpx.BadRequest("BadRequest", "Bad floatingip request: Network %s does not contain any IPv4 subnet.", n.ID)
		}
		asked.SubnetID = sub.ID
	}
	p, err := s.insertServicePort(tx, n, "", ip.ID, ownerFloatingIP, []FixedIP{asked})
	if err != nil {
		return err
	}
	ip.FloatingIPAddress = &p.FixedIPs[0].IPAddress
	return nil
}

// associate checks and completes what the floating IP shall lead to.
func (s *Service) associate(tx *state.Tx, ip *FloatingIP, who httpx.Caller) error {
	if ip.PortID == nil || *ip.PortID == "" {
		ip.free(s.now())
		return nil
	}
	p, err := s.portFor(tx, *ip.PortID, who)
	if err != nil {
		return err
	}
	if err := ip.chooseFixed(p); err != nil {
		return err
	}
	for _, other := range floatingIPsOf(tx, p.ID) {
		if other.ID != ip.ID && *other.FixedIPAddress == *ip.FixedIPAddress {
			return httpx.Conflict("FloatingIPPortAlreadyAssociated", "Cannot associate floating IP %v (%s) with port %s using fixed IP %v, as that fixed IP already has a floating IP on external network %s.",
				*ip.FloatingIPAddress, ip.ID, p.ID, *ip.FixedIPAddress, ip.FloatingNetworkID)
		}
	}
	router, ok := routerBetween(tx, ip.FloatingNetworkID, p, *ip.FixedIPAddress)
	if !ok {
		return httpx.NotFound("ExternalGatewayForFloatingIPNotFound", "External network %s is not reachable from subnet %s.  Cannot associate Port %s with a Floating IP.",
			ip.FloatingNetworkID, p.subnetOf(*ip.FixedIPAddress), p.ID)
	}
	ip.RouterID, ip.Status = &router, "ACTIVE"
	return nil
}

func (ip *FloatingIP) chooseFixed(p Port) error {
	var candidates []netip.Addr
	for _, f := range p.FixedIPs {
		if f.IPAddress.Is4() {
			candidates = append(candidates, f.IPAddress)
		}
	}
	switch {
	case ip.FixedIPAddress != nil && !slices.Contains(candidates, *ip.FixedIPAddress):
		return httpx.BadRequest("BadRequest", "Bad floatingip request: Port %s does not have fixed ip %v.", p.ID, *ip.FixedIPAddress)
	case ip.FixedIPAddress != nil:
		return nil
	case len(candidates) == 0:
		return httpx.BadRequest("BadRequest", "Bad floatingip request: Cannot add floating IP to port %s that has no fixed IPv4 addresses.", p.ID)
	case len(candidates) > 1:
		return httpx.BadRequest("BadRequest", "Bad floatingip request: Port %s has multiple fixed IPv4 addresses. Must provide a specific IPv4 address when assigning a floating IP.", p.ID)
	}
	ip.FixedIPAddress = &candidates[0]
	return nil
}

func (p Port) subnetOf(a netip.Addr) string {
	for _, f := range p.FixedIPs {
		if f.IPAddress == a {
			return f.SubnetID
		}
	}
	return ""
}

// routerBetween is the router that joins the external network and the port's subnet.
func routerBetween(r state.Reader, externalID string, p Port, fixed netip.Addr) (string, bool) {
	subnetID := p.subnetOf(fixed)
	for _, inside := range portsOn(r, p.NetworkID) {
		if inside.DeviceOwner != ownerRouterInterface || !slices.ContainsFunc(inside.FixedIPs, func(f FixedIP) bool { return f.SubnetID == subnetID }) {
			continue
		}
		if outside, ok := gatewayPort(r, inside.DeviceID); ok && outside.NetworkID == externalID {
			return inside.DeviceID, true
		}
	}
	return "", false
}

// free makes it lead nowhere.
func (ip *FloatingIP) free(now time.Time) {
	ip.PortID, ip.FixedIPAddress, ip.RouterID, ip.Status = nil, nil, nil, "DOWN"
	ip.touch(now)
}

func routersOf(list ...FloatingIP) []string {
	var all []string
	for _, ip := range list {
		if ip.RouterID != nil {
			all = append(all, *ip.RouterID)
		}
	}
	return all
}

func (s *Service) updateFloatingIP(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	g, err := parse(w, r, "floatingip")
	if err != nil {
		return err
	}
	var before, ip FloatingIP
	err = s.state.Update(func(tx *state.Tx) (err error) {
		if before, err = s.floatingIPFor(tx, r.PathValue("id"), who); err != nil {
			return err
		}
		ip, _ = state.Get[FloatingIP](tx, before.ID)
		// An association is replaced as a whole, and one without port_id is taken off, as Neutron does.
		if g.has("port_id") || g.has("fixed_ip_address") {
			ip.PortID, ip.FixedIPAddress = nil, nil
		}
		if err := g.onto(who, "floatingip", update, &ip); err != nil {
			return err
		}
		if err := s.associate(tx, &ip, who); err != nil {
			return err
		}
		if err := s.checkQos(tx, ip.QosPolicyID, who); err != nil {
			return err
		}
		ip.touch(s.now())
		return tx.Put(ip)
	})
	if err != nil {
		return err
	}
	s.apply(r.Context(), dirty{routers: routersOf(before, ip)})
	return s.answerFloatingIP(w, http.StatusOK, ip)
}

func (s *Service) deleteFloatingIP(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	var ip FloatingIP
	err := s.state.Update(func(tx *state.Tx) (err error) {
		if ip, err = s.floatingIPFor(tx, r.PathValue("id"), who); err != nil {
			return err
		}
		for _, p := range state.List(tx, func(p *Port) bool { return p.DeviceID == ip.ID && p.DeviceOwner == ownerFloatingIP }) {
			tx.Delete(p)
		}
		tx.Delete(ip)
		return nil
	})
	if err != nil {
		return err
	}
	s.apply(r.Context(), dirty{routers: routersOf(ip)})
	return httpx.NoContent(w)
}
