package api_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/octavo-lb/octavo/api"
)

func TestQuotasAreShownSetAndReset(t *testing.T) {
	s := newSite(t, func(c *api.Config) { c.DefaultQuota.Listener = new(7) })
	path := "/v2/lbaas/quotas/" + projectA
	defaults := `{"quota":{"project_id":"` + projectA + `","tenant_id":"` + projectA + `","loadbalancer":-1,"load_balancer":-1,"listener":7,"pool":-1,"member":-1,` +
		`"healthmonitor":-1,"health_monitor":-1,"l7policy":-1,"l7rule":-1}}`
	for _, p := range []string{path, path + "/default"} {
		if a := s.as("member-a").get(p).want(200); a.raw != defaults {
			t.Errorf("%s: %s", p, a.raw)
		}
	}
	s.as("admin").get("/v2/lbaas/quotas/defaults").want(200, `"listener":7`)
	s.as("member-a").put(path, object{"quota": object{"pool": 100}}).want(403)
	s.as("member-b").get(path).want(403)

	s.as("admin").put(path, object{"quota": object{"pool": 5, "load_balancer": 3}}).want(202, `"pool":5`, `"loadbalancer":3`, `"listener":7`)
	s.as("admin").put(path, object{"quota": object{"loadbalancer": nil, "listener": -1}}).want(202, `"pool":5`, `"loadbalancer":-1`, `"listener":-1`)
	s.as("member-a").get(path+"/default").want(200, `"listener":7`)
	for body, want := range map[string]string{`{"quota":{"pool":-2}}`: "pool", `{"quota":{"pool":2000000001}}`: "pool", `{"quota":{"surprise":1}}`: "quotas.quota: surprise"} {
		s.as("admin").put(path, body).want(400, want)
	}
	if got := len(s.as("admin").get("/v2/lbaas/quotas").want(200, `"pool":5,"member":null`).in("quotas").([]any)); got != 1 {
		t.Error(got)
	}
	s.as("member-a").get("/v2/lbaas/quotas").want(200, `"pool":5`)
	s.as("member-b").get("/v2/lbaas/quotas").want(200, `"quotas":[]`)

	s.as("admin").put("/v2/lbaas/quotas/"+projectB, object{"quota": object{"pool": 6}}).want(202)
	a := s.as("admin").get("/v2/lbaas/quotas?limit=1").want(200, `"pool":5`, "marker="+projectA)
	next := a.in("quotas_links.0.href").(string)
	a = s.as("admin").get(strings.TrimPrefix(next, s.server.URL)).want(200, `"pool":6`, `"rel":"previous"`)
	previous := a.in("quotas_links.0.href").(string)
	s.as("admin").get(strings.TrimPrefix(previous, s.server.URL)).want(200, `"pool":5`)
	s.as("admin").put("/v2/lbaas/quotas/other", object{"quota": object{"pool": 10}}).want(202)
	for query, want := range map[string]string{
		"sort=pool:desc": "10 6 5", "sort_key=pool&sort_dir=asc": "5 6 10", "pool=6": "6", "sort=load_balancer:asc,pool:desc": "10 6 5",
		"project_id=" + projectB: "6", "marker=" + projectA: "6 10", "limit=2&page_reverse=true&marker=other": "5 6",
	} {
		var pools []string
		for _, q := range s.as("admin").get("/v2/lbaas/quotas?" + query).want(200).in("quotas").([]any) {
			pools = append(pools, fmt.Sprint(q.(map[string]any)["pool"]))
		}
		if got := strings.Join(pools, " "); got != want {
			t.Errorf("?%s lists the quotas %s, want %s", query, got, want)
		}
	}
	s.as("admin").get("/v2/lbaas/quotas?sort=colour").want(400, "Supplied sort key 'colour' is not valid.")
	s.as("admin").get("/v2/lbaas/quotas?marker=nobody").want(400, "Supplied pagination marker 'nobody' is not valid.")
	s.as("admin").get("/v2/lbaas/quotas?colour=red").want(400, "duplicate or invalid: colour")

	s.as("admin").delete(path).want(202)
	if a := s.as("member-a").get(path).want(200); a.raw != defaults {
		t.Error(a.raw)
	}
	s.as("admin").delete(path).want(404, "Quotas "+projectA+" not found.")
}

