package plan

import "strings"

// Names of objects in the cloud. They are computed from ids, so that an object is found again whatever was lost, and they
// are those that operators know from Octavia (octavia/network/drivers/neutron, octavia/compute).

// Owner is the device_owner of the service's ports. The compute service puts its own on those of instances.
const Owner = "Octavia"

// VIPPortName names the port that holds a load balancer's addresses.
func VIPPortName(lbID string) string { return vipPrefix + lbID }

// VIPDeviceID is that port's device_id.
func VIPDeviceID(lbID string) string { return groupPrefix + lbID }

// GroupName names a load balancer's security group.
func GroupName(lbID string) string { return groupPrefix + lbID }

// ServerGroupName names the group that keeps a load balancer's instances apart.
func ServerGroupName(lbID string) string { return serverGroupPrefix + lbID }

// VRRPPortName names an amphora's port on the VIP's network.
func VRRPPortName(amphoraID string) string { return vrrpPrefix + amphoraID }

// ManagementPortName names an amphora's port on the management network.
func ManagementPortName(amphoraID string) string { return managementPrefix + amphoraID }

// MemberPortName names an amphora's port on a network that members are in.
func MemberPortName(amphoraID, networkID string) string {
	return memberPrefix + amphoraID + "-" + networkID
}

// ServerName names an amphora's instance.
func ServerName(amphoraID string) string { return serverPrefix + amphoraID }

const (
	vipPrefix         = "octavia-lb-"
	vrrpPrefix        = "octavia-lb-vrrp-"
	managementPrefix  = "octavia-mgmt-"
	memberPrefix      = "octavia-amp-"
	groupPrefix       = "lb-"
	serverGroupPrefix = "octavia-lb-"
	serverPrefix      = "amphora-"
)

// Belongs tells what an object in the cloud belongs to, by its name: a load balancer, or an amphora (then lbID is empty).
// Both are empty for a name that none of the functions above gives.
func Belongs(kind Kind, name string) (lbID, amphoraID string) {
	for _, n := range patterns[kind] {
		rest, found := strings.CutPrefix(name, n.prefix)
		if !found {
			continue
		}
		id := rest[:min(len(rest), uuidLength)]
		if !isUUID(id) || (len(rest) > uuidLength && !n.suffix) || (n.suffix && !strings.HasPrefix(rest[uuidLength:], "-")) {
			continue
		}
		if n.amphora {
			return "", id
		}
		return id, ""
	}
	return "", ""
}

// Kind is a kind of object in the cloud.
type Kind string

const (
	PortKind          Kind = "port"
	SecurityGroupKind Kind = "security group"
	ServerKind        Kind = "server"
	ServerGroupKind   Kind = "server group"
)

type pattern struct {
	prefix          string
	amphora, suffix bool
}

// patterns are tried in order: the prefix of VIP ports is also the beginning of others.
var patterns = map[Kind][]pattern{
	PortKind: {
		{vrrpPrefix, true, false}, {managementPrefix, true, false}, {memberPrefix, true, true}, {vipPrefix, false, false},
	},
	SecurityGroupKind: {{groupPrefix, false, false}},
	ServerKind:        {{serverPrefix, true, false}},
	ServerGroupKind:   {{serverGroupPrefix, false, false}},
}

const uuidLength = 36

func isUUID(s string) bool {
	if len(s) != uuidLength {
		return false
	}
	for i, c := range []byte(s) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (c == '-') || !dash && !strings.ContainsRune("0123456789abcdef", rune(c)) {
			return false
		}
	}
	return true
}
