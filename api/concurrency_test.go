package api_test

import (
	"fmt"
	"sync"
	"testing"
)

// together runs n functions at once.
func together(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

// Octavia lost members of concurrent batch updates (its release note fix-batch-member-update-race).
func TestFiftyWritersOnOneLoadBalancerLoseNothing(t *testing.T) {
	onEveryDatabase(t, fiftyWriters)
}

func fiftyWriters(s *site) {
	t, u := s.t, s.as("member-a")
	lbID := s.loadBalancer()
	poolID := s.create("pools", "pool", object{"loadbalancer_id": lbID, "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "name": "p"})
	listenerID := s.create("listeners", "listener", object{"loadbalancer_id": lbID, "protocol": "HTTP", "protocol_port": 80})
	members := "/v2/lbaas/pools/" + poolID + "/members"
	together(50, func(i int) {
		switch i % 5 {
		case 0:
			u.post(members, object{"member": object{"address": fmt.Sprintf("192.0.2.%d", 100+i), "protocol_port": 80}}).want(201)
		case 1:
			u.put(members+"?additive_only=true", object{"members": []object{{"address": fmt.Sprintf("192.0.2.%d", 100+i), "protocol_port": 80}}}).want(202)
		case 2:
			u.post("/v2/lbaas/listeners", object{"listener": object{"loadbalancer_id": lbID, "protocol": "TCP", "protocol_port": 1000 + i}}).want(201)
		case 3:
			u.post("/v2/lbaas/l7policies", object{"l7policy": object{"listener_id": listenerID, "action": "REJECT", "position": 1}}).want(201)
		case 4:
			u.put("/v2/lbaas/pools/"+poolID, object{"pool": object{"description": fmt.Sprint(i)}}).want(200)
		}
	})
	tree, err := s.store.Tree(t.Context(), lbID)
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.Members) != 20 || len(tree.Listeners) != 11 || len(tree.Policies) != 10 {
		t.Errorf("%d members, %d listeners, %d policies", len(tree.Members), len(tree.Listeners), len(tree.Policies))
	}
	for i, p := range tree.Policies {
		if p.Position != i+1 {
			t.Errorf("policy %d stands at %d", i, p.Position)
		}
	}
	if tree.LB.Generation != 53 { // made, pool, listener and 50 writes
		t.Errorf("generation %d", tree.LB.Generation)
	}
}

func TestOneOfManyGetsThePort(t *testing.T) {
	s := newSite(t)
	lbID := s.loadBalancer()
	var mu sync.Mutex
	codes := map[int]int{}
	together(20, func(int) {
		a := s.as("member-a").post("/v2/lbaas/listeners", object{"listener": object{"loadbalancer_id": lbID, "protocol": "HTTP", "protocol_port": 80}})
		mu.Lock()
		defer mu.Unlock()
		codes[a.status]++
	})
	if codes[201] != 1 || codes[409] != 19 {
		t.Errorf("%v", codes)
	}
}

// The number of statements of a request must not depend on how much there is.
func TestStatementsPerRequestDoNotGrow(t *testing.T) {
	small, large := newSite(t), newSite(t)
	count := func(s *site, listeners, members int) map[string]int64 {
		u := s.as("member-a")
		pool := object{"name": "p", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "members": addresses(1, members)}
		body := object{"vip_subnet_id": subA, "pools": []object{pool}, "listeners": []object{}}
		for i := range listeners {
			body["listeners"] = append(body["listeners"].([]object), object{"protocol": "HTTP", "protocol_port": 1000 + i, "default_pool": object{"name": "p"}})
		}
		out := map[string]int64{}
		measure := func(what string, f func() answer) answer {
			before := s.statements.Load()
			a := f()
			out[what] = s.statements.Load() - before
			return a
		}
		a := measure("full create", func() answer { return u.post(lbs, object{"loadbalancer": body}).want(201) })
		for range listeners {
			s.loadBalancer()
		}
		lbID, poolID := a.id(), a.in("loadbalancer.pools.0.id").(string)
		s.converge(lbID)
		members2 := "/v2/lbaas/pools/" + poolID + "/members"
		measure("show load balancer", func() answer { return u.get(lbs + "/" + lbID).want(200) })
		measure("show pool", func() answer { return u.get("/v2/lbaas/pools/" + poolID).want(200) })
		measure("show listener", func() answer {
			return u.get("/v2/lbaas/listeners/" + a.in("loadbalancer.listeners.0.id").(string)).want(200)
		})
		measure("list load balancers", func() answer { return u.get(lbs).want(200) })
		measure("list members", func() answer { return u.get(members2).want(200) })
		measure("status tree", func() answer { return u.get(lbs + "/" + lbID + "/status").want(200) })
		measure("rename pool", func() answer {
			return u.put("/v2/lbaas/pools/"+poolID, object{"pool": object{"name": "q"}}).want(200)
		})
		measure("add member", func() answer {
			return u.post(members2, object{"member": object{"address": "192.0.2.250", "protocol_port": 80}}).want(201)
		})
		measure("batch", func() answer { return u.put(members2, object{"members": addresses(members/2+1, members)}).want(202) })
		measure("delete pool", func() answer { return u.delete("/v2/lbaas/pools/" + poolID).want(204) })
		return out
	}
	few, many := count(small, 1, 2), count(large, 20, 200)
	grows := map[string]int64{
		"full create": 3, "batch": 2, // rows are inserted by the hundred
		"delete pool": 19, // each listener that used it is changed
	}
	for what, n := range many {
		if n > few[what]+grows[what] {
			t.Errorf("%s: %d statements with much, %d with little", what, n, few[what])
		}
	}
	for what, most := range map[string]int64{"show load balancer": 5, "show pool": 5, "show listener": 5, "list load balancers": 5} {
		if many[what] > most {
			t.Errorf("%s: %d statements", what, many[what])
		}
	}
	t.Logf("statements: %v", many)
}

// Octavia takes 25 statements for a GET of one load balancer. Those that show a whole tree read one table after the other.
func TestEveryGetTakesAtMostFiveStatements(t *testing.T) {
	s, lists := fullSite(t)
	u := s.as("admin")
	count := func(path string) (answer, int64) {
		before := s.statements.Load()
		a := u.get(path).want(200)
		return a, s.statements.Load() - before
	}
	few := func(path string, most int64) answer {
		t.Helper()
		a, n := count(path)
		if n > most {
			t.Errorf("GET %s takes %d statements, want at most %d", path, n, most)
		}
		return a
	}
	for path, member := range lists {
		if member == "" {
			member = path
		}
		one := few("/v2/lbaas/"+path, 5).ids(member)[0]
		few("/v2/lbaas/"+path+"/"+one, 5)
		few("/v2/lbaas/"+path+"?limit=1&sort=created_at:desc&tags=none", 5)
	}
	lbID := u.get(lbs).ids("loadbalancers")[0]
	few(lbs+"/"+lbID+"/stats", 5)
	few(lbs+"/"+lbID+"/status", 10)
	few(lbs+"/"+lbID+"/graph", 10)
	for _, path := range []string{"quotas", "quotas/" + projectA, "providers", "flavors", "flavorprofiles", "availabilityzones", "availabilityzoneprofiles"} {
		few("/v2/lbaas/"+path, 5)
	}
	few("/v2/octavia/amphorae", 5)
}

func addresses(from, n int) []object {
	list := make([]object, n)
	for i := range list {
		list[i] = object{"address": fmt.Sprintf("198.51.%d.%d", 100+(from+i)/256, (from+i)%256), "protocol_port": 80}
	}
	return list
}
