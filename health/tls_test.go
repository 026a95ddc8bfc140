package health_test

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/store"
)

// authority signs whatever a test wants.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// issuing is the world's own issuing CA, as somebody has it who stole database and key file.
func (w *world) issuing() authority { return w.stolen("ca/issuing") }

func (w *world) stolen(name string) authority {
	w.t.Helper()
	sealed, err := w.store.Material(w.t.Context(), name)
	must(w.t, err)
	plain, err := w.keyring.Open(sealed, name)
	must(w.t, err)
	var stored []struct{ Certificate, Key []byte }
	must(w.t, json.Unmarshal(plain, &stored))
	c, err := x509.ParseCertificate(stored[0].Certificate)
	must(w.t, err)
	key, err := x509.ParsePKCS8PrivateKey(stored[0].Key)
	must(w.t, err)
	return authority{c, key.(crypto.Signer)}
}

// sign makes a certificate that is good but for what change spoils.
func (a authority) sign(t testing.TB, amphora string, change func(*x509.Certificate)) *tls.Certificate {
	t.Helper()
	identity, err := url.Parse(agentapi.AmphoraURI(amphora))
	must(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: amphora}, URIs: []*url.URL{identity},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	change(template)
	signer, signerKey := a.certificate, a.key
	if signer == nil {
		signer, signerKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer, key.Public(), signerKey)
	must(t, err)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

var everyCall = []struct{ method, path string }{
	{http.MethodGet, agentapi.PathState}, {http.MethodPost, agentapi.PathReport}, {http.MethodPost, agentapi.PathRenew},
	{http.MethodGet, agentapi.PathSecret + "/00"}, {http.MethodGet, "/"}, {http.MethodGet, "/agent/v1/enroll/"}, {http.MethodGet, "/debug/pprof/"},
	{http.MethodGet, "//agent/v1/../v1/state"},
}

// request sends one request with a body that waits to be asked for, and returns the codes of all answers: 100 is among them
// if the server wanted the body.
func request(t testing.TB, address string, config *tls.Config, method, path string) ([]int, error) {
	t.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", strings.TrimPrefix(address, "https://"), config)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	must(t, conn.SetDeadline(time.Now().Add(5*time.Second)))
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n", method, path)
	reader := bufio.NewReader(conn)
	var codes []int
	for {
		answer, err := http.ReadResponse(reader, nil)
		if err != nil {
			return codes, err
		}
		codes = append(codes, answer.StatusCode)
		if answer.StatusCode != http.StatusContinue {
			return codes, nil
		}
		if _, err := conn.Write(bytes.Repeat([]byte("x"), 1000)); err != nil {
			return codes, err
		}
	}
}

func clientConfig(w *world, c *tls.Certificate) *tls.Config {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(w.ca.Trust().ServerCA))
	config := &tls.Config{RootCAs: roots, ServerName: "octavo-controller", MinVersion: tls.VersionTLS12}
	if c != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c, nil }
	}
	return config
}

func TestConnectionIsRefusedBeforeAnyHTTP(t *testing.T) {
	w := newWorld(t)
	b := w.newBalancer(1)
	id := b.amphorae[0]
	asIs := func(*x509.Certificate) {}
	serverCertificate, err := w.ca.ServerCertificate(nil)
	must(t, err)
	controllerCA, issuingCA := w.stolen("ca/controller"), w.issuing()
	old := clientConfig(w, issuingCA.sign(t, id, asIs))
	old.MaxVersion = tls.VersionTLS12

	for name, config := range map[string]*tls.Config{
		"self-signed":                       clientConfig(w, authority{}.sign(t, id, asIs)),
		"signed by the controller CA":       clientConfig(w, controllerCA.sign(t, id, asIs)),
		"the controller's own certificate":  clientConfig(w, serverCertificate),
		"the controller CA itself":          clientConfig(w, &tls.Certificate{Certificate: [][]byte{controllerCA.certificate.Raw}, PrivateKey: controllerCA.key}),
		"a CA of the same name":             clientConfig(w, w.lookalike(issuingCA).sign(t, id, asIs)),
		"expired":                           clientConfig(w, issuingCA.sign(t, id, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })),
		"not valid yet":                     clientConfig(w, issuingCA.sign(t, id, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) })),
		"for servers":                       clientConfig(w, issuingCA.sign(t, id, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })),
		"signed by an agent's certificate":  clientConfig(w, signedByAgent(t, issuingCA, id)),
		"a good certificate but TLS 1.2":    old,
		"no certificate and TLS 1.2":        {RootCAs: old.RootCAs, ServerName: old.ServerName, MaxVersion: tls.VersionTLS12, MinVersion: tls.VersionTLS12},
		"key and certificate do not belong": clientConfig(w, mismatched(t, issuingCA, id)),
	} {
		t.Run(name, func(t *testing.T) {
			for _, call := range append(everyCall, struct{ method, path string }{http.MethodPost, agentapi.PathEnroll}) {
				if codes, err := request(t, w.url, config, call.method, call.path); err == nil || len(codes) > 0 {
					t.Errorf("%s %s was answered %v", call.method, call.path, codes)
				}
			}
		})
	}
}

