package identity

import (
	"time"

	"github.com/octavo-lb/octavo/localcloud/state"
)

// DefaultDomain is the only domain there is.
const (
	DefaultDomain     = "default"
	defaultDomainName = "Default"
)

// User is somebody who can get a token.
type User struct {
	ID               string  `json:"id"`
	Name             string  `json:"name"`
	DomainID         string  `json:"domain_id"`
	Enabled          bool    `json:"enabled"`
	Description      string  `json:"description,omitempty"`
	Email            string  `json:"email,omitempty"`
	DefaultProjectID *string `json:"default_project_id"`
}

// account is a User as it is kept.
type account struct {
	User
	PasswordHash []byte `json:"password_hash"`
	// ValidFrom is when the password was last changed: tokens issued earlier are not valid any more.
	ValidFrom time.Time `json:"valid_from"`
}

// Project owns what is made in the cloud.
type Project struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	DomainID    string   `json:"domain_id"`
	Description string   `json:"description"`
	Enabled     bool     `json:"enabled"`
	ParentID    string   `json:"parent_id"`
	IsDomain    bool     `json:"is_domain"`
	Tags        []string `json:"tags"`
}

// Role is what a user may be in a project.
type Role struct {
	ID          string  `json:"id"`
	Name        string  `json:"name"`
	DomainID    *string `json:"domain_id"`
	Description string  `json:"description"`
}

// assignment gives a user a role in a project.
type assignment struct {
	UserID    string `json:"user_id"`
	ProjectID string `json:"project_id"`
	RoleID    string `json:"role_id"`
}

// appCredential lets a program act as its user in one project.
type appCredential struct {
	ID           string     `json:"id"`
	Name         string     `json:"name"`
	Description  string     `json:"description"`
	UserID       string     `json:"user_id"`
	ProjectID    string     `json:"project_id"`
	RoleIDs      []string   `json:"role_ids"`
	Unrestricted bool       `json:"unrestricted"`
	ExpiresAt    *time.Time `json:"expires_at"`
	SecretHash   []byte     `json:"secret_hash"`
}

// revocation is a token, by its audit id, that is not valid although it has not expired.
type revocation struct {
	AuditID   string    `json:"audit_id"`
	ExpiresAt time.Time `json:"expires_at"`
}

// signingKey signs tokens.
type signingKey struct {
	ID     string `json:"id"`
	Secret []byte `json:"secret"`
}

// registeredService and registeredEndpoint are what operators added to the catalog. An endpoint that has the id of one of
// this server's own takes its place.
type registeredService struct {
	ID   string `json:"id"`
	Type string `json:"type"`
	Name string `json:"name"`
}

type registeredEndpoint struct {
	ID        string `json:"id"`
	ServiceID string `json:"service_id"`
	Interface string `json:"interface"`
	Region    string `json:"region"`
	URL       string `json:"url"`
}

func (account) Kind() string        { return "identity.user" }
func (a account) Key() string       { return a.ID }
func (Project) Kind() string        { return "identity.project" }
func (p Project) Key() string       { return p.ID }
func (Role) Kind() string           { return "identity.role" }
func (r Role) Key() string          { return r.ID }
func (assignment) Kind() string     { return "identity.assignment" }
func (a assignment) Key() string    { return a.ProjectID + "/" + a.UserID + "/" + a.RoleID }
func (appCredential) Kind() string  { return "identity.application_credential" }
func (c appCredential) Key() string { return c.ID }
func (revocation) Kind() string     { return "identity.revocation" }
func (r revocation) Key() string    { return r.AuditID }
func (signingKey) Kind() string     { return "identity.key" }
func (k signingKey) Key() string    { return k.ID }

// implied are the roles that come with another, as Keystone's bootstrap sets them up.
var implied = map[string][]string{"admin": {"member", "reader"}, "member": {"reader"}}

// rolesOf answers the roles that the user has in the project, with those they imply, in a fixed order.
func rolesOf(r state.Reader, userID, projectID string) []Role {
	assigned := map[string]bool{}
	for _, a := range state.List(r, func(a *assignment) bool { return a.UserID == userID && a.ProjectID == projectID }) {
		assigned[a.RoleID] = true
	}
	if len(assigned) == 0 {
		return nil
	}
	names := map[string]bool{}
	for _, role := range state.List(r, func(role *Role) bool { return assigned[role.ID] }) {
		names[role.Name] = true
		for _, name := range implied[role.Name] {
			names[name] = true
		}
	}
	return state.List(r, func(role *Role) bool { return names[role.Name] })
}

func (registeredService) Kind() string  { return "identity.service" }
func (s registeredService) Key() string { return s.ID }

func (registeredEndpoint) Kind() string  { return "identity.endpoint" }
func (e registeredEndpoint) Key() string { return e.ID }
