package cloud

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"

	"github.com/octavo-lb/octavo/secrets"
)

// Auth is how the service account proves who it is: by password, or by an application credential. Names need their
// domain; ids do not.
type Auth struct {
	URL               string // of Keystone, with or without /v3
	UserID            string
	UserName          string
	UserDomainID      string
	UserDomainName    string
	Password          secrets.Secret
	ProjectID         string
	ProjectName       string
	ProjectDomainID   string
	ProjectDomainName string

	ApplicationCredentialID     string
	ApplicationCredentialName   string
	ApplicationCredentialSecret secrets.Secret
}

// Options are what a client works with. Auth is needed.
type Options struct {
	Auth   Auth
	Region string
	// Interface of the catalog's endpoints: public (the default), internal or admin.
	Interface string
	// Services say where Region and Interface do not hold, by type: network, compute, image, key-manager.
	Services map[string]Service
	// TLS says which servers are trusted, and what client certificate they are shown; nil for the system's authorities.
	TLS *tls.Config
	// Timeout bounds each call, retries and authentication included; 30 s.
	Timeout time.Duration
	// Transport is used in place of one made with TLS, for tests.
	Transport http.RoundTripper
	Clock     func() time.Time
}

// Service is where one service is found. What is empty is as in Options.
type Service struct {
	Type      string // in the catalog, in place of its own
	Name      string // in the catalog; empty for any
	Endpoint  string // in place of the catalog's
	Region    string
	Interface string
	// Insecure does not check the service's certificate, which Options.TLS does for all others.
	Insecure bool
}

// Client speaks to one cloud as the service account. It authenticates with the first call, and again when its token has
// run out, so it can be made while the cloud is away. Safe for concurrent use.
type Client struct {
	options Options
	http    http.Client
	// careless is the transport of services that are not checked; nil where a transport was given.
	careless *careless
	subnets  subnetCache

	// one is held by whoever authenticates; the others wait no longer than their own calls may take.
	one      chan struct{}
	services atomic.Pointer[services]
}

type services struct {
	projectID               string // of the service account
	provider                *gophercloud.ProviderClient
	catalog                 *tokens.ServiceCatalog
	network, compute, image *gophercloud.ServiceClient
}

// New makes a client. It does not speak to the cloud yet.
func New(o Options) *Client {
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Interface == "" {
		o.Interface = string(gophercloud.AvailabilityPublic)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	var lenient *careless
	if o.Transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConnsPerHost = 32
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		if o.TLS != nil {
			t.TLSClientConfig = o.TLS.Clone()
		}
		lenient = newCareless(t)
		o.Transport = lenient
	}
	return &Client{options: o, http: http.Client{Transport: o.Transport}, careless: lenient, one: make(chan struct{}, 1)}
}

// begin bounds a call and makes sure that there is a token.
func (c *Client) begin(ctx context.Context) (context.Context, context.CancelFunc, *services, error) {
	ctx, cancel := context.WithTimeout(ctx, c.options.Timeout)
	s, err := c.ready(ctx)
	if err != nil {
		cancel()
		return nil, nil, nil, wrap(err, "authenticate at %s", c.options.Auth.URL)
	}
	return ctx, cancel, s, nil
}

