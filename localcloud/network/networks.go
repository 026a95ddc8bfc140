package network

import (
	"net/http"
	"slices"

	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/state"
)

// defaultMTU is a bridge's; nothing is wrapped around packets on one machine.
const defaultMTU = 1500

// zone is the only availability zone.
const zone = "nova"

func noNetwork(id string) error {
	return httpx.NotFound("NetworkNotFound", "Network %s could not be found.", id)
}

func seesNetwork(who httpx.Caller) func(Network) bool {
	return func(n Network) bool { return who.Sees(n.ProjectID) || n.Shared || n.External }
}

func (s *Service) networkFor(r state.Reader, id string, who httpx.Caller) (Network, error) {
	return find(r, id, seesNetwork(who), noNetwork)
}

// view is the network as the caller sees it.
func (s *Service) viewNetwork(n Network, who httpx.Caller) Network {
	n.Subnets = []string{}
	for _, sub := range subnetsOf(s.state, n.ID) {
		n.Subnets = append(n.Subnets, sub.ID)
	}
	if !who.IsAdmin {
		n.NetworkType, n.PhysicalNetwork, n.SegmentationID = "", nil, nil
	}
	return n
}

func (s *Service) listNetworks(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	var visible []Network
	for _, n := range state.List(s.state, func(n *Network) bool { return seesNetwork(who)(*n) }) {
		visible = append(visible, s.viewNetwork(n, who))
	}
	page, err := httpx.Select(r, visible, httpx.Strict)
	if err != nil {
		return err
	}
	return page.Write(w, "networks")
}

func (s *Service) answerNetwork(w http.ResponseWriter, status int, n Network, who httpx.Caller) error {
	return httpx.Write(w, status, map[string]any{"network": s.viewNetwork(n, who)})
}

func (s *Service) showNetwork(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	n, err := s.networkFor(s.state, r.PathValue("id"), who)
	if err != nil {
		return err
	}
	return s.answerNetwork(w, http.StatusOK, n, who)
}

func newNetwork() Network {
	return Network{AdminStateUp: true, PortSecurityEnabled: true, MTU: defaultMTU, Status: "ACTIVE", L2Adjacency: true,
		NetworkType: "local", AvailabilityZoneHints: []string{}, AvailabilityZones: []string{zone}}
}

func (s *Service) createNetwork(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	n := newNetwork()
	if _, err := read(w, r, who, "network", &n); err != nil {
		return err
	}
	if err := s.begin(&n.common, "network", who); err != nil {
		return err
	}
	if err := s.checkNetwork(s.state, n, who); err != nil {
		return err
	}
	if err := s.state.Put(n); err != nil {
		return err
	}
	s.apply(r.Context(), dirty{networks: ids(n.ID)})
	return s.answerNetwork(w, http.StatusCreated, n, who)
}

func (s *Service) checkNetwork(r state.Reader, n Network, who httpx.Caller) error {
	if n.MTU < 68 || n.MTU > 65535 {
		return invalid("mtu", "'%d' is not between 68 and 65535", n.MTU)
	}
	return s.checkQos(r, n.QosPolicyID, who)
}

func (s *Service) updateNetwork(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	g, err := parse(w, r, "network")
	if err != nil {
		return err
	}
	var n Network
	err = s.state.Update(func(tx *state.Tx) (err error) {
		if n, err = s.networkFor(tx, r.PathValue("id"), who); err != nil {
			return err
		}
		if err := owned(who, n.ProjectID, "update_network"); err != nil {
			return err
		}
		if err := g.onto(who, "network", update, &n); err != nil {
			return err
		}
		if err := s.checkNetwork(tx, n, who); err != nil {
			return err
		}
		n.touch(s.now())
		return tx.Put(n)
	})
	if err != nil {
		return err
	}
	s.apply(r.Context(), dirty{networks: ids(n.ID), ports: portIDs(portsOn(s.state, n.ID)), routers: s.routersOn(n.ID)})
	return s.answerNetwork(w, http.StatusOK, n, who)
}

func (s *Service) deleteNetwork(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	id := r.PathValue("id")
	err := s.state.Update(func(tx *state.Tx) error {
		n, err := s.networkFor(tx, id, who)
		if err != nil {
			return err
		}
		if err := owned(who, n.ProjectID, "delete_network"); err != nil {
			return err
		}
		if len(portsOn(tx, id)) > 0 {
			return httpx.Conflict("NetworkInUse", "Unable to complete operation on network %s. There are one or more ports still in use on the network.", id)
		}
		for _, sub := range subnetsOf(tx, id) {
			tx.Delete(sub)
			tx.Delete(cursor{SubnetID: sub.ID})
		}
		tx.Delete(n)
		return nil
	})
	if err != nil {
		return err
	}
	s.apply(r.Context(), dirty{networks: ids(id)})
	return httpx.NoContent(w)
}

func subnetsOf(r state.Reader, networkID string) []Subnet {
	return state.List(r, func(sub *Subnet) bool { return sub.NetworkID == networkID })
}

func portsOn(r state.Reader, networkID string) []Port {
	return state.List(r, func(p *Port) bool { return p.NetworkID == networkID })
}

func portIDs(ports []Port) []string {
	var all []string
	for _, p := range ports {
		all = append(all, p.ID)
	}
	return all
}

// routersOn are the routers with an interface or gateway on the network.
func (s *Service) routersOn(networkID string) []string {
	var all []string
	for _, p := range portsOn(s.state, networkID) {
		if isRouters(p) && !slices.Contains(all, p.DeviceID) {
			all = append(all, p.DeviceID)
		}
	}
	return all
}

func isRouters(p Port) bool {
	return p.DeviceOwner == ownerRouterInterface || p.DeviceOwner == ownerRouterGateway
}

func ids(list ...string) []string { return list }
