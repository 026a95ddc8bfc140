package api_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// did lists what a graph's answer says was done, as "update listener web".
func (a answer) did() []string {
	a.t.Helper()
	var out []string
	for _, ch := range a.in("changes").([]any) {
		o := ch.(map[string]any)
		out = append(out, fmt.Sprintf("%v %v %v", o["action"], o["type"], o["name"]))
	}
	slices.Sort(out)
	return out
}

func graphOf(members ...string) object {
	var list []object
	for _, m := range members {
		list = append(list, object{"name": "m" + m, "address": "192.0.2." + m, "protocol_port": 80})
	}
	return object{"name": "site", "pools": []object{
		{"name": "web", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "members": list,
			"healthmonitor": object{"name": "check", "type": "HTTP", "delay": 5, "timeout": 3, "max_retries": 2}},
		{"name": "api", "protocol": "HTTP", "lb_algorithm": "SOURCE_IP"}},
		"listeners": []object{{"name": "http", "protocol": "HTTP", "protocol_port": 80, "default_pool": object{"name": "web"},
			"l7policies": []object{
				{"name": "to api", "action": "REDIRECT_TO_POOL", "redirect_pool": object{"name": "api"}, "rules": []object{{"type": "PATH", "compare_type": "STARTS_WITH", "value": "/api"}}},
				{"name": "no admin", "action": "REJECT", "rules": []object{{"type": "PATH", "compare_type": "STARTS_WITH", "value": "/admin"}}}}}}}
}

func TestAGraphIsPutAsAWhole(t *testing.T) {
	s := newSite(t)
	u := s.as("member-a")
	lbID := s.loadBalancer()
	path := lbs + "/" + lbID + "/graph"
	put := func(query string, g object) answer {
		t.Helper()
		return u.put(path+query, object{"loadbalancer": g}).want(200)
	}
	wantDid := func(a answer, want ...string) {
		t.Helper()
		slices.Sort(want)
		if got := a.did(); !slices.Equal(got, want) {
			t.Errorf("did %q\nwant %q", got, want)
		}
	}

	// From nothing, first as a trial.
	trial := put("?dry_run=true", graphOf("1", "2"))
	everything := []string{"update loadbalancer ", "create pool web", "create pool api", "create listener http"}
	wantDid(trial, everything...)
	if shown := u.get(path).want(200); len(shown.in("loadbalancer.listeners").([]any)) != 0 || shown.in("loadbalancer.name") != "" || s.generation(lbID) != 1 {
		t.Fatalf("the trial changed something: %s", shown.raw)
	}
	made := put("", graphOf("1", "2"))
	wantDid(made, everything...)
	if s.generation(lbID) != 2 {
		t.Errorf("generation %d", s.generation(lbID))
	}
	made.want(200, `"provisioning_status":"PENDING_CREATE"`)
	s.converge(lbID)

	// What is there already needs nothing, said in any form.
	wantDid(put("", graphOf("2", "1")))
	shown := u.get(path).want(200)
	wantDid(put("", shown.body["loadbalancer"].(map[string]any)))
	if s.generation(lbID) != 2 {
		t.Errorf("a request that changes nothing raised the generation to %d", s.generation(lbID))
	}

	// Something of everything.
	next := graphOf("2", "3")
	pool, listener := next["pools"].([]object)[0], next["listeners"].([]object)[0]
	pool["lb_algorithm"] = "LEAST_CONNECTIONS"
	pool["healthmonitor"].(object)["type"] = "TCP"
	listener["connection_limit"] = 100
	policies := listener["l7policies"].([]object)
	policies[1]["rules"] = []object{{"type": "PATH", "compare_type": "STARTS_WITH", "value": "/root"}}
	listener["l7policies"] = []object{{"name": "new", "action": "REJECT"}, policies[1], policies[0]}
	next["listeners"] = append(next["listeners"].([]object), object{"name": "raw", "protocol": "TCP", "protocol_port": 81})
	ids := map[string]any{}
	for _, list := range []string{"listeners", "pools"} {
		for _, o := range shown.in("loadbalancer." + list).([]any) {
			ids[o.(map[string]any)["name"].(string)] = o.(map[string]any)["id"]
		}
	}
	want := []string{"update pool web", "delete healthmonitor check", "create healthmonitor check", "delete member m1", "create member m3",
		"update listener http", "create listener raw", "create l7policy new", "update l7policy to api", "delete l7rule /admin", "create l7rule /root"}
	wantDid(put("?dry_run=1", next), want...)
	changed := put("", next)
	wantDid(changed, want...)
	if !strings.Contains(changed.raw, `"attributes":{"connection_limit":{"from":-1,"to":100}}`) || !strings.Contains(changed.raw, `"lb_algorithm":{"from":"ROUND_ROBIN","to":"LEAST_CONNECTIONS"}`) {
		t.Error(changed.raw)
	}
	s.converge(lbID)
	after := u.get(path).want(200)
	var order []string
	for _, l := range after.in("loadbalancer.listeners").([]any) {
		l := l.(map[string]any)
		if l["name"] != "http" {
			continue
		}
		if l["id"] != ids["http"] {
			t.Error("the listener was made anew")
		}
		for _, p := range l["l7policies"].([]any) {
			order = append(order, p.(map[string]any)["name"].(string))
		}
	}
	if !slices.Equal(order, []string{"new", "no admin", "to api"}) {
		t.Errorf("policies %q", order)
	}
	wantDid(put("", next))

	// A listener of another protocol on the same port is another listener; a pool of a policy that goes may go.
	swap := graphOf("2", "3")
	swap["pools"] = swap["pools"].([]object)[:1]
	swap["listeners"] = []object{{"name": "http", "protocol": "TCP", "protocol_port": 80, "default_pool": object{"name": "web"}}}
	wantDid(put("", swap), "delete listener http", "delete listener raw", "create listener http", "delete pool api", "update pool web",
		"delete healthmonitor check", "create healthmonitor check")
	s.converge(lbID)
	wantDid(put("", object{"name": "site"}), "delete listener http", "delete pool web")
}

