// Package keymanager is localcloud's Barbican (API 1.0): secrets, containers of secrets with their consumers, and access
// control lists, as far as the load balancing service and its users need them for certificates. Payloads are kept sealed.
package keymanager

import (
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/state"
)

// Sealer encrypts for one purpose; secrets.Keyring is one.
type Sealer interface {
	Seal(plain []byte, purpose string) ([]byte, error)
	Open(sealed []byte, purpose string) ([]byte, error)
}

// Options are what New needs.
type Options struct {
	State  *state.Store
	Tokens httpx.Authenticator
	Sealer Sealer
	Clock  func() time.Time // nil: time.Now
	Logger *slog.Logger
}

// Service answers the API.
type Service struct {
	opts  Options
	state *state.Store
}

// New makes the service.
func New(opts Options) *Service {
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	return &Service{opts: opts, state: opts.State}
}

// Handler answers the paths under /key-manager.
func (s *Service) Handler() http.Handler {
	rt := httpx.NewRouter("/key-manager", httpx.Barbican, s.opts.Tokens, s.opts.Logger)
	rt.Public("GET /", s.showVersions)
	rt.Public("GET /v1", s.showVersion)
	rt.Handle("GET /v1/secrets", s.listSecrets)
	rt.Handle("POST /v1/secrets", s.createSecret)
	rt.Handle("GET /v1/secrets/{id}", s.showSecret)
	rt.Handle("PUT /v1/secrets/{id}", s.fillSecret)
	rt.Handle("DELETE /v1/secrets/{id}", s.deleteSecret)
	rt.Handle("GET /v1/secrets/{id}/payload", s.showPayload)
	rt.Handle("GET /v1/containers", s.listContainers)
	rt.Handle("POST /v1/containers", s.createContainer)
	rt.Handle("GET /v1/containers/{id}", s.showContainer)
	rt.Handle("DELETE /v1/containers/{id}", s.deleteContainer)
	rt.Handle("GET /v1/containers/{id}/consumers", s.listConsumers)
	rt.Handle("POST /v1/containers/{id}/consumers", s.addConsumer)
	rt.Handle("DELETE /v1/containers/{id}/consumers", s.removeConsumer)
	for _, kind := range []string{"secrets", "containers"} {
		rt.Handle("GET /v1/"+kind+"/{id}/acl", s.showACL(kind))
		rt.Handle("PUT /v1/"+kind+"/{id}/acl", s.setACL(kind, true))
		rt.Handle("PATCH /v1/"+kind+"/{id}/acl", s.setACL(kind, false))
		rt.Handle("DELETE /v1/"+kind+"/{id}/acl", s.deleteACL(kind))
	}
	return rt
}

func (s *Service) now() time.Time { return s.opts.Clock().UTC().Truncate(time.Second) }

func (s *Service) showVersions(w http.ResponseWriter, r *http.Request) error {
	return httpx.Write(w, http.StatusMultipleChoices, map[string]any{"versions": []any{version(r)}})
}

func (s *Service) showVersion(w http.ResponseWriter, r *http.Request) error {
	return httpx.Write(w, http.StatusOK, map[string]any{"version": version(r)})
}

func version(r *http.Request) map[string]any {
	return map[string]any{"id": "v1", "status": "CURRENT",
		"links": []httpx.Link{{Rel: "self", Href: httpx.BaseURL(r) + "/v1/"}}}
}

// ref is an object's address, by which everybody refers to it.
func ref(r *http.Request, kind, id string) string { return httpx.BaseURL(r) + "/v1/" + kind + "/" + id }

// idOf takes the id from a reference to a secret of this service, whatever name the service was reached by.
func idOf(reference string) string {
	_, id, _ := strings.Cut(strings.TrimRight(reference, "/"), "/v1/secrets/")
	return id
}

// timestamp is a time in Barbican's form.
func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05") }
