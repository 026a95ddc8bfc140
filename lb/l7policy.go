package lb

import (
	"cmp"
	"slices"

	"github.com/octavo-lb/octavo/lb/attr"
)

// ValidatePolicy checks an L7 policy. See Rules. given tells what the request said: a redirection target alone implies
// the action that uses it.
func (r *Rules) ValidatePolicy(t *Tree, can Capabilities, p *L7Policy, given attr.Given) error {
	l := t.Listener(p.ListenerID)
	if l == nil {
		return gone(t.Listeners, "Listener", p.ListenerID)
	}
	if l.Protocol == "PROMETHEUS" {
		return noChildren(l.Protocol)
	}
	if err := supports(t.LB.Provider, "L7 policies of a listener of protocol", l.Protocol, can.PolicyListeners); err != nil {
		return err
	}
	if err := p.settle(given); err != nil {
		return err
	}
	if p.RedirectPoolID == nil {
		return nil
	}
	pool := t.Pool(*p.RedirectPoolID)
	if pool == nil {
		return gone(t.Pools, "Pool", *p.RedirectPoolID)
	}
	return l.leadsTo(pool)
}

// settle makes action and targets agree, as validate.sanitize_l7policy_api_args in Octavia does.
func (p *L7Policy) settle(given attr.Given) error {
	toPool := given["redirect_pool_id"] && p.RedirectPoolID != nil
	toURL := given["redirect_url"] && p.RedirectURL != nil
	toPrefix := given["redirect_prefix"] && p.RedirectPrefix != nil
	if toPool && (toPrefix || toURL && !given["action"]) {
		return badPolicy("redirect_pool_id cannot be given together with redirect_url or redirect_prefix")
	}
	if !given["action"] {
		switch {
		case toPool:
			p.Action = "REDIRECT_TO_POOL"
		case toURL:
			p.Action = "REDIRECT_TO_URL"
		case toPrefix:
			p.Action = "REDIRECT_PREFIX"
		}
	}
	return p.keepTarget(given)
}

// keepTarget drops the targets that the action does not use and misses the one that it does. A redirection that is asked for
// has a code; without one, as an update may leave it, the data plane's holds.
func (p *L7Policy) keepTarget(given attr.Given) error {
	pool, url, prefix, code := p.RedirectPoolID, p.RedirectURL, p.RedirectPrefix, p.RedirectHTTPCode
	p.RedirectPoolID, p.RedirectURL, p.RedirectPrefix, p.RedirectHTTPCode = nil, nil, nil, nil
	switch p.Action {
	case "REDIRECT_TO_POOL":
		p.RedirectPoolID = pool
		if pool == nil {
			return badPolicy("redirect_pool_id must not be None")
		}
		return nil
	case "REDIRECT_TO_URL":
		p.RedirectURL = url
		if url == nil {
			return badPolicy("redirect_url must not be None")
		}
	case "REDIRECT_PREFIX":
		p.RedirectPrefix = prefix
		if prefix == nil {
			return badPolicy("redirect_prefix must not be None")
		}
	default:
		return nil
	}
	if code == nil && (given["action"] || given["redirect_url"] || given["redirect_prefix"]) {
		code = new(302)
	}
	p.RedirectHTTPCode = code
	return nil
}

func badPolicy(why string) error {
	return Refuse(Validation, "Invalid L7 Policy arguments: %s", why)
}

// Arrange numbers the policies of a listener from 1, the one with the id moved standing where its Position says and
// the others keeping their order. It returns those whose position changed.
func (t *Tree) Arrange(listenerID, moved string) []*L7Policy {
	var row []*L7Policy
	var mover *L7Policy
	for i := range t.Policies {
		switch p := &t.Policies[i]; {
		case p.ListenerID != listenerID || p.Deleting:
		case p.ID == moved:
			mover = p
		default:
			row = append(row, p)
		}
	}
	slices.SortStableFunc(row, func(a, b *L7Policy) int { return cmp.Compare(a.Position, b.Position) })
	if mover != nil {
		row = slices.Insert(row, min(max(mover.Position, 1)-1, len(row)), mover)
	}
	var changed []*L7Policy
	for i, p := range row {
		if p.Position != i+1 {
			p.Position = i + 1
			changed = append(changed, p)
		}
	}
	return changed
}
