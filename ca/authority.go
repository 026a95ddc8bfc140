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
	"slices"
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
	certificate *x509.Certificate
	key         crypto.Signer
	usedFrom    time.Time
}

// material is the stored form of a generation; an authority is stored as a list of them, sealed.
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
	plain, err := a.load(ctx, name, func() ([]byte, error) { return a.grow(name, nil, a.options.Clock()) })
	if err != nil {
		return nil, err
	}
	known, err := decodeAuthority(plain)
	if err != nil {
		return nil, fmt.Errorf("%s in the database is damaged: %w", name, err)
	}
	now := a.options.Clock()
	newest := known.generations[len(known.generations)-1].certificate
	if newest.NotAfter.Sub(now) > a.options.CALifetime/3 {
		return known, nil
	}
	// Two controllers may make a successor at once. The last one written counts; as it is not used before every controller
	// has read it several times, the loser signs nothing.
	if plain, err = a.grow(name, plain, now.Add(a.options.overlap())); err != nil {
		return nil, fmt.Errorf("cannot make the successor of %s: %w", name, err)
	}
	if err := a.put(ctx, name, plain); err != nil {
		return nil, err
	}
	a.options.Logger.Info("made the successor of a certificate authority", "name", name)
	return decodeAuthority(plain)
}

// grow adds a generation to an authority's stored form. Those that nobody can still have use for are dropped.
func (a *Authorities) grow(name string, plain []byte, usedFrom time.Time) ([]byte, error) {
	var stored []material
	if plain != nil {
		if err := json.Unmarshal(plain, &stored); err != nil {
			return nil, err
		}
	}
	stored = slices.DeleteFunc(stored, func(m material) bool {
		c, err := x509.ParseCertificate(m.Certificate)
		return err == nil && c.NotAfter.Before(a.options.Clock())
	})
	next, err := a.newGeneration(name, usedFrom)
	if err != nil {
		return nil, err
	}
	return json.Marshal(append(stored, next))
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
	usage, role := x509.ExtKeyUsageClientAuth, "issuing"
	if name == controllerName {
		usage, role = x509.ExtKeyUsageServerAuth, "controller"
	}
	return &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{"Octavo"}, CommonName: fmt.Sprintf("Octavo %s CA %x", role, id[:4])},
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

func decodeAuthority(plain []byte) (*authority, error) {
	var stored []material
	if err := json.Unmarshal(plain, &stored); err != nil {
		return nil, err
	}
	if len(stored) == 0 {
		return nil, errors.New("it holds no certificate")
	}
	a := &authority{pool: x509.NewCertPool()}
	for _, m := range stored {
		g, err := decodeGeneration(m)
		if err != nil {
			return nil, err
		}
		a.generations = append(a.generations, g)
		a.pool.AddCert(g.certificate)
		a.bundle = encodeCertificate(g.certificate.Raw) + a.bundle
	}
	return a, nil
}

func decodeGeneration(m material) (generation, error) {
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
	return generation{certificate: certificate, key: key, usedFrom: m.UsedFrom}, nil
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
