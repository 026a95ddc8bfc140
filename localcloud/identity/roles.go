package identity

import (
	"net/http"

	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/state"
)

func (s *Service) routeRoles(rt *httpx.Router) {
	rt.Handle("GET /v3/roles", admin(s.listRoles))
	rt.Handle("POST /v3/roles", admin(s.createRole))
	rt.Handle("GET /v3/roles/{id}", admin(s.showRole))
	rt.Handle("PATCH /v3/roles/{id}", admin(s.updateRole))
	rt.Handle("DELETE /v3/roles/{id}", admin(s.deleteRole))
	const grants = "/v3/projects/{project}/users/{user}/roles"
	rt.Handle("GET "+grants, admin(s.listGrants))
	rt.Handle("PUT "+grants+"/{role}", admin(s.addGrant))
	rt.Handle("GET "+grants+"/{role}", admin(s.checkGrant)) // and HEAD
	rt.Handle("DELETE "+grants+"/{role}", admin(s.removeGrant))
	rt.Handle("GET /v3/role_assignments", s.listAssignments)
}

type shownRole struct {
	Role
	Options map[string]any `json:"options"`
	Links   links          `json:"links"`
}

func shownRoles(r *http.Request, roles []Role) []shownRole {
	shown := []shownRole{}
	for _, role := range roles {
		shown = append(shown, shownRole{role, map[string]any{}, linkTo(r, "roles", role.ID)})
	}
	return shown
}

func writeRole(w http.ResponseWriter, r *http.Request, status int, role Role) error {
	return httpx.Write(w, status, map[string]any{"role": shownRoles(r, []Role{role})[0]})
}

type roleChange struct {
	Role struct {
		Name        *string `json:"name"`
		DomainID    *string `json:"domain_id"`
		Description *string `json:"description"`
	} `json:"role"`
}

func (c *roleChange) applyTo(role *Role) error {
	set(&role.Name, c.Role.Name)
	set(&role.Description, c.Role.Description)
	if c.Role.DomainID != nil {
		return httpx.BadRequest("", "Roles of this cloud are not specific to a domain.")
	}
	return checkName("role", role.Name, 255)
}

func putRole(tx *state.Tx, role Role) error {
	if _, taken := state.Find(tx, func(o *Role) bool { return o.Name == role.Name && o.ID != role.ID }); taken {
		return duplicate("role", role.Name)
	}
	return tx.Put(role)
}

func (s *Service) listRoles(w http.ResponseWriter, r *http.Request, _ httpx.Caller) error {
	return listed(w, r, "roles", shownRoles(r, state.List[Role](s.state, nil)))
}

func (s *Service) createRole(w http.ResponseWriter, r *http.Request, _ httpx.Caller) error {
	var change roleChange
	if err := httpx.Read(w, r, &change); err != nil {
		return err
	}
	role := Role{ID: newID()}
	if err := change.applyTo(&role); err != nil {
		return err
	}
	if err := s.state.Update(func(tx *state.Tx) error { return putRole(tx, role) }); err != nil {
		return err
	}
	return writeRole(w, r, http.StatusCreated, role)
}

func (s *Service) showRole(w http.ResponseWriter, r *http.Request, _ httpx.Caller) error {
	role, err := state.Get[Role](s.state, r.PathValue("id"))
	if err != nil {
		return notFound("role", r.PathValue("id"))
	}
	return writeRole(w, r, http.StatusOK, role)
}

func (s *Service) updateRole(w http.ResponseWriter, r *http.Request, _ httpx.Caller) error {
	var change roleChange
	if err := httpx.Read(w, r, &change); err != nil {
		return err
	}
	var role Role
	err := s.state.Update(func(tx *state.Tx) (err error) {
		if role, err = state.Get[Role](tx, r.PathValue("id")); err != nil {
			return notFound("role", r.PathValue("id"))
		}
		if err := change.applyTo(&role); err != nil {
			return err
		}
		return putRole(tx, role)
	})
	if err != nil {
		return err
	}
	return writeRole(w, r, http.StatusOK, role)
}

func (s *Service) deleteRole(w http.ResponseWriter, r *http.Request, _ httpx.Caller) error {
	id := r.PathValue("id")
	err := s.state.Update(func(tx *state.Tx) error {
		role, err := state.Get[Role](tx, id)
		if err != nil {
			return notFound("role", id)
		}
		tx.Delete(role)
		removeGrants(tx, func(a *assignment) bool { return a.RoleID == id })
		return nil
	})
	if err != nil {
		return err
	}
	return httpx.NoContent(w)
}

func (s *Service) listGrants(w http.ResponseWriter, r *http.Request, _ httpx.Caller) error {
	assigned := map[string]bool{}
	for _, a := range state.List(s.state, func(a *assignment) bool {
		return a.ProjectID == r.PathValue("project") && a.UserID == r.PathValue("user")
	}) {
		assigned[a.RoleID] = true
	}
	return listed(w, r, "roles", shownRoles(r, state.List(s.state, func(role *Role) bool { return assigned[role.ID] })))
}

