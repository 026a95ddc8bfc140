package identity

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"slices"
	"time"

	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/state"
)

func (s *Service) routeAppCredentials(rt *httpx.Router) {
	const path = "/v3/users/{id}/application_credentials"
	rt.Handle("GET "+path, own(s.listAppCredentials))
	rt.Handle("POST "+path, s.createAppCredential)
	rt.Handle("GET "+path+"/{credential}", own(s.showAppCredential))
	rt.Handle("DELETE "+path+"/{credential}", own(s.deleteAppCredential))
}

type shownAppCredential struct {
	ID           string  `json:"id"`
	Name         string  `json:"name"`
	Description  string  `json:"description"`
	UserID       string  `json:"user_id"`
	ProjectID    string  `json:"project_id"`
	Roles        []named `json:"roles"`
	Unrestricted bool    `json:"unrestricted"`
	ExpiresAt    *string `json:"expires_at"`
	Secret       string  `json:"secret,omitempty"` // in the answer to its creation only
	System       *string `json:"system"`
	Links        links   `json:"links"`
}

func (s *Service) shownAppCredential(r *http.Request, c appCredential) shownAppCredential {
	shown := shownAppCredential{ID: c.ID, Name: c.Name, Description: c.Description, UserID: c.UserID, ProjectID: c.ProjectID,
		Roles: []named{}, Unrestricted: c.Unrestricted,
		Links: linkTo(r, "users/"+c.UserID+"/application_credentials", c.ID)}
	for _, role := range state.List(s.state, func(role *Role) bool { return slices.Contains(c.RoleIDs, role.ID) }) {
		shown.Roles = append(shown.Roles, named{ID: role.ID, Name: role.Name})
	}
	if c.ExpiresAt != nil {
		shown.ExpiresAt = new(c.ExpiresAt.UTC().Format("2006-01-02T15:04:05.000000"))
	}
	return shown
}

func (s *Service) listAppCredentials(w http.ResponseWriter, r *http.Request, _ httpx.Caller) error {
	shown := []shownAppCredential{}
	for _, c := range state.List(s.state, func(c *appCredential) bool { return c.UserID == r.PathValue("id") }) {
		shown = append(shown, s.shownAppCredential(r, c))
	}
	return listed(w, r, "application_credentials", shown)
}

// newAppCredential is the body of POST.
type newAppCredential struct {
	Credential struct {
		Name         string      `json:"name"`
		Description  string      `json:"description"`
		Secret       string      `json:"secret"`
		Roles        []reference `json:"roles"`
		Unrestricted bool        `json:"unrestricted"`
		ExpiresAt    *string     `json:"expires_at"`
	} `json:"application_credential"`
}

// createAppCredential is for users themselves, with at most the roles that their token has.
func (s *Service) createAppCredential(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	if err := s.mayCreate(r.PathValue("id"), who); err != nil {
		return err
	}
	var body newAppCredential
	if err := httpx.Read(w, r, &body); err != nil {
		return err
	}
	if body.Credential.Secret == "" {
		random := make([]byte, 64)
		rand.Read(random)
		body.Credential.Secret = base64.RawURLEncoding.EncodeToString(random)
	}
	c, err := s.buildAppCredential(&body, who)
	if err != nil {
		return err
	}
	err = s.state.Update(func(tx *state.Tx) error {
		if _, taken := state.Find(tx, func(o *appCredential) bool { return o.UserID == c.UserID && o.Name == c.Name }); taken {
			return duplicate("application_credential", c.Name)
		}
		return tx.Put(c)
	})
	if err != nil {
		return err
	}
	shown := s.shownAppCredential(r, c)
	shown.Secret = body.Credential.Secret
	return httpx.Write(w, http.StatusCreated, map[string]any{"application_credential": shown})
}

// mayCreate refuses to make credentials for others, without a project, and by a credential that is itself restricted.
func (s *Service) mayCreate(userID string, who httpx.Caller) error {
	if who.UserID != userID || who.ProjectID == "" || s.restricted(who) {
		return forbidden("create_application_credential")
	}
	return nil
}

// restricted tells whether the caller is a program that must not make or delete credentials.
func (s *Service) restricted(who httpx.Caller) bool {
	t, ok := s.open(who.Token)
	if !ok || t.AppCred == "" {
		return !ok
	}
	c, err := state.Get[appCredential](s.state, t.AppCred)
	return err != nil || !c.Unrestricted
}

func (s *Service) buildAppCredential(body *newAppCredential, who httpx.Caller) (appCredential, error) {
	wanted := &body.Credential
	c := appCredential{ID: newID(), Name: wanted.Name, Description: wanted.Description, UserID: who.UserID,
		ProjectID: who.ProjectID, Unrestricted: wanted.Unrestricted}
	if err := checkName("application credential", c.Name, 255); err != nil {
		return c, err
	}
	if wanted.ExpiresAt != nil {
		expires, err := parseTime(*wanted.ExpiresAt)
		if err != nil || !expires.After(s.now()) {
			return c, httpx.BadRequest("", "expires_at is %q: not a time in the future such as 2030-12-31T23:59:59Z.", *wanted.ExpiresAt)
		}
		c.ExpiresAt = &expires
	}
	have := state.List(s.state, func(role *Role) bool { return who.Has(role.Name) })
	if len(wanted.Roles) == 0 {
		for _, role := range have {
			c.RoleIDs = append(c.RoleIDs, role.ID)
		}
	}
	for _, ref := range wanted.Roles {
		i := slices.IndexFunc(have, func(role Role) bool { return role.ID == ref.ID || ref.ID == "" && role.Name == ref.Name })
		if i < 0 {
			return c, httpx.BadRequest("", "Could not find role assignment with role: %s%s.", ref.ID, ref.Name)
		}
		c.RoleIDs = append(c.RoleIDs, have[i].ID)
	}
	var err error
	c.SecretHash, err = s.hash(wanted.Secret)
	return c, err
}

func parseTime(text string) (t time.Time, err error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999", "2006-01-02T15:04:05"} {
		if t, err = time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return t, err
}

func (s *Service) appCredentialOf(r *http.Request) (appCredential, error) {
	c, err := state.Get[appCredential](s.state, r.PathValue("credential"))
	if err != nil || c.UserID != r.PathValue("id") {
		return c, notFound("application credential", r.PathValue("credential"))
	}
	return c, nil
}

func (s *Service) showAppCredential(w http.ResponseWriter, r *http.Request, _ httpx.Caller) error {
	c, err := s.appCredentialOf(r)
	if err != nil {
		return err
	}
	return httpx.Write(w, http.StatusOK, map[string]any{"application_credential": s.shownAppCredential(r, c)})
}

func (s *Service) deleteAppCredential(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	if s.restricted(who) {
		return forbidden("delete_application_credential")
	}
	c, err := s.appCredentialOf(r)
	if err != nil {
		return err
	}
	if err := s.state.Delete(c); err != nil {
		return err
	}
	return httpx.NoContent(w)
}
