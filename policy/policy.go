// Package policy decides what a caller may do. The rules are written in the language of oslo.policy, so that what
// operators know and have written for Octavia holds here; the defaults are Octavia's.
//
// It is pure: who the caller is and what is asked for come in, a decision comes out.
package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Caller is what rules may ask about the one who calls.
type Caller struct {
	UserID      string
	ProjectID   string
	DomainID    string
	Roles       []string
	SystemScope bool // the token is for the whole system, not for a project
	// IsAdmin makes an admin of a caller without the roles: the service runs without authentication.
	IsAdmin bool
}

// Target is what rules may ask about the object of the call, such as project_id.
type Target map[string]string

// Options are switches that octavia.conf has in [oslo_policy].
type Options struct {
	// NewDefaultsOnly drops the load-balancer_* roles in favour of Keystone's own admin, member and reader.
	NewDefaultsOnly bool
	// AnyScope lets tokens of system scope in, which the defaults are not made for.
	AnyScope bool
}

// Enforcer holds a complete set of rules. It does not change and may be used concurrently.
type Enforcer struct {
	rules    map[string]check
	anyScope bool
}

// New parses the defaults with an operator's rules in place of those of the same name. The error names the rule.
func New(overrides map[string]string, o Options) (*Enforcer, error) {
	texts := defaults(o.NewDefaultsOnly)
	maps.Copy(texts, overrides)
	e := &Enforcer{rules: make(map[string]check, len(texts)), anyScope: o.AnyScope}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		c, err := parse(texts[name])
		if err != nil {
			return nil, fmt.Errorf("policy rule %q: %w", name, err)
		}
		e.rules[name] = c
	}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		if err := e.resolve(name, nil); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// resolve follows the rules that a rule refers to: one that does not exist or leads back would never allow anything,
// and the operator would look for the reason for long.
func (e *Enforcer) resolve(name string, path []string) error {
	if slices.Contains(path, name) {
		return fmt.Errorf("policy rule %q refers to itself: %s", name, strings.Join(append(path, name), " → "))
	}
	c, ok := e.rules[name]
	if !ok {
		return fmt.Errorf("policy rule %q refers to %q, which does not exist", path[len(path)-1], name)
	}
	for _, next := range c.references(nil) {
		if err := e.resolve(next, append(path, name)); err != nil {
			return err
		}
	}
	return nil
}

// Allows decides whether a caller may do what the action names (see Action) to the target. An action without a rule is
// nobody's.
func (e *Enforcer) Allows(action string, who Caller, target Target) bool {
	if who.SystemScope && !e.anyScope {
		return false
	}
	c, ok := e.rules[action]
	if !ok {
		return false
	}
	q := &query{enforcer: e, who: who, target: target}
	if !who.IsAdmin {
		if admin, ok := e.rules["context_is_admin"]; ok {
			q.who.IsAdmin = admin.holds(q)
		}
	}
	return c.holds(q)
}

// query is one question.
type query struct {
	enforcer *Enforcer
	who      Caller
	target   Target
}

// credential is what a rule finds under a name about the caller.
func (q *query) credential(name string) (string, bool) {
	switch name {
	case "user_id", "user":
		return q.who.UserID, true
	case "project_id", "tenant", "tenant_id":
		return q.who.ProjectID, true
	case "domain_id", "user_domain_id":
		return q.who.DomainID, true
	case "system_scope":
		return "all", q.who.SystemScope
	}
	return "", false
}
