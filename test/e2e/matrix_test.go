package e2e

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/loadbalancers"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
)

// place is a network that a VIP, its members and clients are in.
type place struct {
	name    string
	mtu     int
	subnets []m
	vip     int    // the subnet of the VIP
	extra   []int  // the subnets of additional VIPs
	member  string // where the member is
	client  string // where the client is
	route   string // that an amphora has to have
}

var places = []place{
	{name: "nogateway4", subnets: []m{{"cidr": "10.31.0.0/24", "gateway_ip": nil, "enable_dhcp": false}}, member: "10.31.0.100", client: "10.31.0.101"},
	{name: "nogateway6", subnets: []m{{"cidr": "FD00:0032:0:0::/64", "gateway_ip": nil, "enable_dhcp": false}}, member: "fd00:32::100", client: "fd00:32::101"},
	{name: "second4", subnets: []m{{"cidr": "10.33.0.0/24"}, {"cidr": "10.34.0.0/23"}}, vip: 1, member: "10.34.1.100", client: "10.34.1.101"},
	{name: "second6", subnets: []m{{"cidr": "10.35.0.0/24"}, {"cidr": "fd00:35::/64", "gateway_ip": nil}}, vip: 1, member: "fd00:35::100", client: "fd00:35::101"},
	{name: "narrow", mtu: 1280, subnets: []m{{"cidr": "10.36.0.0/29"}, {"cidr": "fd00:36::/64"}}, extra: []int{1}, member: "10.36.0.3", client: "fd00:36::101"},
	{name: "routes", subnets: []m{{"cidr": "10.37.0.0/24", "host_routes": []m{{"destination": "10.99.0.0/16", "nexthop": "10.37.0.9"}}}}, member: "10.37.0.100", client: "10.37.0.101",
		route: "10.99.0.0/16 via 10.37.0.9"},
}

// TestImmunity18_NetworkMatrix serves in networks of every shape, and finds nothing that answers on the amphorae's management side.
func TestImmunity18_NetworkMatrix(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	lbs := make([]*loadbalancers.LoadBalancer, len(places))
	clients := make([]*http.Client, len(places))
	for i, p := range places {
		lbs[i], clients[i] = s.settle(t, p)
	}
	for i, p := range places {
		t.Run(p.name, func(t *testing.T) {
			lb := s.inForce(t, lbs[i].ID)
			amphora := s.amphora(t, lb.ID)
			vips := []string{lb.VipAddress}
			for _, v := range lb.AdditionalVips {
				vips = append(vips, v.IPAddress)
			}
			reached := 0
			for _, vip := range vips {
				if strings.Contains(vip, ":") == strings.Contains(p.client, ":") {
					reached++
					eventually(t, 20*time.Second, "the VIP answers", func() error { return served(clients[i], "http://"+net.JoinHostPort(vip, "80")+"/", p.name) })
				}
			}
			if reached == 0 {
				t.Errorf("none of the VIPs %v is of the client's family", vips)
			}
			if p.mtu > 0 && !strings.Contains(s.octavo.within(t, amphora.ComputeID, "ip -n amphora-haproxy link"), fmt.Sprint("mtu ", p.mtu)) {
				t.Error("the amphora does not have the network's MTU")
			}
			if routes := s.octavo.within(t, amphora.ComputeID, "ip -n amphora-haproxy route"); !strings.Contains(routes, p.route) {
				t.Errorf("the amphora's routes are %s", routes)
			}
			s.deaf(t, amphora.ComputeID)
			for line := range strings.Lines(s.octavo.within(t, amphora.ComputeID, "ip netns exec amphora-haproxy ss -Hlntu")) {
				local := strings.Fields(line)[4]
				if !slices.ContainsFunc(vips, func(vip string) bool { return local == net.JoinHostPort(vip, "80") }) {
					t.Errorf("it listens on %s, which no listener of the user's is", local)
				}
			}
		})
	}
}

// settle makes a network, and a load balancer, a member and a client in it.
func (s *stage) settle(t *testing.T, p place) (*loadbalancers.LoadBalancer, *http.Client) {
	t.Helper()
	network, err := networks.Create(s.cx, s.c.network, networks.CreateOpts{Name: p.name}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	if p.mtu > 0 {
		s.cloud(t, s.c.network, "PUT", "networks/"+network.ID, m{"network": m{"mtu": p.mtu}}, nil)
	}
	var ids []string
	for _, subnet := range p.subnets {
		subnet["network_id"], subnet["ip_version"] = network.ID, 4
		if strings.Contains(subnet["cidr"].(string), ":") {
			subnet["ip_version"] = 6
		}
		var made struct{ Subnet struct{ ID string } }
		s.cloud(t, s.c.network, "POST", "subnets", m{"subnet": subnet}, &made)
		ids = append(ids, made.Subnet.ID)
	}
	var more []m
	for _, i := range p.extra {
		more = append(more, m{"subnet_id": ids[i]})
	}
	var made struct{ LoadBalancer loadbalancers.LoadBalancer }
	s.send(t, "POST", "loadbalancers", m{"loadbalancer": m{"name": p.name, "vip_subnet_id": ids[p.vip], "additional_vips": more, "listeners": []m{
		{"protocol": "HTTP", "protocol_port": 80, "default_pool": pool([]m{{"address": p.member, "protocol_port": 80}})},
	}}}, &made)
	s.serverOn(network.ID, p.name, p.member)
	client := s.clientIn(t, s.serverOn(network.ID, p.name+"-client", p.client))
	return &made.LoadBalancer, client
}

// cloud makes a request of another API.
func (s *stage) cloud(t *testing.T, c *gophercloud.ServiceClient, method, path string, body, answer any) {
	t.Helper()
	opts := &gophercloud.RequestOpts{OkCodes: []int{200, 201}, JSONBody: body, JSONResponse: answer}
	if _, err := c.Request(s.cx, method, c.ServiceURL(path), opts); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
}

// deaf fails unless an amphora listens to nobody on its management side, by what the kernel says and by trying.
func (s *stage) deaf(t *testing.T, server string) {
	t.Helper()
	if sockets := s.octavo.within(t, server, "ss -Hlntu"); sockets != "" {
		t.Errorf("on the management side it listens on %s", sockets)
	}
	seen, err := servers.Get(t.Context(), s.api(t, "octavo-admin").compute, server).Extract()
	if err != nil {
		t.Fatal(err)
	}
	var addresses []string
	for network, list := range seen.Addresses {
		if network != "lb-mgmt-net" {
			continue
		}
		for _, one := range list.([]any) {
			addresses = append(addresses, one.(map[string]any)["addr"].(string))
		}
	}
	if len(addresses) == 0 {
		t.Fatalf("it has no address on the management network: %v", seen.Addresses)
	}
	for _, a := range addresses {
		for _, port := range []int{22, 80, 443, 1025, 9443} {
			if c, err := net.DialTimeout("tcp", net.JoinHostPort(a, fmt.Sprint(port)), 100*time.Millisecond); err == nil {
				c.Close()
				t.Errorf("port %d answers on the management side", port)
			}
		}
	}
	inside := strings.Fields(s.octavo.within(t, server, "cat /proc/sys/net/ipv4/ip_forward; ip netns exec amphora-haproxy cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding"))
	if slices.Contains(inside, "1") {
		t.Errorf("it forwards packets: %v", inside)
	}
}
