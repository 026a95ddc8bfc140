package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/listeners"
	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/loadbalancers"
	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/pools"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"
)

// network makes one of the tenant's own.
func (n *tenant) network(name string) string {
	n.t.Helper()
	made, err := networks.Create(n.cx, n.c.network, networks.CreateOpts{Name: name}).Extract()
	n.ok(err)
	return made.ID
}

// subnet makes one without a gateway.
func (n *tenant) subnet(networkID, cidr string) string {
	n.t.Helper()
	version := gophercloud.IPv4
	if strings.Contains(cidr, ":") {
		version = gophercloud.IPv6
	}
	made, err := subnets.Create(n.cx, n.c.network, subnets.CreateOpts{NetworkID: networkID, CIDR: cidr, IPVersion: version, GatewayIP: new("")}).Extract()
	n.ok(err)
	return made.ID
}

// portsOn are the ports in a network whose names begin with octavia.
func (o *octavo) portsOn(t testing.TB, networkID string) []string {
	t.Helper()
	pages, err := ports.List(o.api(t, "octavo-admin").network, ports.ListOpts{NetworkID: networkID}).AllPages(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all, err := ports.ExtractPorts(pages)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range all {
		if strings.HasPrefix(p.Name, "octavia-") {
			names = append(names, p.Name)
		}
	}
	return names
}

// TestMembersOnOtherNetworks: the amphora gets an interface in a network that members are in while it serves, and is rid
// of it when the last of them goes. No request notices.
func TestMembersOnOtherNetworks(t *testing.T) {
	o := start(t)
	n := o.tenant(t)
	n.server("near", "192.168.21.100")
	lb := n.full("lb", "192.168.21.100")
	url := n.floatingIP(lb.VipPortID)
	n.active(lb.ID)
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	eventually(t, 20*time.Second, "near answers", func() error { return served(client, url, "near") })

	back := n.network("back")
	first, second := n.subnet(back, "10.7.0.0/24"), n.subnet(back, "fd00:7::/64")
	n.serverOn(back, "far4", "10.7.0.100")
	n.serverOn(back, "far6", "fd00:7::100")
	pool := n.poolOf(lb.ID)
	tr := send(t, url, 4)
	var plugged, unplugged time.Duration
	for range 3 {
		began := time.Now()
		far4 := n.member(pool, pools.CreateMemberOpts{Address: "10.7.0.100", ProtocolPort: 80, SubnetID: first})
		n.active(lb.ID)
		plugged += time.Since(began)
		if names := o.portsOn(t, back); len(names) != 1 {
			t.Fatalf("the ports in the members' network are %v", names)
		}
		eventually(t, 10*time.Second, "the member in the other network answers", func() error { return served(client, url, "near", "far4") })
		far6 := n.member(pool, pools.CreateMemberOpts{Address: "fd00:7::100", ProtocolPort: 80, SubnetID: second})
		n.active(lb.ID)
		eventually(t, 10*time.Second, "the member in the IPv6 subnet answers", func() error { return served(client, url, "near", "far4", "far6") })
		n.ok(pools.DeleteMember(n.cx, n.c.lb, pool, far4).ExtractErr())
		n.active(lb.ID)
		eventually(t, 10*time.Second, "the member that stays answers", func() error { return served(client, url, "near", "far6") })
		began = time.Now()
		n.ok(pools.DeleteMember(n.cx, n.c.lb, pool, far6).ExtractErr())
		n.active(lb.ID)
		eventually(t, 10*time.Second, "the port is gone", func() error {
			if names := o.portsOn(t, back); len(names) > 0 {
				return errors.New(strings.Join(names, ", "))
			}
			return nil
		})
		unplugged += time.Since(began)
	}
	t.Logf("until ACTIVE with a new interface: %v; until the port was gone: %v (means of 3)", (plugged / 3).Round(time.Millisecond), (unplugged / 3).Round(time.Millisecond))
	tr.mustNotHaveFailed(t, 500)

	n.member(pool, pools.CreateMemberOpts{Address: "10.7.0.100", ProtocolPort: 80, SubnetID: first})
	n.active(lb.ID)
	n.ok(loadbalancers.Delete(n.cx, n.c.lb, lb.ID, loadbalancers.DeleteOpts{Cascade: true}).ExtractErr())
	n.gone(lb.ID)
	if names := o.portsOn(t, back); len(names) > 0 {
		t.Errorf("a deleted load balancer leaves %v", names)
	}
}

func (n *tenant) member(pool string, opts pools.CreateMemberOpts) string {
	n.t.Helper()
	m, err := pools.CreateMember(n.cx, n.c.lb, pool, opts).Extract()
	n.ok(err)
	return m.ID
}

// TestIPv6AndAdditionalVIPs serves an IPv6 VIP with IPv6 members, then VIPs of both families with members of both.
func TestIPv6AndAdditionalVIPs(t *testing.T) {
	o := start(t)
	n := o.tenant(t)
	six := n.subnet(n.networkID, "fd00:21::/64")
	n.serverOn(n.networkID, "web6", "fd00:21::100")
	n.server("web4", "192.168.21.100")
	client4 := o.clientIn(t, n.server("client4", "192.168.21.105"))
	client6 := o.clientIn(t, n.serverOn(n.networkID, "client6", "fd00:21::105"))

	opts := n.fullOpts("six")
	opts.VipSubnetID = six
	opts.Listeners[0].DefaultPool.Members = []pools.CreateMemberOpts{{Address: "fd00:21::100", ProtocolPort: 80, SubnetID: six}}
	lb6, err := loadbalancers.Create(n.cx, n.c.lb, opts).Extract()
	n.ok(err)
	if !strings.HasPrefix(lb6.VipAddress, "fd00:21:") {
		t.Fatalf("the VIP is %s", lb6.VipAddress)
	}
	n.active(lb6.ID)
	eventually(t, 10*time.Second, "the IPv6 VIP answers", func() error {
		return served(client6, "http://["+lb6.VipAddress+"]/", "web6")
	})

	opts = n.fullOpts("both", "192.168.21.100")
	opts.AdditionalVips = []loadbalancers.AdditionalVip{{SubnetID: six}}
	opts.Listeners[0].DefaultPool.Members = append(opts.Listeners[0].DefaultPool.Members,
		pools.CreateMemberOpts{Address: "fd00:21::100", ProtocolPort: 80, SubnetID: six})
	both, err := loadbalancers.Create(n.cx, n.c.lb, opts).Extract()
	n.ok(err)
	n.active(both.ID)
	if len(both.AdditionalVips) != 1 {
		t.Fatalf("the additional VIPs are %v", both.AdditionalVips)
	}
	eventually(t, 10*time.Second, "the IPv4 VIP answers", func() error {
		return served(client4, "http://"+both.VipAddress+"/", "web4", "web6")
	})
	eventually(t, 10*time.Second, "the additional VIP answers", func() error {
		return served(client6, fmt.Sprintf("http://[%s]/", both.AdditionalVips[0].IPAddress), "web4", "web6")
	})
	allowed := []string{"fd00:21::105/128"}
	_, err = listeners.Update(n.cx, n.c.lb, n.active(both.ID).Listeners[0].ID, listeners.UpdateOpts{AllowedCIDRs: &allowed}).Extract()
	n.ok(err)
	n.active(both.ID)
	client4.Timeout = 500 * time.Millisecond
	eventually(t, 10*time.Second, "only the IPv6 client is let in", func() error {
		if got, err := get(client4, "http://"+both.VipAddress+"/"); err == nil {
			return fmt.Errorf("%s answers the other one", got)
		}
		return served(client6, fmt.Sprintf("http://[%s]/", both.AdditionalVips[0].IPAddress), "web4", "web6")
	})
	for _, lb := range []string{lb6.ID, both.ID} {
		n.ok(loadbalancers.Delete(n.cx, n.c.lb, lb, loadbalancers.DeleteOpts{Cascade: true}).ExtractErr())
		n.gone(lb)
	}
	if names := o.portsOn(t, n.networkID); len(names) > 0 {
		t.Errorf("deleted load balancers leave %v", names)
	}
}
