package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// rule is an L7 rule with a request that it matches and one that it nearly does.
type rule struct {
	kind, compare, key, value string
	hit, miss                 string // of what the rule looks at
}

var rules = []rule{
	{"HOST_NAME", "EQUAL_TO", "", "he.example.org", "HE.example.org", "he.example.org.uk"},
	{"HOST_NAME", "STARTS_WITH", "", "hs.", "hs.example.org", "a.hs.example.org"},
	{"HOST_NAME", "ENDS_WITH", "", ".hn.example", "a.hn.example", "a.hn.example.org"},
	{"HOST_NAME", "CONTAINS", "", "hcont", "a.hcont.org", "a.hco.nt.org"},
	{"HOST_NAME", "REGEX", "", `^h[0-9]+r\.example$`, "h12r.example", "h12r.example.org"},
	{"PATH", "EQUAL_TO", "", "/pe", "/pe?a=b", "/pe/"},
	{"PATH", "STARTS_WITH", "", "/ps/", "/ps/a/b", "/a/ps/"},
	{"PATH", "ENDS_WITH", "", "/pend", "/a/pend", "/a/pends"},
	{"PATH", "CONTAINS", "", "pcont", "/a/xpcontx", "/a/pco/nt"},
	{"PATH", "REGEX", "", `^/p[0-9]{2}$`, "/p12", "/p123"},
	{"FILE_TYPE", "EQUAL_TO", "", "fte", "/a/b.fte", "/a/b.fte2"},
	{"FILE_TYPE", "REGEX", "", "ft[rs]$", "/a/b.fts", "/a/b.ftt"},
	{"HEADER", "EQUAL_TO", "X-Try", "eq-it's#1", "eq-it's#1", "eq"},
	{"HEADER", "STARTS_WITH", "X-Try", "begin", "begins", "a begin"},
	{"HEADER", "ENDS_WITH", "X-Try", "finish", "the finish", "finished"},
	{"HEADER", "CONTAINS", "X-Try", "mid", "amidst", "mi d"},
	{"HEADER", "REGEX", "X-Try", "^[ab]{3}$", "aba", "abab"},
	{"COOKIE", "EQUAL_TO", "try", "ceq", "ceq", "ceqs"},
	{"COOKIE", "STARTS_WITH", "try", "cbeg", "cbegin", "acbeg"},
	{"COOKIE", "ENDS_WITH", "try", "cend", "acend", "cends"},
	{"COOKIE", "CONTAINS", "try", "cmid", "acmidst", "cm.id"},
	{"COOKIE", "REGEX", "try", "^c[0-9]$", "c7", "c77"},
}

func (r rule) policy() m {
	one := m{"type": r.kind, "compare_type": r.compare, "value": r.value}
	if r.key != "" {
		one["key"] = r.key
	}
	return m{"action": "REDIRECT_TO_URL", "redirect_url": r.leadsTo(), "rules": []m{one}}
}

func (r rule) leadsTo() string { return "http://" + strings.ToLower(r.compare+"."+r.kind) + ".test/" }

