package api_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/store"
)

// observe does what the health manager does with what amphorae saw.
func (s *site) observe(lbID string, members map[string]lb.OperatingStatus) {
	s.t.Helper()
	err := s.store.Write(s.t.Context(), func(tx *store.Tx) error {
		tree, err := tx.LockTree(s.t.Context(), lbID)
		if err != nil {
			return err
		}
		seen := lb.Seen{Serving: true, Listeners: map[string]lb.OperatingStatus{}, Members: members}
		for _, l := range tree.Listeners {
			if l.AdminStateUp {
				seen.Listeners[l.ID] = lb.Online
			}
		}
		return tx.SetOperatingStatuses(s.t.Context(), tree, lb.RollUp(tree, seen))
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// What is seen of members rolls up to pools and the load balancer, in the status tree and wherever the objects are shown. What each
// combination means is tried in package lb.
func TestTheStatusTreeRollsUp(t *testing.T) {
	s := newSite(t)
	u := s.as("member-a")
	member := func(last int, more ...object) object {
		return named(append([]object{{"address": fmt.Sprintf("10.0.0.%d", last), "protocol_port": 80}}, more...)...)
	}
	pool := func(name string, more object) object { return named(poolBase, object{"name": name}, more) }
	lbID := u.post(lbs, object{"loadbalancer": object{"vip_subnet_id": subA, "name": "lb",
		"pools": []object{
			pool("watched", object{"healthmonitor": httpMonitor, "members": []object{member(1), member(2), member(3, object{"weight": 0}), member(4, object{"admin_state_up": false})}}),
			pool("unwatched", object{"members": []object{member(5)}}),
		},
		"listeners": []object{
			{"name": "one", "protocol": "HTTP", "protocol_port": 80, "default_pool": object{"name": "watched"}},
			{"name": "two", "protocol": "HTTP", "protocol_port": 81, "admin_state_up": false, "default_pool": object{"name": "unwatched"}},
		}}}).want(201).id()
	s.converge(lbID)
	ids := map[string]string{}
	for _, p := range u.get(lbs + "/" + lbID + "/graph").want(200).in("loadbalancer.pools").([]any) {
		for _, m := range p.(map[string]any)["members"].([]any) {
			ids[m.(map[string]any)["address"].(string)] = m.(map[string]any)["id"].(string)
		}
	}
	s.observe(lbID, map[string]lb.OperatingStatus{ids["10.0.0.1"]: lb.Online, ids["10.0.0.2"]: lb.OperError, ids["10.0.0.3"]: lb.Online})

	want := map[string]string{"lb": "DEGRADED", "one": "ONLINE", "two": "OFFLINE", "watched": "DEGRADED", "unwatched": "OFFLINE",
		"10.0.0.1": "ONLINE", "10.0.0.2": "ERROR", "10.0.0.3": "DRAINING", "10.0.0.4": "OFFLINE", "10.0.0.5": "NO_MONITOR"}
	seen := map[string]bool{}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, item := range v {
				walk(item)
			}
		case map[string]any:
			name, _ := v["name"].(string)
			if address, ok := v["address"].(string); ok {
				name = address
			}
			if status, ok := v["operating_status"].(string); ok && want[name] != "" {
				seen[name] = true
				if status != want[name] {
					t.Errorf("%s is %s, want %s", name, status, want[name])
				}
				if v["provisioning_status"] != "ACTIVE" {
					t.Errorf("%s is %v", name, v["provisioning_status"])
				}
			}
			for _, inner := range v {
				walk(inner)
			}
		}
	}
	for _, path := range []string{"/status", "/graph"} {
		clear(seen)
		var body any
		if err := json.Unmarshal([]byte(u.get(lbs+"/"+lbID+path).want(200).raw), &body); err != nil {
			t.Fatal(err)
		}
		walk(body)
		if len(seen) != len(want) {
			t.Errorf("%s shows %v only", path, seen)
		}
	}
	if got := u.get("/v2/lbaas/pools?operating_status=DEGRADED").want(200).ids("pools"); len(got) != 1 {
		t.Errorf("%v are DEGRADED", got)
	}

	s.observe(lbID, map[string]lb.OperatingStatus{ids["10.0.0.1"]: lb.OperError, ids["10.0.0.2"]: lb.OperError})
	u.get(lbs+"/"+lbID).want(200, `"operating_status":"ERROR"`)
}

// Neutron's lbaasv2-proxy passes the calls of LBaaS v2 on as they are: under /v2.0/lbaas, with tenant_id for project_id, and with the
// status tree under its older name.
func TestClientsOfLBaaSv2FindTheirNames(t *testing.T) {
	s := newSite(t)
	u := s.as("admin")
	const root = "/v2.0/lbaas/"
	tenant := object{"tenant_id": projectA}
	lbID := u.post(root+"loadbalancers", object{"loadbalancer": named(tenant, object{"vip_subnet_id": subA, "name": "lb"})}).want(201, `"tenant_id":"`+projectA+`"`).id()
	listener := u.post(root+"listeners", object{"listener": named(tenant, listenerBase, object{"loadbalancer_id": lbID})}).want(201, `"loadbalancers":[{"id":"`+lbID).id()
	pool := u.post(root+"pools", object{"pool": named(tenant, poolBase, object{"listener_id": listener})}).want(201, `"listeners":[{"id":"`+listener).id()
	member := u.post(root+"pools/"+pool+"/members", object{"member": named(tenant, object{"address": "10.0.0.1", "protocol_port": 80})}).want(201).id()
	monitor := u.post(root+"healthmonitors", object{"healthmonitor": named(tenant, httpMonitor, object{"pool_id": pool})}).want(201, `"pools":[{"id":"`+pool).id()
	policy := u.post(root+"l7policies", object{"l7policy": named(tenant, policyBase, object{"listener_id": listener})}).want(201).id()
	rule := u.post(root+"l7policies/"+policy+"/rules", object{"rule": named(tenant, object{"type": "PATH", "compare_type": "EQUAL_TO", "value": "/a"})}).want(201).id()
	for path, id := range map[string]string{"loadbalancers": lbID, "listeners": listener, "pools": pool, "healthmonitors": monitor, "l7policies": policy,
		"pools/" + pool + "/members": member, "l7policies/" + policy + "/rules": rule} {
		u.get(root+path+"/"+id).want(200, `"tenant_id":"`+projectA+`"`, `"project_id":"`+projectA+`"`)
		u.get(root+path+"?tenant_id="+projectA).want(200, id)
		if a := u.get(root + path + "?tenant_id=" + projectB).want(200); a.raw == "" || len(a.ids(path[1+strings.LastIndex(path, "/"):])) != 0 {
			t.Errorf("%s of another tenant: %s", path, a.raw)
		}
	}
	u.get(root+"pools/"+pool).want(200, `"healthmonitor_id":"`+monitor, `"members":[{"id":"`+member)
	u.get(root+"loadbalancers/"+lbID+"/statuses").want(200, `"pools":[{"id":"`+pool, `"l7policies":[{"id":"`+policy)
	u.get(root+"quotas/"+projectA).want(200, `"tenant_id":"`+projectA)
	u.delete(root + "loadbalancers/" + lbID + "?cascade=true").want(204)
}
