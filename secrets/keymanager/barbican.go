package keymanager

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
	"github.com/gophercloud/gophercloud/v2/openstack/keymanager/v1/acls"
	"github.com/gophercloud/gophercloud/v2/openstack/keymanager/v1/containers"
	"github.com/gophercloud/gophercloud/v2/openstack/keymanager/v1/secrets"

	"github.com/octavo-lb/octavo/secrets/certs"
)

// Barbican fetches from the key manager with the service's own account. It is safe for concurrent use.
type Barbican struct {
	// Connect answers a client for the key manager's v1 API with the service's account. It may be called for every fetch.
	Connect func(context.Context) (*gophercloud.ServiceClient, error)
	// IDs takes ids of secrets as references, too, as castellan has them.
	IDs bool
}

// Certificate fetches a certificate with its key: PKCS #12 or PEM in one secret, or a certificate container. The error is
// an Unusable if the reference or what it names is at fault.
func (b *Barbican) Certificate(ctx context.Context, ref string) (Material, error) {
	at, client, err := b.open(ctx, ref)
	if err != nil {
		return Material{}, err
	}
	var c *certs.Certificate
	if at.container {
		parts, err := readParts(ctx, client, ref, at.id)
		if err != nil {
			return Material{}, err
		}
		c, err = certs.FromParts(parts)
		if err != nil {
			return Material{}, unusable(ref, "%v", err)
		}
		return certificate(c)
	}
	bundle, err := payload(ctx, client, ref, at.id)
	if err != nil {
		return Material{}, err
	}
	if c, err = certs.FromBundle(bundle); err != nil {
		return Material{}, unusable(ref, "%v", err)
	}
	return certificate(c)
}

// Authorities fetches certificates that others are checked against. Errors are as with Certificate.
func (b *Barbican) Authorities(ctx context.Context, ref string) (Material, error) {
	return b.text(ctx, ref, certs.Authorities)
}

// Revocations fetches revocation lists. Errors are as with Certificate.
func (b *Barbican) Revocations(ctx context.Context, ref string) (Material, error) {
	return b.text(ctx, ref, certs.Revocations)
}

func (b *Barbican) text(ctx context.Context, ref string, read func([]byte) ([]byte, error)) (Material, error) {
	at, client, err := b.open(ctx, ref)
	if err != nil {
		return Material{}, err
	}
	if at.container {
		return Material{}, unusable(ref, "it is a container and not a secret")
	}
	content, err := payload(ctx, client, ref, at.id)
	if err != nil {
		return Material{}, err
	}
	text, err := read(content)
	if err != nil {
		return Material{}, unusable(ref, "%v", err)
	}
	return material(text), nil
}

func (b *Barbican) open(ctx context.Context, ref string) (target, *gophercloud.ServiceClient, error) {
	at, err := parse(ref)
	if b.IDs && secretID.MatchString(ref) {
		at, err = target{id: strings.ToLower(ref)}, nil
	}
	if err != nil {
		return at, nil, err
	}
	client, err := b.Connect(ctx)
	if err != nil {
		return at, nil, fmt.Errorf("cannot reach the key manager: %w", err)
	}
	return at, client, nil
}

// readParts fetches the secrets of a certificate container.
func readParts(ctx context.Context, client *gophercloud.ServiceClient, ref, id string) (parts certs.Parts, err error) {
	whole, err := containers.Get(ctx, client, id).Extract()
	if err != nil {
		return parts, explain(ref, err)
	}
	if whole.Type != "certificate" {
		return parts, unusable(ref, "it is a container of type %s and not of type certificate", whole.Type)
	}
	for _, s := range whole.SecretRefs {
		into := map[string]*[]byte{"certificate": &parts.Certificate, "private_key": &parts.PrivateKey,
			"private_key_passphrase": &parts.Passphrase, "intermediates": &parts.Intermediates}[s.Name]
		if into == nil {
			continue
		}
		at, err := parse(s.SecretRef)
		if err != nil {
			return parts, err
		}
		if *into, err = payload(ctx, client, s.SecretRef, at.id); err != nil {
			return parts, err
		}
	}
	parts.Passphrase = []byte(strings.TrimRight(string(parts.Passphrase), "\r\n"))
	return parts, nil
}

