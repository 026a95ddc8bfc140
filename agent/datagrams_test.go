package agent_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/agent/instancetest"
	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/lb"
)

// udp is a load balancer of datagrams with two members.
const udp = header + `
listeners: [{id: l1, protocol: UDP, protocol_port: 53, default_pool_id: p1}]
pools: [{id: p1, protocol: UDP, lb_algorithm: ROUND_ROBIN}]
members:
  - {id: m1, pool_id: p1, address: 10.0.0.11, protocol_port: 5300}
  - {id: m2, pool_id: p1, address: 10.0.0.12, protocol_port: 5300}
`

const udpVIP = "10.0.0.100:53"

// echoes is a world with three members that answer datagrams.
type echoes struct {
	*world
	members [3]*instancetest.Echo
}

func newEchoes(t *testing.T) *echoes {
	t.Helper()
	e := &echoes{world: newWorld(t)}
	for i := range e.members {
		e.members[i] = e.net.StartEcho(t, fmt.Sprintf("m%d", i+1), fmt.Sprintf("10.0.0.%d:5300", 11+i))
	}
	e.instance.StartAgent(t)
	return e
}

// ask sends a datagram each from new flows and counts who answered.
func (e *echoes) ask(t *testing.T, flows int) map[string]int {
	t.Helper()
	seen := map[string]int{}
	for i := range flows {
		name, err := e.net.DialUDP(t, "", udpVIP).Ask(fmt.Sprint("question ", i))
		if err != nil {
			t.Fatal(err)
		}
		seen[name]++
	}
	return seen
}

// TestUDPRoundRobin: flows go by weight, exactly, and come from the amphora's own address.
func TestUDPRoundRobin(t *testing.T) {
	e := newEchoes(t)
	e.put(t, udp)
	if seen := e.ask(t, 10); !maps.Equal(seen, map[string]int{"m1": 5, "m2": 5}) {
		t.Errorf("round robin gave %v", seen)
	}
	e.put(t, strings.Replace(udp, "10.0.0.11,", "10.0.0.11, weight: 3,", 1))
	if seen := e.ask(t, 40); !maps.Equal(seen, map[string]int{"m1": 30, "m2": 10}) {
		t.Errorf("weights 3 and 1 gave %v", seen)
	}
	for _, from := range e.members[0].From() {
		if from.Addr().String() != "10.0.0.50" {
			t.Errorf("a datagram came from %s", from)
		}
	}
}

// TestUDPFlowStays with its member, whatever becomes of others and of weights.
func TestUDPFlowStays(t *testing.T) {
	e := newEchoes(t)
	e.put(t, udp)
	flow := e.net.DialUDP(t, "", udpVIP)
	first, err := flow.Ask("first")
	if err != nil {
		t.Fatal(err)
	}
	own, other := "10.0.0.11,", "10.0.0.12,"
	if first == "m2" {
		own, other = other, own
	}
	for name, state := range map[string]string{
		"another weight":  strings.Replace(udp, own, own+" weight: 7,", 1),
		"drained":         strings.Replace(udp, own, own+" weight: 0,", 1),
		"a new member":    udp + "  - {id: m3, pool_id: p1, address: 10.0.0.13, protocol_port: 5300}\n",
		"one less":        strings.Replace(udp, other, other+" admin_state_up: false,", 1),
		"another way":     strings.Replace(udp, "ROUND_ROBIN", "SOURCE_IP", 1),
		"now a backup":    strings.Replace(udp, own, own+" backup: true,", 1),
		"another service": strings.Replace(udp, "listeners: [", "listeners: [{id: l2, protocol: UDP, protocol_port: 54},", 1),
	} {
		e.put(t, state)
		for range 3 {
			if got, err := flow.Ask(name); got != first || err != nil {
				t.Errorf("%s: %s answered, not %s: %v", name, got, first, err)
			}
		}
	}
	e.put(t, strings.Replace(udp, own, own+" weight: 0,", 1))
	if seen := e.ask(t, 10); seen[first] != 0 {
		t.Errorf("a member of weight 0 got new flows: %v", seen)
	}
}

// TestUDPMemberGone: the flows of a member that is removed or disabled go on with another at once.
func TestUDPMemberGone(t *testing.T) {
	e := newEchoes(t)
	for name, change := range map[string]func(string) string{
		"disabled": func(own string) string { return strings.Replace(udp, own, own+" admin_state_up: false,", 1) },
		"removed": func(own string) string {
			i := strings.Index(udp, "  - {id: m1")
			if own == "10.0.0.12," {
				i = strings.Index(udp, "  - {id: m2")
			}
			return udp[:i] + udp[i+strings.Index(udp[i:], "\n")+1:]
		},
	} {
		e.put(t, udp)
		flow := e.net.DialUDP(t, "", udpVIP)
		first, err := flow.Ask("first")
		if err != nil {
			t.Fatal(err)
		}
		e.put(t, change(map[string]string{"m1": "10.0.0.11,", "m2": "10.0.0.12,"}[first]))
		if next, err := flow.Ask("next"); err != nil || next == first {
			t.Errorf("%s: %s answered after %s: %v", name, next, first, err)
		}
	}
}

