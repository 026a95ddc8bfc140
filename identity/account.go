package identity

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
)

// Account validates tokens against Keystone (GET /v3/auth/tokens) with the service's own account. It is a Validator.
type Account struct {
	auth     gophercloud.AuthOptions
	provider *gophercloud.ProviderClient

	connecting chan struct{}              // holds one element while somebody connects
	client     *gophercloud.ServiceClient // nil until the account's first token; guarded by connecting
}

// NewAccount makes a Validator for the account. It does not connect: an identity service that is down when the service
// starts, or a wrong password there, is an outage that ends by itself. trust may be nil.
func NewAccount(auth gophercloud.AuthOptions, trust *tls.Config) (*Account, error) {
	auth.AllowReauth = true
	provider, err := openstack.NewClient(auth.IdentityEndpoint)
	if err != nil {
		return nil, fmt.Errorf("the identity service's address %q: %w", auth.IdentityEndpoint, err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = trust
	transport.MaxIdleConnsPerHost = 32
	provider.HTTPClient = http.Client{Transport: transport}
	return &Account{auth: auth, provider: provider, connecting: make(chan struct{}, 1)}, nil
}

// Validate implements Validator.
func (a *Account) Validate(ctx context.Context, token string) (Caller, error) {
	client, err := a.connect(ctx)
	if err != nil {
		return Caller{}, fmt.Errorf("cannot get a token for the service account: %w", withoutBody(err))
	}
	var body tokenBody
	err = tokens.Get(ctx, client, token).ExtractInto(&body)
	switch {
	case gophercloud.ResponseCodeIs(err, http.StatusNotFound):
		return Caller{}, ErrUnauthorized
	case err != nil:
		return Caller{}, fmt.Errorf("cannot validate a token: %w", withoutBody(err))
	}
	return body.caller(), nil
}

// connect gets the account's first token; gophercloud gets the later ones when one has expired.
func (a *Account) connect(ctx context.Context) (*gophercloud.ServiceClient, error) {
	select {
	case a.connecting <- struct{}{}:
		defer func() { <-a.connecting }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if a.client != nil {
		return a.client, nil
	}
	if err := openstack.AuthenticateV3(ctx, a.provider, &a.auth, gophercloud.EndpointOpts{}); err != nil {
		return nil, err
	}
	// Not by the catalog: the address in the configuration is the one that the operator wants to be used.
	a.client = &gophercloud.ServiceClient{ProviderClient: a.provider, Endpoint: a.provider.IdentityBase + "v3/", Type: "identity"}
	return a.client, nil
}

// withoutBody makes an error of which every part may be logged.
func withoutBody(err error) error {
	var answer gophercloud.ErrUnexpectedResponseCode
	if errors.As(err, &answer) {
		return fmt.Errorf("%s %s answers %d", answer.Method, answer.URL, answer.Actual)
	}
	return err
}

type tokenBody struct {
	ExpiresAt time.Time `json:"expires_at"`
	User      struct {
		ID     string   `json:"id"`
		Name   string   `json:"name"`
		Domain idObject `json:"domain"`
	} `json:"user"`
	Project struct {
		ID     string   `json:"id"`
		Name   string   `json:"name"`
		Domain idObject `json:"domain"`
	} `json:"project"`
	Roles []struct {
		Name string `json:"name"`
	} `json:"roles"`
	System struct {
		All bool `json:"all"`
	} `json:"system"`
}

type idObject struct {
	ID string `json:"id"`
}

func (b *tokenBody) caller() Caller {
	c := Caller{
		UserID: b.User.ID, UserName: b.User.Name, DomainID: b.User.Domain.ID,
		ProjectID: b.Project.ID, ProjectName: b.Project.Name, ProjectDomainID: b.Project.Domain.ID,
		SystemScope: b.System.All, ExpiresAt: b.ExpiresAt,
	}
	for _, role := range b.Roles {
		c.Roles = append(c.Roles, role.Name)
	}
	return c
}
