package api_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/octavo-lb/octavo/api"
)

// fuzzSite is a site of which requests are answered without a network.
func fuzzSite(f *testing.F) (answer func(t *testing.T, method, path, body string) (int, string), lbID string, paths map[string]string) {
	s, _ := newTLSSite(f)
	s.config.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	handler, err := api.New(s.config)
	if err != nil {
		f.Fatal(err)
	}
	w := &conformityWorld{client: s.as("member-a")}
	w.name("lb", s.loadBalancer())
	create := func(place, resource, name string) string {
		w.name(name, s.create(place, resource, w.base(resource)))
		return place + "/" + w.ids[name]
	}
	paths = map[string]string{"loadbalancer": "loadbalancers/" + w.ids["lb"]}
	paths["listener"] = create("listeners", "listener", "parent")
	paths["l7policy"] = create("l7policies", "l7policy", "policy")
	paths["rule"] = create(paths["l7policy"]+"/rules", "rule", "rule")
	paths["pool"] = create("pools", "pool", "parent")
	paths["healthmonitor"] = create("healthmonitors", "healthmonitor", "monitor")
	paths["member"] = create(paths["pool"]+"/members", "member", "member")
	return func(t *testing.T, method, path, body string) (int, string) {
		q := httptest.NewRequestWithContext(t.Context(), method, "/v2/lbaas/"+path, strings.NewReader(body))
		q.Header.Set("X-Auth-Token", "member-a")
		q.Header.Set("Content-Type", "application/json")
		r := httptest.NewRecorder()
		handler.ServeHTTP(r, q)
		return r.Code, r.Body.String()
	}, w.ids["lb"], paths
}

// Whatever a body says, it is taken or refused with a reason: it never fails, and answers are JSON.
func FuzzBodies(f *testing.F) {
	answer, lbID, paths := fuzzSite(f)
	type call struct{ method, path string }
	var calls []call
	for _, path := range paths {
		calls = append(calls, call{http.MethodPut, path}, call{http.MethodPost, path[:strings.LastIndex(path, "/")]})
	}
	calls = append(calls, call{http.MethodPut, paths["pool"] + "/members"}, call{http.MethodPut, "loadbalancers/" + lbID + "/graph?dry_run=true"},
		call{http.MethodPut, "quotas/" + projectA})
	slices.SortFunc(calls, func(a, b call) int { return strings.Compare(a.method+a.path, b.method+b.path) })
	for resource, r := range triedResources() {
		o := named(r.base, object{"loadbalancer_id": lbID})
		for name, c := range r.trials {
			one := named(o, c.beside, object{name: c.good})
			for _, body := range []object{{resource: one}, {resource: object{name: c.bad}}, {"loadbalancer": named(object{"vip_subnet_id": subA}, r.nested(one))}} {
				raw, _ := json.Marshal(body)
				for i := range calls {
					if i%5 == len(name)%5 {
						f.Add(uint8(i), string(raw))
					}
				}
			}
		}
	}
	for _, body := range []string{``, `null`, `[]`, `{"members":[{"address":"::ffff:10.0.0.1","protocol_port":80},{}]}`, `{"quota":{"pool":1e9}}`,
		`{"loadbalancer":{"listeners":null,"pools":[null]}}`, `{"listener":{"insert_headers":{"":""}}}`, `{"pool":{"session_persistence":[]}}`, "{\"pool\":{\"name\":\"\xff\"}}"} {
		for i := range calls {
			f.Add(uint8(i), body)
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, body string) {
		c := calls[int(which)%len(calls)]
		status, got := answer(t, c.method, c.path, body)
		switch {
		case status >= 500 && status != http.StatusNotImplemented:
			t.Fatalf("%s %s: %d %s\n%q", c.method, c.path, status, got, body)
		case got != "" && !json.Valid([]byte(got)):
			t.Fatalf("%s %s answers no JSON: %s", c.method, c.path, got)
		case status >= 400 && !bytes.Contains([]byte(got), []byte(`"faultstring":"`)):
			t.Fatalf("%s %s: %d without a reason: %s", c.method, c.path, status, got)
		}
	})
}

// So it is with what lists are asked for.
func FuzzQueries(f *testing.F) {
	answer, _, paths := fuzzSite(f)
	var lists []string
	for _, path := range paths {
		lists = append(lists, path[:strings.LastIndex(path, "/")])
	}
	lists = append(lists, "quotas", "providers", "flavors")
	slices.Sort(lists)
	for _, q := range []string{"", "limit=1&marker=x", "sort=name:asc,created_at:desc", "sort_key=id&sort_dir=up", "fields=id&fields=name", "tags=a,b&not-tags-any=c",
		"created_at=2026-01-01T00:00:00", "created_at=x", "protocol_port=80&protocol_port=x", "provisioning_status=ACTIVE&operating_status=", "page_reverse=True&limit=-1",
		"admin_state_up=maybe", "vip_address=::1", "healthmonitor_id=", "http_version=NaN", "weight=99999999999999999999", "name=%00", "%zz", "project_id=&tenant_id=x"} {
		for i := range lists {
			f.Add(uint8(i), q)
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, query string) {
		path := lists[int(which)%len(lists)]
		if u, err := url.Parse("/" + path + "?" + query); err != nil || u.Path != "/"+path || strings.ContainsAny(query, "\r\n \t#") {
			t.Skip("no URL")
		}
		if status, got := answer(t, http.MethodGet, path+"?"+query, ""); status >= 500 || !json.Valid([]byte(got)) {
			t.Fatalf("GET %s?%s: %d %s", path, query, status, got)
		}
	})
}
