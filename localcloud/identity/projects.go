package identity

import (
	"net/http"

	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/state"
)

func (s *Service) routeProjects(rt *httpx.Router) {
	rt.Handle("GET /v3/projects", admin(s.listProjects))
	rt.Handle("POST /v3/projects", admin(s.createProject))
	rt.Handle("GET /v3/projects/{id}", s.showProject)
	rt.Handle("PATCH /v3/projects/{id}", admin(s.updateProject))
	rt.Handle("DELETE /v3/projects/{id}", admin(s.deleteProject))
	rt.Handle("GET /v3/domains", admin(s.listDomains))
	rt.Handle("GET /v3/domains/{id}", s.showDomain)
}

type shownProject struct {
	Project
	Options map[string]any `json:"options"`
	Links   links          `json:"links"`
}

func shownProjects(r *http.Request, projects []Project) []shownProject {
	shown := []shownProject{}
	for _, p := range projects {
		shown = append(shown, shownProject{p, map[string]any{}, linkTo(r, "projects", p.ID)})
	}
	return shown
}

func writeProject(w http.ResponseWriter, r *http.Request, status int, p Project) error {
	return httpx.Write(w, status, map[string]any{"project": shownProjects(r, []Project{p})[0]})
}

type projectChange struct {
	Project struct {
		Name        *string   `json:"name"`
		DomainID    *string   `json:"domain_id"`
		Description *string   `json:"description"`
		Enabled     *bool     `json:"enabled"`
		ParentID    *string   `json:"parent_id"`
		Tags        *[]string `json:"tags"`
	} `json:"project"`
}

func (c *projectChange) applyTo(p *Project) error {
	set(&p.Name, c.Project.Name)
	set(&p.DomainID, c.Project.DomainID)
	set(&p.Description, c.Project.Description)
	set(&p.Enabled, c.Project.Enabled)
	set(&p.Tags, c.Project.Tags)
	if parent := c.Project.ParentID; parent != nil && *parent != "" && *parent != p.ParentID {
		return httpx.BadRequest("", "Projects of this cloud have no parents but the domain %q.", DefaultDomain)
	}
	if err := checkDomain(p.DomainID); err != nil {
		return err
	}
	return checkName("project", p.Name, 64)
}

func putProject(tx *state.Tx, p Project) error {
	if _, taken := state.Find(tx, func(o *Project) bool { return o.Name == p.Name && o.ID != p.ID }); taken {
		return duplicate("project", p.Name)
	}
	return tx.Put(p)
}

func newProject(name string) Project {
	return Project{ID: newID(), Name: name, DomainID: DefaultDomain, Enabled: true, ParentID: DefaultDomain, Tags: []string{}}
}

func (s *Service) listProjects(w http.ResponseWriter, r *http.Request, _ httpx.Caller) error {
	return listed(w, r, "projects", shownProjects(r, state.List[Project](s.state, nil)))
}

func (s *Service) createProject(w http.ResponseWriter, r *http.Request, _ httpx.Caller) error {
	var change projectChange
	if err := httpx.Read(w, r, &change); err != nil {
		return err
	}
	p := newProject("")
	if err := change.applyTo(&p); err != nil {
		return err
	}
	if err := s.state.Update(func(tx *state.Tx) error { return putProject(tx, p) }); err != nil {
		return err
	}
	return writeProject(w, r, http.StatusCreated, p)
}

func (s *Service) showProject(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	id := r.PathValue("id")
	if !who.Sees(id) {
		return forbidden("get_project")
	}
	p, err := state.Get[Project](s.state, id)
	if err != nil {
		return notFound("project", id)
	}
	return writeProject(w, r, http.StatusOK, p)
}

func (s *Service) updateProject(w http.ResponseWriter, r *http.Request, _ httpx.Caller) error {
	var change projectChange
	if err := httpx.Read(w, r, &change); err != nil {
		return err
	}
	var p Project
	err := s.state.Update(func(tx *state.Tx) (err error) {
		if p, err = state.Get[Project](tx, r.PathValue("id")); err != nil {
			return notFound("project", r.PathValue("id"))
		}
		if err := change.applyTo(&p); err != nil {
			return err
		}
		return putProject(tx, p)
	})
	if err != nil {
		return err
	}
	return writeProject(w, r, http.StatusOK, p)
}

// deleteProject leaves the project's networks, servers and so on where they are, as Keystone does.
func (s *Service) deleteProject(w http.ResponseWriter, r *http.Request, _ httpx.Caller) error {
	id := r.PathValue("id")
	err := s.state.Update(func(tx *state.Tx) error {
		p, err := state.Get[Project](tx, id)
		if err != nil {
			return notFound("project", id)
		}
		tx.Delete(p)
		removeGrants(tx, func(a *assignment) bool { return a.ProjectID == id })
		return nil
	})
	if err != nil {
		return err
	}
	return httpx.NoContent(w)
}

// domain is the only one.
type domain struct {
	ID          string         `json:"id"`
	Name        string         `json:"name"`
	Description string         `json:"description"`
	Enabled     bool           `json:"enabled"`
	Tags        []string       `json:"tags"`
	Options     map[string]any `json:"options"`
	Links       links          `json:"links"`
}

func domains(r *http.Request) []domain {
	return []domain{{DefaultDomain, defaultDomainName, "The default domain", true, []string{}, map[string]any{},
		linkTo(r, "domains", DefaultDomain)}}
}

func (s *Service) listDomains(w http.ResponseWriter, r *http.Request, _ httpx.Caller) error {
	return listed(w, r, "domains", domains(r))
}

func (s *Service) showDomain(w http.ResponseWriter, r *http.Request, _ httpx.Caller) error {
	return one(w, r, "domain", domains(r), func(d domain) string { return d.ID })
}
