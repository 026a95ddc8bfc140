package network

import "github.com/octavo-lb/octavo/localcloud/state"

// GroupNames answers security groups' names.
func (s *Service) GroupNames(ids []string) []string {
	var names []string
	for _, id := range ids {
		if g, err := state.Get[SecurityGroup](s.state, id); err == nil {
			names = append(names, g.Name)
		}
	}
	return names
}

// ManagementNetworkID is the network that the cloud started with for amphorae to reach the controller on.
func (s *Service) ManagementNetworkID() string {
	p, _ := state.Find(s.state, func(p *Port) bool { return p.DeviceOwner == ownerHost && p.DeviceID == hostManagement })
	return p.NetworkID
}

// Settle waits until what a plugged port, whose link is up, sends and gets is forwarded.
func (s *Service) Settle(portID string) error { return s.fabric.Settle(portID) }
