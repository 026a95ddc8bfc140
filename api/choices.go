package api

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/store"
)

// choices are what flavor and availability zone of a load balancer mean.
type choices struct {
	provider    string // that the flavor is for, empty without one
	topology    string
	sriovVIP    bool
	memberSRIOV bool
	vipNetworks []string // instead of the configured ones; nil without
}

// choose reads flavor and availability zone of a load balancer that shall be made.
func (s *Server) choose(c *call, b *lb.LoadBalancer) (*choices, error) {
	chosen := &choices{topology: s.Topology}
	if b.FlavorID != nil {
		if err := s.chooseFlavor(c, *b.FlavorID, chosen); err != nil {
			return nil, err
		}
	}
	if b.AvailabilityZone != nil {
		if err := s.chooseZone(c, *b.AvailabilityZone, chosen); err != nil {
			return nil, err
		}
	}
	return chosen, s.chooseProvider(b, chosen)
}

func (s *Server) chooseFlavor(c *call, id string, chosen *choices) error {
	flavor, err := store.GetEntry[lb.Flavor](c.Context(), s.Store, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return lb.Refuse(lb.Validation, "Validation failure: Invalid flavor_id.")
	case err != nil:
		return err
	case !flavor.Enabled:
		return lb.Refuse(lb.DisabledOption, "The selected flavor is not allowed in this deployment: %s", id)
	}
	return readFlavor(c, s.Store, flavor.FlavorProfileID, chosen)
}

func readFlavor(c *call, r store.Reader, profileID string, chosen *choices) error {
	profile, err := store.GetEntry[lb.FlavorProfile](c.Context(), r, profileID)
	if err != nil {
		return err
	}
	var said struct {
		Topology    string `json:"loadbalancer_topology"`
		SRIOV       bool   `json:"sriov_vip"`
		MemberSRIOV bool   `json:"allow_member_sriov"`
	}
	if err := json.Unmarshal([]byte(profile.FlavorData), &said); err != nil {
		return fmt.Errorf("flavor profile %s: %w", profileID, err)
	}
	chosen.provider, chosen.sriovVIP, chosen.memberSRIOV = profile.ProviderName, said.SRIOV, said.MemberSRIOV
	if said.Topology != "" {
		chosen.topology = said.Topology
	}
	return nil
}

func (s *Server) chooseZone(c *call, name string, chosen *choices) error {
	zone, err := store.GetEntry[lb.AvailabilityZone](c.Context(), s.Store, name)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return lb.Refuse(lb.Validation, "Validation failure: Invalid availability zone.")
	case err != nil:
		return err
	case !zone.Enabled:
		return lb.Refuse(lb.DisabledOption, "The selected availability_zone is not allowed in this deployment: %s", name)
	}
	profile, err := store.GetEntry[lb.AvailabilityZoneProfile](c.Context(), s.Store, zone.AvailabilityZoneProfileID)
	if err != nil {
		return err
	}
	var said struct {
		VIPNetworks []string `json:"valid_vip_networks"`
	}
	if err := json.Unmarshal([]byte(profile.AvailabilityZoneData), &said); err != nil {
		return fmt.Errorf("availability zone profile %s: %w", profile.ID, err)
	}
	chosen.vipNetworks = said.VIPNetworks
	return nil
}

// chooseProvider settles who serves the load balancer: the flavor's provider, the one asked for, or the default.
func (s *Server) chooseProvider(b *lb.LoadBalancer, chosen *choices) error {
	switch {
	case b.Provider == "" && chosen.provider != "":
		b.Provider = chosen.provider
	case b.Provider == "":
		b.Provider = s.Providers[0].Name
	case chosen.provider != "" && chosen.provider != b.Provider:
		return lb.Refuse(lb.InvalidOption, "Flavor '%s' is not compatible with provider '%s'", *b.FlavorID, b.Provider)
	}
	_, err := s.provider(b.Provider)
	return err
}

// memberSRIOV tells whether members of the load balancer may have SR-IOV ports.
func (e *edit) memberSRIOV() (bool, error) {
	if e.tree.LB.FlavorID == nil {
		return false, nil
	}
	flavor, err := store.GetEntry[lb.Flavor](e.Context(), e.tx, *e.tree.LB.FlavorID)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	var chosen choices
	if err == nil {
		err = readFlavor(e.call, e.tx, flavor.FlavorProfileID, &chosen)
	}
	return chosen.memberSRIOV, err
}