func TestQuotasHoldOnEveryPath(t *testing.T) {
	s := newSite(t)
	u := s.as("member-a")
	limit := func(kind string, n int) {
		t.Helper()
		s.as("admin").put("/v2/lbaas/quotas/"+projectA, object{"quota": object{kind: n}}).want(202)
	}
	met := "Quota has been met for resources: "
	lbID := s.loadBalancer()
	limit("loadbalancer", 1)
	u.post(lbs, object{"loadbalancer": object{"vip_subnet_id": subA}}).want(403, met+"Load Balancer")
	limit("loadbalancer", -1)

	limit("pool", 1)
	pool := object{"loadbalancer_id": lbID, "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN"}
	poolID := s.create("pools", "pool", pool)
	u.post("/v2/lbaas/pools", object{"pool": pool}).want(403, met+"Pool")
	u.post(lbs, object{"loadbalancer": object{"vip_subnet_id": subA, "pools": []object{{"name": "p", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN"}}}}).want(403, met+"Pool")
	if left := u.get(lbs).ids("loadbalancers"); len(left) != 1 {
		t.Errorf("a refused single-call create left %v", left)
	}

	limit("member", 2)
	members := "/v2/lbaas/pools/" + poolID + "/members"
	u.put(members, object{"members": addresses(0, 3)}).want(403, met+"Member")
	u.put(members, object{"members": addresses(0, 2)}).want(202)
	u.post(members, object{"member": addresses(9, 1)[0]}).want(403, met+"Member")
	u.put(members, object{"members": addresses(1, 2)}).want(202) // one goes, one comes
	u.put(members+"?additive_only=true", object{"members": addresses(1, 3)}).want(403, met+"Member")

	listenerID := s.create("listeners", "listener", object{"loadbalancer_id": lbID, "protocol": "HTTP", "protocol_port": 80})
	for kind, c := range map[string]struct {
		path  string
		body  object
		title string
	}{
		"listener":      {"listeners", object{"listener": object{"loadbalancer_id": lbID, "protocol": "HTTP", "protocol_port": 81}}, "Listener"},
		"healthmonitor": {"healthmonitors", object{"healthmonitor": object{"pool_id": poolID, "type": "TCP", "delay": 1, "timeout": 1, "max_retries": 1}}, "Health Monitor"},
		"l7policy":      {"l7policies", object{"l7policy": object{"listener_id": listenerID, "action": "REJECT"}}, "L7 Policy"},
	} {
		limit(kind, 0)
		u.post("/v2/lbaas/"+c.path, c.body).want(403, met+c.title)
	}
	limit("l7policy", 1)
	limit("l7rule", 0)
	u.post("/v2/lbaas/l7policies", object{"l7policy": object{"listener_id": listenerID, "action": "REJECT",
		"rules": []object{{"type": "PATH", "compare_type": "EQUAL_TO", "value": "/"}}}}).want(403, met+"L7 Rule")
}

// No counter drifts, nobody waits for another in a circle, and nobody is refused without need: in the end the project has what was
// made and kept, and exactly as many more can be made as there is room for.
func TestConcurrentCreatorsAndDeletersKeepToAQuota(t *testing.T) {
	onEveryDatabase(t, createAndDelete, func(c *api.Config) { c.DefaultQuota.Pool = new(5) })
}

func createAndDelete(s *site) {
	t, u := s.t, s.as("member-a")
	var balancers []string
	for range 10 {
		balancers = append(balancers, s.loadBalancer())
	}
	pool := func(i int) answer {
		return u.post("/v2/lbaas/pools", object{"pool": named(poolBase, object{"loadbalancer_id": balancers[i%10]})})
	}
	var made atomic.Int64
	together(50, func(i int) {
		a := pool(i)
		switch a.status {
		case 201:
			if made.Add(1); i%2 == 0 {
				u.delete("/v2/lbaas/pools/" + a.id()).want(204)
				made.Add(-1)
			}
		case 403:
		default:
			t.Errorf("%d %s", a.status, a.raw)
		}
	})
	live := int64(0)
	for _, p := range u.get("/v2/lbaas/pools").in("pools").([]any) {
		if p.(map[string]any)["provisioning_status"] != "PENDING_DELETE" {
			live++
		}
	}
	if live > 5 || live != made.Load() {
		t.Errorf("%d pools, %d were made and kept", live, made.Load())
	}
	for i := range 5 - int(live) {
		pool(i).want(201)
	}
	pool(0).want(403, "Quota has been met for resources: Pool")
}

// Without authentication everybody is an admin of no project in particular, and nothing is limited.
func TestWithoutAuthenticationThereAreNoQuotas(t *testing.T) {
	s := newSite(t, func(c *api.Config) { c.DefaultQuota.LoadBalancer = new(0) })
	s.network.owner[subA] = projectA
	s.as("noauth").post(lbs, object{"loadbalancer": object{"vip_subnet_id": subA}}).want(201)
}
