package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/octavo-lb/octavo/agentapi"
)

// AgentCertificate is what an agent proves its identity with.
type AgentCertificate struct {
	PEM        string
	Serial     string // as Serial gives it
	NotAfter   time.Time
	RenewAfter time.Time
	// Key identifies the key that was certified (see CSRKey).
	Key string
	// Issuer is the label of the CA that signed (Authority.Label).
	Issuer string
}

// ErrBadRequest is an unusable certificate request: the agent's fault, and the same again if it is sent again.
var ErrBadRequest = errors.New("unusable certificate request")

// SignAgent certifies the key of a request (PEM, PKCS #10) for the amphora. Nothing else is taken from the request: who the
// agent is was decided by how it proved itself. The error is ErrBadRequest if the request is at fault.
func (a *Authorities) SignAgent(csr, amphoraID string) (AgentCertificate, error) {
	if !uuidPattern.MatchString(amphoraID) {
		return AgentCertificate{}, fmt.Errorf("cannot certify amphora %q: not a UUID", amphoraID)
	}
	request, err := parseCSR(csr)
	if err != nil {
		return AgentCertificate{}, err
	}
	identity, err := url.Parse(agentapi.AmphoraURI(amphoraID))
	if err != nil {
		return AgentCertificate{}, fmt.Errorf("cannot certify amphora %s: %w", amphoraID, err)
	}
	issuing, _ := a.current()
	by := issuing.signer(a.options.Clock())
	leaf, err := a.sign(by, request.PublicKey, a.options.ClientLifetime, &x509.Certificate{
		Subject:     pkix.Name{CommonName: amphoraID},
		URIs:        []*url.URL{identity},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return AgentCertificate{}, fmt.Errorf("cannot certify amphora %s: %w", amphoraID, err)
	}
	return AgentCertificate{
		PEM:        encodeCertificate(leaf.Raw),
		Serial:     Serial(leaf),
		NotAfter:   leaf.NotAfter,
		RenewAfter: a.renewAfter(leaf),
		Key:        fingerprint(request.RawSubjectPublicKeyInfo),
		Issuer:     by.label,
	}, nil
}

// CSRKey identifies the key of a certificate request: hex SHA-256 of its public key. A request that is sent again after
// its answer was lost has the same.
func CSRKey(csr string) (string, error) {
	request, err := parseCSR(csr)
	if err != nil {
		return "", err
	}
	return fingerprint(request.RawSubjectPublicKeyInfo), nil
}

// Serial is a certificate's serial number in hex.
func Serial(c *x509.Certificate) string { return c.SerialNumber.Text(16) }

// AmphoraOf reads the amphora's id from a certificate that the issuing CA signed. A certificate that names anything but one
// amphora, in all places, is refused.
func AmphoraOf(c *x509.Certificate) (string, error) {
	if len(c.URIs) != 1 || len(c.DNSNames)+len(c.IPAddresses)+len(c.EmailAddresses) > 0 {
		return "", errors.New("the certificate does not name exactly one amphora")
	}
	id, ok := strings.CutPrefix(c.URIs[0].String(), agentapi.AmphoraURI(""))
	if !ok || !uuidPattern.MatchString(id) || c.Subject.CommonName != id {
		return "", errors.New("the certificate names no amphora")
	}
	return id, nil
}

var uuidPattern = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// sign completes the template and signs it.
func (a *Authorities) sign(by *generation, public crypto.PublicKey, lifetime time.Duration, template *x509.Certificate) (*x509.Certificate, error) {
	id, err := keyID(public)
	if err != nil {
		return nil, err
	}
	now := a.options.Clock()
	serial := make([]byte, 16)
	_, _ = rand.Read(serial) // never fails
	serial[0] = serial[0]&0x7f | 0x40
	template.SerialNumber = new(big.Int).SetBytes(serial)
	template.NotBefore = now.Add(-a.options.Skew)
	template.NotAfter = earlier(now.Add(lifetime), by.certificate.NotAfter)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.BasicConstraintsValid = true
	template.SubjectKeyId = id
	template.SignatureAlgorithm = signature(by.key, a.options.Digest)
	der, err := x509.CreateCertificate(rand.Reader, template, by.certificate, public, by.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// signature is how a key signs with the digest; zero for its usual way.
func signature(key crypto.Signer, digest crypto.Hash) x509.SignatureAlgorithm {
	switch key.(type) {
	case *rsa.PrivateKey:
		return map[crypto.Hash]x509.SignatureAlgorithm{crypto.SHA256: x509.SHA256WithRSA, crypto.SHA384: x509.SHA384WithRSA, crypto.SHA512: x509.SHA512WithRSA}[digest]
	case *ecdsa.PrivateKey:
		return map[crypto.Hash]x509.SignatureAlgorithm{crypto.SHA256: x509.ECDSAWithSHA256, crypto.SHA384: x509.ECDSAWithSHA384, crypto.SHA512: x509.ECDSAWithSHA512}[digest]
	}
	return 0
}

// renewAfter is two thirds into the life of a certificate that was just made, or RenewBefore its end, but never sooner than
// after a third.
func (a *Authorities) renewAfter(leaf *x509.Certificate) time.Time {
	now := a.options.Clock()
	life := leaf.NotAfter.Sub(now)
	if a.options.RenewBefore > 0 {
		return now.Add(max(life-a.options.RenewBefore, life/3))
	}
	return now.Add(life * 2 / 3)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func parseCSR(text string) (*x509.CertificateRequest, error) {
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE REQUEST" || strings.TrimSpace(string(rest)) != "" {
		return nil, fmt.Errorf("%w: not one PEM block CERTIFICATE REQUEST", ErrBadRequest)
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrBadRequest, err)
	}
	if err := strongEnough(request.PublicKey); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrBadRequest, err)
	}
	// After the look at the key, so that nobody makes us check a signature by a key of absurd size.
	if err := request.CheckSignature(); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrBadRequest, err)
	}
	return request, nil
}

func strongEnough(public crypto.PublicKey) error {
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		if bits := key.Curve.Params().BitSize; bits < 256 {
			return fmt.Errorf("an ECDSA key of %d bits is too weak", bits)
		}
	case ed25519.PublicKey:
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < 2048 || bits > 8192 {
			return fmt.Errorf("an RSA key of %d bits is not accepted", bits)
		}
	default:
		return fmt.Errorf("a key of type %T is not accepted", public)
	}
	return nil
}

func fingerprint(spki []byte) string {
	sum := sha256.Sum256(spki)
	return hex.EncodeToString(sum[:])
}