func (c *Client) ready(ctx context.Context) (*services, error) {
	if s := c.services.Load(); s != nil {
		return s, nil
	}
	select {
	case c.one <- struct{}{}:
		defer func() { <-c.one }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if s := c.services.Load(); s != nil {
		return s, nil
	}
	s, err := c.authenticate(ctx)
	if err == nil {
		c.services.Store(s)
	}
	return s, err
}

func (c *Client) authenticate(ctx context.Context) (*services, error) {
	provider, err := openstack.NewClient(identityURL(c.options.Auth.URL))
	if err != nil {
		return nil, err
	}
	provider.HTTPClient = c.http
	provider.UserAgent.Prepend("octavo")
	auth := c.options.Auth.options()
	if err := openstack.AuthenticateV3(ctx, provider, &auth, gophercloud.EndpointOpts{}); err != nil {
		return nil, err
	}
	result, ok := provider.GetAuthResult().(tokens.CreateResult)
	if !ok {
		return nil, errors.New("the answer of Keystone holds no token")
	}
	catalog, err := result.ExtractServiceCatalog()
	if err != nil {
		return nil, err
	}
	project, err := result.ExtractProject()
	if err != nil || project == nil {
		return nil, errors.Join(err, errors.New("the service account's token is for no project"))
	}
	s := &services{provider: provider, catalog: catalog, projectID: project.ID}
	for _, service := range []struct {
		client  **gophercloud.ServiceClient
		kind    string
		version string
	}{{&s.network, "network", "v2.0/"}, {&s.compute, "compute", ""}, {&s.image, "image", "v2/"}} {
		endpoint, err := c.endpoint(catalog, service.kind)
		if err != nil {
			return nil, err
		}
		*service.client = serviceClient(provider, service.kind, endpoint, service.version)
	}
	return s, nil
}

// serviceClient takes endpoints with and without their version.
func serviceClient(provider *gophercloud.ProviderClient, kind, endpoint, version string) *gophercloud.ServiceClient {
	base := strings.TrimSuffix(endpoint, version)
	return &gophercloud.ServiceClient{ProviderClient: provider, Endpoint: base, ResourceBase: base + version, Type: kind}
}

func (c *Client) endpoint(catalog *tokens.ServiceCatalog, kind string) (string, error) {
	url, err := c.find(catalog, kind)
	if err == nil && c.options.Services[kind].Insecure && c.careless != nil {
		c.careless.add(url)
	}
	return url, err
}

func (c *Client) find(catalog *tokens.ServiceCatalog, kind string) (string, error) {
	at := c.options.Services[kind]
	if at.Endpoint != "" {
		return gophercloud.NormalizeURL(at.Endpoint), nil
	}
	eo := gophercloud.EndpointOpts{Region: cmp.Or(at.Region, c.options.Region),
		Availability: gophercloud.Availability(cmp.Or(at.Interface, c.options.Interface))}
	eo.ApplyDefaults(kind)
	for _, service := range catalog.Entries {
		if service.Type != cmp.Or(at.Type, kind) || at.Name != "" && service.Name != at.Name {
			continue
		}
		for _, e := range service.Endpoints {
			if e.Interface == string(eo.Availability) && (eo.Region == "" || e.Region == eo.Region || e.RegionID == eo.Region) {
				return gophercloud.NormalizeURL(e.URL), nil
			}
		}
	}
	return "", &Error{Kind: Denied, Doing: "find the " + kind + " service",
		Message: "Keystone's catalog has no " + string(eo.Availability) + " endpoint for it" + named(at.Name) + inRegion(eo.Region)}
}

func named(name string) string {
	if name == "" {
		return ""
	}
	return " named " + name
}

func inRegion(region string) string {
	if region == "" {
		return ""
	}
	return " in region " + region
}

func identityURL(url string) string {
	url = strings.TrimSuffix(url, "/")
	if !strings.HasSuffix(url, "/v3") {
		url += "/v3"
	}
	return url + "/"
}

func (a Auth) options() gophercloud.AuthOptions {
	o := gophercloud.AuthOptions{IdentityEndpoint: identityURL(a.URL), AllowReauth: true}
	if a.ApplicationCredentialID != "" || a.ApplicationCredentialName != "" {
		o.ApplicationCredentialID, o.ApplicationCredentialName = a.ApplicationCredentialID, a.ApplicationCredentialName
		o.ApplicationCredentialSecret = a.ApplicationCredentialSecret.Reveal()
		if a.ApplicationCredentialID == "" {
			o.UserID, o.Username, o.DomainID, o.DomainName = a.UserID, a.UserName, a.UserDomainID, a.UserDomainName
		}
		return o
	}
	o.UserID, o.Username, o.Password = a.UserID, a.UserName, a.Password.Reveal()
	if a.UserID == "" {
		o.DomainID, o.DomainName = a.UserDomainID, a.UserDomainName
	}
	o.Scope = &gophercloud.AuthScope{ProjectID: a.ProjectID}
	if a.ProjectID == "" {
		o.Scope = &gophercloud.AuthScope{ProjectName: a.ProjectName, DomainID: a.ProjectDomainID, DomainName: a.ProjectDomainName}
	}
	return o
}
