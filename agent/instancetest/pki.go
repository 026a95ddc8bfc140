package instancetest

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/agentapi"
)

// CA is an authority of the users', for certificates of listeners, members and clients.
type CA struct {
	t testing.TB
	a authority
}

// NewCA makes one.
func NewCA(t testing.TB, name string) *CA { return &CA{t, newAuthority(t, name)} }

// PEM is the CA's certificate.
func (ca *CA) PEM() []byte { return []byte(ca.a.pem()) }

// Pool trusts the CA.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.a.certificate)
	return pool
}

// Issue makes a certificate for the name and returns it with its key as HAProxy loads it, and as Go's TLS does.
func (ca *CA) Issue(name string) ([]byte, tls.Certificate) {
	key, der := ca.a.sign(ca.t, &x509.Certificate{
		Subject: pkix.Name{CommonName: name, Organization: []string{"Octavo's \"tests\""}}, DNSNames: []string{name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, nil)
	return []byte(encode(der) + encodeKey(ca.t, key)), tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// Revoke lists certificates that are not good any more.
func (ca *CA) Revoke(certificates ...tls.Certificate) []byte {
	list := &x509.RevocationList{Number: big.NewInt(time.Now().UnixNano()), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour)}
	for _, c := range certificates {
		leaf, err := x509.ParseCertificate(c.Certificate[0])
		if err != nil {
			ca.t.Fatal(err)
		}
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: leaf.SerialNumber, RevocationTime: time.Now().Add(-time.Minute)})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, ca.a.certificate, ca.a.key)
	if err != nil {
		ca.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}

func encodeKey(t testing.TB, key *ecdsa.PrivateKey) string {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// AddSecret makes a secret available to the agent and names it in the state.
func (c *Controller) AddSecret(state *agentapi.State, ref string, content []byte) {
	sum := sha256.Sum256(content)
	digest := hex.EncodeToString(sum[:])
	c.Secret(digest, agentapi.SecretBundle{PEM: content})
	if state.Secrets == nil {
		state.Secrets = map[string]agentapi.Secret{}
	}
	state.Secrets[ref] = agentapi.Secret{Digest: digest}
}
