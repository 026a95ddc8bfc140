package api

import (
	"cmp"
	"errors"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/lb/attr"
	"github.com/octavo-lb/octavo/policy"
	"github.com/octavo-lb/octavo/store"
)

// quota is a store.Quota with what the wire knows of it. The aliases are misspellings that Octavia still has.
type quota struct {
	ProjectID     string `json:"project_id" attr:"r,alias=tenant_id" doc:"The ID of the project."`
	LoadBalancer  *int   `json:"loadbalancer" attr:"rw,null,min=-1,max=2000000000,alias=load_balancer" doc:"Load balancers that the project may have; -1 for no limit, null for the default."`
	Listener      *int   `json:"listener" attr:"rw,null,min=-1,max=2000000000" doc:"Listeners that the project may have."`
	Pool          *int   `json:"pool" attr:"rw,null,min=-1,max=2000000000" doc:"Pools that the project may have."`
	Member        *int   `json:"member" attr:"rw,null,min=-1,max=2000000000" doc:"Members that the project may have."`
	HealthMonitor *int   `json:"healthmonitor" attr:"rw,null,min=-1,max=2000000000,alias=health_monitor" doc:"Health monitors that the project may have."`
	L7Policy      *int   `json:"l7policy" attr:"rw,null,min=-1,max=2000000000,since=2.19" doc:"L7 policies that the project may have."`
	L7Rule        *int   `json:"l7rule" attr:"rw,null,min=-1,max=2000000000,since=2.19" doc:"L7 rules that the project may have."`
}

// withDefaults fills in what the project does not set, ending with no limit.
func (q quota) withDefaults(d store.Quota) quota {
	fill := func(v **int, d *int) {
		if *v == nil {
			*v = cmp.Or(d, new(-1))
		}
	}
	fill(&q.LoadBalancer, d.LoadBalancer)
	fill(&q.Listener, d.Listener)
	fill(&q.Pool, d.Pool)
	fill(&q.Member, d.Member)
	fill(&q.HealthMonitor, d.HealthMonitor)
	fill(&q.L7Policy, d.L7Policy)
	fill(&q.L7Rule, d.L7Rule)
	return q
}

// limit is the one for a kind of object. It is complete: see withDefaults.
func (q *quota) limit(k store.Kind) int {
	return *map[store.Kind]*int{store.LoadBalancer: q.LoadBalancer, store.Listener: q.Listener, store.Pool: q.Pool,
		store.Member: q.Member, store.HealthMonitor: q.HealthMonitor, store.L7Policy: q.L7Policy, store.L7Rule: q.L7Rule}[k]
}

// more is how many objects of each kind a transaction adds.
type more []struct {
	kind  store.Kind
	title string
	n     int
}

func (e *edit) more() more {
	t, h := e.tree, e.had
	return more{
		{store.LoadBalancer, "Load Balancer", h.balancers},
		{store.Pool, "Pool", len(t.Pools) - h.pools},
		{store.Listener, "Listener", len(t.Listeners) - h.listeners},
		{store.HealthMonitor, "Health Monitor", len(t.Monitors) - h.monitors},
		{store.Member, "Member", len(t.Members) - h.members},
		{store.L7Policy, "L7 Policy", len(t.Policies) - h.policies},
		{store.L7Rule, "L7 Rule", len(t.Rules) - h.rules},
	}
}

// checkQuota counts what the project has, in the transaction that adds to it, so that no counter can drift. Nothing is
// counted where nothing is limited.
func (e *edit) checkQuota() error {
	if e.who.IsAdmin { // nobody is authenticated: projects mean nothing
		return nil
	}
	projectID := e.tree.LB.ProjectID
	set, err := e.tx.Quota(e.Context(), projectID)
	if err != nil {
		return err
	}
	limits := quota(set).withDefaults(e.s.DefaultQuota)
	var kinds []store.Kind
	for _, m := range e.more() {
		if m.n > 0 && limits.limit(m.kind) >= 0 {
			kinds = append(kinds, m.kind)
		}
	}
	if kinds == nil {
		return nil
	}
	usage, err := e.tx.Usage(e.Context(), projectID, kinds...)
	if err != nil {
		return err
	}
	for _, m := range e.more() {
		if have, counted := usage[m.kind]; counted && have+m.n > limits.limit(m.kind) {
			return lb.Refuse(lb.QuotaMet, "Quota has been met for resources: %s", m.title)
		}
	}
	return nil
}

func (s *Server) writeQuota(c *call, status int, q quota) error {
	b := attr.Of[quota]().AppendObject([]byte(`{"quota":`), &q)
	return c.write(status, append(b, '}'))
}

func (s *Server) showQuota(c *call) error {
	projectID := c.PathValue("project")
	if err := s.allow(c, "quota", policy.Show, projectID); err != nil {
		return err
	}
	q, err := s.Store.Quota(c.Context(), projectID)
	if err != nil {
		return err
	}
	return s.writeQuota(c, 200, quota(q).withDefaults(s.DefaultQuota))
}

func (s *Server) showDefaultQuota(c *call) error {
	projectID := c.PathValue("project")
	if err := s.allow(c, "quota", policy.Defaults, projectID); err != nil {
		return err
	}
	return s.writeQuota(c, 200, quota{ProjectID: projectID}.withDefaults(s.DefaultQuota))
}

// listQuotas lists the projects that have limits of their own, as they set them.
func (s *Server) listQuotas(c *call) error {
	projectID, err := s.projectToList(c, "quota")
	if err != nil {
		return err
	}
	return s.list(c, func(q store.Query) error {
		set, err := s.quotas(c, projectID)
		if err != nil {
			return err
		}
		return writePicked(s, c, set, memoryList[quota]{attr.Of[quota](), func(q *quota) *string { return &q.ProjectID }, "quotas", "quotas_links"}, q)
	}, "project_id", "tenant_id")
}

// quotas are the limits that projects have of their own: of one project, or of all when it is empty.
func (s *Server) quotas(c *call, projectID string) ([]quota, error) {
	if projectID != "" {
		set, err := s.Store.Quota(c.Context(), projectID)
		if err != nil || quota(set) == (quota{ProjectID: projectID}) {
			return nil, err
		}
		return []quota{quota(set)}, nil
	}
	all, err := s.Store.Quotas(c.Context(), "", 0)
	set := make([]quota, len(all))
	for i, q := range all {
		set[i] = quota(q)
	}
	return set, err
}

func (s *Server) putQuota(c *call) error {
	body, err := c.body("quotas", "quota")
	if err != nil {
		return err
	}
	projectID := c.PathValue("project")
	if err := s.allow(c, "quota", policy.Update, projectID); err != nil {
		return err
	}
	set, err := s.Store.Quota(c.Context(), projectID)
	if err != nil {
		return err
	}
	q := quota(set)
	if _, err := attr.Of[quota]().Decode("quotas.quota", body, &q, attr.Update); err != nil {
		return err
	}
	if err := s.Store.SetQuota(c.Context(), store.Quota(q)); err != nil {
		return err
	}
	return s.writeQuota(c, 202, q.withDefaults(s.DefaultQuota))
}

func (s *Server) resetQuota(c *call) error {
	projectID := c.PathValue("project")
	if err := s.allow(c, "quota", policy.Delete, projectID); err != nil {
		return err
	}
	err := s.Store.ResetQuota(c.Context(), projectID)
	if errors.Is(err, store.ErrNotFound) {
		return lb.Missing("Quotas", projectID)
	}
	if err != nil {
		return err
	}
	return c.done(202)
}
