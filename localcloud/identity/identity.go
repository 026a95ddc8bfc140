// Package identity is localcloud's Keystone: the part of the v3 API that the ordinary clients and the controller use.
// Users, projects, roles and application credentials live in the shared state; passwords and secrets only as hashes.
//
// Tokens are signed and kept nowhere, so they survive a restart. What a token allows is looked up when it is used: one
// whose user, project, role assignment or application credential is gone or disabled, or whose user changed the password,
// is not valid from that moment on. Revoked tokens are remembered until they would have expired.
package identity

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/crypto/bcrypt"

	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/state"
)

// Options are what New needs.
type Options struct {
	State    *state.Store
	Clock    func() time.Time // nil: time.Now
	Logger   *slog.Logger
	Region   string        // "RegionOne" when empty
	TokenTTL time.Duration // one hour when zero, as in Keystone
	// HashCost is bcrypt's cost of passwords, its default when zero.
	HashCost int
	// Services are what the catalog lists, in this order.
	Services []CatalogService
}

// CatalogService is a service that answers at a path of this server.
type CatalogService struct {
	Type string // "network"
	Name string // "neutron"
	Path string // "/network"
}

// Service answers the API and authenticates callers for the other services.
type Service struct {
	opts  Options
	state *state.Store
	key   []byte
	// decoy is compared with the password of a user who does not exist, so that the time taken does not tell.
	decoy   []byte
	matched *matches
}

// New makes the service; the first one on a state makes the key that signs tokens.
func New(opts Options) (*Service, error) {
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	if opts.Region == "" {
		opts.Region = "RegionOne"
	}
	if opts.TokenTTL == 0 {
		opts.TokenTTL = time.Hour
	}
	if opts.HashCost == 0 {
		opts.HashCost = bcrypt.DefaultCost
	}
	s := &Service{opts: opts, state: opts.State, matched: newMatches()}
	decoy, err := s.hash(rand.Text())
	if err != nil {
		return nil, err
	}
	s.decoy = decoy
	s.key, err = loadKey(opts.State)
	return s, err
}

func loadKey(st *state.Store) ([]byte, error) {
	k, err := state.Get[signingKey](st, "tokens")
	if err == nil {
		return k.Secret, nil
	}
	if !errors.Is(err, state.ErrNotFound) {
		return nil, err
	}
	k = signingKey{ID: "tokens", Secret: make([]byte, 32)}
	rand.Read(k.Secret)
	if err := st.Put(k); err != nil {
		return nil, fmt.Errorf("cannot keep the key that signs tokens: %w", err)
	}
	return k.Secret, nil
}

// Handler answers the paths under /identity.
func (s *Service) Handler() http.Handler {
	rt := httpx.NewRouter("/identity", httpx.Keystone, s, s.opts.Logger)
	rt.Public("GET /", s.showVersions)
	rt.Public("GET /v3", s.showVersion)
	rt.Public("POST /v3/auth/tokens", s.issueToken)
	rt.Handle("GET /v3/auth/tokens", s.showToken) // and HEAD
	rt.Handle("DELETE /v3/auth/tokens", s.revokeToken)
	rt.Handle("GET /v3/auth/catalog", s.showCatalog)
	rt.Handle("GET /v3/auth/projects", s.listOwnProjects)
	rt.Handle("GET /v3/auth/domains", s.listDomains)
	s.routeUsers(rt)
	s.routeProjects(rt)
	s.routeRoles(rt)
	s.routeAppCredentials(rt)
	s.routeCatalog(rt)
	return rt
}

func (s *Service) now() time.Time { return s.opts.Clock().UTC() }

// Authenticate implements httpx.Authenticator.
func (s *Service) Authenticate(_ context.Context, text string) (httpx.Caller, error) {
	t, ok := s.open(text)
	if !ok {
		return httpx.Caller{}, httpx.ErrBadToken
	}
	g, ok := s.grantOf(t)
	if !ok {
		return httpx.Caller{}, httpx.ErrBadToken
	}
	caller := httpx.Caller{UserID: g.user.ID, UserName: g.user.Name, DomainID: g.user.DomainID, Token: text, ExpiresAt: t.Expires}
	if g.project != nil {
		caller.ProjectID, caller.ProjectName = g.project.ID, g.project.Name
	}
	for _, role := range g.roles {
		caller.Roles = append(caller.Roles, role.Name)
	}
	caller.IsAdmin = caller.Has("admin")
	return caller, nil
}

// newID is an id in Keystone's form.
func newID() string { return strings.ReplaceAll(uuid.NewString(), "-", "") }