// TestUDPMemberDown: a member that answers no more gets no more flows, and those that it had go on with another; it comes
// back. All of it is reported.
func TestUDPMemberDown(t *testing.T) {
	e := newEchoes(t)
	e.put(t, udp+"monitors: [{id: h1, pool_id: p1, type: UDP-CONNECT, delay: 1, timeout: 1, max_retries: 1, max_retries_down: 2}]\n")
	e.controller.Await(t, 10*time.Second, "both members ONLINE", membersAre(lb.Online, lb.Online))
	flows := make([]*instancetest.Client, 8)
	for i := range flows {
		flows[i] = e.net.DialUDP(t, "", udpVIP)
		if _, err := flows[i].Ask("before"); err != nil {
			t.Fatal(err)
		}
	}
	e.members[0].Stop()
	e.controller.Await(t, 10*time.Second, "m1 in ERROR", membersAre(lb.OperError, lb.Online))
	for _, f := range flows {
		if got, err := f.Ask("after"); got != "m2" || err != nil {
			t.Errorf("%s answered: %v", got, err)
		}
	}
	if seen := e.ask(t, 10); seen["m2"] != 10 {
		t.Errorf("new flows went to %v", seen)
	}
	e.members[0] = e.net.StartEcho(t, "m1", "10.0.0.11:5300")
	e.controller.Await(t, 10*time.Second, "m1 ONLINE again", membersAre(lb.Online, lb.Online))
	if seen := e.ask(t, 10); seen["m1"] != 5 {
		t.Errorf("new flows went to %v", seen)
	}
}

// TestUDPNextAgent knows which members are down from the first moment.
func TestUDPNextAgent(t *testing.T) {
	e := newEchoes(t)
	e.members[0].Stop()
	e.put(t, udp+"monitors: [{id: h1, pool_id: p1, type: UDP-CONNECT, delay: 60, timeout: 1, max_retries: 1, max_retries_down: 10}]\n")
	e.controller.Await(t, 10*time.Second, "m1 in ERROR", membersAre(lb.OperError, lb.Online))
	e.instance.SignalAgent(t, 9)
	before := len(e.controller.Reports())
	e.instance.StartAgent(t)
	eventually(t, 10*time.Second, "the next agent reports", func() bool { return len(e.controller.Reports()) > before })
	for _, r := range e.controller.Reports()[before:] {
		if r.Applied > 0 && !membersAre(lb.OperError, lb.Online)(r) {
			t.Errorf("the next agent reported %v", r.Members)
		}
	}
	if seen := e.ask(t, 4); seen["m2"] != 4 {
		t.Errorf("new flows went to %v", seen)
	}
}

// TestUDPNobodyThere: without a member that takes flows clients are told so, and served as soon as there is one.
func TestUDPNobodyThere(t *testing.T) {
	e := newEchoes(t)
	for name, state := range map[string]string{
		"no listener": header,
		"no pool":     strings.Replace(udp, ", default_pool_id: p1", "", 1),
		"no weight":   strings.NewReplacer("10.0.0.11,", "10.0.0.11, weight: 0,", "10.0.0.12,", "10.0.0.12, weight: 0,").Replace(udp),
		"disabled":    "disabled: true\n" + udp,
	} {
		e.put(t, state)
		early := e.net.DialUDP(t, "", udpVIP)
		eventually(t, 5*time.Second, name+": a refusal", func() bool { // of which the kernel sends only so many
			_, err := early.Ask("is anybody there?")
			return err != nil && strings.Contains(err.Error(), "refused")
		})
		e.put(t, udp)
		if _, err := early.Ask("and now?"); err != nil {
			t.Errorf("after %s: %v", name, err)
		}
	}
}

// TestUDPListenerIsReported with its counters, which go on over changes, agents, and the listener itself.
func TestUDPListenerIsReported(t *testing.T) {
	e := newEchoes(t)
	e.controller.Interval = 100 * time.Millisecond
	total := int64(0)
	count := func(n int64) {
		t.Helper()
		total += n
		e.ask(t, int(n))
		e.controller.Await(t, 5*time.Second, fmt.Sprint(total, " flows"), func(r agentapi.Report) bool {
			return len(r.Listeners) == 1 && r.Listeners[0].Status == lb.Online && r.Listeners[0].TotalConnections == total &&
				r.Listeners[0].BytesIn > 30*total && r.Listeners[0].BytesOut > r.Listeners[0].BytesIn
		})
	}
	e.put(t, udp)
	count(5)
	e.put(t, strings.Replace(udp, "10.0.0.11,", "10.0.0.11, weight: 7,", 1))
	count(3)
	e.instance.SignalAgent(t, 9)
	e.ask(t, 2)
	total += 2
	e.instance.StartAgent(t)
	count(2)
	e.put(t, strings.Replace(udp, "id: l1,", "id: l1, admin_state_up: false,", 1))
	e.put(t, udp)
	count(1)
	e.instance.Output(t, "ip", "netns", "exec", "amphora-haproxy", "nft", "flush", "ruleset")
	time.Sleep(2 * time.Second)
	count(4)
}