func (r rule) request(t *testing.T, url, value string) *http.Request {
	t.Helper()
	path := "/"
	if r.kind == "PATH" || r.kind == "FILE_TYPE" {
		path = value
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	switch r.kind {
	case "HOST_NAME":
		req.Host = value
	case "HEADER":
		req.Header.Set(r.key, value)
	case "COOKIE":
		req.Header.Set("Cookie", "other=1; "+r.key+"="+value)
	}
	return req
}

// TestPolicies tries every kind of rule with every comparison, what a policy can do, and in which order policies are asked.
func TestPolicies(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	web, other := s.web(t, named("web")), s.web(t, named("other"))
	policies := []m{}
	for _, r := range rules {
		policies = append(policies, r.policy())
	}
	path := func(value string, more ...m) []m {
		return append(more, m{"type": "PATH", "compare_type": "EQUAL_TO", "value": value})
	}
	inverted := m{"type": "HEADER", "key": "X-Not", "compare_type": "EQUAL_TO", "value": "yes", "invert": true}
	actions := []m{
		{"name": "off", "action": "REJECT", "admin_state_up": false, "rules": path("/pool")},
		{"name": "halfoff", "action": "REJECT", "rules": append(path("/never"), m{"type": "PATH", "compare_type": "EQUAL_TO", "value": "/other", "admin_state_up": false})},
		{"name": "reject", "action": "REJECT", "rules": path("/reject", inverted)},
		{"name": "prefix", "action": "REDIRECT_PREFIX", "redirect_prefix": "https://prefix.test", "redirect_http_code": 308, "rules": path("/prefix")},
		{"name": "pool", "action": "REDIRECT_TO_POOL", "redirect_pool": pool([]m{member(other)}, m{"name": "other"}), "rules": path("/pool")},
		{"name": "first", "action": "REDIRECT_TO_URL", "redirect_url": "http://first.test/", "rules": path("/twice")},
		{"name": "second", "action": "REDIRECT_TO_URL", "redirect_url": "http://second.test/", "rules": path("/twice")},
		{"name": "answered", "action": "REDIRECT_TO_URL", "redirect_url": "http://answered.test/", "rules": path("/both")},
		{"name": "balanced", "action": "REDIRECT_TO_POOL", "redirect_pool": m{"name": "other"}, "position": 1, "rules": path("/both")},
		{"name": "empty", "action": "REJECT"},
	}
	for _, code := range []int{301, 302, 303, 307, 308} {
		actions = append(actions, m{"action": "REDIRECT_TO_URL", "redirect_url": "http://code.test/", "redirect_http_code": code, "rules": path(fmt.Sprint("/", code))})
	}
	lb, ip := s.balancer(t,
		m{"protocol": "HTTP", "protocol_port": 80, "default_pool": pool([]m{member(web)}), "l7policies": policies},
		m{"name": "actions", "protocol": "HTTP", "protocol_port": 81, "default_pool": pool([]m{member(web)}), "l7policies": actions})
	client := fresh()

	t.Run("rules", func(t *testing.T) {
		url := "http://" + ip
		for _, r := range rules {
			for value, want := range map[string]string{r.hit: "302 " + r.leadsTo(), r.miss: "200 web"} {
				if got, err := answer(client, r.request(t, url, value)); err != nil || got != want {
					t.Errorf("%s %s %q: %q is answered %s, %v; want %s", r.kind, r.compare, r.value, value, got, err, want)
				}
			}
		}
	})
	asked := func(t *testing.T, path, want string, header ...string) error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+ip+":81"+path, nil)
		if err != nil {
			return err
		}
		for _, h := range header {
			req.Header.Set(h, "yes")
		}
		if got, err := answer(client, req); err != nil || got != want {
			return fmt.Errorf("%s is answered %s, %v; want %s", path, got, err, want)
		}
		return nil
	}
	t.Run("actions", func(t *testing.T) {
		for _, c := range [][]string{
			{"/pool", "200 other"}, {"/twice", "302 http://first.test/"}, {"/other", "200 web"}, {"/never", "403"}, {"/", "200 web"}, {"/reject", "403"}, {"/reject", "200 web", "X-Not"},
			{"/prefix", "308 https://prefix.test/prefix"}, {"/301", "301 http://code.test/"}, {"/302", "302 http://code.test/"},
			{"/303", "303 http://code.test/"}, {"/307", "307 http://code.test/"}, {"/308", "308 http://code.test/"},
		} {
			if err := asked(t, c[0], c[1], c[2:]...); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("order", func(t *testing.T) {
		s.change(t, lb, "l7policy", "l7policies/"+s.idOf(t, "l7policies", "second"), m{"position": 1})
		eventually(t, 10*time.Second, "the policy that came first is the first", func() error { return asked(t, "/twice", "302 http://second.test/") })
		if err := asked(t, "/both", "302 http://answered.test/"); err != nil {
			t.Errorf("what is answered here comes before what goes to a pool: %v", err)
		}
		s.send(t, "DELETE", "l7policies/"+s.idOf(t, "l7policies", "answered"), nil, nil)
		s.inForce(t, lb.ID)
		eventually(t, 10*time.Second, "the next one is asked when it is gone", func() error { return asked(t, "/both", "200 other") })
		s.change(t, lb, "pool", "pools/"+s.idOf(t, "pools", "other"), m{"admin_state_up": false})
		eventually(t, 10*time.Second, "a policy whose pool is disabled does not apply", func() error { return asked(t, "/pool", "200 web") })
	})
}
