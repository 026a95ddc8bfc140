package app

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"

	"github.com/octavo-lb/octavo/config"
)

// Account names who a command acts as: a cloud of clouds.yaml, the OS_* variables, or else [service_auth] of octavia.conf.
type Account struct {
	Config func() (config.Sources, error) // asked for only when it is needed
	Cloud  string                         // of clouds.yaml
}

// callTimeout bounds a command's calls, all but uploads.
const callTimeout = time.Minute

// session is an account that is signed in.
type session struct {
	provider *gophercloud.ProviderClient
	endpoint gophercloud.EndpointOpts
	// config is octavia.conf if there is one, nil otherwise.
	config *config.Config
	// own tells that the account is octavia.conf's.
	own bool
}

func (a Account) signIn(ctx context.Context) (*session, error) {
	auth, trust, region, err := operator(BootstrapOptions{Config: a.Config, Cloud: a.Cloud})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	identity, err := identityClient(ctx, auth, trust)
	if err != nil {
		return nil, err
	}
	s := &session{provider: identity.ProviderClient, endpoint: gophercloud.EndpointOpts{Region: region},
		own: a.Cloud == "" && os.Getenv("OS_CLOUD") == "" && os.Getenv("OS_AUTH_URL") == ""}
	if sources, err := a.Config(); err == nil {
		if s.config, err = config.Load(sources); err != nil && s.own {
			return nil, err
		}
	}
	return s, nil
}

func (s *session) images() (*gophercloud.ServiceClient, error) {
	at := s.endpoint
	if s.own {
		g := &s.config.Glance
		if g.Endpoint != "" {
			base := gophercloud.NormalizeURL(g.Endpoint)
			return &gophercloud.ServiceClient{ProviderClient: s.provider, Endpoint: base, ResourceBase: base + "v2/", Type: "image"}, nil
		}
		at.Availability = g.Interface()
	}
	client, err := openstack.NewImageV2(s.provider, at)
	if err != nil {
		return nil, fmt.Errorf("cannot find the image service: %w", err)
	}
	return client, nil
}

func (s *session) balancers() (*gophercloud.ServiceClient, error) {
	client, err := openstack.NewLoadBalancerV2(s.provider, s.endpoint)
	if err != nil {
		return nil, fmt.Errorf("cannot find the load balancing service: %w", err)
	}
	return client, nil
}
