package ca_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/ca"
	"github.com/octavo-lb/octavo/secrets"
)

const (
	amphoraA = "7f3ab2c4-91c0-4d1e-8a55-0242ac120002"
	amphoraB = "7f3ab2c4-91c0-4d1e-8a55-0242ac120003"
)

// shelf keeps material as the database does.
type shelf struct {
	mu    sync.Mutex
	kept  map[string][]byte
	fails error
}

func newShelf() *shelf { return &shelf{kept: map[string][]byte{}} }

func (s *shelf) Material(_ context.Context, name string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept[name] == nil {
		return nil, cmp.Or(s.fails, errors.New("not found"))
	}
	return s.kept[name], s.fails
}

func (s *shelf) CreateMaterial(_ context.Context, name string, data []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept[name] == nil && s.fails == nil {
		s.kept[name] = data
	}
	return s.kept[name], s.fails
}

func (s *shelf) SwapMaterial(_ context.Context, name string, was, data []byte) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fails != nil || !bytes.Equal(s.kept[name], was) {
		return false, s.fails
	}
	s.kept[name] = data
	return true, nil
}

type clock struct{ now time.Time }

func (c *clock) Now() time.Time          { return c.now }
func (c *clock) Advance(d time.Duration) { c.now = c.now.Add(d) }

// deployment is what several controllers share.
type deployment struct {
	*shelf
	keyFile string
	clock   *clock
}

func newDeployment(t *testing.T) *deployment {
	return &deployment{newShelf(), filepath.Join(t.TempDir(), "key"), &clock{time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}}
}

