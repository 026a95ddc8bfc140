package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/octavo-lb/octavo/identity"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/store"
)

// Server is the API as an http.Handler.
type Server struct {
	Config
	kinds  *kinds
	health health
	decode decoder
	routes *http.ServeMux
	calls  []describedCall // what routes lead to
	// openAPI describes them.
	openAPI []byte
}

// New checks the configuration and makes a server.
func New(c Config) (*Server, error) {
	switch {
	case c.Store == nil || c.Auth == nil || c.Policy == nil || c.Logger == nil:
		return nil, errors.New("api: store, authenticator, policy and logger must be given")
	case len(c.Providers) == 0:
		return nil, errors.New("api: no provider is enabled")
	}
	if c.NewID == nil {
		c.NewID = uuid.NewString
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.HealthcheckEvery == 0 {
		c.HealthcheckEvery = 5 * time.Second
	}
	if c.MaxPage == 0 {
		c.MaxPage = 1000
	}
	if c.MaxBody == 0 {
		c.MaxBody = defaultMaxBody
	}
	if c.Topology == "" {
		c.Topology = "SINGLE"
	}
	c.BasePath = strings.TrimSuffix(c.BasePath, "/")
	if c.Networks == nil {
		c.Networks = absentNetwork{}
	}
	if c.VIPs == nil {
		c.VIPs = absentNetwork{}
	}
	if c.Secrets == nil {
		c.Secrets = absentKeyManager{}
	}
	k := newKinds()
	k.listener.table = k.listener.table.WithDefaults(c.ListenerDefaults)
	s := &Server{Config: c, kinds: k, decode: decoder{k: k}, routes: http.NewServeMux()}
	s.route()
	s.openAPI = s.OpenAPI()
	return s, nil
}

// call is one request and what is known of it.
type call struct {
	*http.Request
	w    http.ResponseWriter
	id   string // of the request
	who  identity.Caller
	log  *slog.Logger
	base string // the URL of the API's root as the client sees it, ending in a slash
	path string // below it

	maxBody int64

	secrets []lb.Secret // fetched for this request, to be written with what it asks for

	status int // of the answer, 0 while there is none
}

// handler answers a call, or returns why it does not: a *lb.Fault for the client's mistakes.
type handler func(c *call) error

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{Request: r, w: w, id: "req-" + s.NewID()}
	w.Header().Set("X-Openstack-Request-Id", c.id)
	c.log = s.Logger.With("request", c.id)
	c.base, c.maxBody = s.clientBase(r), int64(s.MaxBody)
	began := s.Clock()
	if err := s.answer(c); err != nil {
		s.refuse(c, err)
	}
	c.log.Debug("answered", "method", r.Method, "path", r.URL.Path, "status", c.status, "took", s.Clock().Sub(began))
}

func (s *Server) answer(c *call) error {
	path := strings.TrimSuffix(strings.TrimPrefix(c.URL.Path, s.BasePath), "/")
	c.path = path
	if path == "/healthcheck" {
		return s.showHealth(c)
	}
	if !acceptsJSON(c.Header.Values("Accept")) && !(wantsStream(c.Request) && strings.HasSuffix(path, eventsPath)) {
		return lb.Refuse(lb.NotAcceptable, "Only content type application/json is accepted.")
	}
	switch path {
	case "":
		return s.showVersions(c)
	case "/openapi.json":
		return c.write(http.StatusOK, s.openAPI)
	}
	who, err := s.Auth.Identify(c.Request)
	if err != nil {
		return err
	}
	c.who = who
	rest, ok := cutVersion(path)
	if !ok {
		return noSuchPage
	}
	if rest == "" {
		return c.write(http.StatusOK, []byte(`"v2"`))
	}
	return s.dispatch(c, rest)
}

var noSuchPage = lb.Refuse(lb.NotFound, "The resource could not be found.")

// cutVersion takes /v2.0/lbaas, /v2/lbaas, /v2.0 or /v2 off a path: all four lead to the same resources.
func cutVersion(path string) (rest string, ok bool) {
	for _, v := range []string{"/v2.0", "/v2"} {
		if rest, ok := strings.CutPrefix(path, v); ok && (rest == "" || rest[0] == '/') {
			if inner, ok := strings.CutPrefix(rest, "/lbaas"); ok && (inner == "" || inner[0] == '/') {
				rest = inner
			}
			return rest, true
		}
	}
	return "", false
}

// callKey is the context's key of the call, for the way through net/http's router.
type callKey struct{}

// handle adds a route. The pattern is net/http's, without the version; what it is for and what it takes and answers are
// for the reference.
func (s *Server) handle(pattern, summary, speaks string, h handler) {
	s.calls = append(s.calls, describedCall{pattern, summary, speaks})
	s.routes.HandleFunc(pattern, func(_ http.ResponseWriter, r *http.Request) {
		c := r.Context().Value(callKey{}).(*call)
		c.Request = r
		if err := h(c); err != nil {
			s.refuse(c, err)
		}
	})
}

// dispatch finds the route of a path.
func (s *Server) dispatch(c *call, path string) error {
	r := c.Request.WithContext(context.WithValue(c.Context(), callKey{}, c))
	u := *r.URL
	u.Path, u.RawPath = path, ""
	r.URL = &u
	if _, pattern := s.routes.Handler(r); pattern == "" {
		return s.noRoute(r)
	}
	s.routes.ServeHTTP(c.w, r)
	return nil
}

// noRoute tells a path that knows other methods from one that knows none.
func (s *Server) noRoute(r *http.Request) error {
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := s.routes.Handler(other); pattern != "" {
			return s.notAllowed(r.Method)
		}
	}
	return noSuchPage
}

// refuse answers a call that failed.
func (s *Server) refuse(c *call, err error) {
	switch f := lb.AsFault(err); {
	case f != nil:
		s.writeFault(c, f.Code.Status(), f.Message)
	case errors.Is(err, identity.ErrUnauthorized):
		s.writeUnauthorized(c)
	case c.Context().Err() != nil:
		// The client is gone: nobody reads an answer.
	case errors.Is(err, identity.ErrUnavailable), store.IsTemporary(err):
		c.log.Warn("a request could not be served now", "method", c.Method, "path", c.URL.Path, "err", err)
		c.w.Header().Set("Retry-After", "1")
		s.writeFault(c, http.StatusServiceUnavailable, "The service is not able to answer now. Please try again.")
	default:
		c.log.Error("a request failed", "method", c.Method, "path", c.URL.Path, "err", err)
		s.writeFault(c, http.StatusInternalServerError, "An unknown exception occurred. The operator can find it by the request id "+c.id+".")
	}
}

// creationTimeout is how long the API may take to make a VIP's port before a worker completes the creation.
const creationTimeout = 2 * time.Minute
