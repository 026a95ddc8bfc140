package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/octavo-lb/octavo/api"
)

func TestVersionsNeedNoTokenAndEndWithTheCurrentOne(t *testing.T) {
	s := newSite(t, func(c *api.Config) { c.BasePath = "/load-balancer" })
	for path, href := range map[string]string{"/": "/v2", "/load-balancer": "/load-balancer/v2", "/load-balancer/": "/load-balancer/v2"} {
		a := s.as("").get(path).want(200)
		list := a.in("versions").([]any)
		last := list[len(list)-1].(map[string]any)
		if len(list) != 31 || list[0].(map[string]any)["id"] != "v2.0" || last["id"] != "v2.30" || last["status"] != "CURRENT" {
			t.Fatalf("%s: %s", path, a.raw)
		}
		if got := last["links"].([]any)[0].(map[string]any)["href"]; got != s.server.URL+href {
			t.Errorf("%s: link %v", path, got)
		}
		for _, v := range list[:30] {
			if v.(map[string]any)["status"] != "SUPPORTED" {
				t.Errorf("%v", v)
			}
		}
	}
	s.as("").get("/load-balancer/v2.0/lbaas/loadbalancers").want(401)
	s.as("member-a").get("/load-balancer/v2.0/lbaas/loadbalancers").want(200)
}

