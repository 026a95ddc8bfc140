package plan_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/plan"
)

func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }
func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

var comparable = cmp.Options{cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}), cmpopts.EquateEmpty()}

func route(destination, hop string) agentapi.Route {
	return agentapi.Route{Destination: prefix(destination), NextHop: addr(hop)}
}

// subnets of the matrix, by name.
var subnets = map[string]plan.Subnet{
	"v4":          {ID: "v4", NetworkID: "n", CIDR: prefix("192.168.21.0/24"), Gateway: addr("192.168.21.1"), MTU: 1450},
	"v4-no-gw":    {ID: "v4-no-gw", NetworkID: "n", CIDR: prefix("10.9.0.0/16"), MTU: 9000},
	"v4-small":    {ID: "v4-small", NetworkID: "n", CIDR: prefix("10.8.0.8/29"), Gateway: addr("10.8.0.9"), MTU: 1500},
	"v6":          {ID: "v6", NetworkID: "n", CIDR: prefix("2001:db8::/64"), Gateway: addr("fe80::1"), MTU: 1280},
	"v4-routes":   {ID: "v4-routes", NetworkID: "n", CIDR: prefix("10.7.0.0/24"), Gateway: addr("10.7.0.1"), MTU: 1500, Routes: []agentapi.Route{route("10.20.0.0/16", "10.7.0.2"), route("0.0.0.0/0", "10.7.0.3")}},
	"v4-gw2":      {ID: "v4-gw2", NetworkID: "n", CIDR: prefix("10.6.0.0/24"), Gateway: addr("10.6.0.1"), MTU: 1500},
	"gone":        {ID: "gone", Missing: true},
	"v4-defaults": {ID: "v4-defaults", NetworkID: "n", CIDR: prefix("10.5.0.0/24"), MTU: 1500, Routes: []agentapi.Route{route("0.0.0.0/0", "10.5.0.1")}},
}

