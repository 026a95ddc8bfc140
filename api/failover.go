package api

import (
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/policy"
	"github.com/octavo-lb/octavo/store"
)

// failOverLoadBalancer asks for new amphorae in the place of all that the load balancer has. It is PENDING_UPDATE until
// they serve.
func (s *Server) failOverLoadBalancer(c *call) error {
	id := c.PathValue("id")
	if _, err := get(s, c, &s.kinds.loadBalancer, id, policy.Failover); err != nil {
		return err
	}
	return s.failOver(c, id, func(store.Amphora) bool { return true })
}

// failOverAmphora asks for another one in the amphora's place.
func (s *Server) failOverAmphora(c *call) error {
	a, err := s.amphora(c)
	if err != nil {
		return err
	}
	if err := s.allow(c, "amphora", policy.Failover, c.who.ProjectID); err != nil {
		return err
	}
	return s.failOver(c, a.LoadBalancerID, func(o store.Amphora) bool { return o.ID == a.ID })
}

func (s *Server) failOver(c *call, lbID string, which func(store.Amphora) bool) error {
	err := s.Store.Write(c.Context(), func(tx *store.Tx) error {
		b, err := tx.Lock(c.Context(), lbID)
		switch {
		case err != nil:
			return s.kinds.loadBalancer.absent(lbID, err)
		case b.Deleting || s.ImmutableWhilePending && !settledOrFailed(b):
			return lb.Refuse(lb.Immutable, "Invalid state %s of loadbalancer resource %s", b.Provisioning(), lbID)
		}
		all, err := tx.Amphorae(c.Context())
		if err != nil {
			return err
		}
		var ids []string
		for _, a := range all {
			if !a.Deleting && which(a) {
				ids = append(ids, a.ID)
			}
		}
		if err := tx.ReplaceAmphorae(c.Context(), ids...); err != nil {
			return err
		}
		return tx.Touch(c.Context(), lbID)
	})
	if err != nil {
		return err
	}
	return c.done(202)
}
