package policy_test

import (
	"strings"
	"testing"

	"github.com/octavo-lb/octavo/policy"
)

func enforcer(t *testing.T, overrides map[string]string, o policy.Options) *policy.Enforcer {
	t.Helper()
	e, err := policy.New(overrides, o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// who may do what by default, at home and in another project: r reads, w writes, l lists all projects, q sets quotas,
// a administers.
func TestDefaultsAreOctavias(t *testing.T) {
	probes := map[rune]string{
		'r': policy.Action("listener", policy.Show),
		'w': policy.Action("loadbalancer", policy.Create),
		'l': policy.Action("pool", policy.ListAll),
		'q': policy.Action("quota", policy.Update),
		'a': policy.Action("amphora", policy.Failover),
		's': policy.Action("member", policy.List),
	}
	for _, c := range []struct{ roles, home, away, onlyNewHome, onlyNewAway string }{
		{"", "", "", "", ""},
		{"member", "rws", "", "rws", ""},
		{"MEMBER", "rws", "", "rws", ""},
		{"reader", "rs", "", "rs", ""},
		{"admin", "rwlqas", "rwlqas", "rwlqas", "rwlqas"},
		{"load-balancer_member", "rws", "", "", ""},
		{"load-balancer_observer", "rs", "", "", ""},
		{"load-balancer_global_observer", "rls", "rls", "", ""},
		{"load-balancer_quota_admin", "q", "q", "", ""},
		{"load-balancer_admin", "rwlqas", "rwlqas", "", ""},
		{"service", "s", "s", "s", "s"},
		{"some other role", "", "", "", ""},
	} {
		for i, want := range []string{c.home, c.away, c.onlyNewHome, c.onlyNewAway} {
			e := enforcer(t, nil, policy.Options{NewDefaultsOnly: i > 1})
			who := policy.Caller{UserID: "u", ProjectID: "p", Roles: []string{"another", c.roles}}
			target := policy.Target{"project_id": []string{"p", "elsewhere"}[i%2]}
			for probe, action := range probes {
				if got := e.Allows(action, who, target); got != strings.ContainsRune(want, probe) {
					t.Errorf("%q, case %d: %s: %v", c.roles, i, action, got)
				}
			}
		}
	}
}

func TestWithoutAuthenticationEverybodyIsAdmin(t *testing.T) {
	e := enforcer(t, nil, policy.Options{})
	if !e.Allows(policy.Action("amphora", policy.Delete), policy.Caller{IsAdmin: true}, nil) {
		t.Error("refused")
	}
}

func TestSystemScopeIsNotAProject(t *testing.T) {
	who := policy.Caller{Roles: []string{"admin"}, SystemScope: true}
	if enforcer(t, nil, policy.Options{}).Allows(policy.Action("loadbalancer", policy.Show), who, nil) {
		t.Error("allowed although the rules are made for projects")
	}
	if !enforcer(t, nil, policy.Options{AnyScope: true}).Allows(policy.Action("loadbalancer", policy.Show), who, nil) {
		t.Error("refused although the operator allows any scope")
	}
}

func TestWhatNoRuleNamesIsForbidden(t *testing.T) {
	if enforcer(t, nil, policy.Options{}).Allows("os_load-balancer_api:teapot:post", policy.Caller{IsAdmin: true, Roles: []string{"admin"}}, nil) {
		t.Error("allowed")
	}
}

func TestTheLanguageOfOsloPolicy(t *testing.T) {
	who := policy.Caller{UserID: "u1", ProjectID: "p1", DomainID: "d1", Roles: []string{"a", "b"}}
	target := policy.Target{"project_id": "p1", "user_id": "u2", "color": "red"}
	for text, want := range map[string]bool{
		"":                                  true,
		"@":                                 true,
		"!":                                 false,
		"role:a":                            true,
		"role:A":                            true,
		"role:c":                            false,
		"not role:c":                        true,
		"role:a and role:c":                 false,
		"role:a or role:c and role:c":       true,
		"(role:a or role:c) and role:c":     false,
		"not (role:c or role:d) and role:b": true,
		"NOT role:c AND role:b":             true,
		"project_id:%(project_id)s":         true,
		"tenant:%(project_id)s":             true,
		"user_id:%(user_id)s":               false,
		"user_id:u1":                        true,
		"domain_id:d1":                      true,
		"'red':%(color)s":                   true,
		"'blue':%(color)s":                  false,
		"'red':%(colour)s":                  false,
		"is_admin:False":                    true,
		"is_admin:True":                     false,
		"system_scope:all":                  false,
		"nothing:%(color)s":                 false,
		"rule:load-balancer:owner":          true,
		"((role:c) or (rule:load-balancer:owner))": true,
	} {
		e := enforcer(t, map[string]string{"test": text}, policy.Options{})
		if got := e.Allows("test", who, target); got != want {
			t.Errorf("%q: got %v", text, got)
		}
	}
}

func TestRulesThatCannotWorkAreNamed(t *testing.T) {
	for text, want := range map[string]string{
		"role":                 `"role"`,
		"role:":                `"role:"`,
		"role:a role:b":        `"role:b"`,
		"role:a and":           "too early",
		"(role:a":              "parenthesis",
		"role:a)":              `")"`,
		"and role:a":           `"and"`,
		"http://judge/":        "not supported",
		"user_id:%(user_id)":   ")s",
		"rule:nobody":          `"nobody"`,
		"rule:test":            "itself",
		"rule:load-balancer:x": `"load-balancer:x"`,
	} {
		_, err := policy.New(map[string]string{"test": text}, policy.Options{})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), `"test"`) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}
