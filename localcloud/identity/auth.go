package identity

import (
	"net/http"
	"slices"
	"time"

	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/state"
)

// reference names a thing by id, or by name within a domain.
type reference struct {
	ID     string     `json:"id"`
	Name   string     `json:"name"`
	Domain *reference `json:"domain"`
}

// authRequest is the body of POST /v3/auth/tokens.
type authRequest struct {
	Auth struct {
		Identity struct {
			Methods  []string `json:"methods"`
			Password *struct {
				User userAndPassword `json:"user"`
			} `json:"password"`
			Token *struct {
				ID string `json:"id"`
			} `json:"token"`
			AppCredential *appCredentialAndSecret `json:"application_credential"`
		} `json:"identity"`
		Scope scope `json:"scope"`
	} `json:"auth"`
}

type userAndPassword struct {
	reference
	Password string `json:"password"`
}

type appCredentialAndSecret struct {
	ID     string     `json:"id"`
	Name   string     `json:"name"`
	User   *reference `json:"user"`
	Secret string     `json:"secret"`
}

var unauthorized = httpx.Errorf(http.StatusUnauthorized, "", "The request you have made requires authentication.")

func (s *Service) issueToken(w http.ResponseWriter, r *http.Request) error {
	var req authRequest
	if err := httpx.Read(w, r, &req); err != nil {
		return err
	}
	t, err := s.authenticate(&req)
	if err != nil {
		return err
	}
	g, ok := s.grantOf(t)
	if !ok {
		return unauthorized
	}
	text, err := s.seal(t)
	if err != nil {
		return err
	}
	w.Header().Set("X-Subject-Token", text)
	return s.writeToken(w, r, http.StatusCreated, t, g)
}

// authenticate turns what was shown into the token for it. That user, project and roles are in order is for the caller
// to look up.
func (s *Service) authenticate(req *authRequest) (token, error) {
	identity := &req.Auth.Identity
	now := s.now()
	t := token{Methods: identity.Methods, Audit: []string{newAuditID()}, Issued: now, Expires: now.Add(s.opts.TokenTTL)}
	if len(identity.Methods) != 1 {
		return t, httpx.BadRequest("", "auth.identity.methods must name one of password, token, application_credential.")
	}
	switch method := identity.Methods[0]; {
	case method == "password" && identity.Password != nil:
		return s.byPassword(t, identity.Password.User, req.Auth.Scope)
	case method == "token" && identity.Token != nil:
		return s.byToken(t, identity.Token.ID, req.Auth.Scope)
	case method == "application_credential" && identity.AppCredential != nil:
		return s.byAppCredential(t, identity.AppCredential, req.Auth.Scope)
	case slices.Contains([]string{"password", "token", "application_credential"}, method):
		return t, httpx.BadRequest("", "auth.identity.%s is missing.", method)
	}
	return t, unauthorized // Keystone's answer to a method that it does not have
}

func (s *Service) byPassword(t token, shown userAndPassword, wanted scope) (token, error) {
	user, found := s.findUser(&shown.reference)
	if !s.matches(user.PasswordHash, shown.Password) || !found {
		return t, unauthorized
	}
	t.User = user.ID
	if wanted.absent() && user.DefaultProjectID != nil && len(rolesOf(s.state, user.ID, *user.DefaultProjectID)) > 0 {
		t.Project = *user.DefaultProjectID
		return t, nil
	}
	return s.scoped(t, wanted)
}

func (s *Service) byToken(t token, text string, wanted scope) (token, error) {
	parent, ok := s.open(text)
	if ok {
		_, ok = s.grantOf(parent) // a new token must not outlive what ended this one, such as a changed password
	}
	if !ok {
		return t, unauthorized
	}
	if parent.AppCred != "" {
		return t, httpx.Forbidden("", "A token of an application credential cannot be scoped again.")
	}
	t.User, t.Expires = parent.User, parent.Expires
	t.Audit = append(t.Audit, parent.Audit[len(parent.Audit)-1])
	for _, m := range parent.Methods {
		if m != "token" {
			t.Methods = append(t.Methods, m)
		}
	}
	return s.scoped(t, wanted)
}

func (s *Service) byAppCredential(t token, shown *appCredentialAndSecret, wanted scope) (token, error) {
	cred, found := s.findAppCredential(shown)
	if !s.matches(cred.SecretHash, shown.Secret) || !found || s.expired(cred) {
		return t, unauthorized
	}
	if !wanted.absent() {
		return t, httpx.Errorf(http.StatusUnauthorized, "", "Application credentials cannot request a scope.")
	}
	t.User, t.Project, t.AppCred = cred.UserID, cred.ProjectID, cred.ID
	return t, nil
}

func (s *Service) findUser(ref *reference) (account, bool) {
	if ref == nil {
		return account{}, false
	}
	if ref.ID != "" {
		user, err := state.Get[account](s.state, ref.ID)
		return user, err == nil
	}
	if ref.Name == "" || !ref.Domain.isDefault() {
		return account{}, false
	}
	return state.Find(s.state, func(a *account) bool { return a.Name == ref.Name })
}

func (s *Service) findAppCredential(ref *appCredentialAndSecret) (appCredential, bool) {
	if ref.ID != "" {
		cred, err := state.Get[appCredential](s.state, ref.ID)
		return cred, err == nil
	}
	user, found := s.findUser(ref.User)
	if !found || ref.Name == "" {
		return appCredential{}, false
	}
	return state.Find(s.state, func(c *appCredential) bool { return c.UserID == user.ID && c.Name == ref.Name })
}

// isDefault holds for the default domain by id or name.
func (r *reference) isDefault() bool {
	return r != nil && (r.ID == DefaultDomain || r.ID == "" && r.Name == defaultDomainName)
}

// timestamp is a time in Keystone's form.
func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }
