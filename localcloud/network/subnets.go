package network

import (
	"net/http"
	"net/netip"
	"slices"

	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/state"
)

func noSubnet(id string) error {
	return httpx.NotFound("SubnetNotFound", "Subnet %s could not be found.", id)
}

// subnetFor: a shared network's subnets are everybody's to see, an external one's are not.
func (s *Service) subnetFor(r state.Reader, id string, who httpx.Caller) (Subnet, error) {
	return find(r, id, func(sub Subnet) bool { return s.seesSubnet(r, sub, who) }, noSubnet)
}

func (s *Service) seesSubnet(r state.Reader, sub Subnet, who httpx.Caller) bool {
	if who.Sees(sub.ProjectID) {
		return true
	}
	n, err := state.Get[Network](r, sub.NetworkID)
	return err == nil && (n.Shared || who.Sees(n.ProjectID))
}

func (s *Service) listSubnets(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	visible := slices.DeleteFunc(state.List[Subnet](s.state, nil), func(sub Subnet) bool { return !s.seesSubnet(s.state, sub, who) })
	page, err := httpx.Select(r, visible, httpx.Strict)
	if err != nil {
		return err
	}
	return page.Write(w, "subnets")
}

func answerSubnet(w http.ResponseWriter, status int, sub Subnet) error {
	return httpx.Write(w, status, map[string]any{"subnet": sub})
}

func (s *Service) showSubnet(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	sub, err := s.subnetFor(s.state, r.PathValue("id"), who)
	if err != nil {
		return err
	}
	return answerSubnet(w, http.StatusOK, sub)
}

func (s *Service) createSubnet(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	sub := Subnet{EnableDHCP: true, DNSNameservers: []string{}, HostRoutes: []HostRoute{}, ServiceTypes: []string{}}
	g, err := read(w, r, who, "subnet", &sub)
	if err != nil {
		return err
	}
	if sub.SubnetPoolID != nil {
		return httpx.NotFound("SubnetPoolNotFound", "Subnet pool %s could not be found.", *sub.SubnetPoolID)
	}
	if err := s.begin(&sub.common, "subnet", who); err != nil {
		return err
	}
	if err := sub.complete(g); err != nil {
		return err
	}
	err = s.state.Update(func(tx *state.Tx) error {
		n, err := s.networkFor(tx, sub.NetworkID, who)
		if err != nil {
			return err
		}
		if err := owned(who, n.ProjectID, "create_subnet"); err != nil {
			return err
		}
		if err := sub.check(tx); err != nil {
			return err
		}
		return tx.Put(sub)
	})
	if err != nil {
		return err
	}
	return answerSubnet(w, http.StatusCreated, sub)
}

// complete checks the addresses of a new subnet and fills in what was not given.
func (sub *Subnet) complete(g given) error {
	switch {
	case !sub.CIDR.IsValid():
		return httpx.BadRequest("BadRequest", "Bad subnets request: a subnetpool must be specified in the absence of a cidr.")
	case sub.IPVersion != 4 && sub.IPVersion != 6:
		return invalid("ip_version", "'%d' is not in [4, 6]", sub.IPVersion)
	case sub.CIDR.Addr().Is4() != (sub.IPVersion == 4):
		return httpx.BadRequest("InvalidInput", "Invalid input for operation: Subnet cidr '%v' does not match the ip_version '%d'.", sub.CIDR, sub.IPVersion)
	}
	sub.CIDR = sub.CIDR.Masked()
	if !g.has("gateway_ip") {
		first := sub.CIDR.Addr().Next()
		sub.GatewayIP = &first
	}
	if len(sub.AllocationPools) == 0 {
		sub.AllocationPools = defaultPools(sub.CIDR, sub.GatewayIP)
	}
	return nil
}

// defaultPools is everything but the gateway and, in IPv4, the network's and the broadcast address.
func defaultPools(cidr netip.Prefix, gateway *netip.Addr) []Pool {
	first, last := cidr.Addr(), lastOf(cidr)
	if cidr.Bits() <= cidr.Addr().BitLen()-2 {
		first = first.Next()
		if first.Is4() {
			last = last.Prev()
		}
	}
	if gateway == nil || gateway.Less(first) || last.Less(*gateway) {
		return []Pool{{first, last}}
	}
	var pools []Pool
	if first.Less(*gateway) {
		pools = append(pools, Pool{first, gateway.Prev()})
	}
	if gateway.Less(last) {
		pools = append(pools, Pool{gateway.Next(), last})
	}
	return pools
}

