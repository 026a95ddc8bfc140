package agent_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/lb"
)

// from asks once from each address, by a new flow each time, and tells who answered whom.
func (e *echoes) from(t *testing.T, vip string, addresses ...string) map[string]string {
	t.Helper()
	seen := map[string]string{}
	for _, a := range addresses {
		name, err := e.net.DialUDP(t, a+":0", vip).Ask("from " + a)
		if err != nil {
			t.Fatalf("from %s: %v", a, err)
		}
		seen[a] = name
	}
	return seen
}

// clients adds addresses to the network that nobody else has.
func (e *echoes) clients(t *testing.T, n int) []string {
	t.Helper()
	var all []string
	for i := range n {
		a := fmt.Sprintf("10.0.0.%d", 150+i)
		e.net.AddAddress(t, a+"/24")
		all = append(all, a)
	}
	return all
}

func counts(seen map[string]string) map[string]int {
	out := map[string]int{}
	for _, name := range seen {
		out[name]++
	}
	return out
}

// TestUDPSourceIP: a client always has the same member, all of them have some, and only the clients of a member that
// leaves have to move.
func TestUDPSourceIP(t *testing.T) {
	e := newEchoes(t)
	clients := e.clients(t, 60)
	state := strings.Replace(udp, "ROUND_ROBIN", "SOURCE_IP", 1) + "  - {id: m3, pool_id: p1, address: 10.0.0.13, protocol_port: 5300}\n"
	e.put(t, state)
	first := e.from(t, udpVIP, clients...)
	if again := e.from(t, udpVIP, clients...); !maps.Equal(first, again) {
		t.Errorf("clients changed their members: %v, then %v", first, again)
	}
	for _, m := range e.members {
		if n := counts(first)[m.Name]; n < 5 {
			t.Errorf("%s has %d of 60 clients", m.Name, n)
		}
	}
	e.put(t, strings.Replace(state, "10.0.0.13,", "10.0.0.13, weight: 0,", 1))
	for client, member := range e.from(t, udpVIP, clients...) {
		if was := first[client]; was != "m3" && was != member {
			t.Errorf("%s moved from %s to %s", client, was, member)
		}
	}
}

// TestUDPSourceIPPort: flows of one client are spread, and a flow that was forgotten gets the same member.
func TestUDPSourceIPPort(t *testing.T) {
	e := newEchoes(t)
	e.put(t, strings.Replace(udp, "ROUND_ROBIN", "SOURCE_IP_PORT", 1))
	first := map[int]string{}
	for port := 20000; port < 20040; port++ {
		name, err := e.net.DialUDP(t, fmt.Sprint("10.0.0.1:", port), udpVIP).Ask("x")
		if err != nil {
			t.Fatal(err)
		}
		first[port] = name
	}
	m1 := 0
	for _, name := range first {
		if name == "m1" {
			m1++
		}
	}
	if m1 < 5 || m1 > 35 {
		t.Errorf("m1 has %d of 40 flows", m1)
	}
	e.instance.Output(t, "ip", "netns", "exec", "amphora-haproxy", "conntrack", "-F")
	for port, was := range first {
		if name, err := e.net.DialUDP(t, fmt.Sprint("10.0.0.1:", port), udpVIP).Ask("x"); name != was || err != nil {
			t.Errorf("port %d: %s after %s: %v", port, name, was, err)
		}
	}
}

