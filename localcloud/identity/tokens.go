package identity

import (
	"net/http"

	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/state"
)

// named is how a token's body shows what it refers to.
type named struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Domain *named `json:"domain,omitempty"`
}

var inDefaultDomain = &named{ID: DefaultDomain, Name: defaultDomainName}

// tokenBody is the body of a token: Keystone's keystone/api/auth.py and models/token_model.py.
type tokenBody struct {
	Methods       []string         `json:"methods"`
	User          tokenUser        `json:"user"`
	AuditIDs      []string         `json:"audit_ids"`
	ExpiresAt     string           `json:"expires_at"`
	IssuedAt      string           `json:"issued_at"`
	Project       *named           `json:"project,omitempty"`
	IsDomain      *bool            `json:"is_domain,omitempty"`
	Roles         []named          `json:"roles,omitempty"`
	Catalog       []catalogService `json:"catalog,omitempty"`
	AppCredential *tokenAppCred    `json:"application_credential,omitempty"`
}

type tokenUser struct {
	named
	PasswordExpiresAt *string `json:"password_expires_at"`
}

type tokenAppCred struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	Restricted bool   `json:"restricted"`
}

func (s *Service) writeToken(w http.ResponseWriter, r *http.Request, status int, t token, g grant) error {
	body := tokenBody{
		Methods: t.Methods, AuditIDs: t.Audit, ExpiresAt: timestamp(t.Expires), IssuedAt: timestamp(t.Issued),
		User: tokenUser{named: named{ID: g.user.ID, Name: g.user.Name, Domain: inDefaultDomain}},
	}
	if g.project != nil {
		body.Project = &named{ID: g.project.ID, Name: g.project.Name, Domain: inDefaultDomain}
		body.IsDomain = new(bool)
		for _, role := range g.roles {
			body.Roles = append(body.Roles, named{ID: role.ID, Name: role.Name})
		}
		if !r.URL.Query().Has("nocatalog") {
			body.Catalog = s.catalog(r)
		}
	}
	if g.appCred != nil {
		body.AppCredential = &tokenAppCred{g.appCred.ID, g.appCred.Name, !g.appCred.Unrestricted}
	}
	w.Header().Set("Vary", "X-Auth-Token")
	return httpx.Write(w, status, map[string]any{"token": body})
}

// showToken validates the token in X-Subject-Token for its owner, an admin or a service.
func (s *Service) showToken(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	text := r.Header.Get("X-Subject-Token")
	t, g, err := s.subject(text, who)
	if err != nil {
		return err
	}
	w.Header().Set("X-Subject-Token", text)
	return s.writeToken(w, r, http.StatusOK, t, g)
}

func (s *Service) revokeToken(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	t, _, err := s.subject(r.Header.Get("X-Subject-Token"), who)
	if err != nil {
		return err
	}
	if err := s.revoke(t); err != nil {
		return err
	}
	return httpx.NoContent(w)
}

func (s *Service) subject(text string, who httpx.Caller) (token, grant, error) {
	t, ok := s.open(text)
	if !who.Has("admin", "service") && (!ok || t.User != who.UserID) {
		return t, grant{}, forbidden("validate_token")
	}
	var g grant
	if ok {
		g, ok = s.grantOf(t)
	}
	if !ok {
		return t, g, httpx.NotFound("", "Could not find token.")
	}
	return t, g, nil
}

// listOwnProjects answers the projects that the caller may get a token for.
func (s *Service) listOwnProjects(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	return listed(w, r, "projects", shownProjects(r, s.projectsOf(who.UserID)))
}

func (s *Service) projectsOf(userID string) []Project {
	mine := map[string]bool{}
	for _, a := range state.List(s.state, func(a *assignment) bool { return a.UserID == userID }) {
		mine[a.ProjectID] = true
	}
	return state.List(s.state, func(p *Project) bool { return p.Enabled && mine[p.ID] })
}

func forbidden(action string) *httpx.Error {
	return httpx.Forbidden("", "You are not authorized to perform the requested action: identity:%s.", action)
}
