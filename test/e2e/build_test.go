package e2e

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/flavors"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/listeners"
	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/loadbalancers"
	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/monitors"
	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/pools"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/floatingips"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"
)

// tenant builds things in the project demo through gophercloud, as Terraform and Kubernetes do.
type tenant struct {
	t  testing.TB
	c  apiClients
	cx context.Context

	subnetID, networkID, extID, imageID, flavorID string
}

func (o *octavo) tenant(t testing.TB) *tenant {
	t.Helper()
	n := &tenant{t: t, c: o.api(t, "octavo"), cx: t.Context()}
	pages, err := subnets.List(n.c.network, subnets.ListOpts{Name: "private_subnet"}).AllPages(n.cx)
	n.ok(err)
	found, err := subnets.ExtractSubnets(pages)
	n.ok(err)
	n.subnetID, n.networkID = found[0].ID, found[0].NetworkID

	pages, err = networks.List(n.c.network, networks.ListOpts{Name: "ext_net"}).AllPages(n.cx)
	n.ok(err)
	ext, err := networks.ExtractNetworks(pages)
	n.ok(err)
	n.extID = ext[0].ID

	pages, err = images.List(n.c.image, images.ListOpts{Name: "web"}).AllPages(n.cx)
	n.ok(err)
	web, err := images.ExtractImages(pages)
	n.ok(err)
	n.imageID = web[0].ID

	pages, err = flavors.ListDetail(n.c.compute, flavors.ListOpts{}).AllPages(n.cx)
	n.ok(err)
	all, err := flavors.ExtractFlavors(pages)
	n.ok(err)
	for _, f := range all {
		if f.Name == "tiny" {
			n.flavorID = f.ID
		}
	}
	return n
}

func (n *tenant) ok(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

// server boots a web server at an address of private_subnet.
func (n *tenant) server(name, address string) string {
	n.t.Helper()
	return n.serverOn(n.networkID, name, address)
}

func (n *tenant) serverOn(networkID, name, address string) string {
	n.t.Helper()
	s, err := servers.Create(n.cx, n.c.compute, servers.CreateOpts{
		Name: name, ImageRef: n.imageID, FlavorRef: n.flavorID,
		Networks: []servers.Network{{UUID: networkID, FixedIP: address}},
	}, nil).Extract()
	n.ok(err)
	eventually(n.t, 20*time.Second, name+" is ACTIVE", func() error {
		now, err := servers.Get(n.cx, n.c.compute, s.ID).Extract()
		if err == nil && now.Status != "ACTIVE" {
			err = errors.New(now.Status)
		}
		return err
	})
	return s.ID
}

// full is a load balancer with one listener, pool, monitor and members, made by one call.
func (n *tenant) full(name string, members ...string) *loadbalancers.LoadBalancer {
	n.t.Helper()
	lb, err := loadbalancers.Create(n.cx, n.c.lb, n.fullOpts(name, members...)).Extract()
	n.ok(err)
	return lb
}

func (n *tenant) fullOpts(name string, members ...string) loadbalancers.CreateOpts {
	var list []pools.CreateMemberOpts
	for i, m := range members {
		list = append(list, pools.CreateMemberOpts{Name: fmt.Sprint("m", i), Address: m, ProtocolPort: 80, SubnetID: n.subnetID})
	}
	return loadbalancers.CreateOpts{
		Name: name, VipSubnetID: n.subnetID,
		Listeners: []listeners.CreateOpts{{
			Name: "l", Protocol: listeners.ProtocolHTTP, ProtocolPort: 80,
			DefaultPool: &pools.CreateOpts{
				Name: "p", LBMethod: pools.LBMethodRoundRobin, Protocol: pools.ProtocolHTTP, Members: list,
				Monitor: monitors.CreateOpts{Type: monitors.TypeHTTP, Delay: 1, MaxRetries: 2, MaxRetriesDown: 2, Timeout: 1, URLPath: "/healthcheck"},
			},
		}},
	}
}

// active waits until the load balancer is ACTIVE, and returns it.
func (n *tenant) active(id string) (lb *loadbalancers.LoadBalancer) {
	n.t.Helper()
	eventually(n.t, 60*time.Second, "load balancer "+id+" is ACTIVE", func() (err error) {
		lb, err = loadbalancers.Get(n.cx, n.c.lb, id).Extract()
		if err == nil && lb.ProvisioningStatus != "ACTIVE" {
			err = errors.New(lb.ProvisioningStatus)
		}
		return err
	})
	return lb
}

// gone waits until the load balancer is not found any more.
func (n *tenant) gone(id string) {
	n.t.Helper()
	eventually(n.t, 60*time.Second, "load balancer "+id+" is gone", func() error {
		lb, err := loadbalancers.Get(n.cx, n.c.lb, id).Extract()
		if err == nil {
			return errors.New(lb.ProvisioningStatus)
		}
		if isNotFound(err) {
			return nil
		}
		return err
	})
}

// floatingIP gives the VIP an address that this machine reaches, and returns its URL.
func (n *tenant) floatingIP(portID string) string {
	n.t.Helper()
	ip, err := floatingips.Create(n.cx, n.c.network, floatingips.CreateOpts{FloatingNetworkID: n.extID, PortID: portID}).Extract()
	n.ok(err)
	return "http://" + ip.FloatingIP + "/"
}
