package httpx

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	pathpkg "path"
	"runtime/debug"
	"strings"

	"github.com/google/uuid"
)

// Handler answers a request with a valid token.
type Handler func(w http.ResponseWriter, r *http.Request, who Caller) error

// PublicHandler answers a request whose token, if any, was not looked at.
type PublicHandler func(w http.ResponseWriter, r *http.Request) error

// Router is one service's http.Handler. Register everything before it serves.
type Router struct {
	prefix  string
	dialect Dialect
	tokens  Authenticator
	log     *slog.Logger
	mux     *http.ServeMux
}

// NewRouter makes a router for the paths under prefix ("/network", without a slash at the end). Patterns and the paths
// that handlers see do not have the prefix.
func NewRouter(prefix string, dialect Dialect, tokens Authenticator, log *slog.Logger) *Router {
	return &Router{prefix: prefix, dialect: dialect, tokens: tokens, log: log, mux: http.NewServeMux()}
}

// Handle registers a handler for callers with a valid token; others get the 401 of keystonemiddleware.
func (rt *Router) Handle(pattern string, h Handler) {
	rt.Public(pattern, func(w http.ResponseWriter, r *http.Request) error {
		who, err := rt.caller(r)
		if err != nil {
			return err
		}
		return h(w, r, who)
	})
}

// Public registers a handler for everybody. A pattern that ends in a slash means that path only.
func (rt *Router) Public(pattern string, h PublicHandler) {
	if strings.HasSuffix(pattern, "/") {
		pattern += "{$}"
	}
	rt.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			rt.fail(w, r, err)
		}
	})
}

type contextKey int

const (
	baseURLKey contextKey = iota
	requestIDKey
)

// BaseURL is the service's address as the client reached it, with the prefix and without a slash at the end.
func BaseURL(r *http.Request) string {
	url, _ := r.Context().Value(baseURLKey).(string)
	return url
}

// RootURL is the address of the server that the client reached, without any service's prefix.
func RootURL(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}

// RequestID is what the answer's X-Openstack-Request-Id says.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey).(string)
	return id
}

// ServeHTTP implements http.Handler.
func (rt *Router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := "req-" + uuid.NewString()
	w.Header().Set("X-Openstack-Request-Id", id)
	ctx := context.WithValue(r.Context(), requestIDKey, id)
	ctx = context.WithValue(ctx, baseURLKey, RootURL(r)+rt.prefix)
	r = r.Clone(ctx)
	path, ok := strings.CutPrefix(r.URL.Path, rt.prefix)
	if !ok || path != "" && path[0] != '/' {
		rt.fail(w, r, NotFound("", "The resource could not be found."))
		return
	}
	r.URL.Path, r.URL.RawPath = routed(path), ""
	defer rt.recover(w, r)
	handler, pattern := rt.mux.Handler(r)
	if pattern != "" {
		rt.mux.ServeHTTP(w, r)
		return
	}
	rt.unknown(w, r, handler)
}

// routed leaves out the slash at the end that some clients have, for no pattern has one, and doubled ones.
func routed(path string) string {
	return pathpkg.Clean("/" + path)
}

// unknown answers for a path or method without a pattern: the mux knows which, but says it in its own words.
func (rt *Router) unknown(w http.ResponseWriter, r *http.Request, mux http.Handler) {
	said := &statusOnly{header: http.Header{}}
	mux.ServeHTTP(said, r)
	if said.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", said.header.Get("Allow"))
		rt.fail(w, r, Errorf(http.StatusMethodNotAllowed, "", "The method %s is not allowed for this resource.", r.Method))
		return
	}
	rt.fail(w, r, NotFound("", "The resource could not be found."))
}

func (rt *Router) recover(w http.ResponseWriter, r *http.Request) {
	switch p := recover(); p {
	case nil:
	case http.ErrAbortHandler:
		panic(p)
	default:
		rt.log.ErrorContext(r.Context(), "request failed", "request_id", RequestID(r.Context()), "method", r.Method,
			"path", rt.prefix+r.URL.Path, "err", p, "stack", string(debug.Stack()))
		rt.write(w, r, internalError)
	}
}

func (rt *Router) caller(r *http.Request) (Caller, error) {
	who, err := rt.tokens.Authenticate(r.Context(), r.Header.Get("X-Auth-Token"))
	if errors.Is(err, ErrBadToken) {
		return Caller{}, unauthorized
	}
	return who, err
}

var (
	internalError = Errorf(http.StatusInternalServerError, "",
		"An unexpected error prevented the server from fulfilling your request.")
	unauthorized = Errorf(http.StatusUnauthorized, "", "The request you have made requires authentication.")
)

func (rt *Router) fail(w http.ResponseWriter, r *http.Request, err error) {
	var e *Error
	if !errors.As(err, &e) {
		if r.Context().Err() == nil {
			rt.log.ErrorContext(r.Context(), "request failed", "request_id", RequestID(r.Context()), "method", r.Method,
				"path", rt.prefix+r.URL.Path, "err", err)
		}
		e = internalError
	}
	rt.write(w, r, e)
}

func (rt *Router) write(w http.ResponseWriter, r *http.Request, e *Error) {
	dialect := rt.dialect
	if e.Status == http.StatusUnauthorized {
		// keystonemiddleware says where to get a token, in Keystone's words, in front of every service.
		w.Header().Set("WWW-Authenticate", `Keystone uri="`+RootURL(r)+`/identity"`)
		dialect = Keystone
	}
	contentType, body := dialect(e)
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(e.Status)
	if r.Method != http.MethodHead {
		w.Write(body)
	}
}

// statusOnly takes a status and headers and drops the body.
type statusOnly struct {
	header http.Header
	status int
}

func (s *statusOnly) Header() http.Header         { return s.header }
func (s *statusOnly) Write(b []byte) (int, error) { return len(b), nil }
func (s *statusOnly) WriteHeader(status int)      { s.status = status }