// What the handshake lets pass, since the issuing CA signed it or nothing was shown, is refused before its body is read.
func TestStrangerIsRefusedBeforeTheBodyIsRead(t *testing.T) {
	w := newWorld(t)
	b := w.newBalancer(2)
	id := b.amphorae[0]
	issuing := w.issuing()
	other, err := url.Parse(agentapi.AmphoraURI(b.amphorae[1]))
	must(t, err)
	deleted := w.enrolled(b.amphorae[1]).Certificate()
	must(t, w.store.Write(t.Context(), func(tx *store.Tx) error {
		if _, err := tx.Lock(t.Context(), b.id); err != nil {
			return err
		}
		return tx.RemoveAmphora(t.Context(), b.amphorae[1])
	}))
	renewed := w.enrolled(id)
	outdated := renewed.Certificate()
	for range 2 { // the second time with the first renewal, which ends the time of the certificate before
		must(t, renewed.Renew(t.Context()))
	}

	for name, c := range map[string]struct {
		certificate *tls.Certificate
		code        int
	}{
		"no certificate":              {nil, http.StatusUnauthorized},
		"never handed out":            {issuing.sign(t, id, func(*x509.Certificate) {}), http.StatusForbidden},
		"two names":                   {issuing.sign(t, id, func(c *x509.Certificate) { c.URIs = append(c.URIs, other) }), http.StatusForbidden},
		"subject of another amphora":  {issuing.sign(t, id, func(c *x509.Certificate) { c.URIs = []*url.URL{other} }), http.StatusForbidden},
		"no URI":                      {issuing.sign(t, id, func(c *x509.Certificate) { c.URIs = nil }), http.StatusForbidden},
		"of a deleted amphora":        {deleted, http.StatusForbidden},
		"outdated by a newer one":     {outdated, http.StatusForbidden},
		"of an amphora that is no id": {issuing.sign(t, "../"+id, func(*x509.Certificate) {}), http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			for _, call := range everyCall {
				codes, err := request(t, w.url, clientConfig(w, c.certificate), call.method, call.path)
				if strings.HasPrefix(call.path, "//") && len(codes) == 1 && codes[0] == http.StatusTemporaryRedirect {
					continue // the path is tidied up before anybody looks at who asks
				}
				if err != nil || len(codes) != 1 || codes[0] != c.code {
					t.Errorf("%s %s was answered %v, %v", call.method, call.path, codes, err)
				}
			}
		})
	}
	if _, _, err := renewed.Poll(t.Context(), 0, 0); err != nil {
		t.Errorf("the certificate in use is refused: %v", err)
	}
}

func TestAmphoraIsTheOneInTheCertificateWhateverTheRequestSays(t *testing.T) {
	w := newWorld(t)
	mine, other := w.newBalancer(1), w.newBalancer(1)
	a := w.enrolled(mine.amphorae[0])
	a.Boot.AmphoraID = other.amphorae[0]
	state, _, err := a.Poll(t.Context(), 0, 0)
	if err != nil || state.LB != mine.id || state.AmphoraID != mine.amphorae[0] {
		t.Errorf("got the state of %s for %s, %v", state.AmphoraID, state.LB, err)
	}
}

// lookalike is another CA with the same names.
func (w *world) lookalike(a authority) authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(w.t, err)
	template := *a.certificate
	template.PublicKey = nil
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	must(w.t, err)
	c, err := x509.ParseCertificate(der)
	must(w.t, err)
	return authority{c, key}
}

func signedByAgent(t testing.TB, issuing authority, id string) *tls.Certificate {
	agent := issuing.sign(t, id, func(*x509.Certificate) {})
	leaf, err := x509.ParseCertificate(agent.Certificate[0])
	must(t, err)
	forged := authority{leaf, agent.PrivateKey.(crypto.Signer)}.sign(t, id, func(*x509.Certificate) {})
	forged.Certificate = append(forged.Certificate, agent.Certificate[0])
	return forged
}

func mismatched(t testing.TB, issuing authority, id string) *tls.Certificate {
	c := issuing.sign(t, id, func(*x509.Certificate) {})
	c.PrivateKey = issuing.sign(t, id, func(*x509.Certificate) {}).PrivateKey
	return c
}
