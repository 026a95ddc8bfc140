package ca

import (
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/octavo-lb/octavo/agentapi"
)

// generation is one certificate and key of an authority.
type generation struct {
	certificate *x509.Certificate
	// issuers are further certificates that an operator wants agents to trust with it; none of an authority made here.
	issuers []*x509.Certificate
	key     crypto.Signer // nil when the operator keeps it
	// server is the controllers' certificate when key is nil.
	server   *tls.Certificate
	lax      bool // the operator's controllers' certificates cannot be told apart by name and usage
	imported bool
	usedFrom time.Time
	label    string
}

// material is the stored form of a generation; an authority is stored as a list of them, sealed.
type material struct {
	Certificate []byte    `json:"certificate"`          // DER
	Issuers     [][]byte  `json:"issuers,omitempty"`    // DER
	Key         []byte    `json:"key,omitempty"`        // PKCS #8 DER
	Server      [][]byte  `json:"server,omitempty"`     // DER, leaf first
	ServerKey   []byte    `json:"server_key,omitempty"` // PKCS #8 DER
	Lax         bool      `json:"lax,omitempty"`
	Imported    bool      `json:"imported,omitempty"`
	UsedFrom    time.Time `json:"used_from"`
}

func (m *material) decode() (generation, error) {
	g := generation{lax: m.Lax, imported: m.Imported, usedFrom: m.UsedFrom, label: label(m.Certificate)}
	var err error
	if g.certificate, err = x509.ParseCertificate(m.Certificate); err != nil {
		return g, err
	}
	for _, der := range m.Issuers {
		issuer, err := x509.ParseCertificate(der)
		if err != nil {
			return g, err
		}
		g.issuers = append(g.issuers, issuer)
	}
	if m.Key != nil {
		g.key, err = parseSigner(m.Key, g.certificate)
		return g, err
	}
	if len(m.Server) == 0 {
		return g, errors.New("there is no key")
	}
	leaf, err := x509.ParseCertificate(m.Server[0])
	if err != nil {
		return g, err
	}
	key, err := parseSigner(m.ServerKey, leaf)
	g.server = &tls.Certificate{Certificate: m.Server, PrivateKey: key, Leaf: leaf}
	return g, err
}

func parseSigner(der []byte, of *x509.Certificate) (crypto.Signer, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(crypto.Signer)
	if !ok || !belongs(key, of) {
		return nil, errors.New("key and certificate do not belong together")
	}
	return key, nil
}

func belongs(key crypto.Signer, c *x509.Certificate) bool {
	public, ok := c.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(key.Public())
}

// label names a generation where agents and people see it.
func label(der []byte) string {
	sum := sha256.Sum256(der)
	return "ca-" + hex.EncodeToString(sum[:8])
}

// works tells whether the generation can make, or is, a certificate that is good at the time.
func (g *generation) works(now time.Time) bool {
	if g.key == nil {
		return now.Before(g.server.Leaf.NotAfter)
	}
	return now.Before(g.certificate.NotAfter)
}

// bundle is what agents trust of it.
func (g *generation) bundle() string {
	text := encodeCertificate(g.certificate.Raw)
	for _, issuer := range g.issuers {
		text += encodeCertificate(issuer.Raw)
	}
	return text
}

// sni is what agents show for a certificate of this generation.
func (g *generation) sni() string { return g.label + "." + DefaultServerName }

// trust is that of an agent which knows these generations, oldest first.
func trust(generations []generation, now time.Time) (t agentapi.Trust) {
	for i := range generations {
		g := &generations[i]
		if g.lax {
			t.OperatorCA = g.bundle() + t.OperatorCA
		} else {
			t.ServerCA = g.bundle() + t.ServerCA
		}
		if g.works(now) {
			t.ServerLabel = g.sni()
		}
	}
	return t
}

func encodeCertificate(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// keyID is a subject key identifier by the first method of RFC 7093.
func keyID(public crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("cannot identify a key: %w", err)
	}
	sum := sha256.Sum256(der)
	return sum[:20], nil
}
