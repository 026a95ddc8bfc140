package network

import (
	"net/http"
	"slices"

	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/state"
)

const defaultGroupName = "default"

func noGroup(id string) error {
	return httpx.NotFound("SecurityGroupNotFound", "Security group %s does not exist", id)
}

func (s *Service) groupFor(r state.Reader, id string, who httpx.Caller) (SecurityGroup, error) {
	return find(r, id, func(g SecurityGroup) bool { return who.Sees(g.ProjectID) }, noGroup)
}

func rulesOf(r state.Reader, groupID string) []SecurityGroupRule {
	return state.List(r, func(rule *SecurityGroupRule) bool { return rule.SecurityGroupID == groupID })
}

// defaultGroup answers the project's group "default", which comes into being when it is first needed: its ports may do
// anything, and be reached by each other.
func (s *Service) defaultGroup(tx *state.Tx, projectID string) (SecurityGroup, error) {
	g, ok := findDefault(tx, projectID)
	if ok {
		return g, nil
	}
	g = SecurityGroup{common: common{Name: defaultGroupName, Description: "Default security group", ProjectID: projectID, TenantID: projectID}, Stateful: true}
	if err := s.insertGroup(tx, &g); err != nil {
		return g, err
	}
	for _, ethertype := range []string{"IPv4", "IPv6"} {
		if err := tx.Put(s.newRule(g, "ingress", ethertype, &g.ID)); err != nil {
			return g, err
		}
	}
	return g, nil
}

// insertGroup stores a new group with what each begins with: everything may leave.
func (s *Service) insertGroup(tx *state.Tx, g *SecurityGroup) error {
	g.stamp(s.now())
	for _, ethertype := range []string{"IPv4", "IPv6"} {
		if err := tx.Put(s.newRule(*g, "egress", ethertype, nil)); err != nil {
			return err
		}
	}
	return tx.Put(*g)
}

func (s *Service) newRule(g SecurityGroup, direction, ethertype string, remote *string) SecurityGroupRule {
	rule := SecurityGroupRule{common: common{ProjectID: g.ProjectID, TenantID: g.TenantID}, SecurityGroupID: g.ID,
		Direction: direction, EtherType: ethertype, RemoteGroupID: remote}
	rule.stamp(s.now())
	return rule
}

// ensureDefault makes the caller's default group, as Neutron does when somebody lists groups.
func (s *Service) ensureDefault(who httpx.Caller) error {
	if who.ProjectID == "" {
		return nil
	}
	if _, there := findDefault(s.state, who.ProjectID); there {
		return nil
	}
	return s.state.Update(func(tx *state.Tx) error {
		_, err := s.defaultGroup(tx, who.ProjectID)
		return err
	})
}

func findDefault(r state.Reader, projectID string) (SecurityGroup, bool) {
	return state.Find(r, func(g *SecurityGroup) bool { return g.ProjectID == projectID && g.Name == defaultGroupName })
}

func (s *Service) viewGroup(g SecurityGroup) SecurityGroup {
	g.Rules = []SecurityGroupRule{}
	for _, rule := range rulesOf(s.state, g.ID) {
		g.Rules = append(g.Rules, viewRule(rule, g))
	}
	return g
}

func (s *Service) listGroups(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	if err := s.ensureDefault(who); err != nil {
		return err
	}
	is := early(r)
	var visible []SecurityGroup
	for _, g := range state.List(s.state, func(g *SecurityGroup) bool { return who.Sees(g.ProjectID) && is("id", g.ID) && is("name", g.Name) }) {
		visible = append(visible, s.viewGroup(g))
	}
	page, err := httpx.Select(r, visible, httpx.Strict)
	if err != nil {
		return err
	}
	return page.Write(w, "security_groups")
}

func (s *Service) answerGroup(w http.ResponseWriter, status int, g SecurityGroup) error {
	return httpx.Write(w, status, map[string]any{"security_group": s.viewGroup(g)})
}

func (s *Service) showGroup(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	g, err := s.groupFor(s.state, r.PathValue("id"), who)
	if err != nil {
		return err
	}
	return s.answerGroup(w, http.StatusOK, g)
}

func (s *Service) createGroup(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	g := SecurityGroup{Stateful: true}
	if _, err := read(w, r, who, "security_group", &g); err != nil {
		return err
	}
	if g.Name == defaultGroupName {
		return httpx.Conflict("SecurityGroupDefaultAlreadyExists", "Default security group already exists.")
	}
	if err := checkStateful(g); err != nil {
		return err
	}
	if err := s.begin(&g.common, "security_group", who); err != nil {
		return err
	}
	if err := s.state.Update(func(tx *state.Tx) error { return s.insertGroup(tx, &g) }); err != nil {
		return err
	}
	s.apply(r.Context(), dirty{groups: ids(g.ID)})
	return s.answerGroup(w, http.StatusCreated, g)
}

func checkStateful(g SecurityGroup) error {
	if !g.Stateful {
		return invalid("stateful", "'False' is not supported here: security groups keep track of connections")
	}
	return nil
}

func (s *Service) updateGroup(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	body, err := parse(w, r, "security_group")
	if err != nil {
		return err
	}
	var g SecurityGroup
	err = s.state.Update(func(tx *state.Tx) (err error) {
		if g, err = s.groupFor(tx, r.PathValue("id"), who); err != nil {
			return err
		}
		before := g.Name
		if err := body.onto(who, "security_group", update, &g); err != nil {
			return err
		}
		if before == defaultGroupName && g.Name != before {
			return httpx.Conflict("SecurityGroupCannotUpdateDefault", "Updating default security group not allowed.")
		}
		if err := checkStateful(g); err != nil {
			return err
		}
		g.touch(s.now())
		return tx.Put(g)
	})
	if err != nil {
		return err
	}
	return s.answerGroup(w, http.StatusOK, g)
}

func (s *Service) deleteGroup(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	d := dirty{groups: ids(r.PathValue("id"))}
	err := s.state.Update(func(tx *state.Tx) error {
		g, err := s.groupFor(tx, r.PathValue("id"), who)
		if err != nil {
			return err
		}
		if g.Name == defaultGroupName && !who.IsAdmin {
			return httpx.Conflict("SecurityGroupCannotRemoveDefault", "Insufficient rights for removing default security group.")
		}
		if _, used := state.Find(tx, func(p *Port) bool { return slices.Contains(p.SecurityGroups, g.ID) }); used {
			return httpx.Conflict("SecurityGroupInUse", "Security Group %s in use.", g.ID)
		}
		for _, rule := range state.List(tx, func(rule *SecurityGroupRule) bool { return rule.concerns(g.ID) }) {
			d.add(dirty{groups: ids(rule.SecurityGroupID)})
			tx.Delete(rule)
		}
		tx.Delete(g)
		return nil
	})
	if err != nil {
		return err
	}
	s.apply(r.Context(), d)
	for _, id := range d.groups {
		s.revoke(r.Context(), s.inGroup(id))
	}
	return httpx.NoContent(w)
}

// concerns tells whether the rule is one of the group's, or about it.
func (r *SecurityGroupRule) concerns(groupID string) bool {
	return r.SecurityGroupID == groupID || r.RemoteGroupID != nil && *r.RemoteGroupID == groupID
}