// controller opens the authorities as one more controller of the deployment.
func (d *deployment) controller(t *testing.T) *ca.Authorities {
	t.Helper()
	keyring, err := secrets.OpenKeyring(d.keyFile)
	if err != nil {
		t.Fatal(err)
	}
	a, err := ca.Open(t.Context(), d.shelf, keyring, ca.Options{Clock: d.clock.Now, ServerAddresses: []netip.Addr{netip.MustParseAddr("198.18.0.1")},
		ServerNames: []string{ca.DefaultServerName}})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// issuingCA reads the issuing CA's certificate as it is stored.
func (d *deployment) issuingCA(t *testing.T) *x509.Certificate {
	t.Helper()
	keyring, err := secrets.OpenKeyring(d.keyFile)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := keyring.Open(d.kept["ca/issuing"], "ca/issuing")
	if err != nil {
		t.Fatal(err)
	}
	var stored []struct{ Certificate []byte }
	if err := json.Unmarshal(plain, &stored); err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(stored[0].Certificate)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func request(t *testing.T, key any, template *x509.CertificateRequest) string {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

func newKey(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func signed(t *testing.T, a *ca.Authorities, amphora string) *x509.Certificate {
	t.Helper()
	c, err := a.SignAgent(request(t, newKey(t, elliptic.P256()), &x509.CertificateRequest{}), amphora)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, c.PEM)
}

func parse(t *testing.T, text string) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		t.Fatalf("no certificate in %q", text)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func verifyClient(a *ca.Authorities, c *x509.Certificate, now time.Time) error {
	_, err := c.Verify(x509.VerifyOptions{Roots: a.ClientCAs(), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return err
}

func verifyServer(bundle string, c *x509.Certificate, now time.Time) error {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(bundle))
	_, err := c.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, DNSName: ca.DefaultServerName,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	return err
}

func server(t *testing.T, a *ca.Authorities) *x509.Certificate {
	t.Helper()
	c, err := a.ServerCertificate(&tls.ClientHelloInfo{})
	if err != nil {
		t.Fatal(err)
	}
	return c.Leaf
}

func TestFirstStartsAtOnceAgreeOnOneCA(t *testing.T) {
	d := newDeployment(t)
	controllers := make([]*ca.Authorities, 8)
	var wg sync.WaitGroup
	for i := range controllers {
		wg.Go(func() { controllers[i] = d.controller(t) })
	}
	wg.Wait()
	_, hash := controllers[0].EnrolToken(amphoraA, d.clock.now)
	for i, a := range controllers {
		if err := verifyClient(controllers[0], signed(t, a, amphoraA), d.clock.now); err != nil {
			t.Errorf("controller %d signs with another CA: %v", i, err)
		}
		if a.Trust().ServerCA != controllers[0].Trust().ServerCA {
			t.Errorf("controller %d shows another controller CA", i)
		}
		if _, h := a.EnrolToken(amphoraA, d.clock.now); h != hash {
			t.Errorf("controller %d makes other tokens", i)
		}
	}
}

func TestOnlyTheKeyIsTakenFromARequest(t *testing.T) {
	d := newDeployment(t)
	a := d.controller(t)
	foreign, _ := url.Parse(agentapi.AmphoraURI(amphoraB))
	key := newKey(t, elliptic.P256())
	csr := request(t, key, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: amphoraB, Organization: []string{"evil"}}, URIs: []*url.URL{foreign}, DNSNames: []string{ca.DefaultServerName}})
	answer, err := a.SignAgent(csr, amphoraA)
	if err != nil {
		t.Fatal(err)
	}
	c := parse(t, answer.PEM)
	if id, err := ca.AmphoraOf(c); err != nil || id != amphoraA {
		t.Errorf("names %q, %v", id, err)
	}
	if c.Subject.String() != "CN="+amphoraA || len(c.DNSNames) != 0 || !key.PublicKey.Equal(c.PublicKey) {
		t.Errorf("subject %v, names %v", c.Subject, c.DNSNames)
	}
	if len(c.ExtKeyUsage) != 1 || c.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth || c.KeyUsage != x509.KeyUsageDigitalSignature || c.IsCA {
		t.Errorf("usage %v %v, CA %v", c.KeyUsage, c.ExtKeyUsage, c.IsCA)
	}
	if len(c.SubjectKeyId) != 20 || len(c.AuthorityKeyId) != 20 {
		t.Errorf("key ids %x %x", c.SubjectKeyId, c.AuthorityKeyId)
	}
	if answer.Serial != ca.Serial(c) || !answer.NotAfter.Equal(c.NotAfter) {
		t.Errorf("answer %+v for certificate %s until %v", answer, ca.Serial(c), c.NotAfter)
	}
	if life, renew := c.NotAfter.Sub(d.clock.now), answer.RenewAfter.Sub(d.clock.now); life != 30*24*time.Hour || renew != 20*24*time.Hour {
		t.Errorf("life %v, renewed after %v", life, renew)
	}
	if behind := d.clock.now.Add(-59 * time.Minute); verifyClient(a, c, behind) != nil {
		t.Error("a clock that is behind by less than an hour refuses the certificate")
	}
	if fromRequest, err := ca.CSRKey(csr); err != nil || fromRequest != answer.Key {
		t.Errorf("key %q, %q, %v", fromRequest, answer.Key, err)
	}
}

func TestStrictVerifierAcceptsBothChains(t *testing.T) {
	d := newDeployment(t)
	d.clock.now = time.Now()
	a := d.controller(t)
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	encode := func(c *x509.Certificate) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	issuingCA := write("issuing-ca.pem", encode(d.issuingCA(t)))
	controllerCA := write("controller-ca.pem", a.Trust().ServerCA)
	serverLeaf := write("server.pem", encode(server(t, a)))
	client := write("client.pem", encode(signed(t, a, amphoraA)))
	verify := func(purpose, roots, leaf string) error {
		out, err := exec.Command("openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile", roots, leaf).CombinedOutput()
		t.Logf("openssl verify -purpose %s: %s", purpose, out)
		return err
	}
	if err := verify("sslserver", controllerCA, serverLeaf); err != nil {
		t.Error(err)
	}
	if err := verify("sslclient", issuingCA, client); err != nil {
		t.Error(err)
	}
	if err := verify("sslclient", controllerCA, serverLeaf); err == nil {
		t.Error("a controller's certificate passes as a client's")
	}
	if err := verify("sslclient", controllerCA, client); err == nil {
		t.Error("an agent's certificate is trusted by the controller CA")
	}
}

func TestAuthoritiesDoNotVouchForEachOther(t *testing.T) {
	d := newDeployment(t)
	a := d.controller(t)
	if err := verifyServer(a.Trust().ServerCA, server(t, a), d.clock.now); err != nil {
		t.Errorf("an agent refuses its controller: %v", err)
	}
	if verifyClient(a, server(t, a), d.clock.now) == nil {
		t.Error("a controller's certificate passes as an agent's")
	}
	if verifyServer(a.Trust().ServerCA, signed(t, a, amphoraA), d.clock.now) == nil {
		t.Error("an agent's certificate passes as a controller's")
	}
}

func TestOneCAInBothPlacesIsRefused(t *testing.T) {
	d := newDeployment(t)
	d.controller(t)
	keyring, err := secrets.OpenKeyring(d.keyFile)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := keyring.Open(d.kept["ca/issuing"], "ca/issuing")
	if err != nil {
		t.Fatal(err)
	}
	if d.kept["ca/controller"], err = keyring.Seal(plain, "ca/controller"); err != nil {
		t.Fatal(err)
	}
	if _, err := ca.Open(t.Context(), d.shelf, keyring, ca.Options{}); err == nil || !strings.Contains(err.Error(), "are the same") {
		t.Errorf("got %v", err)
	}
}

func TestUnusableRequestsAreRefused(t *testing.T) {
	a := newDeployment(t).controller(t)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		weak = nil // this Go refuses to make one
	}
	strong, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := request(t, newKey(t, elliptic.P256()), &x509.CertificateRequest{})
	block, _ := pem.Decode([]byte(good))
	block.Bytes[len(block.Bytes)-1] ^= 1
	cases := map[string]string{
		"nothing":       "",
		"not PEM":       "csr",
		"another block": strings.ReplaceAll(good, "CERTIFICATE REQUEST", "CERTIFICATE"),
		"two blocks":    good + good,
		"bad signature": string(pem.EncodeToMemory(block)),
		"P-224":         request(t, newKey(t, elliptic.P224()), &x509.CertificateRequest{}),
	}
	if weak != nil {
		cases["RSA 1024"] = request(t, weak, &x509.CertificateRequest{})
	}
	for name, csr := range cases {
		if _, err := a.SignAgent(csr, amphoraA); !errors.Is(err, ca.ErrBadRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, csr := range map[string]string{"RSA 2048": request(t, strong, &x509.CertificateRequest{}),
		"Ed25519": request(t, edwards, &x509.CertificateRequest{}), "P-384": request(t, newKey(t, elliptic.P384()), &x509.CertificateRequest{})} {
		if _, err := a.SignAgent(csr, amphoraA); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, id := range []string{"", "x", amphoraA + "/../" + amphoraB, strings.ToUpper(amphoraA), amphoraA + "\n"} {
		if _, err := a.SignAgent(good, id); err == nil {
			t.Errorf("certified amphora %q", id)
		}
	}
}

func TestServerCertificateRenewsItselfWhileRunning(t *testing.T) {
	d := newDeployment(t)
	a := d.controller(t)
	first := server(t, a)
	d.clock.Advance(19 * 24 * time.Hour)
	if !server(t, a).Equal(first) {
		t.Error("renewed before two thirds of its life")
	}
	d.clock.Advance(2 * 24 * time.Hour)
	second := server(t, a)
	if second.Equal(first) {
		t.Error("not renewed after two thirds of its life")
	}
	if err := verifyServer(a.Trust().ServerCA, second, d.clock.now); err != nil {
		t.Error(err)
	}
}

// An agent renews within 30 days and takes the bundle over then. Walk through the whole life of a CA and its successor day
// by day with such an agent: controller and agent must accept each other on each day.
func TestAgentOutlivesTheRotationOfBothCAs(t *testing.T) {
	d := newDeployment(t)
	keyring, err := secrets.OpenKeyring(d.keyFile)
	if err != nil {
		t.Fatal(err)
	}
	const day = 24 * time.Hour
	options := ca.Options{Clock: d.clock.Now, CALifetime: 400 * day}
	a, err := ca.Open(t.Context(), d.shelf, keyring, options)
	if err != nil {
		t.Fatal(err)
	}
	csr := request(t, newKey(t, elliptic.P256()), &x509.CertificateRequest{})
	var mine ca.AgentCertificate
	var bundle string
	signers := map[string]bool{}
	for passed := range 1000 {
		if err := a.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if passed == 0 || d.clock.now.After(mine.RenewAfter.Add(9*day)) {
			if mine, err = a.SignAgent(csr, amphoraA); err != nil {
				t.Fatal(err)
			}
			bundle = a.Trust().ServerCA
		}
		if err := verifyClient(a, parse(t, mine.PEM), d.clock.now); err != nil {
			t.Fatalf("day %d: the controller refuses the agent: %v", passed, err)
		}
		if err := verifyServer(bundle, server(t, a), d.clock.now); err != nil {
			t.Fatalf("day %d: the agent refuses the controller: %v", passed, err)
		}
		signers[server(t, a).Issuer.CommonName] = true
		d.clock.Advance(day)
	}
	if len(signers) < 3 {
		t.Errorf("in 1000 days only these signed: %v", signers)
	}
}

func TestKeyMaterialIsSealedAnewAfterTheKeyWasRotated(t *testing.T) {
	d := newDeployment(t)
	before := d.controller(t)
	old := d.kept["ca/issuing"]
	if err := secrets.RotateKeyFile(d.keyFile); err != nil {
		t.Fatal(err)
	}
	after := d.controller(t)
	if after.Trust().ServerCA != before.Trust().ServerCA {
		t.Error("the rotation of the key changed the CA")
	}
	keyring, err := secrets.OpenKeyring(d.keyFile)
	if err != nil {
		t.Fatal(err)
	}
	for name, sealed := range d.kept {
		if keyring.Stale(sealed) {
			t.Errorf("%s is still sealed with the old key", name)
		}
	}
	if string(old) == string(d.kept["ca/issuing"]) {
		t.Error("nothing was sealed anew")
	}
}

func TestForeignKeyFileIsToldApartFromDamage(t *testing.T) {
	d := newDeployment(t)
	d.controller(t)
	foreign, err := secrets.OpenKeyring(filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ca.Open(t.Context(), d.shelf, foreign, ca.Options{}); !errors.Is(err, secrets.ErrUnknownKey) {
		t.Errorf("got %v", err)
	}
}

func TestFailedRefreshKeepsWhatIsKnown(t *testing.T) {
	d := newDeployment(t)
	a := d.controller(t)
	d.fails = errors.New("database down")
	if err := a.Refresh(t.Context()); err == nil {
		t.Fatal("no error")
	}
	if err := verifyClient(a, signed(t, a, amphoraA), d.clock.now); err != nil {
		t.Error(err)
	}
}

func TestTokenIsForOneAmphoraAndExpiry(t *testing.T) {
	d := newDeployment(t)
	a := d.controller(t)
	token, hash := a.EnrolToken(amphoraA, d.clock.now)
	again, sameHash := a.EnrolToken(amphoraA, d.clock.now.Add(time.Millisecond))
	if !token.Equal(again) || hash != sameHash || hash != ca.HashToken(token.Reveal()) {
		t.Error("the same amphora and expiry give two tokens")
	}
	if id, err := ca.TokenAmphora(token.Reveal()); err != nil || id != amphoraA {
		t.Errorf("token for %q, %v", id, err)
	}
	_, otherHash := a.EnrolToken(amphoraB, d.clock.now)
	_, laterHash := a.EnrolToken(amphoraA, d.clock.now.Add(time.Second))
	for name, h := range map[string]string{"another amphora": otherHash, "another expiry": laterHash, "none": ""} {
		if ca.TokenMatches(token.Reveal(), h) {
			t.Errorf("the token matches the hash of %s", name)
		}
	}
	if !ca.TokenMatches(token.Reveal(), hash) {
		t.Error("the token does not match its own hash")
	}
	for _, bad := range []string{"", ".", amphoraA, "x." + amphoraA} {
		if _, err := ca.TokenAmphora(bad); err == nil {
			t.Errorf("%q passes as a token", bad)
		}
	}
}
