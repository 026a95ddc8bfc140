package network

import (
	"net/netip"
	"time"
)

// Attributes that all resources have. The tag api says who may write one: c on create, u on update, cu on both; admin
// adds that only an administrator may.
type common struct {
	ID             string    `json:"id"`
	Name           string    `json:"name" api:"cu"`
	Description    string    `json:"description" api:"cu"`
	ProjectID      string    `json:"project_id" api:"c"`
	TenantID       string    `json:"tenant_id" api:"c"`
	Tags           []string  `json:"tags"`
	CreatedAt      time.Time `json:"created_at"`
	UpdatedAt      time.Time `json:"updated_at"`
	RevisionNumber int       `json:"revision_number"`
}

func (c common) Key() string { return c.ID }

// resource is what the generic parts of the API need of one.
type resource interface {
	Kind() string
	Key() string
	meta() *common
}

func (c *common) meta() *common { return c }

// Network is one broadcast domain.
type Network struct {
	common
	AdminStateUp          bool     `json:"admin_state_up" api:"cu"`
	Shared                bool     `json:"shared" api:"cu,admin"`
	External              bool     `json:"router:external" api:"cu,admin"`
	IsDefault             bool     `json:"is_default" api:"cu,admin"`
	PortSecurityEnabled   bool     `json:"port_security_enabled" api:"cu"`
	MTU                   int      `json:"mtu" api:"cu"`
	QosPolicyID           *string  `json:"qos_policy_id" api:"cu"`
	DNSDomain             string   `json:"dns_domain" api:"cu"`
	AvailabilityZoneHints []string `json:"availability_zone_hints" api:"c"`
	AvailabilityZones     []string `json:"availability_zones"`
	Status                string   `json:"status"`
	Subnets               []string `json:"subnets"` // not kept: filled in when shown
	IPv4AddressScope      *string  `json:"ipv4_address_scope"`
	IPv6AddressScope      *string  `json:"ipv6_address_scope"`
	L2Adjacency           bool     `json:"l2_adjacency"`
	VLANTransparent       *bool    `json:"vlan_transparent" api:"c"`
	NetworkType           string   `json:"provider:network_type,omitempty" api:"c,admin"`
	PhysicalNetwork       *string  `json:"provider:physical_network,omitempty" api:"c,admin"`
	SegmentationID        *int     `json:"provider:segmentation_id,omitempty" api:"c,admin"`
}

// Kind implements state.Object, as those of the other types do.
func (Network) Kind() string { return "network" }

// Subnet is a range of addresses of a network.
type Subnet struct {
	common
	NetworkID       string       `json:"network_id" api:"c"`
	IPVersion       int          `json:"ip_version" api:"c"`
	CIDR            netip.Prefix `json:"cidr" api:"c"`
	GatewayIP       *netip.Addr  `json:"gateway_ip" api:"cu"`
	AllocationPools []Pool       `json:"allocation_pools" api:"cu"`
	DNSNameservers  []string     `json:"dns_nameservers" api:"cu"`
	HostRoutes      []HostRoute  `json:"host_routes" api:"cu"`
	EnableDHCP      bool         `json:"enable_dhcp" api:"cu"`
	DNSPublishFixed bool         `json:"dns_publish_fixed_ip" api:"cu"`
	IPv6AddressMode *string      `json:"ipv6_address_mode" api:"c"`
	IPv6RAMode      *string      `json:"ipv6_ra_mode" api:"c"`
	SubnetPoolID    *string      `json:"subnetpool_id" api:"c"`
	SegmentID       *string      `json:"segment_id" api:"c"`
	ServiceTypes    []string     `json:"service_types" api:"cu"`
}

func (Subnet) Kind() string { return "subnet" }

// Pool is a range of addresses that ports get when they don't ask for one.
type Pool struct {
	Start netip.Addr `json:"start"`
	End   netip.Addr `json:"end"`
}

// HostRoute is a route that a subnet's hosts shall have.
type HostRoute struct {
	Destination netip.Prefix `json:"destination"`
	NextHop     netip.Addr   `json:"nexthop"`
}

// cursor is where a subnet's next address is looked for: one that became free comes last, when neighbours have forgotten
// who had it.
type cursor struct {
	SubnetID string     `json:"subnet_id"`
	Last     netip.Addr `json:"last"`
}

func (cursor) Kind() string  { return "network.cursor" }
func (c cursor) Key() string { return c.SubnetID }

