package network

import (
	"net/http"

	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/state"
)

func noPolicy(id string) error {
	return httpx.NotFound("QosPolicyNotFound", "QoS policy %s could not be found.", id)
}

func (s *Service) policyFor(r state.Reader, id string, who httpx.Caller) (QosPolicy, error) {
	return find(r, id, func(p QosPolicy) bool { return p.Shared || who.Sees(p.ProjectID) }, noPolicy)
}

// checkQos: a policy that an object refers to must be one that the caller sees.
func (s *Service) checkQos(r state.Reader, id *string, who httpx.Caller) error {
	if id == nil {
		return nil
	}
	_, err := s.policyFor(r, *id, who)
	return err
}

func (s *Service) listPolicies(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	page, err := httpx.Select(r, state.List(s.state, func(p *QosPolicy) bool { return p.Shared || who.Sees(p.ProjectID) }), httpx.Strict)
	if err != nil {
		return err
	}
	return page.Write(w, "policies")
}

func answerPolicy(w http.ResponseWriter, status int, p QosPolicy) error {
	return httpx.Write(w, status, map[string]any{"policy": p})
}

func (s *Service) showPolicy(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	p, err := s.policyFor(s.state, r.PathValue("id"), who)
	if err != nil {
		return err
	}
	return answerPolicy(w, http.StatusOK, p)
}

func (s *Service) createPolicy(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	if !who.IsAdmin {
		return denied("create_policy")
	}
	p := QosPolicy{Rules: []map[string]any{}}
	if _, err := read(w, r, who, "policy", &p); err != nil {
		return err
	}
	if err := s.begin(&p.common, "policy", who); err != nil {
		return err
	}
	if err := s.state.Put(p); err != nil {
		return err
	}
	return answerPolicy(w, http.StatusCreated, p)
}

func (s *Service) updatePolicy(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	g, err := parse(w, r, "policy")
	if err != nil {
		return err
	}
	var p QosPolicy
	err = s.state.Update(func(tx *state.Tx) (err error) {
		if p, err = s.policyFor(tx, r.PathValue("id"), who); err != nil {
			return err
		}
		if !who.IsAdmin {
			return denied("update_policy")
		}
		if err := g.onto(who, "policy", update, &p); err != nil {
			return err
		}
		p.touch(s.now())
		return tx.Put(p)
	})
	if err != nil {
		return err
	}
	return answerPolicy(w, http.StatusOK, p)
}

func (s *Service) deletePolicy(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	id := r.PathValue("id")
	refers := func(p *string) bool { return p != nil && *p == id }
	err := s.state.Update(func(tx *state.Tx) error {
		p, err := s.policyFor(tx, id, who)
		if err != nil {
			return err
		}
		if !who.IsAdmin {
			return denied("delete_policy")
		}
		used := state.Count(tx, func(p *Port) bool { return refers(p.QosPolicyID) }) +
			state.Count(tx, func(n *Network) bool { return refers(n.QosPolicyID) }) +
			state.Count(tx, func(ip *FloatingIP) bool { return refers(ip.QosPolicyID) })
		if used > 0 {
			return httpx.Conflict("QosPolicyInUse", "QoS Policy %s is used by %d objects.", id, used)
		}
		tx.Delete(p)
		return nil
	})
	if err != nil {
		return err
	}
	return httpx.NoContent(w)
}
