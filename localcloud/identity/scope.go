package identity

import (
	"encoding/json"
	"net/http"

	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/state"
)

// scope is what a token is asked for: a project, nothing in particular, or expressly nothing.
type scope struct {
	Project *reference
	// Unscoped is set by "scope": "unscoped".
	Unscoped bool
	// Other is set by a scope that this cloud does not have: a domain, the system, a trust.
	Other bool
}

func (sc scope) absent() bool { return sc == scope{} }

// UnmarshalJSON implements json.Unmarshaler.
func (sc *scope) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) == nil {
		sc.Unscoped = text == "unscoped"
		sc.Other = !sc.Unscoped && text != ""
		return nil
	}
	var parts struct {
		Project *reference      `json:"project"`
		Rest    json.RawMessage `json:"unscoped"`
		Domain  json.RawMessage `json:"domain"`
		System  json.RawMessage `json:"system"`
		Trust   json.RawMessage `json:"OS-TRUST:trust"`
	}
	if err := json.Unmarshal(b, &parts); err != nil {
		return err
	}
	sc.Project = parts.Project
	sc.Unscoped = parts.Rest != nil
	sc.Other = parts.Domain != nil || parts.System != nil || parts.Trust != nil
	return nil
}

// scoped adds the wanted project to the token.
func (s *Service) scoped(t token, wanted scope) (token, error) {
	switch {
	case wanted.Other:
		return t, httpx.Errorf(http.StatusUnauthorized, "", "Tokens of this cloud are for a project or without scope.")
	case wanted.Project == nil:
		return t, nil
	}
	project, found := s.findProject(wanted.Project)
	if !found {
		return t, unauthorized
	}
	t.Project = project.ID
	return t, nil
}

func (s *Service) findProject(ref *reference) (Project, bool) {
	if ref.ID != "" {
		project, err := state.Get[Project](s.state, ref.ID)
		return project, err == nil
	}
	if !ref.Domain.isDefault() {
		return Project{}, false
	}
	return state.Find(s.state, func(p *Project) bool { return p.Name == ref.Name })
}
