package fabric

import (
	"net"
	"net/netip"
)

// Network is one bridge.
type Network struct {
	ID  string
	MTU int
}

// Port is a place on a network, whether anything is plugged into it or not.
type Port struct {
	ID        string
	NetworkID string
	MAC       net.HardwareAddr
	// Secured ports send from their own sources only, and their groups judge what begins at them and what reaches them. One
	// without groups takes part in connections neither way.
	Secured bool
	Sources []Source
	Groups  []string
}

// Source is what a secured port may send from.
type Source struct {
	MAC     net.HardwareAddr
	Address netip.Prefix
}

// Group is a security group: what may begin a connection with its ports. The addresses are those of its ports, for rules
// (of any group) that say "from the ports of this group".
type Group struct {
	ID        string
	Rules     []Rule
	Addresses []netip.Prefix
}

// Rule allows something. Zero values mean anything.
type Rule struct {
	Egress   bool
	IPv6     bool
	Protocol uint8 // number
	// PortMin and PortMax are the range of destination ports, or an ICMP type and code; -1 for any.
	PortMin, PortMax int
	Remote           netip.Prefix
	RemoteGroup      string
}

// Change is what Apply makes true. Networks, ports and groups are replaced as a whole.
type Change struct {
	Networks []Network
	Ports    []Port
	Groups   []Group

	GoneNetworks, GonePorts, GoneGroups []string // ids
}

// Plug is one end of a wire whose other end is in the fabric.
type Plug struct {
	PortID    string
	NetworkID string
	MAC       net.HardwareAddr
	MTU       int
	Name      string // of the link in the target namespace
}
