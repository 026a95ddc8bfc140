package compute

import (
	"net/http"

	"github.com/google/uuid"

	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/state"
)

// groupBody is a server group in that microversion: since 2.64 it has one policy.
func (s *Service) groupBody(g group, mv httpx.Microversion) map[string]any {
	members := []string{}
	for _, v := range state.List(s.State, func(v *server) bool { return v.GroupID == g.ID }) {
		members = append(members, v.ID)
	}
	d := map[string]any{"id": g.ID, "name": g.Name, "members": members}
	if mv.AtLeast(2, 13) {
		d["project_id"], d["user_id"] = g.ProjectID, g.UserID
	}
	if mv.AtLeast(2, 64) {
		d["policy"], d["rules"] = g.Policies[0], map[string]any{}
	} else {
		d["policies"], d["metadata"] = g.Policies, map[string]any{}
	}
	return d
}

func (s *Service) listGroups(w http.ResponseWriter, r *http.Request, who httpx.Caller, mv httpx.Microversion) error {
	_, taken := httpx.TakeQuery(r, "all_projects")
	everybody := who.IsAdmin && isTrue(taken, "all_projects")
	list := []any{}
	for _, g := range state.List(s.State, func(g *group) bool { return everybody || g.ProjectID == who.ProjectID }) {
		list = append(list, s.groupBody(g, mv))
	}
	return httpx.Write(w, http.StatusOK, map[string]any{"server_groups": list})
}

func (s *Service) createGroup(w http.ResponseWriter, r *http.Request, who httpx.Caller, mv httpx.Microversion) error {
	var body struct {
		Group struct {
			Name     string   `json:"name"`
			Policies []string `json:"policies"`
			Policy   string   `json:"policy"`
		} `json:"server_group"`
	}
	if err := httpx.Read(w, r, &body); err != nil {
		return err
	}
	policies := body.Group.Policies
	if body.Group.Policy != "" {
		policies = []string{body.Group.Policy}
	}
	if body.Group.Name == "" || len(policies) != 1 {
		return httpx.BadRequest("", "A server group needs a name and one policy.")
	}
	if err := s.roomForGroup(who.ProjectID); err != nil {
		return err
	}
	g := group{ID: uuid.NewString(), Name: body.Group.Name, Policies: policies, ProjectID: who.ProjectID, UserID: who.UserID}
	if err := s.State.Put(g); err != nil {
		return err
	}
	return httpx.Write(w, http.StatusOK, map[string]any{"server_group": s.groupBody(g, mv)})
}

func (s *Service) findGroup(r *http.Request, who httpx.Caller) (group, error) {
	g, err := state.Get[group](s.State, r.PathValue("id"))
	if err != nil || !who.Sees(g.ProjectID) {
		return g, httpx.NotFound("", "Instance group %s could not be found.", r.PathValue("id"))
	}
	return g, nil
}

func (s *Service) showGroup(w http.ResponseWriter, r *http.Request, who httpx.Caller, mv httpx.Microversion) error {
	g, err := s.findGroup(r, who)
	if err != nil {
		return err
	}
	return httpx.Write(w, http.StatusOK, map[string]any{"server_group": s.groupBody(g, mv)})
}

func (s *Service) deleteGroup(w http.ResponseWriter, r *http.Request, who httpx.Caller, _ httpx.Microversion) error {
	g, err := s.findGroup(r, who)
	if err != nil {
		return err
	}
	if err := s.State.Delete(g); err != nil {
		return err
	}
	return httpx.NoContent(w)
}
