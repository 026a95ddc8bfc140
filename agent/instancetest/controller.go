package instancetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netns"

	"github.com/octavo-lb/octavo/agentapi"
)

// AmphoraID is who the instance is.
const AmphoraID = "6d9d7c1c-31f4-4c9e-9a4f-5f2f2b9f6f01"

// Controller is a controller of one amphora: two CAs, a token that works for one key, the wanted state, the reports.
type Controller struct {
	Interval time.Duration // of reports
	Lifetime time.Duration // of certificates
	ID       string        // of the amphora
	address  string
	server   authority
	issuing  authority
	token    string
	tokenKey string

	mu      sync.Mutex
	state   *agentapi.State
	secrets map[string]agentapi.SecretBundle
	reports []agentapi.Report
	issued  int
	changed chan struct{} // closed and made anew with every change
	http    *http.Server
	l       net.Listener
}

// NewController starts a controller that the instance reaches on its loopback interface.
func NewController(t testing.TB, i *Instance) *Controller {
	t.Helper()
	c := newController(t)
	c.Start(t, i)
	t.Cleanup(func() { c.Stop() })
	return c
}

// NewControllerOn starts a controller that answers on a socket of the caller's.
func NewControllerOn(t testing.TB, l net.Listener) *Controller {
	t.Helper()
	c := newController(t)
	c.l = l
	c.serve(t)
	t.Cleanup(func() { c.Stop() })
	return c
}

func newController(t testing.TB) *Controller {
	t.Helper()
	return &Controller{
		Interval: 10 * time.Second, Lifetime: time.Hour, ID: AmphoraID, token: rand.Text(), changed: make(chan struct{}),
		server: newAuthority(t, "controller CA"), issuing: newAuthority(t, "issuing CA"), secrets: map[string]agentapi.SecretBundle{},
	}
}

// Start makes it answer (again, on the same address).
func (c *Controller) Start(t testing.TB, i *Instance) {
	t.Helper()
	ns, err := netns.GetFromPid(i.holder.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	address := c.address
	if address == "" {
		address = "127.0.0.1:0"
	}
	err = onThread(func() (err error) {
		if err = netns.Set(ns); err == nil {
			c.l, err = net.Listen("tcp", address)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	c.serve(t)
}

func (c *Controller) serve(t testing.TB) {
	t.Helper()
	c.address = c.l.Addr().String()
	key, certificate := c.server.sign(t, &x509.Certificate{DNSNames: []string{"octavo"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, nil)
	clients := x509.NewCertPool()
	clients.AddCert(c.issuing.certificate)
	c.http = &http.Server{
		Handler: c.handler(), ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{
			MinVersion: tls.VersionTLS13, ClientCAs: clients, ClientAuth: tls.VerifyClientCertIfGiven,
			Certificates: []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: key}},
		},
	}
	go c.http.ServeTLS(c.l, "", "") //nolint:errcheck // it always ends with the test
}

// Stop makes it disappear.
func (c *Controller) Stop() { c.http.Close() }

// Boot is the boot file for the instance.
func (c *Controller) Boot() agentapi.Boot {
	return agentapi.Boot{
		AmphoraID: c.ID, Controllers: []string{"https://127.0.0.1:1", "https://" + c.address}, ServerName: "octavo",
		Trust: agentapi.Trust{ServerCA: c.server.pem()}, Token: c.token, TokenExpiry: time.Now().Add(time.Hour),
	}
}

// Want sets the wanted state. The generation is one more than the last unless the state has one.
func (c *Controller) Want(state *agentapi.State) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if state.Generation <= 1 && c.state != nil {
		state.Generation = c.state.Generation + 1
	}
	state.AmphoraID = c.ID
	c.state = state
	close(c.changed)
	c.changed = make(chan struct{})
	return state.Generation
}

// Secret makes a secret available and returns its digest.
func (c *Controller) Secret(digest string, bundle agentapi.SecretBundle) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.secrets[digest] = bundle
}

// Issued is how many certificates were asked for.
func (c *Controller) Issued() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.issued
}

// Reports returns the reports so far.
func (c *Controller) Reports() []agentapi.Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]agentapi.Report(nil), c.reports...)
}

// Await waits for a report that is as wanted, among those that came after the call and the last one before it.
func (c *Controller) Await(t testing.TB, timeout time.Duration, what string, wanted func(agentapi.Report) bool) agentapi.Report {
	t.Helper()
	deadline := time.After(timeout)
	c.mu.Lock()
	seen := max(len(c.reports)-1, 0)
	c.mu.Unlock()
	for {
		c.mu.Lock()
		changed, reports := c.changed, c.reports[seen:]
		c.mu.Unlock()
		for _, r := range reports {
			if wanted(r) {
				return r
			}
		}
		seen += len(reports)
		select {
		case <-changed:
		case <-deadline:
			all := c.Reports()
			last := "none"
			if len(all) > 0 {
				text, _ := json.MarshalIndent(all[len(all)-1], "", " ")
				last = string(text)
			}
			t.Fatalf("no report in %v that tells %s; the last one: %s", timeout, what, last)
		}
	}
}