// payload fetches a secret in the type it was stored in: Barbican converts nothing.
func payload(ctx context.Context, client *gophercloud.ServiceClient, ref, id string) ([]byte, error) {
	secret, err := secrets.Get(ctx, client, id).Extract()
	if err != nil {
		return nil, explain(ref, err)
	}
	contentType := secret.ContentTypes["default"]
	if contentType == "" {
		return nil, unusable(ref, "it is empty")
	}
	answer := secrets.GetPayload(ctx, client, id, secrets.GetPayloadOpts{PayloadContentType: contentType})
	if answer.Err != nil {
		return nil, explain(ref, answer.Err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(io.LimitReader(answer.Body, maxPayload+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", ref, err)
	}
	if len(content) > maxPayload {
		return nil, unusable(ref, "it is larger than %d bytes", maxPayload)
	}
	return content, nil
}

// explain tells what the tenant can mend from what the service cannot do.
func explain(ref string, err error) error {
	switch {
	case gophercloud.ResponseCodeIs(err, http.StatusNotFound):
		return unusable(ref, "there is no such thing in the key manager")
	case gophercloud.ResponseCodeIs(err, http.StatusForbidden):
		return unusable(ref, "its access list does not let it be read")
	}
	var answer gophercloud.ErrUnexpectedResponseCode
	if errors.As(err, &answer) { // without its body, which may hold anything
		return fmt.Errorf("cannot fetch %s: the key manager answers %d", ref, answer.Actual)
	}
	return fmt.Errorf("cannot fetch %s: %w", ref, err)
}

// Grant makes sure that the tenant's token may read what the reference names, and that the service may, too: where it may
// not, it is put on the access list in the tenant's name. The error is an Unusable if the tenant may not read it.
func (b *Barbican) Grant(ctx context.Context, who Caller, ref string) error {
	at, service, err := b.open(ctx, ref)
	if err != nil {
		return err
	}
	tenant := withToken(service, who.Token)
	if !at.container {
		return grantSecret(ctx, service, tenant, ref, at.id)
	}
	whole, err := containers.Get(ctx, tenant, at.id).Extract()
	if err != nil {
		return explain(ref, err)
	}
	err = containers.Get(ctx, service, at.id).Err
	if gophercloud.ResponseCodeIs(err, http.StatusForbidden) {
		err = addReader(ctx, service, containerACL(tenant, at.id))
	}
	if err != nil {
		return explain(ref, err)
	}
	for _, s := range whole.SecretRefs {
		in, err := parse(s.SecretRef)
		if err != nil {
			return err
		}
		if err := grantSecret(ctx, service, tenant, s.SecretRef, in.id); err != nil {
			return err
		}
	}
	return nil
}

// withToken is a client for the same endpoint that acts in somebody's name and never gets another token.
func withToken(service *gophercloud.ServiceClient, token string) *gophercloud.ServiceClient {
	tenant := *service
	tenant.ProviderClient = &gophercloud.ProviderClient{TokenID: token, HTTPClient: service.HTTPClient, UserAgent: service.UserAgent}
	return &tenant
}

func grantSecret(ctx context.Context, service, tenant *gophercloud.ServiceClient, ref, id string) error {
	if err := secrets.Get(ctx, tenant, id).Err; err != nil {
		return explain(ref, err)
	}
	err := secrets.Get(ctx, service, id).Err
	if gophercloud.ResponseCodeIs(err, http.StatusForbidden) {
		err = addReader(ctx, service, secretACL(tenant, id))
	}
	if err != nil {
		return explain(ref, err)
	}
	return nil
}

// list is an access list of a secret or a container.
type list struct {
	get func(context.Context) acls.ACLResult
	set func(context.Context, acls.SetOpts) acls.ACLRefResult
}

func secretACL(client *gophercloud.ServiceClient, id string) list {
	return list{
		func(ctx context.Context) acls.ACLResult { return acls.GetSecretACL(ctx, client, id) },
		func(ctx context.Context, o acls.SetOpts) acls.ACLRefResult {
			return acls.UpdateSecretACL(ctx, client, id, o)
		},
	}
}

func containerACL(client *gophercloud.ServiceClient, id string) list {
	return list{
		func(ctx context.Context) acls.ACLResult { return acls.GetContainerACL(ctx, client, id) },
		func(ctx context.Context, o acls.SetOpts) acls.ACLRefResult {
			return acls.UpdateContainerACL(ctx, client, id, o)
		},
	}
}

// addReader puts the service's user on the list beside those who are there.
func addReader(ctx context.Context, service *gophercloud.ServiceClient, l list) error {
	reader, err := userOf(service)
	if err != nil {
		return err
	}
	current, err := l.get(ctx).Extract()
	if err != nil {
		return err
	}
	users := (*current)["read"].Users
	if slices.Contains(users, reader) {
		return nil
	}
	users = append(users, reader)
	_, err = l.set(ctx, acls.SetOpts{{Type: "read", Users: &users}}).Extract()
	return err
}

// userOf answers the id of the user that a client acts as.
func userOf(client *gophercloud.ServiceClient) (string, error) {
	result, ok := client.GetAuthResult().(interface {
		ExtractUser() (*tokens.User, error)
	})
	if !ok {
		return "", errors.New("the service's token does not say whose it is")
	}
	user, err := result.ExtractUser()
	if err != nil {
		return "", fmt.Errorf("the service's token does not say whose it is: %w", err)
	}
	return user.ID, nil
}
