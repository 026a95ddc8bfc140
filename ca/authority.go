package ca

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// authority is one CA with its successors. It is never changed once loaded.
type authority struct {
	generations []generation // oldest first
	pool        *x509.CertPool
	bundle      string // PEM, newest first
}

// generation is one certificate and key of an authority.
type generation struct {
	version     int
	certificate *x509.Certificate
	key         crypto.Signer
	usedFrom    time.Time
}

// material is the stored form of a generation, before it is sealed.
type material struct {
	Certificate []byte    `json:"certificate"` // DER
	Key         []byte    `json:"key"`         // PKCS #8 DER
	UsedFrom    time.Time `json:"used_from"`
}

// signer is the newest generation that is in use by now; the oldest one if the clock is before all of them.
func (a *authority) signer(now time.Time) generation {
	for _, g := range slices.Backward(a.generations) {
		if !g.usedFrom.After(now) && now.Before(g.certificate.NotAfter) {
			return g
		}
	}
	return a.generations[0]
}

func (a *Authorities) loadAuthority(ctx context.Context, name string) (*authority, error) {
	generations, err := a.loadGenerations(ctx, name)
	if err != nil {
		return nil, err
	}
	if next, due := a.successor(generations); due {
		if err := a.addGeneration(ctx, name, next); err != nil {
			return nil, err
		}
		// Read again: another controller may have been first, and then its one counts.
		if generations, err = a.loadGenerations(ctx, name); err != nil {
			return nil, err
		}
	}
	if len(generations) == 0 {
		return nil, fmt.Errorf("the %s CA vanished from the database while it was made", name)
	}
	return bundle(generations), nil
}

// successor tells whether a generation is to be made, and from when it is used.
func (a *Authorities) successor(generations []generation) (next generation, due bool) {
	now := a.options.Clock()
	if len(generations) == 0 {
		return generation{version: 1, usedFrom: now}, true
	}
	newest := generations[len(generations)-1]
	if newest.certificate.NotAfter.Sub(now) > a.options.CALifetime/3 {
		return generation{}, false
	}
	return generation{version: newest.version + 1, usedFrom: now.Add(a.options.overlap())}, true
}

func (a *Authorities) loadGenerations(ctx context.Context, name string) ([]generation, error) {
	sealed, err := a.shelf.CAMaterial(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("cannot load the %s CA: %w", name, err)
	}
	var generations []generation
	for _, version := range slices.Sorted(maps.Keys(sealed)) {
		plain, err := a.open(ctx, name, version, sealed[version])
		if err != nil {
			return nil, err
		}
		g, err := decodeGeneration(version, plain)
		if err != nil {
			return nil, fmt.Errorf("version %d of the %s CA in the database is damaged: %w", version, name, err)
		}
		generations = append(generations, g)
	}
	return generations, nil
}

// open unseals material and, when the key file has a newer key since, seals it with that.
func (a *Authorities) open(ctx context.Context, name string, version int, sealed []byte) ([]byte, error) {
	plain, err := a.sealer.Open(sealed, purpose(name, version))
	if err != nil {
		return nil, err
	}
	if a.sealer.Stale(sealed) {
		renewed, err := a.sealer.Seal(plain, purpose(name, version))
		if err == nil {
			err = a.shelf.ReplaceCAMaterial(ctx, name, version, renewed)
		}
		if err != nil {
			return nil, fmt.Errorf("cannot seal the %s CA with the newest key: %w", name, err)
		}
	}
	return plain, nil
}

// addGeneration makes a key and certificate and puts them on the shelf, unless another controller was first.
func (a *Authorities) addGeneration(ctx context.Context, name string, g generation) error {
	m, err := a.newMaterial(name, g)
	if err != nil {
		return fmt.Errorf("cannot make the %s CA: %w", name, err)
	}
	return a.add(ctx, name, g.version, m)
}

func (a *Authorities) add(ctx context.Context, name string, version int, plain []byte) error {
	sealed, err := a.sealer.Seal(plain, purpose(name, version))
	if err != nil {
		return err
	}
	first, err := a.shelf.AddCAMaterial(ctx, name, version, sealed)
	if err != nil {
		return fmt.Errorf("cannot store %s: %w", purpose(name, version), err)
	}
	if first {
		a.options.Logger.Info("made key material", "name", name, "version", version)
	}
	return nil
}

func (a *Authorities) newMaterial(name string, g generation) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template, err := a.caTemplate(name, g.version, key.Public())
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return json.Marshal(material{Certificate: der, Key: keyDER, UsedFrom: g.usedFrom.UTC()})
}

func (a *Authorities) caTemplate(name string, version int, public crypto.PublicKey) (*x509.Certificate, error) {
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
		Subject:               pkix.Name{Organization: []string{"Octavo"}, CommonName: fmt.Sprintf("Octavo %s CA %d %x", name, version, id[:4])},
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

func decodeGeneration(version int, plain []byte) (generation, error) {
	var m material
	if err := json.Unmarshal(plain, &m); err != nil {
		return generation{}, err
	}
	certificate, err := x509.ParseCertificate(m.Certificate)
	if err != nil {
		return generation{}, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(m.Key)
	if err != nil {
		return generation{}, err
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || !key.PublicKey.Equal(certificate.PublicKey) {
		return generation{}, errors.New("key and certificate do not belong together")
	}
	return generation{version: version, certificate: certificate, key: key, usedFrom: m.UsedFrom}, nil
}

func bundle(generations []generation) *authority {
	a := &authority{generations: generations, pool: x509.NewCertPool()}
	var text strings.Builder
	for _, g := range slices.Backward(generations) {
		a.pool.AddCert(g.certificate)
		text.WriteString(encodeCertificate(g.certificate.Raw))
	}
	a.bundle = text.String()
	return a
}

func encodeCertificate(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// keyID is a subject key identifier by the first method of RFC 7093.
func keyID(public crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(der)
	return sum[:20], nil
}