// TestImmunity18_NetworkMatrix says what an agent is told of a port, for the networks there are.
func TestImmunity18_NetworkMatrix(t *testing.T) {
	on := func(list ...string) []lb.FixedIP {
		var ips []lb.FixedIP
		for i := 0; i < len(list); i += 2 {
			ips = append(ips, lb.FixedIP{SubnetID: list[i], Address: addr(list[i+1])})
		}
		return ips
	}
	for _, c := range []struct {
		name      string
		ips       []lb.FixedIP
		vips      []string
		addresses []string
		gateways  []string
		routes    []agentapi.Route
		mtu       int
	}{
		{"a VIP on IPv4", on("v4", "192.168.21.7"), []string{"v4"}, []string{"192.168.21.7/24"}, []string{"192.168.21.1"}, nil, 1450},
		{"a subnet without a gateway", on("v4-no-gw", "10.9.3.7"), []string{"v4-no-gw"}, []string{"10.9.3.7/16"}, nil, nil, 9000},
		{"a subnet smaller than /24", on("v4-small", "10.8.0.10"), []string{"v4-small"}, []string{"10.8.0.10/29"}, []string{"10.8.0.9"}, nil, 1500},
		{"a VIP on IPv6, whose gateway is link-local", on("v6", "2001:db8::7"), []string{"v6"}, []string{"2001:db8::7/64"}, []string{"fe80::1"}, nil, 1280},
		{"dual stack, the primary VIP's subnet first whatever the port's order", on("v6", "2001:db8::7", "v4", "192.168.21.7"), []string{"v4", "v6"},
			[]string{"192.168.21.7/24", "2001:db8::7/64"}, []string{"192.168.21.1", "fe80::1"}, nil, 1280},
		{"two VIPs of one family have the primary's gateway", on("v4-gw2", "10.6.0.7", "v4", "192.168.21.7"), []string{"v4", "v4-gw2"},
			[]string{"192.168.21.7/24", "10.6.0.7/24"}, []string{"192.168.21.1"}, nil, 1500},
		{"a default host route takes the gateway's place", on("v4-routes", "10.7.0.7"), []string{"v4-routes"}, []string{"10.7.0.7/24"},
			[]string{"10.7.0.3"}, []agentapi.Route{route("10.20.0.0/16", "10.7.0.2")}, 1500},
		{"members' networks have no gateway, but host routes", on("v4-routes", "10.7.0.7"), nil, []string{"10.7.0.7/24"}, nil,
			[]agentapi.Route{route("10.20.0.0/16", "10.7.0.2")}, 1500},
		{"members beside the VIP do not bring their default route", on("v4", "192.168.21.7", "v4-defaults", "10.5.0.7"), []string{"v4"},
			[]string{"192.168.21.7/24", "10.5.0.7/24"}, []string{"192.168.21.1"}, nil, 1500},
		{"a subnet that is gone is left out", on("gone", "10.1.1.1", "v4", "192.168.21.7"), []string{"v4"}, []string{"192.168.21.7/24"}, []string{"192.168.21.1"}, nil, 1450},
		{"mapped addresses are IPv4", []lb.FixedIP{{SubnetID: "v4", Address: addr("::ffff:192.168.21.7")}}, []string{"v4"}, []string{"192.168.21.7/24"}, []string{"192.168.21.1"}, nil, 1450},
	} {
		got := plan.InterfaceOf(plan.Port{ID: "p", MAC: "fa:16:3e:00:00:01", NetworkID: "n", FixedIPs: c.ips}, subnets, c.vips)
		want := agentapi.Interface{MAC: "fa:16:3e:00:00:01", MTU: c.mtu, Routes: c.routes, VIP: c.vips != nil}
		for _, a := range c.addresses {
			want.Addresses = append(want.Addresses, prefix(a))
		}
		for _, g := range c.gateways {
			want.Gateway = append(want.Gateway, addr(g))
		}
		if diff := cmp.Diff(want, got.Interface, comparable); diff != "" {
			t.Errorf("%s:\n%s", c.name, diff)
		}
	}
}

func listener(protocol string, port int, cidrs ...string) lb.Listener {
	return lb.Listener{Meta: lb.Meta{ID: fmt.Sprint(protocol, port), AdminStateUp: true}, Protocol: protocol, ProtocolPort: port, AllowedCidrs: cidrs}
}

