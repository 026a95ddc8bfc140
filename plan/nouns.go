package plan

import (
	"net/netip"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/lb"
)

// Port is a port of the cloud's network, as wanted or as found. As wanted, an empty ID or MAC is not known yet, a fixed IP
// without an address takes any of its subnet, and nil means that anything is fine.
type Port struct {
	ID             string
	Name           string // computable: the port is found by it when the id was lost
	ProjectID      string // empty for the service's own project
	NetworkID      string
	FixedIPs       []lb.FixedIP
	MAC            string
	DeviceOwner    string
	DeviceID       string
	Down           bool // admin_state_up is false
	SecurityGroups []string
	Allowed        []netip.Addr // allowed address pairs
	QosPolicyID    *string      // empty for none
}

// SecurityGroup is a set of rules, as wanted or as found.
type SecurityGroup struct {
	ID    string
	Name  string
	Rules []Rule
}

// Rule is one security group rule. It is comparable: two rules that mean the same are equal.
type Rule struct {
	Egress   bool
	IPv6     bool
	Protocol string // tcp, udp, sctp, a number, or empty for any
	Port     int    // 0 for any
	Remote   netip.Prefix
	// Peers limits the rule to ports of the same group.
	Peers bool
}

// Server is an instance, as wanted or as found.
type Server struct {
	ID               string
	Name             string // computable
	FlavorID         string
	Image            Image
	PortIDs          []string // in the order of the instance's interfaces
	AvailabilityZone string
	GroupID          string
	KeyName          string
	Volume           Volume

	// What was found.
	State ServerState
	Fault string // why State is ServerFailed
}

// Volume is what an instance boots from in place of its host's disk: a copy of its image that is deleted with it.
type Volume struct {
	GB   int // 0 for none
	Type string
}

// ServerState is what a plan needs to know of an instance's status.
type ServerState string

const (
	ServerBuilding ServerState = "building"
	ServerActive   ServerState = "active"
	ServerFailed   ServerState = "failed"  // it will not come up by itself
	ServerLeaving  ServerState = "leaving" // it is being deleted
	ServerGone     ServerState = "gone"
)

// Image tells which image instances boot: the one with the id, or else the newest active one that has the tag and, when
// one is given, the owner.
type Image struct {
	ID    string
	Tag   string
	Owner string
}

// Subnet is what is needed of a subnet and its network.
type Subnet struct {
	ID        string
	NetworkID string
	ProjectID string
	CIDR      netip.Prefix
	Gateway   netip.Addr // invalid for none
	Routes    []agentapi.Route
	MTU       int
	// Missing tells that there is no such subnet (any more).
	Missing bool
}

// Network is what is needed of a network.
type Network struct {
	ID        string
	Name      string
	ProjectID string
	SubnetIDs []string
	MTU       int
	External  bool
}
