package api

import (
	"encoding/json"
	"slices"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/lb/attr"
)

// A draft is an object that a request asks for, with what it asks for below it, decoded and not checked yet.
type (
	listenerDraft struct {
		lb.Listener
		pool     *poolNamed
		policies []policyDraft
	}
	poolDraft struct {
		lb.Pool
		monitor *lb.HealthMonitor
		members []lb.Member
	}
	policyDraft struct {
		lb.L7Policy
		given attr.Given
		pool  *poolNamed
		rules []lb.L7Rule
	}
	// poolNamed is a pool that a listener or policy of the same request leads to: by its name, or in full.
	poolNamed struct {
		name string
		full *poolDraft
	}
)

// decoder reads drafts. Its tables have the deployment's defaults.
type decoder struct {
	k *kinds
	// shown lets objects come as answers show them: with their ids, and with what only the service sets, which is ignored.
	shown bool
}

// object reads one object of a draft.
func (d decoder) object(t *attr.Table, path string, body attr.Body, dst any, mode attr.Mode) (attr.Given, error) {
	if !d.shown {
		return t.Decode(path, body, dst, mode)
	}
	raw, _ := body.Take("id")
	for name := range body {
		if a := t.Find(name); a != nil && a.Access&attr.Shown != 0 && !a.Writable(mode) || slices.Contains(shownRefs, name) {
			delete(body, name)
		}
	}
	given, err := t.Decode(path, body, dst, mode)
	if err == nil && raw != nil {
		var id string
		if id, err = attr.ID("id", raw); err == nil {
			t.Find("id").Set(dst, id)
		}
	}
	return given, err
}

// shownRefs are what answers show of parents and users of an object.
var shownRefs = []string{"loadbalancers", "listeners", "healthmonitor_id"}

func (d decoder) listener(path string, body attr.Body, mode attr.Mode) (l listenerDraft, err error) {
	if l.pool, err = d.poolNamed(path, body, "default_pool"); err != nil {
		return l, err
	}
	policies, err := takeList(path, body, "l7policies")
	if err != nil {
		return l, err
	}
	for _, body := range policies {
		p, err := d.policy(path+".l7policies", body, attr.Nested)
		if err != nil {
			return l, err
		}
		l.policies = append(l.policies, p)
	}
	_, err = d.object(d.k.listener.table, path, body, &l.Listener, mode)
	return l, err
}

func (d decoder) policy(path string, body attr.Body, mode attr.Mode) (p policyDraft, err error) {
	if mode == attr.Nested {
		if p.pool, err = d.poolNamed(path, body, "redirect_pool"); err != nil {
			return p, err
		}
	}
	rules, err := takeList(path, body, "rules")
	if err != nil {
		return p, err
	}
	for _, body := range rules {
		var u lb.L7Rule
		if _, err := d.object(d.k.rule.table, path+".rules", body, &u, attr.Nested); err != nil {
			return p, err
		}
		p.rules = append(p.rules, u)
	}
	p.given, err = d.object(d.k.policy.table, path, body, &p.L7Policy, mode)
	return p, err
}

func (d decoder) pool(path string, body attr.Body, mode attr.Mode) (p poolDraft, err error) {
	if raw, ok := body.Take("healthmonitor"); ok && raw != nil {
		p.monitor = new(lb.HealthMonitor)
		if err := d.nested(d.k.monitor.table, path+".healthmonitor", raw, p.monitor); err != nil {
			return p, err
		}
	}
	members, err := takeList(path, body, "members")
	if err != nil {
		return p, err
	}
	for _, body := range members {
		var m lb.Member
		if _, err := d.object(d.k.member.table, path+".members", body, &m, attr.Nested); err != nil {
			return p, err
		}
		p.members = append(p.members, m)
	}
	_, err = d.object(d.k.pool.table, path, body, &p.Pool, mode)
	return p, err
}

// poolNamed reads a pool inside a listener or policy. One with no more than a name is a reference.
func (d decoder) poolNamed(path string, body attr.Body, member string) (*poolNamed, error) {
	raw, ok := body.Take(member)
	if !ok || raw == nil {
		return nil, nil
	}
	path += "." + member
	inner, err := attr.ParseBody(path, raw)
	if err != nil {
		return nil, err
	}
	named := new(poolNamed)
	if json.Unmarshal(inner["name"], &named.name) != nil || named.name == "" {
		return nil, lb.Refuse(lb.Validation, "Validation failure: a pool inside a listener or L7 policy needs a name")
	}
	if len(inner) == 1 {
		return named, nil
	}
	full, err := d.pool(path, inner, attr.Nested)
	named.full = &full
	return named, err
}

func (d decoder) nested(t *attr.Table, path string, raw []byte, dst any) error {
	body, err := attr.ParseBody(path, raw)
	if err == nil {
		_, err = d.object(t, path, body, dst, attr.Nested)
	}
	return err
}

// takeList reads a member that holds a list of objects; null is an empty one.
func takeList(path string, body attr.Body, member string) ([]attr.Body, error) {
	raw, ok := body.Take(member)
	if !ok || raw == nil {
		return nil, nil
	}
	return parseList(path+"."+member, member, raw)
}

func parseList(path, name string, raw []byte) ([]attr.Body, error) {
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil {
		return nil, attr.Invalid(name, string(raw), "Value not a valid list")
	}
	bodies := make([]attr.Body, len(items))
	for i, item := range items {
		var err error
		if bodies[i], err = attr.ParseBody(path, item); err != nil {
			return nil, err
		}
	}
	return bodies, nil
}
