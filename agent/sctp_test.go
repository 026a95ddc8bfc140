package agent_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/lb"
)

// TestSCTP: associations are spread, checked, drained and kept as flows of UDP are. Both ends speak SCTP over raw sockets,
// because this kernel need not know it; the amphora's kernel sees no difference.
func TestSCTP(t *testing.T) {
	w := newWorld(t)
	for _, a := range []string{"10.0.0.200/24", "10.0.0.201/24"} {
		w.net.AddAddress(t, a)
	}
	first := w.net.StartSCTP(t, "m1", "10.0.0.11", 3868)
	w.net.StartSCTP(t, "m2", "10.0.0.12", 3868)
	w.instance.StartAgent(t)
	state := strings.NewReplacer("UDP", "SCTP", "5300", "3868").Replace(udp) +
		"monitors: [{id: h1, pool_id: p1, type: SCTP, delay: 1, timeout: 1, max_retries: 1, max_retries_down: 1}]\n"
	w.put(t, state)
	w.controller.Await(t, 10*time.Second, "both members ONLINE", membersAre(lb.Online, lb.Online))
	ask := func(n int) map[string]int {
		t.Helper()
		seen := map[string]int{}
		for range n {
			a, err := w.net.Associate(t, "10.0.0.200", "10.0.0.100", 53)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := a.Ask("hello")
			if err != nil {
				t.Fatal(err)
			}
			seen[answer]++
		}
		return seen
	}
	if seen := ask(6); !maps.Equal(seen, map[string]int{"m1 hello": 3, "m2 hello": 3}) {
		t.Errorf("round robin gave %v", seen)
	}
	old, err := w.net.Associate(t, "10.0.0.201", "10.0.0.100", 53)
	if err != nil {
		t.Fatal(err)
	}
	before, err := old.Ask("stay")
	if err != nil {
		t.Fatal(err)
	}
	w.put(t, strings.NewReplacer("10.0.0.11,", "10.0.0.11, weight: 0,", "10.0.0.12,", "10.0.0.12, weight: 5,").Replace(state))
	if after, err := old.Ask("stay"); after != before || err != nil {
		t.Errorf("%q, then %q: %v", before, after, err)
	}
	if seen := ask(4); seen["m2 hello"] != 4 {
		t.Errorf("a drained member got associations: %v", seen)
	}
	w.put(t, state)
	first.Close()
	w.controller.Await(t, 10*time.Second, "m1 in ERROR", membersAre(lb.OperError, lb.Online))
	if seen := ask(4); seen["m2 hello"] != 4 {
		t.Errorf("a member that is down got associations: %v", seen)
	}
	r := w.controller.Reports()
	if l := r[len(r)-1].Listeners; len(l) != 1 || l[0].Status != lb.Online {
		t.Errorf("the listener is reported as %v", l)
	}
}
