package boot

import (
	"encoding/json"
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/insomniacslk/dhcp/dhcpv4"
)

func TestPlan(t *testing.T) {
	p, a := netip.MustParsePrefix, netip.MustParseAddr
	for _, c := range []struct {
		name, data string
		want       management
	}{
		{"nothing known", `{}`, management{DHCPv4: true, RA: true}},
		{"DHCP", `{"links":[{"id":"tap1","ethernet_mac_address":"FA:16:3E:00:00:01","mtu":1450}],
			"networks":[{"id":"network0","type":"ipv4_dhcp","link":"tap1"}],"services":[{"type":"dns","address":"198.51.100.53"}]}`,
			management{MAC: "fa:16:3e:00:00:01", MTU: 1450, DHCPv4: true, DNS: []netip.Addr{a("198.51.100.53")}}},
		{"static IPv4 as Nova writes it", `{"links":[{"id":"tap1","ethernet_mac_address":"fa:16:3e:00:00:01","mtu":null}],
			"networks":[{"type":"ipv4","link":"tap1","ip_address":"198.51.100.5","netmask":"255.255.240.0",
			"routes":[{"network":"0.0.0.0","netmask":"0.0.0.0","gateway":"198.51.100.1"},
			          {"network":"10.0.0.0","netmask":"255.0.0.0","gateway":"198.51.100.2"}]}]}`,
			management{MAC: "fa:16:3e:00:00:01", Addresses: []netip.Prefix{p("198.51.100.5/20")},
				Routes: []route{{p("0.0.0.0/0"), a("198.51.100.1")}, {p("10.0.0.0/8"), a("198.51.100.2")}}}},
		{"static IPv6, gateway in a field of its own", `{"links":[{"id":"tap1","ethernet_mac_address":"fa:16:3e:00:00:01"}],
			"networks":[{"type":"ipv6","link":"tap1","ip_address":"fd00::5","netmask":"ffff:ffff:ffff:ffff::","gateway":"fd00::1","routes":[]}]}`,
			management{MAC: "fa:16:3e:00:00:01", Addresses: []netip.Prefix{p("fd00::5/64")}, Routes: []route{{p("::/0"), a("fd00::1")}}}},
		{"the default route given twice", `{"links":[{"id":"tap1","ethernet_mac_address":"fa:16:3e:00:00:01"}],
			"networks":[{"type":"ipv6","link":"tap1","ip_address":"fd00::5/64","gateway":"fd00::1","routes":[{"network":"::","netmask":"::","gateway":"fd00::1"}]}]}`,
			management{MAC: "fa:16:3e:00:00:01", Addresses: []netip.Prefix{p("fd00::5/64")}, Routes: []route{{p("::/0"), a("fd00::1")}}}},
		{"router advertisements", `{"links":[{"id":"tap1","ethernet_mac_address":"fa:16:3e:00:00:01"}],"networks":[{"type":"ipv6_slaac","link":"tap1"}]}`,
			management{MAC: "fa:16:3e:00:00:01", RA: true}},
		{"DHCPv6", `{"links":[{"id":"tap1","ethernet_mac_address":"fa:16:3e:00:00:01"}],"networks":[{"type":"ipv6_dhcpv6-stateful","link":"tap1"}]}`,
			management{MAC: "fa:16:3e:00:00:01", RA: true, DHCPv6: true}},
		{"the tenant's interface is not touched", `{"links":[{"id":"tap1","ethernet_mac_address":"fa:16:3e:00:00:01"},{"id":"tap2","ethernet_mac_address":"fa:16:3e:00:00:02"}],
			"networks":[{"type":"ipv4_dhcp","link":"tap2"},{"type":"ipv4","link":"tap1","ip_address":"198.51.100.5","netmask":"24"}]}`,
			management{MAC: "fa:16:3e:00:00:01", Addresses: []netip.Prefix{p("198.51.100.5/24")}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var data networkData
			if err := json.Unmarshal([]byte(c.data), &data); err != nil {
				t.Fatal(err)
			}
			got, err := data.plan()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
				cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWrongDescriptionsAreErrors(t *testing.T) {
	for _, network := range []string{
		`{"type":"ipv4","link":"a","ip_address":"198.51.100.5","netmask":"255.0.255.0"}`,
		`{"type":"ipv4","link":"a","ip_address":"somewhere","netmask":"24"}`,
		`{"type":"ipv4","link":"a","ip_address":"198.51.100.5","netmask":"24","gateway":"x"}`,
		`{"type":"token-ring","link":"a"}`,
	} {
		var data networkData
		if err := json.Unmarshal([]byte(`{"links":[{"id":"a"}],"networks":[`+network+`]}`), &data); err != nil {
			t.Fatal(err)
		}
		if m, err := data.plan(); err == nil {
			t.Errorf("%s became %+v", network, m)
		}
	}
}

func TestLease(t *testing.T) {
	router := dhcpv4.OptRouter(net.IPv4(198, 51, 100, 1))
	classless := dhcpv4.OptClasslessStaticRoute(
		&dhcpv4.Route{Dest: &net.IPNet{IP: net.IPv4(0, 0, 0, 0), Mask: net.CIDRMask(0, 32)}, Router: net.IPv4(198, 51, 100, 254)})
	for _, c := range []struct {
		name    string
		options []dhcpv4.Option
		via     string
	}{
		{"the router option", []dhcpv4.Option{router}, "198.51.100.1"},
		{"classless routes come first", []dhcpv4.Option{router, classless}, "198.51.100.254"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ack, err := dhcpv4.New(dhcpv4.WithYourIP(net.IPv4(198, 51, 100, 7)), dhcpv4.WithNetmask(net.CIDRMask(20, 32)))
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range c.options {
				ack.UpdateOption(o)
			}
			var m management
			if err := m.addLease(ack); err != nil {
				t.Fatal(err)
			}
			if m.Addresses[0].String() != "198.51.100.7/20" || len(m.Routes) != 1 || m.Routes[0].Via.String() != c.via {
				t.Errorf("got %+v", m)
			}
		})
	}
	nothing, err := dhcpv4.New()
	if err != nil {
		t.Fatal(err)
	}
	if err := (&management{}).addLease(nothing); err == nil {
		t.Error("a lease without an address was taken")
	}
}

func TestPowerKey(t *testing.T) {
	event := make([]byte, inputEventSize)
	event[16], event[18], event[20] = eventKey, keyPower, keyPressed
	if !isPowerKey(event) {
		t.Error("the power button was not recognised")
	}
	event[20] = 0
	if isPowerKey(event) {
		t.Error("letting go is not pressing")
	}
}
