package identity

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/state"
)

func (s *Service) routeUsers(rt *httpx.Router) {
	rt.Handle("GET /v3/users", admin(s.listUsers))
	rt.Handle("POST /v3/users", admin(s.createUser))
	rt.Handle("GET /v3/users/{id}", own(s.showUser))
	rt.Handle("PATCH /v3/users/{id}", admin(s.updateUser))
	rt.Handle("DELETE /v3/users/{id}", admin(s.deleteUser))
	rt.Handle("POST /v3/users/{id}/password", own(s.changePassword))
	rt.Handle("GET /v3/users/{id}/projects", own(s.listUserProjects))
	rt.Handle("GET /v3/users/{id}/groups", own(s.listGroups))
	rt.Handle("GET /v3/groups", admin(s.listGroups))
}

// own lets a user through to what is the user's own, and an admin to everybody's.
func own(h httpx.Handler) httpx.Handler {
	return func(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
		if who.UserID == r.PathValue("id") {
			return h(w, r, who)
		}
		return admin(h)(w, r, who)
	}
}

// shownUser is a user as the API shows it.
type shownUser struct {
	User
	PasswordExpiresAt *string        `json:"password_expires_at"`
	Options           map[string]any `json:"options"`
	Links             links          `json:"links"`
}

func shown(r *http.Request, u User) shownUser {
	return shownUser{User: u, Options: map[string]any{}, Links: linkTo(r, "users", u.ID)}
}

// userChange is the body of POST and PATCH; what is nil stays as it is.
type userChange struct {
	Name        *string `json:"name"`
	DomainID    *string `json:"domain_id"`
	Enabled     *bool   `json:"enabled"`
	Description *string `json:"description"`
	Email       *string `json:"email"`
	Password    *string `json:"password"`
	// DefaultProjectID is raw because null is not the same as absent.
	DefaultProjectID json.RawMessage `json:"default_project_id"`
}

func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

// applyTo makes the change, with a hash of the password made before (nil: unchanged).
func (c *userChange) applyTo(s *Service, a *account, hash []byte) error {
	set(&a.Name, c.Name)
	set(&a.DomainID, c.DomainID)
	set(&a.Enabled, c.Enabled)
	set(&a.Description, c.Description)
	set(&a.Email, c.Email)
	if c.DefaultProjectID != nil {
		if err := json.Unmarshal(c.DefaultProjectID, &a.DefaultProjectID); err != nil {
			return httpx.BadRequest("", "Invalid input for field default_project_id: it is not a string.")
		}
	}
	if hash != nil {
		a.PasswordHash, a.ValidFrom = hash, s.now()
	}
	if err := checkDomain(a.DomainID); err != nil {
		return err
	}
	return checkName("user", a.Name, 255)
}

// hashed is the hash of the change's password: made outside of a transaction because it takes long on purpose.
func (s *Service) hashed(password *string) ([]byte, error) {
	if password == nil {
		return nil, nil
	}
	return s.hash(*password)
}

func (s *Service) putUser(tx *state.Tx, a account) error {
	if _, taken := state.Find(tx, func(o *account) bool { return o.Name == a.Name && o.ID != a.ID }); taken {
		return duplicate("user", a.Name)
	}
	return tx.Put(a)
}

func (s *Service) listUsers(w http.ResponseWriter, r *http.Request, _ httpx.Caller) error {
	users := []shownUser{}
	for _, a := range state.List[account](s.state, nil) {
		users = append(users, shown(r, a.User))
	}
	return listed(w, r, "users", users)
}

func (s *Service) createUser(w http.ResponseWriter, r *http.Request, _ httpx.Caller) error {
	var body struct {
		User userChange `json:"user"`
	}
	if err := httpx.Read(w, r, &body); err != nil {
		return err
	}
	hash, err := s.hashed(body.User.Password)
	if err != nil {
		return err
	}
	a := account{User: User{ID: newID(), DomainID: DefaultDomain, Enabled: true}}
	if err := body.User.applyTo(s, &a, hash); err != nil {
		return err
	}
	if err := s.state.Update(func(tx *state.Tx) error { return s.putUser(tx, a) }); err != nil {
		return err
	}
	return httpx.Write(w, http.StatusCreated, map[string]any{"user": shown(r, a.User)})
}

func (s *Service) showUser(w http.ResponseWriter, r *http.Request, _ httpx.Caller) error {
	a, err := state.Get[account](s.state, r.PathValue("id"))
	if err != nil {
		return notFound("user", r.PathValue("id"))
	}
	return httpx.Write(w, http.StatusOK, map[string]any{"user": shown(r, a.User)})
}

func (s *Service) updateUser(w http.ResponseWriter, r *http.Request, _ httpx.Caller) error {
	var body struct {
		User userChange `json:"user"`
	}
	if err := httpx.Read(w, r, &body); err != nil {
		return err
	}
	hash, err := s.hashed(body.User.Password)
	if err != nil {
		return err
	}
	var a account
	err = s.state.Update(func(tx *state.Tx) (err error) {
		if a, err = state.Get[account](tx, r.PathValue("id")); err != nil {
			return notFound("user", r.PathValue("id"))
		}
		if err := body.User.applyTo(s, &a, hash); err != nil {
			return err
		}
		return s.putUser(tx, a)
	})
	if err != nil {
		return err
	}
	return httpx.Write(w, http.StatusOK, map[string]any{"user": shown(r, a.User)})
}

// deleteUser also removes what makes no sense without the user.
func (s *Service) deleteUser(w http.ResponseWriter, r *http.Request, _ httpx.Caller) error {
	id := r.PathValue("id")
	err := s.state.Update(func(tx *state.Tx) error {
		a, err := state.Get[account](tx, id)
		if err != nil {
			return notFound("user", id)
		}
		tx.Delete(a)
		removeGrants(tx, func(a *assignment) bool { return a.UserID == id })
		return nil
	})
	if err != nil {
		return err
	}
	return httpx.NoContent(w)
}

// changePassword is for users themselves, who show the old one.
func (s *Service) changePassword(w http.ResponseWriter, r *http.Request, _ httpx.Caller) error {
	var body struct {
		User struct {
			Password string `json:"password"`
			Original string `json:"original_password"`
		} `json:"user"`
	}
	if err := httpx.Read(w, r, &body); err != nil {
		return err
	}
	before, err := state.Get[account](s.state, r.PathValue("id"))
	if !s.matches(before.PasswordHash, body.User.Original) || err != nil {
		return unauthorized
	}
	if body.User.Password == "" {
		return httpx.BadRequest("", "The new password is empty.")
	}
	hash, err := s.hash(body.User.Password)
	if err != nil {
		return err
	}
	err = s.state.Update(func(tx *state.Tx) error {
		a, err := state.Get[account](tx, before.ID)
		if errors.Is(err, state.ErrNotFound) || string(a.PasswordHash) != string(before.PasswordHash) {
			return unauthorized // changed by somebody else meanwhile: the old password is no more
		}
		a.PasswordHash, a.ValidFrom = hash, s.now()
		return tx.Put(a)
	})
	if err != nil {
		return err
	}
	return httpx.NoContent(w)
}

func (s *Service) listUserProjects(w http.ResponseWriter, r *http.Request, _ httpx.Caller) error {
	return listed(w, r, "projects", shownProjects(r, s.projectsOf(r.PathValue("id"))))
}

// listGroups answers that there are none: clients look when they list a user's roles.
func (s *Service) listGroups(w http.ResponseWriter, r *http.Request, _ httpx.Caller) error {
	return listed(w, r, "groups", []struct {
		ID string `json:"id"`
	}{})
}
