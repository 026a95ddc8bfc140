package network

import (
	"net/http"

	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/state"
)

// quotas: there are no limits but the machine's.
var quotas = []string{"network", "subnet", "port", "router", "floatingip", "security_group", "security_group_rule", "subnetpool", "rbac_policy", "trunk"}

func seesQuota(r *http.Request, who httpx.Caller) error {
	if !who.Sees(r.PathValue("project")) {
		return denied("get_quota")
	}
	return nil
}

func showQuota(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	if err := seesQuota(r, who); err != nil {
		return err
	}
	limits := map[string]int{}
	for _, q := range quotas {
		limits[q] = -1
	}
	return httpx.Write(w, http.StatusOK, map[string]any{"quota": limits})
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
	details := map[string]usage{}
	for _, q := range quotas {
		details[q] = usage{Limit: -1}
	}
	used := func(name string, n int) { details[name] = usage{Limit: -1, Used: n} }
	used("network", state.Count(s.state, func(o *Network) bool { return o.ProjectID == project }))
	used("subnet", state.Count(s.state, func(o *Subnet) bool { return o.ProjectID == project }))
	used("port", state.Count(s.state, func(o *Port) bool { return o.ProjectID == project }))
	used("router", state.Count(s.state, func(o *Router) bool { return o.ProjectID == project }))
	used("floatingip", state.Count(s.state, func(o *FloatingIP) bool { return o.ProjectID == project }))
	used("security_group", state.Count(s.state, func(o *SecurityGroup) bool { return o.ProjectID == project }))
	used("security_group_rule", state.Count(s.state, func(o *SecurityGroupRule) bool { return o.ProjectID == project }))
	return httpx.Write(w, http.StatusOK, map[string]any{"quota": details})
}