func TestAGraphThatCannotBeChangesNothing(t *testing.T) {
	s := newSite(t)
	u := s.as("member-a")
	lbID := s.loadBalancer()
	path := lbs + "/" + lbID + "/graph"
	u.put(path, object{"loadbalancer": graphOf("1")}).want(200)
	s.converge(lbID)
	before := u.get(path).raw
	for want, change := range map[string]func(object){
		"protocol_port":   func(g object) { g["listeners"].([]object)[0]["protocol_port"] = 0 },
		"surprise":        func(g object) { g["pools"].([]object)[0]["surprise"] = 1 },
		"169.254.169.254": func(g object) { g["pools"].([]object)[0]["members"].([]object)[0]["address"] = "169.254.169.254" },
		"'TCP'":           func(g object) { g["pools"].([]object)[0]["protocol"] = "TCP" },
		"'nobody'":        func(g object) { g["listeners"].([]object)[0]["default_pool"] = object{"name": "nobody"} },
		absent:            func(g object) { g["pools"].([]object)[0]["id"] = absent },
		"vip_address":     func(g object) { g["vip_address"] = "192.0.2.250" },
		"Subnet " + subB:  func(g object) { g["pools"].([]object)[0]["members"].([]object)[0]["subnet_id"] = subB },
	} {
		g := graphOf("1")
		change(g)
		u.put(path, object{"loadbalancer": g}).want(400, want)
		if after := u.get(path).raw; after != before {
			t.Fatalf("%s:\n%s\n%s", want, before, after)
		}
	}
	s.as("observer-a").get(path).want(200)
	s.as("observer-a").put(path+"?dry_run=true", object{"loadbalancer": graphOf("1")}).want(403)
	s.as("member-b").get(path).want(403)
	s.as("admin").put("/v2/lbaas/quotas/"+projectA, object{"quota": object{"member": 1}}).want(202)
	u.put(path, object{"loadbalancer": graphOf("1", "2")}).want(403, "Member")
	u.put(path, object{"loadbalancer": graphOf("2")}).want(200) // one goes, one comes
}
