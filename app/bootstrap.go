package app

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/config/clouds"

	"github.com/octavo-lb/octavo/cloud"
	"github.com/octavo-lb/octavo/config"
)

// BootstrapOptions are the flags of octavo bootstrap.
type BootstrapOptions struct {
	Config                        func() (config.Sources, error) // asked for only when the account is that of octavia.conf
	Cloud                         string                         // of clouds.yaml; empty for OS_* variables, or else octavia.conf
	PublicURL, InternalURL, Admin string                         // InternalURL and Admin are PublicURL when empty
	Region                        string
	Out                           io.Writer
}

// Bootstrap registers the service, its endpoints and its roles in Keystone. Doing so again changes nothing.
func Bootstrap(ctx context.Context, o BootstrapOptions) error {
	if err := checkURL("--public-url", o.PublicURL); err != nil {
		return err
	}
	urls := map[gophercloud.Availability]string{
		gophercloud.AvailabilityPublic:   o.PublicURL,
		gophercloud.AvailabilityInternal: cmp.Or(o.InternalURL, o.PublicURL),
		gophercloud.AvailabilityAdmin:    cmp.Or(o.Admin, o.InternalURL, o.PublicURL),
	}
	for _, u := range urls {
		if err := checkURL("an endpoint", u); err != nil {
			return err
		}
	}
	auth, trust, region, err := operator(o)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	identity, err := identityClient(ctx, auth, trust)
	if err != nil {
		return err
	}
	return cloud.Register(ctx, identity, cloud.Registration{Region: cmp.Or(o.Region, region, "RegionOne"), URLs: urls},
		func(line string) { fmt.Fprintln(o.Out, line) })
}

func checkURL(what, text string) error {
	if u, err := url.Parse(text); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("%s must be a URL under which the API can be reached, such as https://lb.example.org:9876, and not %q", what, text)
	}
	return nil
}

// operator is the account to act with: that of clouds.yaml, of the environment, or the service's own.
func operator(o BootstrapOptions) (gophercloud.AuthOptions, *tls.Config, string, error) {
	if o.Cloud != "" || os.Getenv("OS_CLOUD") != "" {
		var options []clouds.ParseOption
		if o.Cloud != "" {
			options = append(options, clouds.WithCloudName(o.Cloud))
		}
		auth, endpoint, trust, err := clouds.Parse(options...)
		if err != nil {
			return auth, nil, "", fmt.Errorf("cannot use clouds.yaml: %w", err)
		}
		return auth, trust, endpoint.Region, nil
	}
	if os.Getenv("OS_AUTH_URL") != "" {
		auth, err := openstack.AuthOptionsFromEnv()
		if err != nil {
			return auth, nil, "", fmt.Errorf("the OS_* variables do not name an account: %w", err)
		}
		return auth, nil, os.Getenv("OS_REGION_NAME"), nil
	}
	sources, err := o.Config()
	if err != nil {
		return gophercloud.AuthOptions{}, nil, "", fmt.Errorf("there is no account: name a cloud of clouds.yaml with --os-cloud, or a configuration with -c (%w)", err)
	}
	cfg, err := config.Load(sources)
	if err != nil {
		return gophercloud.AuthOptions{}, nil, "", err
	}
	trust, err := cloudTLS(cfg)
	return cfg.ServiceAuth.Options(), trust, cfg.ServiceAuth.RegionName, err
}

func identityClient(ctx context.Context, auth gophercloud.AuthOptions, trust *tls.Config) (*gophercloud.ServiceClient, error) {
	provider, err := openstack.NewClient(auth.IdentityEndpoint)
	if err != nil {
		return nil, fmt.Errorf("the identity service's address %q: %w", auth.IdentityEndpoint, err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = trust
	provider.HTTPClient = http.Client{Transport: transport}
	if err := openstack.AuthenticateV3(ctx, provider, &auth, gophercloud.EndpointOpts{}); err != nil {
		if gophercloud.ResponseCodeIs(err, http.StatusUnauthorized) {
			err = errors.New("it does not accept the user, password or project")
		}
		return nil, fmt.Errorf("cannot sign in at %s: %w", auth.IdentityEndpoint, err)
	}
	// Not by the catalog: the address that was given is the one that can be reached from here.
	return &gophercloud.ServiceClient{ProviderClient: provider, Endpoint: provider.IdentityBase + "v3/", Type: "identity"}, nil
}
