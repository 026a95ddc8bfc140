// Package identity tells the service who its callers are: by tokens that Keystone validates for the service account, or,
// for tests and clients' own development, by what the request says about itself.
package identity

import (
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"time"
)

// ErrUnauthorized says that the request shows no token or one that is not valid: the answer is 401.
var ErrUnauthorized = errors.New("the request you have made requires authentication")

// ErrUnavailable says that it cannot be told whether the token is valid, because Keystone does not answer or refuses the
// service account: the answer is 503, never 401, for clients throw a token away on 401. Errors that are it name the cause.
var ErrUnavailable = errors.New("the identity service is unavailable")

// Caller is who a request is from. It is a value of the request: it is not to be kept, for it holds the token.
type Caller struct {
	UserID          string
	UserName        string
	DomainID        string // of the user
	ProjectID       string // empty for a token without project
	ProjectName     string
	ProjectDomainID string
	Roles           []string // names
	// SystemScope is set for a token whose scope is the whole system.
	SystemScope bool
	// IsAdmin is what noauth claims for everybody. Under Keystone it is false: what makes an admin is a matter of policy.
	IsAdmin bool
	// Token is what the caller showed, for calls to other services in the caller's name.
	Token     string
	ExpiresAt time.Time // of the token; zero without one
}

// Has tells whether the caller has one of the roles.
func (c Caller) Has(roles ...string) bool {
	return slices.ContainsFunc(roles, func(r string) bool { return slices.Contains(c.Roles, r) })
}

// LogValue implements slog.LogValuer: the token never reaches a log.
func (c Caller) LogValue() slog.Value {
	return slog.GroupValue(slog.String("user", c.UserID), slog.String("project", c.ProjectID), slog.Any("roles", c.Roles))
}

// String is safe to print.
func (c Caller) String() string { return "user " + c.UserID + " of project " + c.ProjectID }

// GoString is safe to print.
func (c Caller) GoString() string { return c.String() }

// Identifier finds out who a request is from. Its errors are ErrUnauthorized, ErrUnavailable or the request's own
// context's.
type Identifier interface {
	Identify(r *http.Request) (Caller, error)
}
