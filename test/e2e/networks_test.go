package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/pools"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"
)

// island is a network without a router: only who is plugged into it reaches it.
func (n *tenant) island(name, cidr string) (networkID, subnetID string) {
	n.t.Helper()
	network, err := networks.Create(n.cx, n.c.network, networks.CreateOpts{Name: name}).Extract()
	n.ok(err)
	subnet, err := subnets.Create(n.cx, n.c.network, subnets.CreateOpts{NetworkID: network.ID, CIDR: cidr, IPVersion: gophercloud.IPv4}).Extract()
	n.ok(err)
	return network.ID, subnet.ID
}

// serverIn boots a web server in a network.
func (n *tenant) serverIn(networkID, name, address string) string {
	n.t.Helper()
	private := n.networkID
	n.networkID = networkID
	defer func() { n.networkID = private }()
	return n.server(name, address)
}

func (n *tenant) addMember(lbID, address, subnetID string) string {
	n.t.Helper()
	m, err := pools.CreateMember(n.cx, n.c.lb, n.poolOf(lbID), pools.CreateMemberOpts{Address: address, ProtocolPort: 80, SubnetID: subnetID}).Extract()
	n.ok(err)
	return m.ID
}

// amphoraPortsIn fails while an amphora has a port in a network of members.
func (o *octavo) amphoraPortsIn(t testing.TB, networkID string) error {
	pages, err := ports.List(o.api(t, "octavo-admin").network, ports.ListOpts{NetworkID: networkID}).AllPages(t.Context())
	if err != nil {
		return err
	}
	all, err := ports.ExtractPorts(pages)
	if err != nil {
		return err
	}
	for _, p := range all {
		if len(p.Name) > 12 && p.Name[:12] == "octavia-amp-" {
			return fmt.Errorf("port %s is there", p.Name)
		}
	}
	return nil
}

// TestMembersOnNetworksThatOnlyTheAmphoraIsPluggedInto adds and removes members in networks that no router leads to, while
// requests run: each appears and disappears, and no request fails.
func TestMembersOnNetworksThatOnlyTheAmphoraIsPluggedInto(t *testing.T) {
	t.Parallel()
	o := start(t)
	n := o.tenant(t)
	n.server("web1", "192.168.21.100")
	network1, subnet1 := n.island("island1", "10.61.0.0/24")
	network2, subnet2 := n.island("island2", "10.62.0.0/24")
	n.serverIn(network1, "far1", "10.61.0.10")
	n.serverIn(network2, "far2", "10.62.0.10")
	lb := n.full("wide", "192.168.21.100")
	url := n.floatingIP(lb.VipPortID)
	n.active(lb.ID)
	client := &http.Client{Timeout: 5 * time.Second}
	eventually(t, 20*time.Second, "web1 answers", func() error { return served(client, url, "web1") })

	tr := send(t, url, 4)
	first := n.addMember(lb.ID, "10.61.0.10", subnet1)
	n.active(lb.ID)
	eventually(t, 20*time.Second, "far1 answers too", func() error { return served(client, url, "web1", "far1") })
	second := n.addMember(lb.ID, "10.62.0.10", subnet2)
	n.active(lb.ID)
	eventually(t, 20*time.Second, "far2 answers too", func() error { return served(client, url, "web1", "far1", "far2") })
	for _, member := range []string{first, second} {
		n.ok(pools.DeleteMember(n.cx, n.c.lb, n.poolOf(lb.ID), member).ExtractErr())
	}
	n.active(lb.ID)
	eventually(t, 20*time.Second, "only web1 answers", func() error { return served(client, url, "web1") })
	eventually(t, 10*time.Second, "the amphora has left both networks", func() error {
		return errors.Join(o.amphoraPortsIn(t, network1), o.amphoraPortsIn(t, network2))
	})
	tr.mustNotHaveFailed(t, 500)
}

// TestAmphoraWhoseInstanceIsDeletedIsReplaced takes the instance away behind the service's back; another one serves the
// same VIP.
func TestAmphoraWhoseInstanceIsDeletedIsReplaced(t *testing.T) {
	t.Parallel()
	o := start(t)
	n := o.tenant(t)
	n.server("web1", "192.168.21.100")
	lb := n.full("mortal", "192.168.21.100")
	url := n.floatingIP(lb.VipPortID)
	n.active(lb.ID)
	client := &http.Client{Timeout: 5 * time.Second}
	eventually(t, 20*time.Second, "web1 answers", func() error { return served(client, url, "web1") })
	admin := o.api(t, "octavo-admin")
	deleted := ""
	pages, err := servers.List(admin.compute, servers.ListOpts{AllTenants: true}).AllPages(t.Context())
	n.ok(err)
	all, err := servers.ExtractServers(pages)
	n.ok(err)
	for _, s := range all {
		if len(s.Name) > 8 && s.Name[:8] == "amphora-" {
			deleted = s.ID
			n.ok(servers.Delete(t.Context(), admin.compute, s.ID).ExtractErr())
		}
	}
	if deleted == "" {
		t.Fatalf("no amphora among %d servers", len(all))
	}
	eventually(t, 150*time.Second, "another amphora answers at the same address", func() error { return served(client, url, "web1") })
	if now := n.active(lb.ID); now.VipAddress != lb.VipAddress || now.VipPortID != lb.VipPortID {
		t.Errorf("the VIP moved from %s to %s", lb.VipAddress, now.VipAddress)
	}
}
