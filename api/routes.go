package api

import (
	"github.com/octavo-lb/octavo/policy"
	"github.com/octavo-lb/octavo/store"
)

// route lists every call there is. The version in front of the path is gone here.
func (s *Server) route() {
	k := s.kinds
	listener, pool, member, monitor, l7policy, rule := s.changes()

	s.handle("POST /loadbalancers", s.createLoadBalancer)
	s.handle("GET /loadbalancers", listAll(s, &k.loadBalancer))
	s.handle("GET /loadbalancers/{id}", show(s, &k.loadBalancer, nil))
	s.handle("PUT /loadbalancers/{id}", put(s, s.changeOfLoadBalancer()))
	s.handle("DELETE /loadbalancers/{id}", s.deleteLoadBalancer)
	s.handle("GET /loadbalancers/{id}/graph", s.showGraph)
	s.handle("PUT /loadbalancers/{id}/graph", s.putGraph)
	s.handle("GET /loadbalancers/{id}/status", s.showStatuses)
	s.handle("GET /loadbalancers/{id}/statuses", s.showStatuses)
	s.handle("GET /loadbalancers/{id}/stats", showStatistics(s, &k.loadBalancer, s.statisticsOfLoadBalancer))

	s.handle("POST /listeners", s.createListener)
	s.handle("GET /listeners", listAll(s, &k.listener))
	s.handle("GET /listeners/{id}", show(s, &k.listener, nil))
	s.handle("PUT /listeners/{id}", put(s, listener))
	s.handle("DELETE /listeners/{id}", remove(s, listener))
	s.handle("GET /listeners/{id}/stats", showStatistics(s, &k.listener, s.statisticsOfListener))

	s.handle("POST /pools", s.createPool)
	s.handle("GET /pools", listAll(s, &k.pool))
	s.handle("GET /pools/{id}", show(s, &k.pool, nil))
	s.handle("PUT /pools/{id}", put(s, pool))
	s.handle("DELETE /pools/{id}", remove(s, pool))

	s.handle("POST /pools/{pool}/members", s.createMember)
	s.handle("PUT /pools/{pool}/members", s.putMembers)
	s.handle("GET /pools/{pool}/members", listBelow(s, &k.pool, "pool", &k.member))
	s.handle("GET /pools/{pool}/members/{id}", show(s, &k.member, member.within))
	s.handle("PUT /pools/{pool}/members/{id}", put(s, member))
	s.handle("DELETE /pools/{pool}/members/{id}", remove(s, member))

	s.handle("POST /healthmonitors", s.createMonitor)
	s.handle("GET /healthmonitors", listAll(s, &k.monitor))
	s.handle("GET /healthmonitors/{id}", show(s, &k.monitor, nil))
	s.handle("PUT /healthmonitors/{id}", put(s, monitor))
	s.handle("DELETE /healthmonitors/{id}", remove(s, monitor))

	s.handle("POST /l7policies", s.createPolicy)
	s.handle("GET /l7policies", listAll(s, &k.policy))
	s.handle("GET /l7policies/{id}", show(s, &k.policy, nil))
	s.handle("PUT /l7policies/{id}", put(s, l7policy))
	s.handle("DELETE /l7policies/{id}", remove(s, l7policy))

	s.handle("POST /l7policies/{policy}/rules", s.createRule)
	s.handle("GET /l7policies/{policy}/rules", listBelow(s, &k.policy, "policy", &k.rule))
	s.handle("GET /l7policies/{policy}/rules/{id}", show(s, &k.rule, rule.within))
	s.handle("PUT /l7policies/{policy}/rules/{id}", put(s, rule))
	s.handle("DELETE /l7policies/{policy}/rules/{id}", remove(s, rule))

	s.handle("GET "+eventsPath, s.listEvents)
	s.addShelves()
	s.handle("GET /providers", s.listProviders)
	s.handle("GET /providers/{provider}/flavor_capabilities", s.listSettings("provider-flavor", "flavor_capabilities",
		func(p *Provider) []Setting { return p.FlavorSettings }))
	s.handle("GET /providers/{provider}/availability_zone_capabilities", s.listSettings("provider-availability-zone",
		"availability_zone_capabilities", func(p *Provider) []Setting { return p.ZoneSettings }))

	s.handle("PUT /loadbalancers/{id}/failover", s.failOverLoadBalancer)
	s.handle("PUT /octavia/amphorae/{id}/failover", s.failOverAmphora)
	s.handle("GET /octavia/amphorae", s.listAmphorae)
	s.handle("GET /octavia/amphorae/{id}", s.showAmphora)
	s.handle("GET /octavia/amphorae/{id}/stats", s.showAmphoraStatistics)
	s.handle("PUT /octavia/amphorae/{id}/config", s.configureAmphora)
	s.handle("DELETE /octavia/amphorae/{id}", s.deleteAmphora)

	s.handle("GET /quotas", s.listQuotas)
	s.handle("GET /quotas/{project}", s.showQuota)
	s.handle("GET /quotas/{project}/default", s.showDefaultQuota)
	s.handle("PUT /quotas/{project}", s.putQuota)
	s.handle("DELETE /quotas/{project}", s.resetQuota)
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
