package keymanager

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"time"

	"github.com/octavo-lb/octavo/secrets/certs"
)

// Noop has something for every reference, the same each time: Octavia's noop_cert_manager, for those who develop against
// the API. Its keys follow from a text that everybody can read and protect nothing.
type Noop struct{}

// Certificate answers a certificate that signed itself.
func (Noop) Certificate(_ context.Context, ref string) (Material, error) {
	certificate, key, err := noopAuthority(ref)
	if err != nil {
		return Material{}, err
	}
	return certificateOf(certificate, key)
}

func certificateOf(leaf *x509.Certificate, key ed25519.PrivateKey) (Material, error) {
	return certificate(&certs.Certificate{Leaf: leaf, Key: key})
}

// Authorities answers the one authority that there is.
func (Noop) Authorities(context.Context, string) (Material, error) {
	authority, _, err := noopAuthority("")
	if err != nil {
		return Material{}, err
	}
	return material(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Raw})), nil
}

// Revocations answers the authority's empty list.
func (Noop) Revocations(context.Context, string) (Material, error) {
	authority, key, err := noopAuthority("")
	if err != nil {
		return Material{}, err
	}
	list, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: authority.NotBefore,
		NextUpdate: authority.NotAfter}, authority, key)
	if err != nil {
		return Material{}, err
	}
	return material(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: list})), nil
}

// Grant has nothing to do.
func (Noop) Grant(context.Context, Caller, string) error { return nil }

// noopAuthority is the same for the same name: Ed25519 signs without randomness.
func noopAuthority(name string) (*x509.Certificate, ed25519.PrivateKey, error) {
	seed := sha256.Sum256([]byte("noop " + name))
	key := ed25519.NewKeyFromSeed(seed[:])
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "noop"}, SubjectKeyId: seed[:20],
		NotBefore: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2120, 1, 1, 0, 0, 0, 0, time.UTC),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	made, err := x509.ParseCertificate(der)
	return made, key, err
}