// Port is a place on a network.
type Port struct {
	common
	NetworkID             string           `json:"network_id" api:"c"`
	AdminStateUp          bool             `json:"admin_state_up" api:"cu"`
	MACAddress            string           `json:"mac_address" api:"cu"`
	FixedIPs              []FixedIP        `json:"fixed_ips" api:"cu"`
	DeviceID              string           `json:"device_id" api:"cu"`
	DeviceOwner           string           `json:"device_owner" api:"cu"`
	SecurityGroups        []string         `json:"security_groups" api:"cu"`
	AllowedAddressPairs   []AddressPair    `json:"allowed_address_pairs" api:"cu"`
	PortSecurityEnabled   bool             `json:"port_security_enabled" api:"cu"`
	Status                string           `json:"status"`
	QosPolicyID           *string          `json:"qos_policy_id" api:"cu"`
	QosNetworkPolicyID    *string          `json:"qos_network_policy_id"`
	DNSName               string           `json:"dns_name" api:"cu"`
	DNSDomain             string           `json:"dns_domain" api:"cu"`
	DNSAssignment         []map[string]any `json:"dns_assignment"`
	ExtraDHCPOpts         []map[string]any `json:"extra_dhcp_opts" api:"cu"`
	PropagateUplinkStatus bool             `json:"propagate_uplink_status" api:"c"`
	DataPlaneStatus       *string          `json:"data_plane_status" api:"u,admin"`
	IPAllocation          string           `json:"ip_allocation"`
	ResourceRequest       *string          `json:"resource_request"`
	NUMAAffinityPolicy    *string          `json:"numa_affinity_policy" api:"cu,admin"`
	VNICType              string           `json:"binding:vnic_type" api:"cu"`
	HostID                string           `json:"binding:host_id" api:"cu,admin"`
	Profile               map[string]any   `json:"binding:profile" api:"cu,admin"`
	VIFType               string           `json:"binding:vif_type"`
	VIFDetails            map[string]any   `json:"binding:vif_details"`
}

func (Port) Kind() string { return "port" }

// FixedIP is an address of a port.
type FixedIP struct {
	SubnetID  string     `json:"subnet_id"`
	IPAddress netip.Addr `json:"ip_address"`
}

// AddressPair is what a port may send from besides its own addresses.
type AddressPair struct {
	IPAddress  string `json:"ip_address"` // or CIDR
	MACAddress string `json:"mac_address"`
}

// Router joins networks.
type Router struct {
	common
	AdminStateUp          bool        `json:"admin_state_up" api:"cu"`
	Status                string      `json:"status"`
	ExternalGateway       *Gateway    `json:"external_gateway_info" api:"cu"`
	Routes                []HostRoute `json:"routes" api:"u"`
	Distributed           bool        `json:"distributed"`
	HA                    bool        `json:"ha"`
	FlavorID              *string     `json:"flavor_id" api:"c"`
	AvailabilityZoneHints []string    `json:"availability_zone_hints" api:"c"`
	AvailabilityZones     []string    `json:"availability_zones"`
}

func (Router) Kind() string { return "router" }

// Gateway is a router's way out.
type Gateway struct {
	NetworkID        string    `json:"network_id"`
	EnableSNAT       *bool     `json:"enable_snat"`
	ExternalFixedIPs []FixedIP `json:"external_fixed_ips"`
}

// FloatingIP is an external address that leads to a port's.
type FloatingIP struct {
	common
	FloatingNetworkID string         `json:"floating_network_id" api:"c"`
	FloatingIPAddress *netip.Addr    `json:"floating_ip_address" api:"c"`
	SubnetID          string         `json:"subnet_id,omitempty" api:"c"`
	PortID            *string        `json:"port_id" api:"cu"`
	FixedIPAddress    *netip.Addr    `json:"fixed_ip_address" api:"cu"`
	RouterID          *string        `json:"router_id"`
	Status            string         `json:"status"`
	QosPolicyID       *string        `json:"qos_policy_id" api:"cu"`
	DNSName           string         `json:"dns_name" api:"c"`
	DNSDomain         string         `json:"dns_domain" api:"c"`
	PortDetails       map[string]any `json:"port_details"` // not kept
	PortForwardings   []string       `json:"port_forwardings"`
}

func (FloatingIP) Kind() string { return "floatingip" }

// SecurityGroup is what its ports may begin and be reached by.
type SecurityGroup struct {
	common
	Stateful bool                `json:"stateful" api:"cu"`
	Shared   bool                `json:"shared"`
	Rules    []SecurityGroupRule `json:"security_group_rules"` // not kept: they are objects of their own
}

func (SecurityGroup) Kind() string { return "security_group" }

// SecurityGroupRule allows something.
type SecurityGroupRule struct {
	common
	SecurityGroupID      string        `json:"security_group_id" api:"c"`
	Direction            string        `json:"direction" api:"c"`
	EtherType            string        `json:"ethertype" api:"c"`
	Protocol             *string       `json:"protocol" api:"c"`
	PortRangeMin         *int          `json:"port_range_min" api:"c"`
	PortRangeMax         *int          `json:"port_range_max" api:"c"`
	RemoteIPPrefix       *netip.Prefix `json:"remote_ip_prefix" api:"c"`
	RemoteGroupID        *string       `json:"remote_group_id" api:"c"`
	RemoteAddressGroupID *string       `json:"remote_address_group_id" api:"c"`
	NormalizedCIDR       *netip.Prefix `json:"normalized_cidr"`
	BelongsToDefault     bool          `json:"belongs_to_default_sg"`
}

func (SecurityGroupRule) Kind() string { return "security_group_rule" }

// QosPolicy is a name that ports may refer to; localcloud limits nobody's bandwidth.
type QosPolicy struct {
	common
	Shared    bool             `json:"shared" api:"cu,admin"`
	IsDefault bool             `json:"is_default" api:"cu"`
	Rules     []map[string]any `json:"rules"`
}

func (QosPolicy) Kind() string { return "qos_policy" }

// Device owners with a meaning.
const (
	ownerRouterInterface = "network:router_interface"
	ownerRouterGateway   = "network:router_gateway"
	ownerFloatingIP      = "network:floatingip"
	// ownerHost is of the ports that connect the machine itself.
	ownerHost = "octavo:host"
)
