package api

import (
	"net/netip"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/lb/attr"
	"github.com/octavo-lb/octavo/policy"
	"github.com/octavo-lb/octavo/store"
)

// memberDraft is a member that a batch asks for.
type memberDraft struct {
	lb.Member
	given attr.Given
}

// putMembers makes the members of a pool what the request lists: address and port tell which are new, which stay and
// change, and which go. With additive_only none goes.
func (s *Server) putMembers(c *call) error {
	drafts, err := s.decode.members(c)
	if err != nil {
		return err
	}
	poolID, keep := c.PathValue("pool"), isTrue(c.URL.Query().Get("additive_only"))
	pool, err := store.Get[lb.Pool](c.Context(), s.Store, poolID)
	if err != nil {
		return s.kinds.pool.absent(poolID, err)
	}
	verbs := []string{policy.Create, policy.Update, policy.Delete}
	if keep {
		verbs = verbs[:2]
	}
	for _, verb := range verbs {
		if err := s.allow(c, "member", verb, pool.ProjectID); err != nil {
			return err
		}
	}
	members := make([]lb.Member, len(drafts))
	for i, d := range drafts {
		members[i] = d.Member
	}
	if err := s.lookUpSubnets(c, members); err != nil {
		return err
	}
	err = s.edit(c, pool.LoadBalancerID, func(e *edit) error { return e.batch(poolID, drafts, keep) })
	if err != nil {
		return err
	}
	return c.done(202)
}

func (d decoder) members(c *call) ([]memberDraft, error) {
	raw, err := c.member("members_", "members")
	if err != nil {
		return nil, err
	}
	bodies, err := parseList("members_.members", "members", raw)
	if err != nil {
		return nil, err
	}
	drafts := make([]memberDraft, len(bodies))
	seen := make(map[netip.AddrPort]bool, len(bodies))
	for i, body := range bodies {
		m := &drafts[i]
		if m.given, err = d.k.member.table.Decode("members_.members", body, &m.Member, attr.Create); err != nil {
			return nil, err
		}
		if seen[m.Endpoint()] {
			return nil, lb.Refuse(lb.Validation, "Validation failure: the member %s port %d is in the request twice", m.Address, m.ProtocolPort)
		}
		seen[m.Endpoint()] = true
	}
	return drafts, nil
}

func (e *edit) batch(poolID string, drafts []memberDraft, keep bool) error {
	if e.tree.Pool(poolID) == nil {
		return lb.BeingDeleted("Pool", poolID)
	}
	have := make(map[netip.AddrPort]*lb.Member)
	for i := range e.tree.Members {
		if m := &e.tree.Members[i]; m.PoolID == poolID && !m.Deleting {
			have[m.Endpoint()] = m
		}
	}
	var changed []*lb.Member
	var added []lb.Member
	for _, d := range drafts {
		d.PoolID = poolID
		m := have[d.Endpoint()]
		if m == nil {
			added = append(added, d.Member)
			continue
		}
		delete(have, d.Endpoint())
		now := d.onto(*m)
		if err := e.s.Rules.ValidateMember(e.tree, &now, m); err != nil {
			return err
		}
		if !sameMember(now, *m) {
			*m = now
			changed = append(changed, m)
		}
	}
	if err := updateAll(e, changed); err != nil {
		return err
	}
	if err := e.removeMembers(have, keep); err != nil {
		return err
	}
	for _, m := range added {
		if _, err := e.addMember(m); err != nil {
			return err
		}
	}
	return nil
}

func (e *edit) removeMembers(members map[netip.AddrPort]*lb.Member, keep bool) error {
	if keep || len(members) == 0 {
		return nil
	}
	ids := make([]string, 0, len(members))
	for _, m := range members {
		m.Deleting = true
		ids = append(ids, m.ID)
	}
	return store.Delete[lb.Member](e.Context(), e.tx, ids...)
}

// onto is a member as the batch wants it: what it does not say is reset to the default, except name, tags and subnet.
func (d memberDraft) onto(m lb.Member) lb.Member {
	m.AdminStateUp, m.Weight, m.Backup = d.AdminStateUp, d.Weight, d.Backup
	m.MonitorAddress, m.MonitorPort = d.MonitorAddress, d.MonitorPort
	if d.given["name"] {
		m.Name = d.Name
	}
	if d.given["tags"] {
		m.Tags = d.Tags
	}
	if d.given["subnet_id"] {
		m.SubnetID = d.SubnetID
	}
	return m
}

// sameMember compares what a batch can change.
func sameMember(a, b lb.Member) bool {
	return string(attr.Of[lb.Member]().AppendObject(nil, &a)) == string(attr.Of[lb.Member]().AppendObject(nil, &b))
}
