package api

import (
	"errors"
	"time"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/lb/attr"
	"github.com/octavo-lb/octavo/policy"
	"github.com/octavo-lb/octavo/store"
)

// rollout is what the wire shows of a store.Rollout. It is Octavo's own; who may replace an amphora may replace all.
type rollout struct {
	Kind        string     `json:"kind" attr:"r" doc:"What is replaced: image for amphorae that do not run the newest image, agent for agent programs."`
	State       string     `json:"state" attr:"r" doc:"running, done, failed or stopped."`
	Reason      string     `json:"reason" attr:"r,kind=text" doc:"Why it failed."`
	Parallel    int        `json:"parallel" attr:"rw,default=1,min=1,max=100" doc:"How many load balancers are changed at a time."`
	UnderWay    []string   `json:"under_way" attr:"r" doc:"The load balancers that are being changed."`
	Done        int        `json:"done" attr:"r" doc:"How many load balancers were changed."`
	Outstanding int        `json:"outstanding" attr:"r" doc:"How many load balancers are yet to be changed."`
	LeftOut     int        `json:"left_out" attr:"r" doc:"How many of those are left out because something else is wrong with them."`
	StartedAt   time.Time  `json:"started_at" attr:"r" doc:"When it was started (UTC)."`
	UpdatedAt   *time.Time `json:"updated_at" attr:"r,null" doc:"When it last got on (UTC)."`
}

func (s *Server) writeRollout(c *call, status int, r *store.Rollout) error {
	view := rollout{Kind: string(r.Kind), State: string(r.State), Reason: r.Reason, Parallel: r.Parallel, UnderWay: r.UnderWay,
		Done: r.Done, Outstanding: r.Outstanding, LeftOut: r.LeftOut, StartedAt: r.StartedAt, UpdatedAt: &r.UpdatedAt}
	return c.write(status, append(attr.Of[rollout]().AppendObject([]byte(`{"rollout":`), &view), '}'))
}

// rolloutKind reads the path's, after the caller was found to be allowed.
func (s *Server) rolloutKind(c *call, verb string) (store.RolloutKind, error) {
	if err := s.allow(c, "amphora", verb, c.who.ProjectID); err != nil {
		return "", err
	}
	kind := store.RolloutKind(c.PathValue("kind"))
	if kind != store.ImageRollout && kind != store.AgentRollout {
		return "", lb.Missing("Rollout", string(kind))
	}
	return kind, nil
}

func (s *Server) showRollout(c *call) error {
	kind, err := s.rolloutKind(c, policy.List)
	if err != nil {
		return err
	}
	r, err := s.Store.Rollout(c.Context(), kind)
	if err != nil {
		return absentRollout(kind, err)
	}
	return s.writeRollout(c, 200, &r)
}

// startRollout starts one, or has the one that runs take as many at a time as the request says.
func (s *Server) startRollout(c *call) error {
	body, err := c.body("rollout", "rollout")
	if err != nil {
		return err
	}
	kind, err := s.rolloutKind(c, policy.Failover)
	if err != nil {
		return err
	}
	want := rollout{Parallel: 1}
	if _, err := attr.Of[rollout]().Decode("rollout.rollout", body, &want, attr.Update); err != nil {
		return err
	}
	if kind == store.AgentRollout {
		if _, err := s.Store.Program(c.Context()); errors.Is(err, store.ErrNotFound) {
			return lb.Refuse(lb.Validation, "Validation failure: No agent program was uploaded.")
		} else if err != nil {
			return err
		}
	}
	r, err := s.Store.StartRollout(c.Context(), kind, want.Parallel)
	if err != nil {
		return err
	}
	return s.writeRollout(c, 202, &r)
}

// stopRollout starts no more replacements; those under way are brought to their end.
func (s *Server) stopRollout(c *call) error {
	kind, err := s.rolloutKind(c, policy.Failover)
	if err != nil {
		return err
	}
	err = s.Store.Write(c.Context(), func(tx *store.Tx) error {
		r, err := tx.LockRollout(c.Context(), kind)
		if err != nil || r.State != store.RolloutRunning {
			return err
		}
		r.State = store.RolloutStopped
		return tx.SaveRollout(c.Context(), &r)
	})
	if err != nil {
		return absentRollout(kind, err)
	}
	return c.done(204)
}

func absentRollout(kind store.RolloutKind, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return lb.Missing("Rollout", string(kind))
	}
	return err
}