func TestSecurityGroupOpensWhatListenersServe(t *testing.T) {
	out := []plan.Rule{{Egress: true}, {Egress: true, IPv6: true}}
	deleted := listener("TCP", 99)
	deleted.Deleting = true
	v4, v6 := "192.0.2.1", "2001:db8::1"
	for _, c := range []struct {
		name      string
		vips      []string
		topology  string
		groups    []string
		listeners []lb.Listener
		want      []plan.Rule
	}{
		{"nothing", []string{v4}, "SINGLE", nil, nil, nil},
		{"each protocol", []string{v4}, "SINGLE", nil,
			[]lb.Listener{listener("HTTP", 80), listener("TERMINATED_HTTPS", 443), listener("UDP", 53), listener("SCTP", 36412), listener("PROMETHEUS", 8088)},
			[]plan.Rule{{Protocol: "tcp", Port: 80}, {Protocol: "tcp", Port: 443}, {Protocol: "udp", Port: 53}, {Protocol: "sctp", Port: 36412}, {Protocol: "tcp", Port: 8088}}},
		{"IPv6", []string{v6}, "SINGLE", nil, []lb.Listener{listener("HTTP", 80)}, []plan.Rule{{Protocol: "tcp", Port: 80, IPv6: true}}},
		{"both families", []string{v4, v6}, "SINGLE", nil, []lb.Listener{listener("HTTP", 80)}, []plan.Rule{{Protocol: "tcp", Port: 80}, {Protocol: "tcp", Port: 80, IPv6: true}}},
		{"only allowed networks, of the VIP's family", []string{v4}, "SINGLE", nil, []lb.Listener{listener("HTTP", 80, "10.1.2.3/8", "2001:db8::/32", "10.0.0.0/8")},
			[]plan.Rule{{Protocol: "tcp", Port: 80, Remote: prefix("10.0.0.0/8")}}},
		{"all of IPv4 is no restriction", []string{v4}, "SINGLE", nil, []lb.Listener{listener("HTTP", 80, "0.0.0.0/0")}, []plan.Rule{{Protocol: "tcp", Port: 80}}},
		{"one rule for two listeners of the same port", []string{v4}, "SINGLE", nil, []lb.Listener{listener("HTTP", 80), listener("TCP", 80)}, []plan.Rule{{Protocol: "tcp", Port: 80}}},
		{"not what is being deleted", []string{v4}, "SINGLE", nil, []lb.Listener{deleted}, nil},
		{"a pair speaks to itself", []string{v4}, "ACTIVE_STANDBY", nil, nil,
			[]plan.Rule{{Protocol: "112", Peers: true}, {Protocol: "51", Peers: true}, {Protocol: "tcp", Port: plan.PeerPort, Peers: true}}},
		{"the user's groups say what clients may", []string{v4}, "ACTIVE_STANDBY", []string{"mine"}, []lb.Listener{listener("HTTP", 80)},
			[]plan.Rule{{Protocol: "112", Peers: true}, {Protocol: "51", Peers: true}, {Protocol: "tcp", Port: plan.PeerPort, Peers: true}}},
	} {
		tree := &lb.Tree{LB: lb.LoadBalancer{Meta: lb.Meta{ID: "x"}, VipAddress: c.vips[0], Topology: c.topology, VipSgIDs: c.groups}, Listeners: c.listeners}
		for _, v := range c.vips[1:] {
			tree.LB.AdditionalVips = append(tree.LB.AdditionalVips, lb.VIP{IPAddress: v})
		}
		if diff := cmp.Diff(append(out[:2:2], c.want...), plan.Group(tree).Rules, comparable); diff != "" {
			t.Errorf("%s:\n%s", c.name, diff)
		}
	}
}

func TestNamesTellWhatObjectsBelongTo(t *testing.T) {
	const id, other = "7f3ab2c4-91c0-4d1e-8a55-0242ac120002", "7f3ab2c4-91c0-4d1e-8a55-0242ac120003"
	for _, c := range []struct {
		kind        plan.Kind
		name        string
		lb, amphora string
	}{
		{plan.PortKind, plan.VIPPortName(id), id, ""},
		{plan.PortKind, plan.VRRPPortName(id), "", id},
		{plan.PortKind, plan.ManagementPortName(id), "", id},
		{plan.PortKind, plan.MemberPortName(id, other), "", id},
		{plan.ServerKind, plan.ServerName(id), "", id},
		{plan.SecurityGroupKind, plan.GroupName(id), id, ""},
		{plan.ServerGroupKind, plan.ServerGroupName(id), id, ""},
		{plan.PortKind, "octavia-lb-mine", "", ""},
		{plan.PortKind, "octavia-lb-" + id + "-copy", "", ""},
		{plan.PortKind, "octavia-amp-" + id, "", ""},
		{plan.SecurityGroupKind, "lb-web", "", ""},
		{plan.ServerKind, "amphora-" + id + "0", "", ""},
		{plan.ServerKind, plan.GroupName(id), "", ""},
	} {
		if lb, amphora := plan.Belongs(c.kind, c.name); lb != c.lb || amphora != c.amphora {
			t.Errorf("%s %s belongs to %q, %q", c.kind, c.name, lb, amphora)
		}
	}
}

func prefixes(list ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, s := range list {
		all = append(all, prefix(s))
	}
	return all
}

func addrs(list ...string) []netip.Addr {
	var all []netip.Addr
	for _, s := range list {
		all = append(all, addr(s))
	}
	return all
}
