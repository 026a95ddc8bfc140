// Package agenttest is an agent without an instance: it speaks the agents' protocol over real TLS as octavo-agent does, and
// serves nothing. Tests, simulations and load tests use it in place of a data plane.
package agenttest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/octavo-lb/octavo/agentapi"
)

// Agent is one agent process. Its calls may be made concurrently, as the real one polls and reports at once.
type Agent struct {
	Boot agentapi.Boot
	// Clock is the instance's clock; time.Now when nil. Reports are stamped with it, corrected by the controller's.
	Clock func() time.Time
	// Process is the id that reports carry as their boot; random when empty.
	Process string

	mu          sync.Mutex
	key         *ecdsa.PrivateKey
	certificate *tls.Certificate
	renewAfter  time.Time
	client      *http.Client
	offset      time.Duration // controller's clock minus ours
	sequence    int64
}

// StatusError is an answer that is not the one hoped for.
type StatusError struct {
	Code       int
	Text       string
	RetryAfter time.Duration
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("%d %s: %s", e.Code, http.StatusText(e.Code), e.Text)
}

// Code returns the HTTP status of an answer that was an error, 0 of anything else.
func Code(err error) int {
	var status *StatusError
	if errors.As(err, &status) {
		return status.Code
	}
	return 0
}

// New is an agent that has read its boot file and done nothing yet.
func New(boot agentapi.Boot) *Agent { return &Agent{Boot: boot, Process: rand.Text()} }

// Enrol trades the token for a certificate. The key is made on the first call and kept: called again it is the same
// request again.
func (a *Agent) Enrol(ctx context.Context) error {
	return a.certify(ctx, agentapi.PathEnroll, a.Boot.Token)
}

// Renew asks for a new certificate with the one it has, for a new key.
func (a *Agent) Renew(ctx context.Context) error {
	a.mu.Lock()
	a.key = nil
	a.mu.Unlock()
	return a.certify(ctx, agentapi.PathRenew, "")
}

// Use makes the agent show this certificate, nil for none.
func (a *Agent) Use(c *tls.Certificate) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.certificate = c
	a.dropClient()
}

// Certificate is the one that the agent shows.
func (a *Agent) Certificate() *tls.Certificate {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.certificate
}

// RenewAfter is when the controller wants to be asked for a new certificate.
func (a *Agent) RenewAfter() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.renewAfter
}

// Poll asks for a state newer than generation and waits for one up to wait. It answers false when there was none.
func (a *Agent) Poll(ctx context.Context, generation int64, wait time.Duration) (agentapi.State, bool, error) {
	var state agentapi.State
	query := fmt.Sprintf("?generation=%d&wait=%d", generation, int(wait.Seconds()))
	code, err := a.call(ctx, http.MethodGet, agentapi.PathState+query, "", nil, &state)
	return state, err == nil && code == http.StatusOK, err
}

// Report fills in the report's boot, sequence and time when they are empty, and sends it.
func (a *Agent) Report(ctx context.Context, r agentapi.Report) (agentapi.ReportAnswer, error) {
	var answer agentapi.ReportAnswer
	_, err := a.call(ctx, http.MethodPost, agentapi.PathReport, "", a.Stamp(r), &answer)
	return answer, err
}

// Stamp fills in a report's boot, sequence and time when they are empty.
func (a *Agent) Stamp(r agentapi.Report) agentapi.Report {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.Sequence == 0 {
		a.sequence++
		r.Sequence = a.sequence
	}
	r.Boot, r.Trust = cmp.Or(r.Boot, a.Process), cmp.Or(r.Trust, a.Boot.Trust.ID())
	if r.Time.IsZero() {
		r.Time = a.now().Add(a.offset).UTC()
	}
	return r
}

// Secret fetches one secret by its digest.
func (a *Agent) Secret(ctx context.Context, digest string) (agentapi.SecretBundle, error) {
	var bundle agentapi.SecretBundle
	_, err := a.call(ctx, http.MethodGet, agentapi.PathSecret+"/"+digest, "", nil, &bundle)
	return bundle, err
}

