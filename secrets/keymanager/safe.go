package keymanager

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/secrets"
	"github.com/octavo-lb/octavo/secrets/certs"
)

// Manager is where tenants keep their secrets; Barbican and Local are managers, and say what each call promises.
type Manager interface {
	Grant(ctx context.Context, who Caller, ref string) error
	Certificate(ctx context.Context, ref string) (Material, error)
	Authorities(ctx context.Context, ref string) (Material, error)
	Revocations(ctx context.Context, ref string) (Material, error)
}

// Caller is who asks, as the identity service knows them.
type Caller struct{ Token, Project string }

// Safe fetches tenants' secrets and seals them, so that the service can keep a copy for the day when the secret, or the
// key manager, is gone.
type Safe struct {
	manager Manager
	keys    *secrets.Keyring
}

// NewSafe makes a safe of a manager.
func NewSafe(m Manager, keys *secrets.Keyring) *Safe { return &Safe{m, keys} }

// Admit fetches what a tenant refers to, sealed, after making sure that the tenant may read it and that the service may,
// too. A *lb.Fault says what the tenant can mend; every other error means that it could not be found out.
func (s *Safe) Admit(ctx context.Context, token, project string, want lb.Secret) (lb.Secret, error) {
	if err := s.manager.Grant(ctx, Caller{token, project}, want.Ref); err != nil {
		return lb.Secret{}, fault(err)
	}
	got, err := s.Fetch(ctx, want)
	return got, fault(err)
}

// Fetch fetches a secret with the service's rights, sealed. The error is an Unusable if the secret is at fault.
func (s *Safe) Fetch(ctx context.Context, want lb.Secret) (lb.Secret, error) {
	fetch := map[string]func(context.Context, string) (Material, error){
		lb.CertificateSecret: s.manager.Certificate, lb.AuthoritySecret: s.manager.Authorities, lb.RevocationSecret: s.manager.Revocations,
	}[want.Kind]
	if fetch == nil {
		return lb.Secret{}, fmt.Errorf("there are no secrets of kind %q", want.Kind)
	}
	m, err := fetch(ctx, want.Ref)
	if err != nil {
		return lb.Secret{}, err
	}
	sealed, err := s.keys.Seal(m.PEM, purpose(m.Digest))
	return lb.Secret{Ref: want.Ref, Kind: want.Kind, Digest: m.Digest, Sealed: sealed, NotAfter: m.NotAfter}, err
}

// Open answers the material of a sealed secret.
func (s *Safe) Open(sealed []byte, digest string) ([]byte, error) {
	pem, err := s.keys.Open(sealed, purpose(digest))
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(pem); hex.EncodeToString(sum[:]) != digest {
		return nil, fmt.Errorf("secret %s: %w", digest, secrets.ErrTampered)
	}
	return pem, nil
}

// Unusable tells whether an error of Fetch is the secret's fault, and not that of an outage.
func (s *Safe) Unusable(err error) bool {
	var u *Unusable
	return errors.As(err, &u)
}

// Stale tells whether a secret is to be sealed again, because the key file has a newer key.
func (s *Safe) Stale(sealed []byte) bool { return s.keys.Stale(sealed) }

// CheckRevocations makes sure that revocation lists are of the authorities that they go with, both as Admit answered
// them. The error is a *lb.Fault if they are not.
func (s *Safe) CheckRevocations(lists, authorities lb.Secret) error {
	crl, err := s.Open(lists.Sealed, lists.Digest)
	if err != nil {
		return err
	}
	ca, err := s.Open(authorities.Sealed, authorities.Digest)
	if err != nil {
		return err
	}
	if err := certs.CheckRevocations(crl, ca); err != nil {
		return fault(unusable(lists.Ref, "%v", err))
	}
	return nil
}

// purpose keeps a secret from being taken for another one.
func purpose(digest string) string { return "tenant secret " + digest }

// fault is Octavia's answer to a secret that cannot be used (CertificateRetrievalException in octavia/common/exceptions.py),
// with the reason.
func fault(err error) error {
	var u *Unusable
	if errors.As(err, &u) {
		return lb.Refuse(lb.InvalidReference, "Could not retrieve certificate: %v", u)
	}
	return err
}
