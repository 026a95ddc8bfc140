// Package certs reads certificates, keys, authorities and revocation lists in the forms in which tenants keep them: PKCS #12,
// PEM, several in one, keys with a passphrase, chains in PKCS #7. What it answers is checked and in one form: the one that
// HAProxy loads.
//
// All input is a stranger's. Decryption that is asked to take longer than any honest file would is refused (see pbe.go), as
// is everything else that cannot be read, with an error that says what is wrong and holds nothing of the input.
package certs

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
)

// Certificate is a server's or client's certificate with its key.
type Certificate struct {
	Leaf  *x509.Certificate
	Chain []*x509.Certificate // issuers of the leaf, each followed by its own issuer
	Key   crypto.Signer
}

// assemble checks that the parts belong together and puts the chain in order.
func assemble(certificates []*x509.Certificate, key crypto.PrivateKey) (*Certificate, error) {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("the private key cannot sign")
	}
	at := slices.IndexFunc(certificates, func(c *x509.Certificate) bool { return matches(c, signer) })
	if at < 0 {
		return nil, errors.New("the private key is not the certificate's")
	}
	c := &Certificate{Leaf: certificates[at], Key: signer}
	if c.Leaf.Subject.CommonName == "" && len(c.Leaf.DNSNames) == 0 {
		return nil, errors.New("the certificate names nobody: it has neither a common name nor a DNS name")
	}
	c.Chain = chain(c.Leaf, slices.Delete(slices.Clone(certificates), at, at+1))
	return c, nil
}

func matches(c *x509.Certificate, key crypto.Signer) bool {
	public, ok := c.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(key.Public())
}

// chain orders the issuers: clients of HAProxy get them as they come, and some clients insist on the order. Those that
// issued none of the others stay at the end.
func chain(leaf *x509.Certificate, rest []*x509.Certificate) (ordered []*x509.Certificate) {
	for current := leaf; ; {
		at := slices.IndexFunc(rest, func(c *x509.Certificate) bool {
			return bytes.Equal(c.RawSubject, current.RawIssuer) && current.CheckSignatureFrom(c) == nil
		})
		if at < 0 {
			break
		}
		current = rest[at]
		ordered, rest = append(ordered, current), slices.Delete(rest, at, at+1)
	}
	for _, c := range rest {
		if !slices.ContainsFunc(ordered, c.Equal) && !c.Equal(leaf) {
			ordered = append(ordered, c)
		}
	}
	return ordered
}

// PEM is the certificate, its key without a passphrase, and the chain: what HAProxy loads from one file.
func (c *Certificate) PEM() ([]byte, error) {
	key, err := x509.MarshalPKCS8PrivateKey(c.Key)
	if err != nil {
		return nil, fmt.Errorf("cannot write a private key: %w", err)
	}
	var b bytes.Buffer
	writePEM(&b, "CERTIFICATE", c.Leaf.Raw)
	writePEM(&b, "PRIVATE KEY", key)
	for _, issuer := range c.Chain {
		writePEM(&b, "CERTIFICATE", issuer.Raw)
	}
	return b.Bytes(), nil
}

func writePEM(b *bytes.Buffer, kind string, der []byte) {
	pem.Encode(b, &pem.Block{Type: kind, Bytes: der}) // a buffer takes everything
}

// Names are the host names that the certificate is for, the common name first.
func (c *Certificate) Names() (names []string) {
	for _, name := range append([]string{c.Leaf.Subject.CommonName}, c.Leaf.DNSNames...) {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// Parts is a certificate as a certificate container of the key manager has it. PrivateKey may be empty if Certificate
// holds the key as well; the others may be empty anyway.
type Parts struct {
	Certificate   []byte // PEM
	PrivateKey    []byte // PEM
	Passphrase    []byte // of PrivateKey
	Intermediates []byte // PEM, or PKCS #7 in PEM or DER
}

// FromParts reads a certificate in parts.
func FromParts(p Parts) (*Certificate, error) {
	certificates, keys, err := readPEM(p.Certificate, p.Passphrase)
	if err != nil {
		return nil, fmt.Errorf("the certificate: %w", err)
	}
	_, more, err := readPEM(p.PrivateKey, p.Passphrase)
	if err != nil {
		return nil, fmt.Errorf("the private key: %w", err)
	}
	intermediates, err := readIntermediates(p.Intermediates)
	if err != nil {
		return nil, fmt.Errorf("the intermediate certificates: %w", err)
	}
	keys, certificates = append(keys, more...), append(certificates, intermediates...)
	switch {
	case len(certificates) == 0:
		return nil, errors.New("there is no certificate")
	case len(keys) == 0:
		return nil, errors.New("there is no private key")
	case len(keys) > 1:
		return nil, errors.New("there is more than one private key")
	}
	return assemble(certificates, keys[0])
}

// FromBundle reads a certificate from one secret: PKCS #12 without a password, or certificate, key and chain in PEM.
func FromBundle(bundle []byte) (*Certificate, error) {
	if bytes.Contains(bundle, []byte("-----BEGIN ")) {
		return FromParts(Parts{Certificate: bundle})
	}
	return fromPKCS12(bundle)
}