func lastOf(p netip.Prefix) netip.Addr {
	a := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < len(a)*8; i++ {
		a[i/8] |= 0x80 >> (i % 8)
	}
	last, _ := netip.AddrFromSlice(a)
	return last
}

// check is what holds between the subnet's attributes and its network's other subnets.
func (sub *Subnet) check(r state.Reader) error {
	for _, other := range subnetsOf(r, sub.NetworkID) {
		if other.ID != sub.ID && other.CIDR.Overlaps(sub.CIDR) {
			return httpx.BadRequest("InvalidInput", "Invalid input for operation: Requested subnet with cidr: %v for network: %s overlaps with another subnet.", sub.CIDR, sub.NetworkID)
		}
	}
	if sub.GatewayIP != nil && !sub.CIDR.Contains(*sub.GatewayIP) {
		return httpx.BadRequest("InvalidInput", "Invalid input for operation: Gateway is not valid on subnet.")
	}
	for _, pool := range sub.AllocationPools {
		switch {
		case !sub.CIDR.Contains(pool.Start) || !sub.CIDR.Contains(pool.End) || pool.End.Less(pool.Start):
			return httpx.BadRequest("OutOfBoundsAllocationPool", "The allocation pool %v-%v spans beyond the subnet cidr %v.", pool.Start, pool.End, sub.CIDR)
		case sub.GatewayIP != nil && pool.contains(*sub.GatewayIP):
			return httpx.Conflict("GatewayConflictWithAllocationPools", "Gateway ip %v conflicts with allocation pool %v-%v.", *sub.GatewayIP, pool.Start, pool.End)
		}
	}
	return nil
}

func (p Pool) contains(a netip.Addr) bool { return !a.Less(p.Start) && !p.End.Less(a) }

func (s *Service) updateSubnet(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	g, err := parse(w, r, "subnet")
	if err != nil {
		return err
	}
	var sub Subnet
	err = s.state.Update(func(tx *state.Tx) (err error) {
		if sub, err = s.subnetFor(tx, r.PathValue("id"), who); err != nil {
			return err
		}
		if err := owned(who, sub.ProjectID, "update_subnet"); err != nil {
			return err
		}
		before := sub.GatewayIP
		if err := g.onto(who, "subnet", update, &sub); err != nil {
			return err
		}
		if err := sub.check(tx); err != nil {
			return err
		}
		if err := gatewayFree(tx, sub, before); err != nil {
			return err
		}
		sub.touch(s.now())
		return tx.Put(sub)
	})
	if err != nil {
		return err
	}
	s.apply(r.Context(), dirty{routers: s.routersOn(sub.NetworkID)})
	return answerSubnet(w, http.StatusOK, sub)
}

// gatewayFree refuses to change the gateway's address while a router has it.
func gatewayFree(r state.Reader, sub Subnet, before *netip.Addr) error {
	if before == nil || sub.GatewayIP != nil && *sub.GatewayIP == *before {
		return nil
	}
	if p, ok := portWith(r, sub.ID, *before); ok && isRouters(p) {
		return httpx.Conflict("GatewayIpInUse", "Current gateway ip %v already in use by port %s. Unable to update.", *before, p.ID)
	}
	return nil
}

func (s *Service) deleteSubnet(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	id := r.PathValue("id")
	err := s.state.Update(func(tx *state.Tx) error {
		sub, err := s.subnetFor(tx, id, who)
		if err != nil {
			return err
		}
		if err := owned(who, sub.ProjectID, "delete_subnet"); err != nil {
			return err
		}
		for _, p := range portsOn(tx, sub.NetworkID) {
			if slices.ContainsFunc(p.FixedIPs, func(f FixedIP) bool { return f.SubnetID == id }) {
				return httpx.Conflict("SubnetInUse", "Unable to complete operation on subnet %s: One or more ports have an IP allocation from this subnet.", id)
			}
		}
		tx.Delete(sub)
		tx.Delete(cursor{SubnetID: id})
		return nil
	})
	if err != nil {
		return err
	}
	return httpx.NoContent(w)
}
