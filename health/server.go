package health

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/ca"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/store"
)

// StateBuilder makes the wanted state of one amphora out of its load balancer's tree and all its amphorae. It is pure. It
// answers false while something that the state needs is not known yet; the agent then waits for the next change.
type StateBuilder func(tree *lb.Tree, amphorae []store.Amphora, amphoraID string) (agentapi.State, bool, error)

// Opener decrypts the secrets that are stored; *keymanager.Safe is one.
type Opener interface {
	Open(sealed []byte, digest string) ([]byte, error)
}

// Authorities is what is needed of package ca.
type Authorities interface {
	SignAgent(csr, amphoraID string) (ca.AgentCertificate, error)
	ClientCAs() *x509.CertPool
	Trust() agentapi.Trust
	Outdated(c *x509.Certificate, trustID string) bool
	ServerCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error)
}

// Options are what a server works with. Those up to BuildState are needed.
type Options struct {
	Store      *store.Store
	CA         Authorities
	BuildState StateBuilder
	// Unheard tells of an amphora that joins another one whether that has yet to be told of it; nil for never. For as long as
	// it has, but no longer than JoinPatience (10 s), the one that joins is told nothing.
	Unheard      func(tree *lb.Tree, amphorae []store.Amphora, amphoraID string) bool
	JoinPatience time.Duration
	// Secrets may be nil: none are given out then.
	Secrets Opener
	// ReportInterval is how often an agent reports when nothing happens; 10 s.
	ReportInterval time.Duration
	// FlushInterval is how often reports that say nothing new are written; 5 s. What is stored of an agent that lives may be
	// older by this and ReportInterval together.
	FlushInterval time.Duration
	Clock         func() time.Time
	Logger        *slog.Logger
}

// Server answers agents.
type Server struct {
	Options
	hub     *hub
	reports *intake
	mux     *http.ServeMux
	// stopping is closed when Serve is asked to end, so that nobody waits for a change any more.
	stopping chan struct{}
	// refusals keeps strangers from filling the log.
	refusals rate.Sometimes
}

// Times that a peer may take for its part of a request, so that nobody holds a connection for nothing.
const (
	headerTimeout = 10 * time.Second
	bodyTimeout   = 20 * time.Second
	answerTimeout = 30 * time.Second
	idleTimeout   = 3 * time.Minute
	workTimeout   = 15 * time.Second
	maxWait       = 60 * time.Second
)

// New makes a server, which answers once Serve is called.
func New(o Options) *Server {
	if o.ReportInterval <= 0 {
		o.ReportInterval = 10 * time.Second
	}
	if o.FlushInterval <= 0 {
		o.FlushInterval = agentapi.ReportDelay
	}
	if o.JoinPatience <= 0 {
		o.JoinPatience = 10 * time.Second
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{Options: o, hub: newHub(), mux: http.NewServeMux(), stopping: make(chan struct{}), refusals: rate.Sometimes{Interval: time.Second}}
	s.reports = newIntake(o)
	s.mux.HandleFunc("POST "+agentapi.PathEnroll, s.enrol)
	s.mux.Handle("GET "+agentapi.PathState, s.identified(s.state))
	s.mux.Handle("POST "+agentapi.PathReport, s.identified(s.report))
	s.mux.Handle("POST "+agentapi.PathDrained, s.identified(s.drained))
	s.mux.Handle("GET "+agentapi.PathProgram+"/{digest}", s.identified(s.program))
	s.mux.Handle("POST "+agentapi.PathRenew, s.identified(s.renew))
	s.mux.Handle("GET "+agentapi.PathSecret+"/{digest}", s.identified(s.secret))
	s.mux.Handle("/", s.identified(func(w http.ResponseWriter, _ *http.Request, _ store.Amphora) {
		refuse(w, http.StatusNotFound, "there is no such call")
	}))
	return s
}

// ServeHTTP lets nobody without a certificate any further than to enrolment.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	enrols := r.Method == http.MethodPost && r.URL.Path == agentapi.PathEnroll
	if !enrols && (r.TLS == nil || len(r.TLS.PeerCertificates) == 0) {
		refuse(w, http.StatusUnauthorized, "this needs a client certificate")
		return
	}
	s.mux.ServeHTTP(w, r)
}

// Serve answers agents on ln until ctx ends, then lets requests that are being answered finish. It closes ln. A server
// serves once.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	server := &http.Server{
		Handler:           s,
		TLSConfig:         s.tlsConfig(),
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    16 << 10,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 16},
		ErrorLog:          log.New(serverLog{s.Logger}, "", 0),
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { s.watch(ctx); return nil })
	group.Go(func() error { s.reports.run(ctx); return nil })
	group.Go(func() error {
		if err := server.ServeTLS(ln, "", ""); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("cannot serve agents on %s: %w", ln.Addr(), err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		close(s.stopping)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if err := server.Shutdown(grace); err != nil {
			return server.Close()
		}
		return nil
	})
	return group.Wait()
}

// watch hands every change in the store to those who wait for it.
func (s *Server) watch(ctx context.Context) {
	for id := range s.Store.Subscribe(ctx) {
		s.hub.wake(id)
		s.reports.changed(id)
	}
}

// tlsConfig accepts TLS 1.3 only. A client without a certificate gets as far as identified; one with a certificate that
// the issuing CA did not sign for a client, or that is not valid now, not even there.
func (s *Server) tlsConfig() *tls.Config {
	config := &tls.Config{
		MinVersion:     tls.VersionTLS13,
		GetCertificate: s.CA.ServerCertificate,
		ClientAuth:     tls.VerifyClientCertIfGiven,
		ClientCAs:      s.CA.ClientCAs(),
		Time:           s.Clock,
		NextProtos:     []string{"h2", "http/1.1"},
		// A resumed session would not look at the certificate again.
		SessionTicketsDisabled: true,
	}
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		current := config.Clone()
		current.ClientCAs = s.CA.ClientCAs() // a successor may have come
		return current, nil
	}
	return config
}

// serverLog takes what net/http has to say. Anybody can cause failed handshakes; the rest (panics) is ours.
type serverLog struct{ logger *slog.Logger }

func (l serverLog) Write(line []byte) (int, error) {
	level := slog.LevelError
	if bytes.Contains(line, []byte("TLS handshake error")) {
		level = slog.LevelDebug
	}
	l.logger.Log(context.Background(), level, strings.TrimSpace(string(line)))
	return len(line), nil
}
