package api_test

import (
	"slices"
	"strings"
	"testing"
)

// The life of one load balancer with everything on it, as a user with a CLI has it.
func TestEverythingCanBeMadeShownChangedAndDeleted(t *testing.T) {
	s := newSite(t)
	u := s.as("member-a")

	created := u.post("/v2/lbaas/loadbalancers", object{"loadbalancer": object{"name": "lb1", "vip_subnet_id": subA}}).want(201)
	lbID := created.id()
	for path, want := range map[string]any{
		"loadbalancer.provisioning_status": "PENDING_CREATE", "loadbalancer.operating_status": "OFFLINE",
		"loadbalancer.vip_address": "192.0.2.11", "loadbalancer.vip_subnet_id": subA, "loadbalancer.vip_network_id": netA,
		"loadbalancer.project_id": projectA, "loadbalancer.tenant_id": projectA, "loadbalancer.provider": "amphora",
		"loadbalancer.updated_at": nil, "loadbalancer.admin_state_up": true, "loadbalancer.vip_vnic_type": "normal",
	} {
		if got := created.in(path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	s.converge(lbID)
	lb := "/v2/lbaas/loadbalancers/" + lbID
	if got := u.get(lb).want(200).in("loadbalancer.provisioning_status"); got != "ACTIVE" {
		t.Errorf("status %v", got)
	}

	listenerID := s.create("listeners", "listener", object{"name": "l1", "loadbalancer_id": lbID, "protocol": "HTTP", "protocol_port": 80})
	if got := u.get(lb).in("loadbalancer.provisioning_status"); got != "PENDING_UPDATE" {
		t.Errorf("after a write: %v", got)
	}
	poolID := s.create("pools", "pool", object{"name": "p1", "listener_id": listenerID, "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN"})
	if got := u.get("/v2/lbaas/listeners/" + listenerID).want(200).in("listener.default_pool_id"); got != poolID {
		t.Errorf("the listener's default pool is %v", got)
	}
	monitorID := s.create("healthmonitors", "healthmonitor", object{"pool_id": poolID, "type": "HTTP", "delay": 5, "timeout": 10, "max_retries": 4})
	memberPath := "/v2/lbaas/pools/" + poolID + "/members"
	memberID := u.post(memberPath, object{"member": object{"address": "192.0.2.100", "protocol_port": 80, "subnet_id": subA}}).want(201).id()
	policyID := s.create("l7policies", "l7policy", object{"listener_id": listenerID, "action": "REDIRECT_TO_URL", "redirect_url": "http://example.com/"})
	rulePath := "/v2/lbaas/l7policies/" + policyID + "/rules"
	ruleID := u.post(rulePath, object{"rule": object{"type": "PATH", "compare_type": "STARTS_WITH", "value": "/old"}}).want(201).id()

	pool := u.get("/v2/lbaas/pools/" + poolID).want(200)
	if pool.in("pool.healthmonitor_id") != monitorID || pool.ids("pool.members")[0] != memberID ||
		pool.ids("pool.listeners")[0] != listenerID || pool.ids("pool.loadbalancers")[0] != lbID {
		t.Errorf("the pool's references: %s", pool.raw)
	}
	for path, want := range map[string]string{
		"/v2/lbaas/healthmonitors/" + monitorID: `"url_path":"/"`, memberPath + "/" + memberID: `"weight":1`,
		"/v2/lbaas/l7policies/" + policyID: `"rules":[{"id":"` + ruleID, rulePath + "/" + ruleID: `"invert":false`,
		"/v2/lbaas/listeners/" + listenerID: `"l7policies":[{"id":"` + policyID, lb: `"pools":[{"id":"` + poolID,
		lb + "/status": `"type":"HTTP"`, lb + "/stats": `"bytes_in":0`, "/v2/lbaas/listeners/" + listenerID + "/stats": `"total_connections":0`,
	} {
		u.get(path).want(200, want)
	}

	s.converge(lbID)
	for path, change := range map[string]object{
		lb:                                      {"loadbalancer": object{"name": "new"}},
		"/v2/lbaas/listeners/" + listenerID:     {"listener": object{"name": "new"}},
		"/v2/lbaas/pools/" + poolID:             {"pool": object{"name": "new"}},
		memberPath + "/" + memberID:             {"member": object{"name": "new"}},
		"/v2/lbaas/healthmonitors/" + monitorID: {"healthmonitor": object{"name": "new"}},
		"/v2/lbaas/l7policies/" + policyID:      {"l7policy": object{"name": "new"}},
	} {
		a := u.put(path, change).want(200, `"name":"new"`, `"provisioning_status":"PENDING_UPDATE"`)
		if strings.Contains(a.raw, `"updated_at":null`) {
			t.Errorf("%s does not say when it was updated", path)
		}
		u.get(path).want(200, `"name":"new"`)
	}
	u.put(rulePath+"/"+ruleID, object{"rule": object{"value": "/older"}}).want(200, `"value":"/older"`)

	u.delete(lb).want(400, "has children")
	for _, path := range []string{rulePath + "/" + ruleID, memberPath + "/" + memberID, "/v2/lbaas/healthmonitors/" + monitorID,
		"/v2/lbaas/l7policies/" + policyID, "/v2/lbaas/pools/" + poolID, "/v2/lbaas/listeners/" + listenerID, lb} {
		u.delete(path).want(204)
		u.get(path).want(200, "PENDING_DELETE")
		u.delete(path).want(409, "immutable")
	}
	s.converge(lbID)
	for _, path := range []string{"/v2/lbaas/listeners/" + listenerID, "/v2/lbaas/pools/" + poolID, memberPath + "/" + memberID, lb} {
		u.get(path).want(404, "not found")
	}
}

func TestCascadeDeleteTakesEverythingAlong(t *testing.T) {
	s := newSite(t)
	u := s.as("member-a")
	lbID := s.loadBalancer()
	poolID := s.create("pools", "pool", object{"loadbalancer_id": lbID, "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN",
		"members": []object{{"address": "192.0.2.100", "protocol_port": 80}}})
	u.delete("/v2/lbaas/loadbalancers/" + lbID + "?cascade=true").want(204)
	u.get("/v2/lbaas/pools/"+poolID).want(200, "PENDING_DELETE")
	u.put("/v2/lbaas/pools/"+poolID, object{"pool": object{"name": "x"}}).want(409, "Load Balancer "+lbID+" is immutable and cannot be updated.")
	u.post("/v2/lbaas/listeners", object{"listener": object{"loadbalancer_id": lbID, "protocol": "HTTP", "protocol_port": 80}}).want(409, "immutable")
	s.converge(lbID)
	u.get("/v2/lbaas/pools/" + poolID).want(404)
}

// One request with everything: pools named where they are used, or written out there.
func TestSingleCallCreate(t *testing.T) {
	s := newSite(t)
	u := s.as("member-a")
	member := func(n string) object {
		return object{"address": "192.0.2." + n, "protocol_port": 80, "subnet_id": subA}
	}
	body := object{"loadbalancer": object{
		"name": "all", "vip_subnet_id": subA,
		"pools": []object{{"name": "shared", "protocol": "HTTP", "lb_algorithm": "LEAST_CONNECTIONS", "members": []object{member("101"), member("102")}}},
		"listeners": []object{
			{"name": "web", "protocol": "HTTP", "protocol_port": 80, "default_pool": object{"name": "shared"},
				"l7policies": []object{
					{"action": "REDIRECT_TO_POOL", "redirect_pool": object{"name": "api", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN",
						"healthmonitor": object{"type": "TCP", "delay": 3, "timeout": 1, "max_retries": 2}},
						"rules": []object{{"type": "PATH", "compare_type": "STARTS_WITH", "value": "/api"}}},
					{"action": "REJECT", "position": 1},
				}},
			{"name": "alt", "protocol": "HTTP", "protocol_port": 81, "default_pool": object{"name": "shared"}},
		},
	}}
	a := u.post("/v2.0/lbaas/loadbalancers", body).want(201)
	if got := a.in("loadbalancer.listeners.0.l7policies.1.rules.0.value"); got != "/api" {
		t.Errorf("rule: %v", got)
	}
	pools := a.in("loadbalancer.pools").([]any)
	if len(pools) != 2 || a.in("loadbalancer.pools.1.healthmonitor.type") != "TCP" || len(a.in("loadbalancer.pools.0.members").([]any)) != 2 {
		t.Errorf("pools: %v", pools)
	}
	if a.in("loadbalancer.listeners.0.default_pool_id") != a.in("loadbalancer.pools.0.id") ||
		a.in("loadbalancer.listeners.1.default_pool_id") != a.in("loadbalancer.pools.0.id") ||
		a.in("loadbalancer.listeners.0.l7policies.1.redirect_pool_id") != a.in("loadbalancer.pools.1.id") {
		t.Errorf("pools are not where they were named: %s", a.raw)
	}
	if a.in("loadbalancer.listeners.0.l7policies.0.action") != "REJECT" || a.in("loadbalancer.listeners.0.l7policies.0.position") != 1.0 ||
		a.in("loadbalancer.listeners.0.l7policies.1.position") != 2.0 {
		t.Errorf("positions: %s", a.raw)
	}
	again := u.get("/v2/lbaas/loadbalancers/" + a.id()).want(200)
	if len(again.ids("loadbalancer.listeners")) != 2 || len(again.ids("loadbalancer.pools")) != 2 {
		t.Errorf("stored: %s", again.raw)
	}
	shown := u.get("/v2/lbaas/pools/" + a.in("loadbalancer.pools.0.id").(string)).want(200)
	if got := shown.ids("pool.listeners"); len(got) != 2 {
		t.Errorf("the shared pool's listeners: %v", got)
	}
	status := u.get("/v2/lbaas/loadbalancers/" + a.id() + "/statuses").want(200)
	for _, l := range status.in("statuses.loadbalancer.listeners").([]any) {
		l := l.(map[string]any)
		pools, policies := len(l["pools"].([]any)), len(l["l7policies"].([]any))
		if l["name"] == "web" && (pools != 2 || policies != 2) || l["name"] == "alt" && (pools != 1 || policies != 0) {
			t.Errorf("statuses: %s", status.raw)
		}
	}
}

func TestSingleCallCreateRefusesPoolsThatItCannotTellApart(t *testing.T) {
	s := newSite(t)
	u := s.as("member-a")
	pool := object{"name": "p", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN"}
	listener := func(pool object) object {
		return object{"protocol": "HTTP", "protocol_port": 80, "default_pool": pool}
	}
	for want, body := range map[string]object{
		"must be unique":     {"pools": []object{pool, pool}},
		"'q' was referenced": {"pools": []object{pool}, "listeners": []object{listener(object{"name": "q"})}},
		"needs a name":       {"listeners": []object{listener(object{"protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN"})}},
		"lb_algorithm":       {"pools": []object{{"name": "p", "protocol": "HTTP"}}},
		"load_balancer.loadbalancer.listeners: surprise": {"listeners": []object{{"surprise": 1}}},
		"load_balancer.loadbalancer.pools.members: x":    {"pools": []object{{"name": "p", "members": []object{{"x": 1}}}}},
		"already using protocol HTTP":                    {"listeners": []object{{"protocol": "HTTP", "protocol_port": 80}, {"protocol": "TCP", "protocol_port": 80}}},
		"Subnet " + subB:                                 {"pools": []object{{"name": "p", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "members": []object{{"address": "192.0.2.9", "protocol_port": 1, "subnet_id": subB}}}}},
	} {
		body["vip_subnet_id"] = subA
		status := 400
		if strings.Contains(want, "already") {
			status = 409
		}
		u.post("/v2/lbaas/loadbalancers", object{"loadbalancer": body}).want(status, want)
	}
	if left := u.get("/v2/lbaas/loadbalancers").want(200).ids("loadbalancers"); len(left) != 0 {
		t.Errorf("refused requests left %v", left)
	}
}

func TestBatchMakesTheMembersWhatItLists(t *testing.T) {
	s := newSite(t)
	u := s.as("member-a")
	lbID := s.loadBalancer()
	poolID := s.create("pools", "pool", object{"loadbalancer_id": lbID, "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN"})
	path := "/v2/lbaas/pools/" + poolID + "/members"
	batch := func(query string, members ...object) answer {
		t.Helper()
		return u.put(path+query, object{"members": append([]object{}, members...)})
	}
	live := func() []string {
		t.Helper()
		s.converge(lbID)
		var out []string
		for _, m := range u.get(path).want(200).in("members").([]any) {
			o := m.(map[string]any)
			out = append(out, o["address"].(string)+" "+o["name"].(string))
		}
		slices.Sort(out)
		return out
	}
	one := object{"address": "192.0.2.1", "protocol_port": 80, "name": "one", "weight": 7}
	two := object{"address": "192.0.2.2", "protocol_port": 80, "name": "two", "backup": true}
	batch("", one, two).want(202)
	if got := live(); !slices.Equal(got, []string{"192.0.2.1 one", "192.0.2.2 two"}) {
		t.Fatal(got)
	}
	first := u.get(path + "?name=one").ids("members")

	// One changes, one goes, one comes. What is not said is reset, except the name.
	batch("", object{"address": "192.0.2.1", "protocol_port": 80}, object{"address": "192.0.2.3", "protocol_port": 80, "name": "three"}).want(202)
	if got := live(); !slices.Equal(got, []string{"192.0.2.1 one", "192.0.2.3 three"}) {
		t.Fatal(got)
	}
	kept := u.get(path + "/" + first[0]).want(200)
	if kept.in("member.weight") != 1.0 {
		t.Errorf("weight %v was not reset", kept.in("member.weight"))
	}
	batch("?additive_only=true", object{"address": "192.0.2.4", "protocol_port": 80, "name": "four"}).want(202)
	if got := live(); len(got) != 3 {
		t.Fatal(got)
	}
	batch("", one, one).want(400, "twice")
	batch("", object{"address": "169.254.169.254", "protocol_port": 80}).want(400, "169.254.169.254")
	batch("", object{"address": "192.0.2.9", "protocol_port": 80, "subnet_id": subB}).want(400, "Subnet "+subB)
	if got := live(); len(got) != 3 {
		t.Fatalf("a refused batch changed something: %v", got)
	}
	batch("").want(202)
	if got := live(); len(got) != 0 {
		t.Fatal(got)
	}
	u.put("/v2/lbaas/pools/"+absent+"/members", object{"members": []object{}}).want(404, "Pool "+absent+" not found.")
}

func TestPoliciesKeepTheirOrder(t *testing.T) {
	s := newSite(t)
	u := s.as("member-a")
	listenerID := s.create("listeners", "listener", object{"loadbalancer_id": s.loadBalancer(), "protocol": "HTTP", "protocol_port": 80})
	add := func(name string, position any) string {
		t.Helper()
		o := object{"name": name, "listener_id": listenerID, "action": "REJECT"}
		if position != nil {
			o["position"] = position
		}
		return s.create("l7policies", "l7policy", o)
	}
	order := func() string {
		t.Helper()
		at := map[float64]string{}
		for _, p := range u.get("/v2/lbaas/l7policies?listener_id=" + listenerID).want(200).in("l7policies").([]any) {
			o := p.(map[string]any)
			if o["provisioning_status"] != "PENDING_DELETE" {
				at[o["position"].(float64)] += o["name"].(string)
			}
		}
		var out string
		for i := range len(at) {
			out += at[float64(i+1)]
		}
		return out
	}
	a, b := add("a", nil), add("b", nil)
	c := add("c", 1)
	if got := order(); got != "cab" {
		t.Fatal(got)
	}
	u.put("/v2/lbaas/l7policies/"+c, object{"l7policy": object{"position": 2}}).want(200, `"position":2`)
	if got := order(); got != "acb" {
		t.Fatal(got)
	}
	u.put("/v2/lbaas/l7policies/"+a, object{"l7policy": object{"position": 99}}).want(200, `"position":3`)
	if got := order(); got != "cba" {
		t.Fatal(got)
	}
	u.delete("/v2/lbaas/l7policies/" + b).want(204)
	if got := order(); got != "ca" {
		t.Fatal(got)
	}
}
