package compute

import (
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/state"
)

// quota is what the operator allows a project. A resource without a limit has none but the machine's.
type quota struct {
	ProjectID string
	Limits    map[string]int
}

func (quota) Kind() string  { return "compute_quota" }
func (q quota) Key() string { return q.ProjectID }

// enforced are the resources that a quota can bound here; unbounded are those that Nova has limits of, too.
var (
	enforced  = []string{"instances", "cores", "ram", "server_groups"}
	unbounded = []string{"key_pairs", "metadata_items", "server_group_members", "injected_files", "injected_file_content_bytes", "injected_file_path_bytes"}
)

func (s *Service) limitsOf(project string) map[string]int {
	limits := map[string]int{}
	for _, name := range slices.Concat(enforced, unbounded) {
		limits[name] = -1
	}
	if q, err := state.Get[quota](s.State, project); err == nil {
		maps.Copy(limits, q.Limits)
	}
	return limits
}

func (s *Service) usedBy(project string) map[string]int {
	used := map[string]int{"server_groups": state.Count(s.State, func(g *group) bool { return g.ProjectID == project })}
	for _, v := range state.List(s.State, func(v *server) bool { return v.ProjectID == project && !v.Deleting }) {
		used["instances"]++
		if f, err := state.Get[Flavor](s.State, v.FlavorID); err == nil {
			used["cores"] += f.VCPUs
			used["ram"] += f.RAM
		}
	}
	return used
}

// roomForServer refuses one more server as Nova does.
func (s *Service) roomForServer(project string, f Flavor) error {
	limits, used := s.limitsOf(project), s.usedBy(project)
	wanted := map[string]int{"instances": 1, "cores": f.VCPUs, "ram": f.RAM}
	for _, name := range enforced {
		if limit := limits[name]; limit >= 0 && wanted[name] > 0 && used[name]+wanted[name] > limit {
			return httpx.Forbidden("", "Quota exceeded for %s: Requested %d, but already used %d of %d %s", name, wanted[name], used[name], limit, name)
		}
	}
	return nil
}

func (s *Service) roomForGroup(project string) error {
	if limit := s.limitsOf(project)["server_groups"]; limit >= 0 && s.usedBy(project)["server_groups"] >= limit {
		return httpx.Forbidden("", "Quota exceeded, too many server groups.")
	}
	return nil
}

// showLimits is what a caller's project may have and has.
func (s *Service) showLimits(w http.ResponseWriter, _ *http.Request, who httpx.Caller, _ httpx.Microversion) error {
	limits, used := s.limitsOf(who.ProjectID), s.usedBy(who.ProjectID)
	absolute := map[string]int{
		"maxTotalInstances": limits["instances"], "totalInstancesUsed": used["instances"], "maxTotalCores": limits["cores"], "totalCoresUsed": used["cores"],
		"maxTotalRAMSize": limits["ram"], "totalRAMUsed": used["ram"], "maxServerGroups": limits["server_groups"], "totalServerGroupsUsed": used["server_groups"],
		"maxServerGroupMembers": -1, "maxTotalKeypairs": -1, "maxServerMeta": -1,
	}
	return httpx.Write(w, http.StatusOK, map[string]any{"limits": map[string]any{"rate": []any{}, "absolute": absolute}})
}

func (s *Service) showQuotas(w http.ResponseWriter, r *http.Request, who httpx.Caller, _ httpx.Microversion) error {
	if !who.Sees(r.PathValue("project")) {
		return forbidden()
	}
	return s.answerQuotas(w, r.PathValue("project"), s.limitsOf(r.PathValue("project")))
}

func (s *Service) showDefaultQuotas(w http.ResponseWriter, r *http.Request, who httpx.Caller, _ httpx.Microversion) error {
	if !who.Sees(r.PathValue("project")) {
		return forbidden()
	}
	return s.answerQuotas(w, r.PathValue("project"), s.limitsOf(""))
}

func (s *Service) answerQuotas(w http.ResponseWriter, project string, limits map[string]int) error {
	quotas := map[string]any{"id": project}
	for name, limit := range limits {
		quotas[name] = limit
	}
	return httpx.Write(w, http.StatusOK, map[string]any{"quota_set": quotas})
}

func (s *Service) updateQuotas(w http.ResponseWriter, r *http.Request, who httpx.Caller, _ httpx.Microversion) error {
	if !who.IsAdmin {
		return forbidden()
	}
	var body struct {
		Set map[string]any `json:"quota_set"`
	}
	if err := httpx.Read(w, r, &body); err != nil {
		return err
	}
	q := quota{ProjectID: r.PathValue("project"), Limits: map[string]int{}}
	for name, value := range body.Set {
		limit, number := value.(float64)
		switch {
		case name == "force" || name == "tenant_id":
		case !slices.Contains(enforced, name):
			return httpx.BadRequest("", "This cloud enforces no quota of %s, but of %v.", name, enforced)
		case !number || limit != float64(int(limit)) || limit < -1:
			return httpx.BadRequest("", "Invalid input for field/attribute %s. Value: %s. It is not an integer of -1 or more", name, fmt.Sprint(value))
		default:
			q.Limits[name] = int(limit)
		}
	}
	err := s.State.Update(func(tx *state.Tx) error {
		if old, err := state.Get[quota](tx, q.ProjectID); err == nil {
			maps.Copy(old.Limits, q.Limits)
			q = old
		}
		return tx.Put(q)
	})
	if err != nil {
		return err
	}
	return s.answerQuotas(w, q.ProjectID, s.limitsOf(q.ProjectID))
}

func (s *Service) resetQuotas(w http.ResponseWriter, r *http.Request, who httpx.Caller, _ httpx.Microversion) error {
	if !who.IsAdmin {
		return forbidden()
	}
	err := s.State.Update(func(tx *state.Tx) error {
		tx.Delete(quota{ProjectID: r.PathValue("project")})
		return nil
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}
