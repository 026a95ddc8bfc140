package api

import (
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/lb/attr"
)

// The add methods check a draft against the tree and append it with all below it. They copy: a transaction may run again
// with the same drafts.

func (e *edit) addPool(d *poolDraft) (id string, err error) {
	p := d.Pool
	e.begin(&p.Meta)
	p.LoadBalancerID = e.tree.LB.ID
	if err := e.s.Rules.ValidatePool(e.tree, e.can(), &p, nil); err != nil {
		return "", err
	}
	e.tree.Pools = append(e.tree.Pools, p)
	if d.monitor != nil {
		m := *d.monitor
		m.PoolID = p.ID
		if err := e.addMonitor(m); err != nil {
			return "", err
		}
	}
	for _, m := range d.members {
		m.PoolID = p.ID
		if _, err := e.addMember(m); err != nil {
			return "", err
		}
	}
	return p.ID, nil
}

func (e *edit) addMonitor(m lb.HealthMonitor) error {
	e.begin(&m.Meta)
	if err := e.s.Rules.ValidateMonitor(e.tree, e.can(), &m, nil); err != nil {
		return err
	}
	e.tree.Monitors = append(e.tree.Monitors, m)
	return nil
}

func (e *edit) addMember(m lb.Member) (id string, err error) {
	e.begin(&m.Meta)
	if m.RequestSriov {
		switch may, err := e.memberSRIOV(); {
		case err != nil:
			return "", err
		case !may:
			return "", lb.Refuse(lb.DisabledOption, "The load balancer flavor does not allow SR-IOV member ports.")
		}
		m.VnicType = "direct"
	}
	if e.tree.MonitorOf(m.PoolID) == nil {
		m.OperatingStatus = lb.NoMonitor
	}
	if err := e.s.Rules.ValidateMember(e.tree, &m, nil); err != nil {
		return "", err
	}
	e.tree.Members = append(e.tree.Members, m)
	return m.ID, nil
}

// addListener adds a listener. pools are those of the request by name.
func (e *edit) addListener(d *listenerDraft, pools map[string]string) (id string, err error) {
	l := d.Listener
	e.begin(&l.Meta)
	l.LoadBalancerID = e.tree.LB.ID
	if d.pool != nil {
		if l.DefaultPoolID, err = e.resolve(d.pool, pools); err != nil {
			return "", err
		}
	}
	if err := e.s.Rules.ValidateListener(e.tree, e.can(), &l, nil); err != nil {
		return "", err
	}
	e.tree.Listeners = append(e.tree.Listeners, l)
	for i := range d.policies {
		p := d.policies[i]
		p.ListenerID = l.ID
		if _, err := e.addPolicy(&p, pools); err != nil {
			return "", err
		}
	}
	return l.ID, nil
}

func (e *edit) addPolicy(d *policyDraft, pools map[string]string) (id string, err error) {
	p, given := d.L7Policy, d.given
	e.begin(&p.Meta)
	if d.pool != nil {
		if p.RedirectPoolID, err = e.resolve(d.pool, pools); err != nil {
			return "", err
		}
		given = attr.Given{"action": true, "redirect_pool_id": true, "redirect_prefix": d.given["redirect_prefix"]}
	}
	if err := e.s.Rules.ValidatePolicy(e.tree, e.can(), &p, given); err != nil {
		return "", err
	}
	e.tree.Policies = append(e.tree.Policies, p)
	if err := e.arrange(p.ListenerID, p.ID); err != nil {
		return "", err
	}
	for _, u := range d.rules {
		u.L7PolicyID = p.ID
		if _, err := e.addRule(u); err != nil {
			return "", err
		}
	}
	return p.ID, nil
}

func (e *edit) addRule(u lb.L7Rule) (id string, err error) {
	e.begin(&u.Meta)
	if err := e.s.Rules.ValidateRule(e.tree, &u, nil); err != nil {
		return "", err
	}
	e.tree.Rules = append(e.tree.Rules, u)
	return u.ID, nil
}

// resolve finds the pool that a listener or policy of the request leads to, or makes it.
func (e *edit) resolve(n *poolNamed, pools map[string]string) (*string, error) {
	if id, ok := pools[n.name]; ok {
		return &id, nil
	}
	if n.full == nil {
		return nil, lb.Refuse(lb.Validation, "Missing details for Pool object: %s", n.name)
	}
	id, err := e.addPool(n.full)
	return &id, err
}

// arrange numbers the policies of a listener and writes those that were there before and moved.
func (e *edit) arrange(listenerID, moved string) error {
	old := make(map[string]bool, e.had.policies)
	for _, p := range e.tree.Policies[:e.had.policies] {
		old[p.ID] = true
	}
	var shifted []*lb.L7Policy
	for _, p := range e.tree.Arrange(listenerID, moved) {
		if old[p.ID] && p.ID != moved {
			shifted = append(shifted, p)
		}
	}
	if shifted == nil {
		return nil
	}
	return updateAll(e, shifted)
}
