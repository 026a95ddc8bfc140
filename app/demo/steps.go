package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/gophercloud/gophercloud/v2"
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
	"github.com/gophercloud/gophercloud/v2/pagination"
)

// members are the servers that the load balancer balances to.
var members = map[string]string{"web1": "192.168.21.100", "web2": "192.168.21.101"}

// first returns the first element of a listing, false if there is none.
func first[T any](ctx context.Context, pager pagination.Pager, extract func(pagination.Page) ([]T, error)) (T, bool, error) {
	var zero T
	pages, err := pager.AllPages(ctx)
	if err != nil {
		return zero, false, err
	}
	all, err := extract(pages)
	if err != nil || len(all) == 0 {
		return zero, false, err
	}
	return all[0], true, nil
}

func must[T any](what string, v T, found bool, err error) (T, error) {
	if err == nil && !found {
		err = fmt.Errorf("there is no %s", what)
	}
	return v, err
}

func (s *session) findSubnet(ctx context.Context) error {
	v, ok, err := first(ctx, subnets.List(s.network, subnets.ListOpts{Name: "private_subnet"}), subnets.ExtractSubnets)
	subnet, err := must("subnet private_subnet", v, ok, err)
	s.subnetID, s.networkID = subnet.ID, subnet.NetworkID
	return err
}

func (s *session) bootMember(ctx context.Context, name, address string) error {
	server, found, err := first(ctx, servers.List(s.compute, servers.ListOpts{Name: "^" + name + "$"}), servers.ExtractServers)
	if err != nil {
		return err
	}
	if !found {
		created, err := s.createServer(ctx, name, address)
		if err != nil {
			return err
		}
		server = *created
	}
	for server.Status != "ACTIVE" {
		if server.Status == "ERROR" {
			return fmt.Errorf("server %s: %s", name, server.Fault.Message)
		}
		time.Sleep(50 * time.Millisecond)
		now, err := servers.Get(ctx, s.compute, server.ID).Extract()
		if err != nil {
			return err
		}
		server = *now
	}
	return nil
}

func (s *session) createServer(ctx context.Context, name, address string) (*servers.Server, error) {
	i, ok, err := first(ctx, images.List(s.image, images.ListOpts{Name: "web"}), images.ExtractImages)
	image, err := must("image web", i, ok, err)
	if err != nil {
		return nil, err
	}
	pages, err := flavors.ListDetail(s.compute, flavors.ListOpts{}).AllPages(ctx)
	if err != nil {
		return nil, err
	}
	all, err := flavors.ExtractFlavors(pages)
	if err != nil {
		return nil, err
	}
	for _, f := range all {
		if f.Name == "tiny" {
			return servers.Create(ctx, s.compute, servers.CreateOpts{
				Name: name, ImageRef: image.ID, FlavorRef: f.ID,
				Networks: []servers.Network{{UUID: s.networkID, FixedIP: address}},
			}, nil).Extract()
		}
	}
	return nil, fmt.Errorf("there is no flavor tiny")
}

func (s *session) createLoadBalancer(ctx context.Context) error {
	lb, found, err := first(ctx, loadbalancers.List(s.lb, loadbalancers.ListOpts{Name: "lb1"}), loadbalancers.ExtractLoadBalancers)
	if err != nil {
		return err
	}
	if !found {
		created, err := loadbalancers.Create(ctx, s.lb, loadbalancers.CreateOpts{Name: "lb1", VipSubnetID: s.subnetID}).Extract()
		if err != nil {
			return err
		}
		lb = *created
	}
	s.lbID, s.vipPortID, s.vip = lb.ID, lb.VipPortID, lb.VipAddress
	return nil
}

func (s *session) createListener(ctx context.Context) error {
	_, found, err := first(ctx, listeners.List(s.lb, listeners.ListOpts{LoadbalancerID: s.lbID, Name: "listener1"}), listeners.ExtractListeners)
	if err != nil || found {
		return err
	}
	_, err = listeners.Create(ctx, s.lb, listeners.CreateOpts{
		LoadbalancerID: s.lbID, Name: "listener1", Protocol: listeners.ProtocolHTTP, ProtocolPort: 80,
	}).Extract()
	return err
}

func (s *session) createPool(ctx context.Context) error {
	pool, found, err := first(ctx, pools.List(s.lb, pools.ListOpts{LoadbalancerID: s.lbID, Name: "pool1"}), pools.ExtractPools)
	if err != nil {
		return err
	}
	if !found {
		l, ok, err := first(ctx, listeners.List(s.lb, listeners.ListOpts{LoadbalancerID: s.lbID, Name: "listener1"}), listeners.ExtractListeners)
		listener, err := must("listener1", l, ok, err)
		if err != nil {
			return err
		}
		created, err := pools.Create(ctx, s.lb, pools.CreateOpts{
			Name: "pool1", ListenerID: listener.ID, LBMethod: pools.LBMethodRoundRobin, Protocol: pools.ProtocolHTTP,
		}).Extract()
		if err != nil {
			return err
		}
		pool = *created
	}
	s.poolID = pool.ID
	return nil
}

func (s *session) createMonitor(ctx context.Context) error {
	_, found, err := first(ctx, monitors.List(s.lb, monitors.ListOpts{PoolID: s.poolID}), monitors.ExtractMonitors)
	if err != nil || found {
		return err
	}
	_, err = monitors.Create(ctx, s.lb, monitors.CreateOpts{
		PoolID: s.poolID, Type: monitors.TypeHTTP, Delay: 5, MaxRetries: 4, Timeout: 10, URLPath: "/healthcheck",
	}).Extract()
	return err
}

func (s *session) createMembers(ctx context.Context) error {
	for name, address := range members {
		_, err := pools.CreateMember(ctx, s.lb, s.poolID, pools.CreateMemberOpts{
			Name: name, Address: address, ProtocolPort: 80, SubnetID: s.subnetID,
		}).Extract()
		// A member of a kept run is there already.
		if err != nil && !gophercloud.ResponseCodeIs(err, 409) {
			return err
		}
	}
	return nil
}

func (s *session) createFloatingIP(ctx context.Context) error {
	ip, found, err := first(ctx, floatingips.List(s.network, floatingips.ListOpts{PortID: s.vipPortID}), floatingips.ExtractFloatingIPs)
	if err != nil {
		return err
	}
	if !found {
		v, ok, err := first(ctx, networks.List(s.network, networks.ListOpts{Name: "ext_net"}), networks.ExtractNetworks)
		ext, err := must("network ext_net", v, ok, err)
		if err != nil {
			return err
		}
		created, err := floatingips.Create(ctx, s.network, floatingips.CreateOpts{FloatingNetworkID: ext.ID, PortID: s.vipPortID}).Extract()
		if err != nil {
			return err
		}
		ip = *created
	}
	s.floatingIP = ip.FloatingIP
	return nil
}
