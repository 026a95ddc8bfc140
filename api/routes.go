package api

import (
	"github.com/octavo-lb/octavo/policy"
	"github.com/octavo-lb/octavo/store"
)

// route lists every call there is: the pattern (the version in front of the path is gone here), what it is for, and what
// it takes and answers, in the terms of shapes.
func (s *Server) route() {
	k := s.kinds
	listener, pool, member, monitor, l7policy, rule := s.changes()

	s.handle("POST /loadbalancers", "Create a load balancer, alone or with everything on it", "graph+ -> 201 graph", s.createLoadBalancer)
	s.handle("GET /loadbalancers", "List load balancers", "-> 200 loadbalancer[]", listAll(s, &k.loadBalancer))
	s.handle("GET /loadbalancers/{id}", "Show a load balancer", "-> 200 loadbalancer!", show(s, &k.loadBalancer, nil))
	s.handle("PUT /loadbalancers/{id}", "Update a load balancer", "loadbalancer= -> 200 loadbalancer", put(s, s.changeOfLoadBalancer()))
	s.handle("DELETE /loadbalancers/{id}", "Delete a load balancer, with ?cascade=true and everything on it", "-> 204", s.deleteLoadBalancer)
	s.handle("GET /loadbalancers/{id}/graph", "Show a load balancer with everything on it (Octavo's own)", "-> 200 graph", s.showGraph)
	s.handle("PUT /loadbalancers/{id}/graph", "Make a load balancer look like the request, or with ?dry_run=true say what would change (Octavo's own)",
		"graph= -> 200 graph", s.putGraph)
	s.handle("GET /loadbalancers/{id}/status", "Show the statuses of a load balancer and everything on it", "-> 200 statuses", s.showStatuses)
	s.handle("GET /loadbalancers/{id}/statuses", "The same under its older name", "-> 200 statuses", s.showStatuses)
	s.handle("GET /loadbalancers/{id}/stats", "Show a load balancer's counters", "-> 200 stats",
		showStatistics(s, &k.loadBalancer, s.statisticsOfLoadBalancer))
	s.handle("PUT /loadbalancers/{id}/failover", "Replace a load balancer's amphorae", "-> 202", s.failOverLoadBalancer)

	s.handle("POST /listeners", "Create a listener", "listener+ -> 201 listener", s.createListener)
	s.handle("GET /listeners", "List listeners", "-> 200 listener[]", listAll(s, &k.listener))
	s.handle("GET /listeners/{id}", "Show a listener", "-> 200 listener!", show(s, &k.listener, nil))
	s.handle("PUT /listeners/{id}", "Update a listener", "listener= -> 200 listener", put(s, listener))
	s.handle("DELETE /listeners/{id}", "Delete a listener", "-> 204", remove(s, listener))
	s.handle("GET /listeners/{id}/stats", "Show a listener's counters", "-> 200 stats", showStatistics(s, &k.listener, s.statisticsOfListener))

	s.handle("POST /pools", "Create a pool", "pool+ -> 201 pool", s.createPool)
	s.handle("GET /pools", "List pools", "-> 200 pool[]", listAll(s, &k.pool))
	s.handle("GET /pools/{id}", "Show a pool", "-> 200 pool!", show(s, &k.pool, nil))
	s.handle("PUT /pools/{id}", "Update a pool", "pool= -> 200 pool", put(s, pool))
	s.handle("DELETE /pools/{id}", "Delete a pool", "-> 204", remove(s, pool))

	s.handle("POST /pools/{pool}/members", "Create a member", "member+ -> 201 member", s.createMember)
	s.handle("PUT /pools/{pool}/members", "Make the members of a pool what the request lists; with ?additive_only=true remove none",
		"members= -> 202", s.putMembers)
	s.handle("GET /pools/{pool}/members", "List the members of a pool", "-> 200 member[]", listBelow(s, &k.pool, "pool", &k.member))
	s.handle("GET /pools/{pool}/members/{id}", "Show a member", "-> 200 member!", show(s, &k.member, member.within))
	s.handle("PUT /pools/{pool}/members/{id}", "Update a member", "member= -> 200 member", put(s, member))
	s.handle("DELETE /pools/{pool}/members/{id}", "Delete a member", "-> 204", remove(s, member))

	s.handle("POST /healthmonitors", "Create a health monitor", "healthmonitor+ -> 201 healthmonitor", s.createMonitor)
	s.handle("GET /healthmonitors", "List health monitors", "-> 200 healthmonitor[]", listAll(s, &k.monitor))
	s.handle("GET /healthmonitors/{id}", "Show a health monitor", "-> 200 healthmonitor!", show(s, &k.monitor, nil))
	s.handle("PUT /healthmonitors/{id}", "Update a health monitor", "healthmonitor= -> 200 healthmonitor", put(s, monitor))
	s.handle("DELETE /healthmonitors/{id}", "Delete a health monitor", "-> 204", remove(s, monitor))

	s.handle("POST /l7policies", "Create an L7 policy", "l7policy+ -> 201 l7policy", s.createPolicy)
	s.handle("GET /l7policies", "List L7 policies", "-> 200 l7policy[]", listAll(s, &k.policy))
	s.handle("GET /l7policies/{id}", "Show an L7 policy", "-> 200 l7policy!", show(s, &k.policy, nil))
	s.handle("PUT /l7policies/{id}", "Update an L7 policy", "l7policy= -> 200 l7policy", put(s, l7policy))
	s.handle("DELETE /l7policies/{id}", "Delete an L7 policy", "-> 204", remove(s, l7policy))

	s.handle("POST /l7policies/{policy}/rules", "Create an L7 rule", "rule+ -> 201 rule", s.createRule)
	s.handle("GET /l7policies/{policy}/rules", "List the rules of an L7 policy", "-> 200 rule[]", listBelow(s, &k.policy, "policy", &k.rule))
	s.handle("GET /l7policies/{policy}/rules/{id}", "Show an L7 rule", "-> 200 rule!", show(s, &k.rule, rule.within))
	s.handle("PUT /l7policies/{policy}/rules/{id}", "Update an L7 rule", "rule= -> 200 rule", put(s, rule))
	s.handle("DELETE /l7policies/{policy}/rules/{id}", "Delete an L7 rule", "-> 204", remove(s, rule))

	s.handle("GET /quotas", "List the projects that have quotas of their own", "-> 200 quota[]", s.listQuotas)
	s.handle("GET /quotas/{project}", "Show a project's quotas", "-> 200 quota", s.showQuota)
	s.handle("GET /quotas/{project}/default", "Show the default quotas", "-> 200 quota", s.showDefaultQuota)
	s.handle("PUT /quotas/{project}", "Set a project's quotas", "quota= -> 202 quota", s.putQuota)
	s.handle("DELETE /quotas/{project}", "Reset a project's quotas to the defaults", "-> 202", s.resetQuota)

	s.handle("GET /providers", "List providers", "-> 200 providers", s.listProviders)
	s.handle("GET /providers/{provider}/flavor_capabilities", "List what flavor profiles may say to a provider", "-> 200 flavor_capabilities",
		s.listSettings("provider-flavor", "flavor_capabilities", func(p *Provider) []Setting { return p.FlavorSettings }))
	s.handle("GET /providers/{provider}/availability_zone_capabilities", "List what availability zone profiles may say to a provider",
		"-> 200 availability_zone_capabilities",
		s.listSettings("provider-availability-zone", "availability_zone_capabilities", func(p *Provider) []Setting { return p.ZoneSettings }))
	s.addShelves()

	s.handle("GET /octavia/amphorae", "List amphorae", "-> 200 amphora[]", s.listAmphorae)
	s.handle("GET /octavia/amphorae/{id}", "Show an amphora", "-> 200 amphora", s.showAmphora)
	s.handle("GET /octavia/amphorae/{id}/stats", "Show an amphora's counters", "-> 200 amphora_stats", s.showAmphoraStatistics)
	s.handle("PUT /octavia/amphorae/{id}/config", "Have an amphora's configuration brought in force again", "-> 202", s.configureAmphora)
	s.handle("PUT /octavia/amphorae/{id}/failover", "Replace an amphora", "-> 202", s.failOverAmphora)
	s.handle("DELETE /octavia/amphorae/{id}", "Delete an amphora that has failed", "-> 204", s.deleteAmphora)

	s.handle("GET /octavia/rollouts/{kind}", "Show the newest rollout, of the image or the agent (Octavo's own)", "-> 200 rollout", s.showRollout)
	s.handle("PUT /octavia/rollouts/{kind}", "Replace all amphorae that do not run the newest image, or their agents, some load balancers at a time (Octavo's own)",
		"rollout= -> 202 rollout", s.startRollout)
	s.handle("DELETE /octavia/rollouts/{kind}", "Stop a rollout (Octavo's own)", "-> 204", s.stopRollout)

	s.handle("PUT /octavia/programs/{digest}", "Name an uploaded agent program as the one that agents are to run (Octavo's own)", "program= -> 204", s.nameProgram)
	s.handle("PUT /octavia/programs/{digest}/{part}", "Upload a part of an agent program (Octavo's own)", "-> 204", s.uploadProgram)

	s.handle("GET "+eventsPath, "Read or follow what happens to load balancers (Octavo's own)", "-> 200 events", s.listEvents)
}

func (s *Server) statisticsOfLoadBalancer(c *call, id string) (store.Statistics, error) {
	of, err := s.Store.StatisticsOfLoadBalancers(c.Context(), id)
	return of[id], err
}

func (s *Server) statisticsOfListener(c *call, id string) (store.Statistics, error) {
	of, err := s.Store.StatisticsOfListeners(c.Context(), id)
	return of[id], err
}

// listBelow answers GET of the objects below the one that the path names.
func listBelow[P, T store.Resource](s *Server, above *kind[P], wildcard string, k *kind[T]) handler {
	return func(c *call) error {
		id := c.PathValue(wildcard)
		p, err := store.Get[P](c.Context(), s.Store, id)
		if err != nil {
			return above.absent(id, err)
		}
		if err := s.allow(c, k.name, policy.List, above.meta(&p).ProjectID); err != nil {
			return err
		}
		return s.list(c, func(q store.Query) error {
			q.Parent = id
			return page(s, c, k, q)
		})
	}
}
