// Package demo does the deployment guide's example through the public API, as a tenant would, and then shows the load
// balancer at work. It uses nothing but clouds.yaml: what it does, any client can do.
package demo

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/config"
	"github.com/gophercloud/gophercloud/v2/openstack/config/clouds"
	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/loadbalancers"
	"golang.org/x/sync/errgroup"
)

// Demo is one run of the example.
type Demo struct {
	Clouds string // path of clouds.yaml
	Cloud  string // its entry
	Out    io.Writer
	// Live tells that Out is a terminal, whose table may be redrawn in place.
	Live bool
}

// session holds the clients, and what has been made so far.
type session struct {
	Demo
	lb, network, compute, image *gophercloud.ServiceClient

	subnetID, networkID string
	lbID, vipPortID     string
	vip, floatingIP     string
	poolID              string
}

// Run builds the example, step by step, then shows the live table until ctx ends. What exists already (from a run that
// was kept) is used as it is.
func (d Demo) Run(ctx context.Context) error {
	s, err := d.connect(ctx)
	if err != nil {
		return fmt.Errorf("cannot sign in with %s: %w", d.Clouds, err)
	}
	for _, step := range []struct {
		does string
		do   func(context.Context) error
	}{
		{"find the subnet private_subnet", s.findSubnet},
		{"boot two members, web1 and web2", s.bootMembers},
		{"create load balancer lb1 on private_subnet", s.createLoadBalancer},
		{"lb1 is ACTIVE", s.waitActive},
		{"create listener1 (HTTP, port 80)", s.createListener},
		{"create pool1 (ROUND_ROBIN)", s.createPool},
		{"create a health monitor (HTTP /healthcheck)", s.createMonitor},
		{"add the members 192.168.21.100 and .101", s.createMembers},
		{"create a floating IP and set it to lb1's VIP port", s.createFloatingIP},
		{"both members answer through the floating IP", s.waitAnswers},
		{"lb1 is ACTIVE and ONLINE", s.waitOnline},
	} {
		began := time.Now()
		fmt.Fprintf(d.Out, "  %-55s", step.does)
		if err := step.do(ctx); err != nil {
			fmt.Fprintln(d.Out, " failed")
			return fmt.Errorf("cannot %s: %w", step.does, err)
		}
		fmt.Fprintf(d.Out, "%7.2f s\n", time.Since(began).Seconds())
	}
	return s.show(ctx)
}

func (d Demo) connect(ctx context.Context) (*session, error) {
	auth, endpoint, tls, err := clouds.Parse(clouds.WithCloudName(d.Cloud), clouds.WithLocations(d.Clouds))
	if err != nil {
		return nil, err
	}
	provider, err := config.NewProviderClient(ctx, auth, config.WithTLSConfig(tls))
	if err != nil {
		return nil, err
	}
	s := &session{Demo: d}
	for _, c := range []struct {
		client **gophercloud.ServiceClient
		make   func(*gophercloud.ProviderClient, gophercloud.EndpointOpts) (*gophercloud.ServiceClient, error)
	}{
		{&s.lb, openstack.NewLoadBalancerV2}, {&s.network, openstack.NewNetworkV2},
		{&s.compute, openstack.NewComputeV2}, {&s.image, openstack.NewImageV2},
	} {
		if *c.client, err = c.make(provider, endpoint); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// waitActive polls as every client of Octavia does.
func (s *session) waitActive(ctx context.Context) error {
	return s.wait(ctx, func(lb *loadbalancers.LoadBalancer) bool { return lb.ProvisioningStatus == "ACTIVE" })
}

func (s *session) waitOnline(ctx context.Context) error {
	return s.wait(ctx, func(lb *loadbalancers.LoadBalancer) bool {
		return lb.ProvisioningStatus == "ACTIVE" && lb.OperatingStatus == "ONLINE"
	})
}

func (s *session) wait(ctx context.Context, done func(*loadbalancers.LoadBalancer) bool) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		lb, err := loadbalancers.Get(ctx, s.lb, s.lbID).Extract()
		if err != nil {
			return err
		}
		if done(lb) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; lb1 is %s and %s", ctx.Err(), lb.ProvisioningStatus, lb.OperatingStatus)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// bootMembers boots both at once.
func (s *session) bootMembers(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for name, address := range members {
		g.Go(func() error { return s.bootMember(ctx, name, address) })
	}
	return g.Wait()
}