// AwaitApplied waits until a generation is in force.
func (c *Controller) AwaitApplied(t testing.TB, generation int64) agentapi.Report {
	t.Helper()
	return c.Await(t, 15*time.Second, fmt.Sprintf("generation %d", generation), func(r agentapi.Report) bool { return r.Applied >= generation })
}

func (c *Controller) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+agentapi.PathEnroll, c.enrol)
	mux.HandleFunc("GET "+agentapi.PathState, c.known(c.serveState))
	mux.HandleFunc("POST "+agentapi.PathReport, c.known(c.takeReport))
	mux.HandleFunc("POST "+agentapi.PathRenew, c.known(c.certify))
	mux.HandleFunc("GET "+agentapi.PathSecret+"/{digest}", c.known(c.serveSecret))
	return mux
}

// known lets through whoever shows the amphora's certificate.
func (c *Controller) known(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) == 0 || len(r.TLS.PeerCertificates[0].URIs) != 1 || r.TLS.PeerCertificates[0].URIs[0].String() != agentapi.AmphoraURI(c.ID) {
			http.Error(w, "no certificate", http.StatusUnauthorized)
			return
		}
		next(w, r)
	}
}

func (c *Controller) enrol(w http.ResponseWriter, r *http.Request) {
	if strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ") != c.token {
		http.Error(w, "the token is unknown", http.StatusForbidden)
		return
	}
	c.certify(w, r)
}

func (c *Controller) certify(w http.ResponseWriter, r *http.Request) {
	var request agentapi.EnrollRequest
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	block, _ := pem.Decode([]byte(request.CSR))
	if block == nil {
		http.Error(w, "no PEM", http.StatusBadRequest)
		return
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err == nil {
		err = csr.CheckSignature()
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	key := string(csr.RawSubjectPublicKeyInfo)
	if r.URL.Path == agentapi.PathEnroll && c.tokenKey != "" && c.tokenKey != key {
		http.Error(w, "the token is used", http.StatusForbidden)
		return
	}
	c.tokenKey = key
	c.issued++
	uri, _ := url.Parse(agentapi.AmphoraURI(c.ID))
	_, leaf := c.issuing.sign(nil, &x509.Certificate{
		Subject: pkix.Name{CommonName: c.ID}, URIs: []*url.URL{uri}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		NotAfter: time.Now().Add(c.Lifetime),
	}, csr.PublicKey)
	answer(w, agentapi.Certificate{Certificate: encode(leaf), Trust: agentapi.Trust{ServerCA: c.server.pem()}, RenewAfter: time.Now().Add(c.Lifetime * 2 / 3)})
}

func (c *Controller) serveState(w http.ResponseWriter, r *http.Request) {
	have, _ := strconv.ParseInt(r.URL.Query().Get("generation"), 10, 64)
	wait, _ := strconv.Atoi(r.URL.Query().Get("wait"))
	timeout := time.After(time.Duration(wait) * time.Second)
	for {
		c.mu.Lock()
		state, changed := c.state, c.changed
		c.mu.Unlock()
		if state != nil && state.Generation > have {
			answer(w, state)
			return
		}
		select {
		case <-changed:
		case <-timeout:
			w.WriteHeader(http.StatusNotModified)
			return
		case <-r.Context().Done():
			return
		}
	}
}

func (c *Controller) takeReport(w http.ResponseWriter, r *http.Request) {
	var report agentapi.Report
	if err := json.NewDecoder(r.Body).Decode(&report); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	c.reports = append(c.reports, report)
	close(c.changed)
	c.changed = make(chan struct{})
	c.mu.Unlock()
	answer(w, agentapi.ReportAnswer{Interval: c.Interval})
}

func (c *Controller) serveSecret(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	bundle, ok := c.secrets[r.PathValue("digest")]
	if !ok {
		http.Error(w, "no such secret", http.StatusNotFound)
		return
	}
	answer(w, bundle)
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// authority is a CA.
type authority struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
}

func newAuthority(t testing.TB, name string) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{key, certificate}
}

func (a authority) sign(t testing.TB, template *x509.Certificate, public any) (*ecdsa.PrivateKey, []byte) {
	var key *ecdsa.PrivateKey
	if public == nil {
		var err error
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
		public = key.Public()
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore = time.Now().Add(-time.Hour)
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(time.Hour)
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, public, a.key)
	if err != nil {
		panic(err)
	}
	return key, der
}

func (a authority) pem() string { return encode(a.certificate.Raw) }

func encode(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}
