package httpx

import (
	"context"
	"errors"
	"slices"
	"time"
)

// ErrBadToken says that a token is unknown, altered, revoked or expired, or that its user or project is no more.
var ErrBadToken = errors.New("the token is not valid")

// Caller is who a request is from, as its token says.
type Caller struct {
	UserID      string
	UserName    string
	ProjectID   string // empty for a token without scope
	ProjectName string
	DomainID    string
	Roles       []string // names
	IsAdmin     bool     // has the role admin
	Token       string
	ExpiresAt   time.Time
}

// Has tells whether the caller has one of the roles.
func (c Caller) Has(roles ...string) bool {
	return slices.ContainsFunc(roles, func(r string) bool { return slices.Contains(c.Roles, r) })
}

// Sees tells whether an object of that project is the caller's own or the caller is an admin.
func (c Caller) Sees(projectID string) bool {
	return c.IsAdmin || c.ProjectID != "" && c.ProjectID == projectID
}

// Authenticator turns a token into its caller. It returns ErrBadToken for one that is not valid; any other error means
// that it could not tell.
type Authenticator interface {
	Authenticate(ctx context.Context, token string) (Caller, error)
}