func grantIn(r *http.Request) assignment {
	return assignment{UserID: r.PathValue("user"), ProjectID: r.PathValue("project"), RoleID: r.PathValue("role")}
}

func (s *Service) addGrant(w http.ResponseWriter, r *http.Request, _ httpx.Caller) error {
	a := grantIn(r)
	err := s.state.Update(func(tx *state.Tx) error {
		if _, err := state.Get[account](tx, a.UserID); err != nil {
			return notFound("user", a.UserID)
		}
		if _, err := state.Get[Project](tx, a.ProjectID); err != nil {
			return notFound("project", a.ProjectID)
		}
		if _, err := state.Get[Role](tx, a.RoleID); err != nil {
			return notFound("role", a.RoleID)
		}
		return tx.Put(a)
	})
	if err != nil {
		return err
	}
	return httpx.NoContent(w)
}

func (s *Service) checkGrant(w http.ResponseWriter, r *http.Request, _ httpx.Caller) error {
	if _, err := state.Get[assignment](s.state, grantIn(r).Key()); err != nil {
		return notFound("role assignment", r.PathValue("role"))
	}
	return httpx.NoContent(w)
}

func (s *Service) removeGrant(w http.ResponseWriter, r *http.Request, _ httpx.Caller) error {
	err := s.state.Update(func(tx *state.Tx) error {
		a, err := state.Get[assignment](tx, grantIn(r).Key())
		if err != nil {
			return notFound("role assignment", r.PathValue("role"))
		}
		removeGrants(tx, func(o *assignment) bool { return *o == a })
		return nil
	})
	if err != nil {
		return err
	}
	return httpx.NoContent(w)
}

// removeGrants removes assignments and the application credentials that were made with them, as Keystone does: what a
// user has lost must not live on in a program.
func removeGrants(tx *state.Tx, match func(*assignment) bool) {
	for _, a := range state.List(tx, match) {
		tx.Delete(a)
		for _, c := range state.List(tx, func(c *appCredential) bool {
			return c.UserID == a.UserID && c.ProjectID == a.ProjectID
		}) {
			tx.Delete(c)
		}
	}
}

// shownAssignment is an entry of GET /v3/role_assignments.
type shownAssignment struct {
	Role  named `json:"role"`
	User  named `json:"user"`
	Scope struct {
		Project named `json:"project"`
	} `json:"scope"`
	Links struct {
		Assignment string `json:"assignment"`
	} `json:"links"`
}

// listAssignments lets admins see all and others their own. With effective it shows implied roles too, with
// include_names names as well as ids.
func (s *Service) listAssignments(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	query := r.URL.Query()
	if !who.IsAdmin && query.Get("user.id") != who.UserID {
		return forbidden("list_role_assignments")
	}
	all := state.List(s.state, func(a *assignment) bool {
		return fits(query.Get("user.id"), a.UserID) && fits(query.Get("scope.project.id"), a.ProjectID)
	})
	if flag(query, "effective") {
		all = s.effective(all)
	}
	shown := []shownAssignment{}
	for _, a := range all {
		if fits(query.Get("role.id"), a.RoleID) {
			shown = append(shown, s.show(r, a, flag(query, "include_names")))
		}
	}
	return httpx.Write(w, http.StatusOK, map[string]any{"role_assignments": shown,
		"links": map[string]any{"self": self(r), "previous": nil, "next": nil}})
}

func fits(wanted, have string) bool { return wanted == "" || wanted == have }

// flag is set by ?name, ?name=1 and ?name=True.
func flag(query map[string][]string, name string) bool {
	values, ok := query[name]
	return ok && (len(values) == 0 || values[0] != "0" && values[0] != "False" && values[0] != "false")
}

func (s *Service) effective(assigned []assignment) (all []assignment) {
	seen := map[assignment]bool{}
	for _, a := range assigned {
		for _, role := range rolesOf(s.state, a.UserID, a.ProjectID) {
			b := assignment{a.UserID, a.ProjectID, role.ID}
			if !seen[b] {
				seen[b] = true
				all = append(all, b)
			}
		}
	}
	return all
}

func (s *Service) show(r *http.Request, a assignment, names bool) (shown shownAssignment) {
	shown.Role.ID, shown.User.ID, shown.Scope.Project.ID = a.RoleID, a.UserID, a.ProjectID
	shown.Links.Assignment = httpx.BaseURL(r) + "/v3/projects/" + a.ProjectID + "/users/" + a.UserID + "/roles/" + a.RoleID
	if !names {
		return shown
	}
	role, _ := state.Get[Role](s.state, a.RoleID)
	user, _ := state.Get[account](s.state, a.UserID)
	project, _ := state.Get[Project](s.state, a.ProjectID)
	shown.Role = named{ID: a.RoleID, Name: role.Name}
	shown.User = named{a.UserID, user.Name, inDefaultDomain}
	shown.Scope.Project = named{a.ProjectID, project.Name, inDefaultDomain}
	return shown
}