// CloseIdle ends connections that no call is using.
func (a *Agent) CloseIdle() {
	if client, err := a.HTTP(); err == nil {
		client.CloseIdleConnections()
	}
}

func (a *Agent) certify(ctx context.Context, path, token string) error {
	csr, err := a.CSR()
	if err != nil {
		return err
	}
	var answer agentapi.Certificate
	if _, err := a.call(ctx, http.MethodPost, path, token, agentapi.EnrollRequest{CSR: csr}, &answer); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	block, _ := pem.Decode([]byte(answer.Certificate))
	if block == nil {
		return errors.New("the controller answered no certificate")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return fmt.Errorf("cannot read my certificate: %w", err)
	}
	a.certificate = &tls.Certificate{Certificate: [][]byte{block.Bytes}, PrivateKey: a.key, Leaf: leaf}
	a.Boot.Trust, a.renewAfter = answer.Trust, answer.RenewAfter
	a.dropClient()
	return nil
}

// dropClient makes the next call use a new connection.
func (a *Agent) dropClient() {
	if a.client != nil {
		a.client.CloseIdleConnections()
	}
	a.client = nil
}

// CSR is the request for the agent's key, which is made when there is none.
func (a *Agent) CSR() (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.key == nil {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return "", err
		}
		a.key = key
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, a.key)
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})), nil
}

// call tries the controllers in turn until one can be reached.
func (a *Agent) call(ctx context.Context, method, path, token string, body, into any) (int, error) {
	var encoded []byte
	if body != nil {
		var err error
		if encoded, err = json.Marshal(body); err != nil {
			return 0, err
		}
	}
	client, err := a.HTTP()
	if err != nil {
		return 0, err
	}
	var failures []error
	for _, controller := range a.Boot.Controllers {
		request, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(controller, "/")+path, bytes.NewReader(encoded))
		if err != nil {
			return 0, err
		}
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		response, err := client.Do(request)
		if err != nil {
			failures = append(failures, err)
			continue
		}
		return a.read(response, into)
	}
	return 0, errors.Join(failures...)
}

func (a *Agent) read(response *http.Response, into any) (int, error) {
	defer response.Body.Close()
	a.correctClock(response.Header.Get("Date"))
	switch response.StatusCode {
	case http.StatusOK:
		return response.StatusCode, json.NewDecoder(response.Body).Decode(into)
	case http.StatusNotModified:
		return response.StatusCode, nil
	}
	text, _ := io.ReadAll(io.LimitReader(response.Body, 4096))
	seconds, _ := strconv.Atoi(response.Header.Get("Retry-After"))
	return response.StatusCode, &StatusError{response.StatusCode, strings.TrimSpace(string(text)), time.Duration(seconds) * time.Second}
}

func (a *Agent) correctClock(date string) {
	theirs, err := http.ParseTime(date)
	if err != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	// The header has whole seconds: a smaller difference is none.
	if a.offset = theirs.Sub(a.now()); a.offset.Abs() < 2*time.Second {
		a.offset = 0
	}
}

func (a *Agent) now() time.Time {
	if a.Clock == nil {
		return time.Now()
	}
	return a.Clock()
}

// HTTP is a client that shows the certificate in use, for requests that no agent makes.
func (a *Agent) HTTP() (*http.Client, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.client != nil {
		return a.client, nil
	}
	trust, name := a.Boot.Trust, a.Boot.ServerName
	if err := trust.Check(); err != nil {
		return nil, err
	}
	config := &tls.Config{ServerName: trust.SNI(name), MinVersion: tls.VersionTLS13, Time: a.now, InsecureSkipVerify: true,
		VerifyConnection: func(s tls.ConnectionState) error { return trust.Verify(s.PeerCertificates, name, a.now()) }}
	certificate := a.certificate
	if certificate != nil {
		// Shown whatever CAs the server names: what a server does with a wrong one is what tests want to see.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil }
	}
	a.client = &http.Client{Transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}}
	return a.client, nil
}
