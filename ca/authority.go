package ca

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// authority is one CA with its predecessors and successors. It is never changed once loaded.
type authority struct {
	generations []generation // oldest first
	pool        *x509.CertPool
	sealed      []byte // as it is on the shelf
}

// signer is the newest generation that is in use by now; the oldest one if the clock is before all of them.
func (a *authority) signer(now time.Time) *generation {
	for i := range slices.Backward(a.generations) {
		if g := &a.generations[i]; !g.usedFrom.After(now) && g.works(now) {
			return g
		}
	}
	return &a.generations[0]
}

// known is the newest generation that works and that an agent trusts which asks for name: the one that it was told of, or one
// before that. Without a label in the name it is the one in use.
func (a *authority) known(name string, now time.Time) *generation {
	at := slices.IndexFunc(a.generations, func(g generation) bool { return strings.EqualFold(g.sni(), name) })
	for ; at >= 0; at-- {
		if a.generations[at].works(now) {
			return &a.generations[at]
		}
	}
	return a.signer(now)
}

func (a *authority) newest() *generation { return &a.generations[len(a.generations)-1] }

// loadAuthority answers what is on the shelf, with a successor when one is due; before, if nothing has changed.
func (a *Authorities) loadAuthority(ctx context.Context, name string, before *authority) (*authority, error) {
	known, err := a.readAuthority(ctx, name, before)
	if err != nil || a.options.ReadOnly || !a.ending(known) {
		return known, err
	}
	if err := a.change(ctx, name, a.succeed(name)); err != nil {
		return nil, fmt.Errorf("cannot make the successor of %s: %w", name, err)
	}
	a.options.Logger.Info("made the successor of a certificate authority", "name", name)
	return a.readAuthority(ctx, name, nil)
}

func (a *Authorities) readAuthority(ctx context.Context, name string, before *authority) (*authority, error) {
	sealed, plain, err := a.load(ctx, name, func() ([]byte, error) { return a.firstGeneration(name) })
	if err != nil {
		return nil, err
	}
	if before != nil && bytes.Equal(before.sealed, sealed) {
		return before, nil
	}
	known, err := decodeAuthority(sealed, plain)
	if err != nil {
		return nil, fmt.Errorf("%s in the database is damaged: %w", name, err)
	}
	return known, nil
}

// succeed adds a generation, unless another controller was faster.
func (a *Authorities) succeed(name string) func([]material) ([]material, error) {
	return func(stored []material) ([]material, error) {
		newest, err := stored[len(stored)-1].decode()
		if err != nil {
			return nil, err
		}
		if !a.ending(&authority{generations: []generation{newest}}) {
			return nil, errUnchanged
		}
		next, err := a.newGeneration(name, a.options.Clock().Add(a.options.overlap()))
		return append(stored, next), err
	}
}

// ending tells whether a successor is due. Those of an operator's CA are the operator's to bring.
func (a *Authorities) ending(known *authority) bool {
	newest := known.newest()
	return !newest.imported && newest.certificate.NotAfter.Sub(a.options.Clock()) <= a.options.CALifetime/3
}

// firstGeneration is what an authority starts with: what the operator brings, or one that is made.
func (a *Authorities) firstGeneration(name string) ([]byte, error) {
	now := a.options.Clock()
	brought, err := a.brought(name, &a.options.Operator)
	if err != nil {
		return nil, err
	}
	if brought == nil {
		made, err := a.newGeneration(name, now)
		if err != nil {
			return nil, err
		}
		brought = &made
	}
	brought.UsedFrom = now.UTC()
	return json.Marshal([]material{*brought})
}

func (a *Authorities) newGeneration(name string, usedFrom time.Time) (material, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return material{}, err
	}
	template, err := a.caTemplate(name, key.Public())
	if err != nil {
		return material{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return material{}, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return material{}, err
	}
	return material{Certificate: der, Key: keyDER, UsedFrom: usedFrom.UTC()}, nil
}

func (a *Authorities) caTemplate(name string, public crypto.PublicKey) (*x509.Certificate, error) {
	id, err := keyID(public)
	if err != nil {
		return nil, err
	}
	now := a.options.Clock()
	// The usage in the CA's own certificate bounds that of all it signs, so that a mix-up of the two is caught by every
	// verifier.
	usage := x509.ExtKeyUsageClientAuth
	if name == controllerName {
		usage = x509.ExtKeyUsageServerAuth
	}
	return &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{"Octavo"}, CommonName: fmt.Sprintf("Octavo %s CA %x", role(name), id[:4])},
		NotBefore:             now.Add(-a.options.Skew),
		NotAfter:              now.Add(a.options.CALifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{usage},
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
		SubjectKeyId:          id,
		AuthorityKeyId:        id,
	}, nil
}

func decodeAuthority(sealed, plain []byte) (*authority, error) {
	var stored []material
	if err := json.Unmarshal(plain, &stored); err != nil {
		return nil, err
	}
	if len(stored) == 0 {
		return nil, errors.New("it holds no certificate")
	}
	a := &authority{pool: x509.NewCertPool(), sealed: sealed}
	for i := range stored {
		g, err := stored[i].decode()
		if err != nil {
			return nil, err
		}
		a.generations = append(a.generations, g)
		a.pool.AddCert(g.certificate)
	}
	return a, nil
}