// TestUDPPersistence: a client's flows go to the member that its first one went to, for as long as it is heard of; clients
// of one network can be one client; a drained member loses its clients.
func TestUDPPersistence(t *testing.T) {
	e := newEchoes(t)
	state := func(persistence string) string {
		return strings.Replace(udp, "ROUND_ROBIN", "ROUND_ROBIN, session_persistence: {type: SOURCE_IP, "+persistence+"}", 1)
	}
	clients := e.clients(t, 8)
	e.put(t, state("persistence_timeout: 2"))
	first := e.from(t, udpVIP, clients...)
	if n := counts(first); n["m1"] != 4 {
		t.Errorf("round robin gave %v", n)
	}
	for range 3 {
		if again := e.from(t, udpVIP, clients...); !maps.Equal(first, again) {
			t.Errorf("clients changed their members: %v, then %v", first, again)
		}
	}
	e.put(t, strings.Replace(state("persistence_timeout: 2"), "listeners: [", "listeners: [{id: l2, protocol: UDP, protocol_port: 54},", 1))
	if again := e.from(t, udpVIP, clients...); !maps.Equal(first, again) {
		t.Errorf("a change of something else changed members: %v, then %v", first, again)
	}

	// A flow that goes on keeps its client remembered; the others are forgotten.
	flow := e.net.DialUDP(t, clients[0]+":0", udpVIP)
	for range 7 {
		if _, err := flow.Ask("still here"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(500 * time.Millisecond)
	}
	remembered := e.instance.Output(t, "ip", "netns", "exec", "amphora-haproxy", "nft", "list", "map", "inet", "octavo", "clients-l1-ip")
	if !strings.Contains(remembered, clients[0]+" timeout") || strings.Contains(remembered, clients[1]+" timeout") {
		t.Errorf("remembered is %s", remembered)
	}
	if again := e.from(t, udpVIP, clients[0]); again[clients[0]] != first[clients[0]] {
		t.Errorf("the client that was there all the time moved from %s to %s", first[clients[0]], again[clients[0]])
	}

	e.put(t, state("persistence_timeout: 60"))
	held := e.from(t, udpVIP, clients...)
	e.put(t, strings.Replace(state("persistence_timeout: 60"), "10.0.0.11,", "10.0.0.11, weight: 0,", 1))
	for client, member := range e.from(t, udpVIP, clients...) {
		if member != "m2" {
			t.Errorf("%s, first with %s, is with %s, which is drained", client, held[client], member)
		}
	}
	e.put(t, state("persistence_timeout: 60"))
	if n := counts(e.from(t, udpVIP, clients...)); n["m2"] != 8 {
		t.Errorf("clients went back though they had been taken over: %v", n)
	}

	e.put(t, state("persistence_timeout: 60, persistence_granularity: 255.255.255.0"))
	if n := counts(e.from(t, udpVIP, clients...)); n["m1"] != 8 && n["m2"] != 8 {
		t.Errorf("clients of one network were given %v", n)
	}
}

// TestUDPLeastConnections: new flows go to the member that has fewer, until both have the same.
func TestUDPLeastConnections(t *testing.T) {
	e := newEchoes(t)
	e.controller.Interval = 100 * time.Millisecond
	state := strings.Replace(udp, "ROUND_ROBIN", "LEAST_CONNECTIONS", 1)
	e.put(t, strings.Replace(state, "10.0.0.12,", "10.0.0.12, weight: 0,", 1))
	if seen := e.ask(t, 30); seen["m1"] != 30 {
		t.Fatalf("a drained member got flows: %v", seen)
	}
	e.put(t, state)
	e.controller.Await(t, 5*time.Second, "30 flows", flowsAre(30))
	time.Sleep(1500 * time.Millisecond)
	if seen := e.ask(t, 20); seen["m2"] != 20 {
		t.Errorf("new flows went to %v", seen)
	}
	e.controller.Await(t, 5*time.Second, "50 flows", flowsAre(50))
	time.Sleep(1500 * time.Millisecond)
	if seen := e.ask(t, 30); seen["m2"] < 18 || seen["m2"] > 22 {
		t.Errorf("of 30 new flows, with 30 on m1 and 20 on m2, went %v", seen)
	}
}

func flowsAre(n int64) func(agentapi.Report) bool {
	return func(r agentapi.Report) bool { return len(r.Listeners) > 0 && r.Listeners[0].ActiveConnections == n }
}

// TestUDPBackup members serve while the others are down, and keep the flows that they got.
func TestUDPBackup(t *testing.T) {
	e := newEchoes(t)
	e.put(t, strings.Replace(udp, "10.0.0.12,", "10.0.0.12, backup: true,", 1)+
		"monitors: [{id: h1, pool_id: p1, type: UDP-CONNECT, delay: 1, timeout: 1, max_retries: 1, max_retries_down: 1}]\n")
	e.controller.Await(t, 10*time.Second, "both members ONLINE", membersAre(lb.Online, lb.Online))
	if seen := e.ask(t, 4); seen["m1"] != 4 {
		t.Errorf("the backup got flows: %v", seen)
	}
	e.members[0].Stop()
	e.controller.Await(t, 10*time.Second, "m1 in ERROR", membersAre(lb.OperError, lb.Online))
	flow := e.net.DialUDP(t, "", udpVIP)
	if name, err := flow.Ask("help"); name != "m2" || err != nil {
		t.Errorf("%s answered: %v", name, err)
	}
	e.members[0] = e.net.StartEcho(t, "m1", "10.0.0.11:5300")
	e.controller.Await(t, 10*time.Second, "m1 ONLINE again", membersAre(lb.Online, lb.Online))
	if seen := e.ask(t, 4); seen["m1"] != 4 {
		t.Errorf("the backup got flows again: %v", seen)
	}
	if name, err := flow.Ask("still there?"); name != "m2" || err != nil {
		t.Errorf("the backup's flow was taken over by %s: %v", name, err)
	}
}

// TestUDPListenerOptions: who may connect, and how often.
func TestUDPListenerOptions(t *testing.T) {
	e := newEchoes(t)
	clients := e.clients(t, 2)
	e.put(t, udp)
	flow := e.net.DialUDP(t, clients[1]+":0", udpVIP)
	if _, err := flow.Ask("allowed"); err != nil {
		t.Fatal(err)
	}
	e.put(t, strings.Replace(udp, "id: l1,", "id: l1, allowed_cidrs: ["+clients[0]+"/32, 192.0.2.0/24, '2001:db8::/32'],", 1))
	e.from(t, udpVIP, clients[0])
	if name, err := flow.Ask("allowed still?"); err == nil {
		t.Errorf("%s answered a client that is not allowed any more", name)
	}
	if name, err := e.net.DialUDP(t, clients[1]+":0", udpVIP).Ask("allowed?"); err == nil {
		t.Errorf("%s answered a client that is not allowed", name)
	}

	e.put(t, strings.Replace(udp, "id: l1,", "id: l1, connection_limit: 5,", 1))
	e.ask(t, 5)
	late := e.net.DialUDP(t, "", udpVIP)
	if name, err := late.Ask("one too many"); err == nil {
		t.Errorf("%s answered a sixth flow", name)
	}
	e.controller.Await(t, 5*time.Second, "a listener at its limit", func(r agentapi.Report) bool {
		return len(r.Listeners) == 1 && r.Listeners[0].Status == lb.Degraded
	})
	e.instance.Output(t, "ip", "netns", "exec", "amphora-haproxy", "conntrack", "-F")
	if _, err := late.Ask("and now?"); err != nil {
		t.Errorf("after the others had ended: %v", err)
	}
}

// TestUDPChecks: pools of datagrams can be checked by TCP and HTTP too, at an address and port of their own.
func TestUDPChecks(t *testing.T) {
	e := newEchoes(t)
	for name, monitor := range map[string]string{
		"HTTP": "{id: h1, pool_id: p1, type: HTTP, delay: 1, timeout: 1, max_retries: 1, max_retries_down: 1, url_path: /healthcheck}",
		"TCP":  "{id: h2, pool_id: p1, type: TCP, delay: 1, timeout: 1, max_retries: 1, max_retries_down: 1}",
	} {
		state := strings.NewReplacer("address: 10.0.0.11, protocol_port: 5300", "address: 10.0.0.11, protocol_port: 5300, monitor_port: 80",
			"address: 10.0.0.12, protocol_port: 5300", "address: 10.0.0.12, protocol_port: 5300, monitor_address: 10.0.0.13, monitor_port: 81").Replace(udp) +
			"monitors: [" + monitor + "]\n"
		e.put(t, state)
		e.controller.Await(t, 10*time.Second, name+": m1 ONLINE, m2 in ERROR", membersAre(lb.Online, lb.OperError))
		if seen := e.ask(t, 4); seen["m1"] != 4 {
			t.Errorf("%s: flows went to %v", name, seen)
		}
		e.put(t, strings.Replace(state, "monitor_port: 81", "monitor_port: 80", 1))
		e.controller.Await(t, 10*time.Second, name+": both ONLINE", membersAre(lb.Online, lb.Online))
		e.put(t, strings.Replace(strings.Replace(state, "monitor_port: 81", "monitor_port: 80", 1), "10.0.0.12,", "10.0.0.12, weight: 0,", 1))
		e.controller.Await(t, 10*time.Second, name+": m2 DRAINING", membersAre(lb.Online, lb.Draining))
	}
	e.put(t, strings.Replace(udp, "10.0.0.12,", "10.0.0.12, admin_state_up: false,", 1))
	e.controller.Await(t, 10*time.Second, "nobody checked", membersAre(lb.NoMonitor, lb.Offline))
}

// TestUDPFamilies: each VIP leads to the members of its own IP version, over an interface of their own; answers leave by the
// VIP's interface even to a client who is a neighbour on another.
func TestUDPFamilies(t *testing.T) {
	e := newEchoes(t)
	for _, a := range []string{"2001:db8::1/64", "2001:db8::11/64", "10.0.9.1/24", "10.0.9.2/24"} {
		e.net.AddAddress(t, a)
	}
	e.net.StartEcho(t, "six", "[2001:db8::11]:5300")
	far := e.net.StartEcho(t, "far", "10.0.9.1:5300")
	generation := e.want(t, `
interfaces:
  - {mac: '02:00:00:00:00:64', mtu: 1500, vip: true, addresses: [10.0.0.50/24, '2001:db8::50/64'], gateway: [10.0.0.1, '2001:db8::1']}
  - {mac: '02:00:00:00:00:65', mtu: 1500, addresses: [10.0.9.50/24]}
vips: [{address: 10.0.0.100/24}, {address: '2001:db8::100/64'}]
listeners: [{id: l1, protocol: UDP, protocol_port: 53, default_pool_id: p1}]
pools: [{id: p1, protocol: UDP, lb_algorithm: ROUND_ROBIN}]
members:
  - {id: m6, pool_id: p1, address: '2001:db8::11', protocol_port: 5300}
  - {id: m9, pool_id: p1, address: 10.0.9.1, protocol_port: 5300}
monitors: [{id: h1, pool_id: p1, type: UDP-CONNECT, delay: 1, timeout: 1, max_retries: 1}]
`)
	e.net.Plug(t, e.instance, "02:00:00:00:00:65")
	e.controller.AwaitApplied(t, generation)
	e.controller.Await(t, 10*time.Second, "both members ONLINE", membersAre(lb.Online, lb.Online))
	inside := func(command ...string) string {
		return e.instance.Output(t, "ip", append([]string{"netns", "exec", "amphora-haproxy"}, command...)...)
	}
	inside("nft", `table ip seen { chain out { type filter hook postrouting priority 300;
		ip saddr 10.0.0.100 oifname "lb020000000064" counter
		ip saddr 10.0.0.100 oifname "lb020000000065" counter; }; }`)
	for vip, want := range map[string]string{udpVIP: "far", "[2001:db8::100]:53": "six"} {
		// What does not fit into a packet is as good as anything else.
		for _, size := range []int{1, 1300, 9000, 60000} {
			name, err := e.net.DialUDP(t, "", vip).Ask(strings.Repeat("x", size))
			if name != want || err != nil {
				t.Errorf("%s, %d bytes: %s answered: %v", vip, size, name, err)
			}
		}
	}
	if name, err := e.net.DialUDP(t, "10.0.9.2:0", udpVIP).Ask("neighbour"); name != "far" || err != nil {
		t.Errorf("%s answered: %v", name, err)
	}
	for _, from := range far.From() {
		if a := from.Addr().String(); a != "10.0.9.50" {
			t.Errorf("a datagram came from %s", a)
		}
	}
	if out := inside("nft", "list", "table", "ip", "seen"); !strings.Contains(out, `"lb020000000065" counter packets 0 `) || strings.Contains(out, `"lb020000000064" counter packets 0 `) {
		t.Errorf("answers left by another interface than the VIP's: %s", out)
	}
}