func TestLinksAreWhatTheClientSees(t *testing.T) {
	s := newSite(t)
	for _, c := range []struct {
		header http.Header
		want   string
	}{
		{http.Header{"X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"lb.example.com"}}, "https://lb.example.com/v2"},
		{http.Header{"X-Forwarded-Proto": {"https, http"}, "X-Forwarded-Host": {"a.example, b"}, "X-Forwarded-Port": {"8443"}}, "https://a.example:8443/v2"},
		{http.Header{"X-Forwarded-Host": {"a.example"}, "X-Forwarded-Prefix": {"/lb/"}}, "http://a.example/lb/v2"},
		{http.Header{"X-Forwarded-Proto": {"javascript"}}, s.server.URL + "/v2"},
	} {
		q, _ := http.NewRequestWithContext(t.Context(), "GET", s.server.URL+"/", nil)
		q.Header = c.header
		if got := s.as("").send(q).want(200).in("versions.0.links.0.href"); got != c.want {
			t.Errorf("%v: %v, want %s", c.header, got, c.want)
		}
	}
	s = newSite(t, func(c *api.Config) { c.BaseURI = "https://public.example/load-balancer/" })
	if got := s.as("").get("/").in("versions.0.links.0.href"); got != "https://public.example/load-balancer/v2" {
		t.Error(got)
	}
}

func TestFourPathsLeadToTheSameResources(t *testing.T) {
	s := newSite(t)
	id := s.loadBalancer()
	for _, prefix := range []string{"/v2.0/lbaas", "/v2/lbaas", "/v2.0", "/v2"} {
		if got := s.as("member-a").get(prefix + "/loadbalancers/" + id).want(200).id(); got != id {
			t.Errorf("%s: %s", prefix, got)
		}
		s.as("member-a").get(prefix+"/loadbalancers/").want(200, id)
	}
	for _, path := range []string{"/v2", "/v2.0", "/v2/lbaas"} {
		if a := s.as("member-a").get(path); a.status != 200 || a.raw != `"v2"` {
			t.Errorf("%s: %d %s", path, a.status, a.raw)
		}
	}
	for _, path := range []string{"/v1/loadbalancers", "/v2.1/lbaas/loadbalancers", "/v2/lbaasloadbalancers", "/v2/lbaas/teapots", "/v20", "/x",
		"/v2/lbaas/loadbalancers/" + id + "/teapot", "/v2/lbaas/loadbalancers/../listeners"} {
		s.as("member-a").get(path).want(404)
	}
	s.as("member-a").do("PATCH", "/v2/lbaas/loadbalancers/"+id, "{}").want(405)
	s.as("member-a").post("/v2/lbaas/loadbalancers/"+id, "{}").want(405)
}

// The cases of octavia/tests/functional/api/test_content_types.py.
func TestAcceptMustLeaveJSONOver(t *testing.T) {
	s := newSite(t)
	for accept, want := range map[string]int{
		"": 200, "bogus": 200, "application/json": 200, "text/html,application/json": 200, "*/*": 200, "application/*": 200,
		"application/json, */*": 200, "application/json, text/plain, */*": 200, "text/html,*/*": 200, "text/html,application/json;q=0.8": 200,
		"application/xml": 406, "application/xml,text/html": 406, "application/json;q=0": 406, "application/json;q=0,*/*": 406,
	} {
		q, _ := http.NewRequestWithContext(t.Context(), "GET", s.server.URL+"/", nil)
		q.Header["Accept"] = []string{accept}
		a := s.as("").send(q)
		if a.status != want || a.header.Get("Content-Type") != "application/json" {
			t.Errorf("%q: %d %s", accept, a.status, a.header.Get("Content-Type"))
		}
		if want == 406 && (a.in("code") != 406.0 || a.in("title") != "Not Acceptable" ||
			a.in("description") != "Only content type application/json is accepted.") {
			t.Errorf("%q: %s", accept, a.raw)
		}
	}
}

func TestWhoMayDoWhat(t *testing.T) {
	s := newSite(t)
	id := s.loadBalancer()
	one, all := "/v2/lbaas/loadbalancers/"+id, "/v2/lbaas/loadbalancers"
	rename := object{"loadbalancer": object{"name": "x"}}

	for _, token := range []string{"", "stolen"} {
		a := s.as(token).get(one).want(401, `"message": "The request you have made requires authentication."`)
		if a.header.Get("Www-Authenticate") != `Keystone uri="http://keystone.example/v3"` {
			t.Error(a.header)
		}
	}
	if a := s.as("while-keystone-is-away").get(one).want(503); a.header.Get("Retry-After") == "" || strings.Contains(a.raw, "no route") {
		t.Errorf("%v %s", a.header, a.raw)
	}
	denied := "Policy does not allow this request to be performed."
	s.as("observer-a").get(one).want(200)
	s.as("observer-a").put(one, rename).want(403, denied)
	s.as("observer-a").delete(one).want(403, denied)
	s.as("observer-a").post(all, object{"loadbalancer": object{"vip_subnet_id": subA}}).want(403, denied)
	s.as("nobody-a").get(one).want(403, denied)
	s.as("nobody-a").get(all).want(403, denied)
	s.as("unscoped").get(all).want(403, denied)
	s.as("unscoped").post(all, object{"loadbalancer": object{"vip_subnet_id": subA}}).want(400, "Missing project ID")

	// Another project's object: there, but not to be seen (403). One that is nowhere is 404.
	s.as("member-b").get(one).want(403, denied)
	s.as("member-b").put(one, rename).want(403, denied)
	s.as("member-b").delete(one).want(403, denied)
	s.as("member-b").get(one + "/status").want(403)
	s.as("member-b").get(one + "/stats").want(403)
	s.as("member-b").post("/v2/lbaas/listeners", object{"listener": object{"loadbalancer_id": id, "protocol": "HTTP", "protocol_port": 80}}).want(403)
	s.as("member-b").get(all+"/"+absent).want(404, "Load Balancer "+absent+" not found.")
	if got := s.as("member-b").get(all).want(200).ids("loadbalancers"); len(got) != 0 {
		t.Errorf("project B lists %v", got)
	}
	s.as("member-b").get(all + "?project_id=" + projectA).want(403)

	s.as("admin").get(one).want(200)
	if got := s.as("admin").get(all).want(200).ids("loadbalancers"); len(got) != 1 {
		t.Errorf("the admin lists %v", got)
	}
	if got := s.as("admin").get(all + "?project_id=" + projectB).want(200).ids("loadbalancers"); len(got) != 0 {
		t.Errorf("the admin lists %v of project B", got)
	}
	s.as("admin").put(one, rename).want(200)
	if got := s.as("admin").post(all, object{"loadbalancer": object{"vip_subnet_id": subA, "project_id": projectA}}).want(201).in("loadbalancer.project_id"); got != projectA {
		t.Errorf("project %v", got)
	}
	s.as("member-b").post(all, object{"loadbalancer": object{"vip_subnet_id": subB, "project_id": projectA}}).want(403)
}

func TestAChildBelongsToTheProjectOfItsLoadBalancer(t *testing.T) {
	s := newSite(t)
	id := s.loadBalancer()
	a := s.as("admin").post("/v2/lbaas/pools", object{"pool": object{"loadbalancer_id": id, "project_id": projectB, "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN"}}).want(201)
	if got := a.in("pool.project_id"); got != projectA {
		t.Errorf("project %v", got)
	}
}

func TestBodiesThatAreRefused(t *testing.T) {
	s := newSite(t)
	u := s.as("member-a")
	lbID := s.loadBalancer()
	path := "/v2/lbaas/listeners"
	for body, want := range map[string]string{
		`{`:              "Request is not in valid JSON format",
		`[]`:             "Value should be a JSON object",
		`{}`:             "Mandatory field missing.",
		`{"listener":1}`: "Value should be a JSON object",
		`{"listener":{"loadbalancer_id":"` + lbID + `"},"x":1}`:                                                                          "Unknown attribute for argument listener_: x",
		`{"listener":{"loadbalancer_id":"` + lbID + `","protocol":"HTTP","protocol_port":70000}}`:                                        "Invalid input for field/attribute protocol_port. Value: '70000'. Value should be lower or equal to 65535",
		`{"listener":{"loadbalancer_id":"` + lbID + `","protocol":"HTTP","protocol_port":80,"id":"1"}}`:                                  "Unknown attribute for argument listener_.listener: id",
		`{"listener":{"loadbalancer_id":"` + lbID + `","protocol":"HTTP","protocol_port":80,"name":"a\nb"}}`:                             "Invalid input for field/attribute name.",
		`{"listener":{"loadbalancer_id":"` + lbID + `","protocol":"HTTP","protocol_port":80,"name":"` + strings.Repeat("x", 256) + `"}}`: "maximum character requirement of 255",
	} {
		u.post(path, body).want(400, strings.ReplaceAll(want, "\n", `\n`))
	}
	u.post(path, strings.Repeat(" ", 114689)).want(413, "Request is too large.")
	q, _ := http.NewRequestWithContext(t.Context(), "POST", s.server.URL+path, strings.NewReader("<listener/>"))
	q.Header = http.Header{"X-Auth-Token": {"member-a"}, "Content-Type": {"application/xml"}}
	u.send(q).want(415, "Unknown mimetype: application/xml")
	q, _ = http.NewRequestWithContext(t.Context(), "POST", s.server.URL+path, nil)
	q.Header = http.Header{"X-Auth-Token": {"member-a"}}
	u.send(q).want(400, `Missing argument: \"listener_\"`)
	u.post(path, `{"listener":{"loadbalancer_id":"`+absent+`","protocol":"HTTP","protocol_port":80}}`).want(404, "Load Balancer "+absent+" not found.")
	if got := u.get(path).want(200).ids("listeners"); len(got) != 0 {
		t.Errorf("refused requests made %v", got)
	}
	if got := u.get("/v2/lbaas/loadbalancers/" + lbID).in("loadbalancer.provisioning_status"); got != "ACTIVE" {
		t.Errorf("refused requests touched the load balancer: %v", got)
	}
}

// What cannot be read is told first, then that the object is not there, then that nothing was asked for.
func TestWhatIsToldFirstOfAnUpdate(t *testing.T) {
	s := newSite(t)
	lbID := s.loadBalancer()
	for _, c := range []struct {
		token, id, body string
		status          int
		want            string
	}{
		{"member-a", absent, `{`, 400, "Request is not in valid JSON format"},
		{"member-a", absent, `{"loadbalancer":{"name":1}}`, 400, "attribute name"},
		{"member-a", absent, `{"loadbalancer":{"vip_subnet_id":"` + subA + `"}}`, 400, "Unknown attribute"},
		{"member-b", lbID, `{"loadbalancer":{"name":1}}`, 400, "attribute name"},
		{"member-a", absent, `{}`, 404, "Load Balancer " + absent + " not found."},
		{"member-a", "no-uuid", `{}`, 404, "Load Balancer no-uuid not found."},
		{"member-b", lbID, `{}`, 403, "Policy does not allow"},
		{"member-a", lbID, `{}`, 400, "Mandatory field missing."},
		{"member-a", lbID, `{"loadbalancer":null}`, 400, "Mandatory field missing."},
		{"member-a", lbID, `{"loadbalancer":{}}`, 200, lbID},
	} {
		s.as(c.token).put(lbs+"/"+c.id, c.body).want(c.status, c.want)
	}
}

func TestADeleteUnderWayIsAnUpdate(t *testing.T) {
	s := newSite(t)
	lbID := s.loadBalancer()
	listener := s.create("listeners", "listener", object{"loadbalancer_id": lbID, "protocol": "HTTP", "protocol_port": 80})
	s.converge(lbID)
	u := s.as("member-a")
	u.delete("/v2/lbaas/listeners/" + listener).want(204)
	a := u.get("/v2/lbaas/listeners/"+listener).want(200, "PENDING_DELETE")
	if a.in("listener.updated_at") == nil {
		t.Errorf("nothing tells when the delete was asked for: %s", a.raw)
	}
}

func TestARefusedUpdateChangesNothing(t *testing.T) {
	s := newSite(t)
	u := s.as("member-a")
	lbID := s.loadBalancer()
	poolID := s.create("pools", "pool", object{"loadbalancer_id": lbID, "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "name": "before"})
	s.converge(lbID)
	before := u.get("/v2/lbaas/pools/" + poolID).raw
	for _, change := range []object{
		{"name": "after", "lb_algorithm": "DICE"},
		{"name": "after", "protocol": "TCP"},
		{"name": "after", "session_persistence": object{"type": "APP_COOKIE"}},
		{"name": "after", "crl_container_ref": "http://barbican/1"},
	} {
		u.put("/v2/lbaas/pools/"+poolID, object{"pool": change}).want(400)
		if after := u.get("/v2/lbaas/pools/" + poolID).raw; after != before {
			t.Errorf("%v:\n%s\n%s", change, before, after)
		}
	}
	u.put("/v2/lbaas/pools/"+poolID, object{"pool": object{"name": "before"}}).want(200, `"provisioning_status":"ACTIVE"`)
}

func TestImmutableWhilePendingIsAnOption(t *testing.T) {
	s := newSite(t, func(c *api.Config) { c.ImmutableWhilePending = true })
	u := s.as("member-a")
	id := u.post("/v2/lbaas/loadbalancers", object{"loadbalancer": object{"vip_subnet_id": subA}}).want(201).id()
	listener := object{"listener": object{"loadbalancer_id": id, "protocol": "HTTP", "protocol_port": 80}}
	u.post("/v2/lbaas/listeners", listener).want(409, "Load Balancer "+id+" is immutable and cannot be updated.")
	u.put("/v2/lbaas/loadbalancers/"+id, object{"loadbalancer": object{"name": "x"}}).want(409)
	u.delete("/v2/lbaas/loadbalancers/" + id).want(409)
	s.converge(id)
	u.post("/v2/lbaas/listeners", listener).want(201)
}
