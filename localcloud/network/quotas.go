package network

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"

	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/state"
)

// counted are the resources that a quota can bound, with how many of them a project has. What is nil here there is none of.
var counted = map[string]func(r state.Reader, project string) int{
	"network": func(r state.Reader, p string) int {
		return state.Count(r, func(o *Network) bool { return o.ProjectID == p })
	},
	"subnet": func(r state.Reader, p string) int {
		return state.Count(r, func(o *Subnet) bool { return o.ProjectID == p })
	},
	"port": func(r state.Reader, p string) int {
		return state.Count(r, func(o *Port) bool { return o.ProjectID == p })
	},
	"router": func(r state.Reader, p string) int {
		return state.Count(r, func(o *Router) bool { return o.ProjectID == p })
	},
	"floatingip": func(r state.Reader, p string) int {
		return state.Count(r, func(o *FloatingIP) bool { return o.ProjectID == p })
	},
	"security_group": func(r state.Reader, p string) int {
		return state.Count(r, func(o *SecurityGroup) bool { return o.ProjectID == p })
	},
	"security_group_rule": func(r state.Reader, p string) int {
		return state.Count(r, func(o *SecurityGroupRule) bool { return o.ProjectID == p })
	},
	"subnetpool": nil, "rbac_policy": nil, "trunk": nil,
}

// quota is what the operator allows a project. A resource without a limit has none but the machine's.
type quota struct {
	ProjectID string
	Limits    map[string]int
}

func (quota) Kind() string  { return "network_quota" }
func (q quota) Key() string { return q.ProjectID }

func limitsOf(r state.Reader, project string) map[string]int {
	limits := map[string]int{}
	for name := range counted {
		limits[name] = -1
	}
	if q, err := state.Get[quota](r, project); err == nil {
		maps.Copy(limits, q.Limits)
	}
	return limits
}

// room refuses one more of a resource as Neutron does.
func room(r state.Reader, resource, project string) error {
	limit, bounded := limitsOf(r, project)[resource]
	if bounded && limit >= 0 && counted[resource](r, project) >= limit {
		return httpx.Conflict("OverQuota", "Quota exceeded for resources: ['%s'].", resource)
	}
	return nil
}

func seesQuota(r *http.Request, who httpx.Caller) error {
	if !who.Sees(r.PathValue("project")) {
		return denied("get_quota")
	}
	return nil
}

func (s *Service) showQuota(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	if err := seesQuota(r, who); err != nil {
		return err
	}
	return httpx.Write(w, http.StatusOK, map[string]any{"quota": limitsOf(s.state, r.PathValue("project"))})
}

func (s *Service) showDefaultQuota(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	if err := seesQuota(r, who); err != nil {
		return err
	}
	return httpx.Write(w, http.StatusOK, map[string]any{"quota": limitsOf(s.state, "")})
}

func (s *Service) updateQuota(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	if !who.IsAdmin {
		return denied("update_quota")
	}
	asked, err := parse(w, r, "quota")
	if err != nil {
		return err
	}
	q := quota{ProjectID: r.PathValue("project"), Limits: map[string]int{}}
	for _, name := range slices.Sorted(maps.Keys(asked)) {
		var limit int
		if _, known := counted[name]; !known {
			return httpx.BadRequest("HTTPBadRequest", "Unrecognized attribute(s) '%s'", name)
		}
		if json.Unmarshal(asked[name], &limit) != nil || limit < -1 {
			return invalid(name, "'%s' is not an integer of -1 or more", asked[name])
		}
		q.Limits[name] = limit
	}
	err = s.state.Update(func(tx *state.Tx) error {
		if old, err := state.Get[quota](tx, q.ProjectID); err == nil {
			maps.Copy(old.Limits, q.Limits)
			q = old
		}
		return tx.Put(q)
	})
	if err != nil {
		return err
	}
	return httpx.Write(w, http.StatusOK, map[string]any{"quota": limitsOf(s.state, q.ProjectID)})
}

func (s *Service) resetQuota(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	if !who.IsAdmin {
		return denied("delete_quota")
	}
	err := s.state.Update(func(tx *state.Tx) error {
		tx.Delete(quota{ProjectID: r.PathValue("project")})
		return nil
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

type usage struct {
	Limit    int `json:"limit"`
	Used     int `json:"used"`
	Reserved int `json:"reserved"`
}

func (s *Service) showQuotaDetails(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	if err := seesQuota(r, who); err != nil {
		return err
	}
	project := r.PathValue("project")
	limits, details := limitsOf(s.state, project), map[string]usage{}
	for name, count := range counted {
		u := usage{Limit: limits[name]}
		if count != nil {
			u.Used = count(s.state, project)
		}
		details[name] = u
	}
	return httpx.Write(w, http.StatusOK, map[string]any{"quota": details})
}
