package fabric

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
)

func TestGroupsJudgeWhatBegins(t *testing.T) {
	w := newWorld(t)
	n := w.network()
	client := w.group()
	web := w.group(tcpPorts(80, 89), Rule{Protocol: icmp, PortMin: 8, PortMax: 0},
		Rule{IPv6: true, Protocol: tcp, PortMin: 80, PortMax: 80, Remote: netip.MustParsePrefix("fd00::1/128")})
	a := w.machine(n, []string{client.ID}, "10.0.0.1/24", "fd00::1/64")
	b := w.machine(n, []string{web.ID}, "10.0.0.2/24", "fd00::2/64")
	c := w.machine(n, []string{client.ID}, "10.0.0.3/24", "fd00::3/64")
	for _, port := range []int{80, 89, 90} {
		b.serve(port)
	}
	a.serve(80)
	w.reaches(a, "10.0.0.2:80")
	w.reaches(c, "10.0.0.2:89")
	w.misses(a, "10.0.0.2:90")
	w.reaches(a, "[fd00::2]:80")
	w.misses(c, "[fd00::2]:80")
	w.misses(b, "10.0.0.1:80")
	w.pings(a, "10.0.0.2", true)
	w.pings(b, "10.0.0.1", false)
	w.pings(a, "fd00::2", false)
}

func TestGroupWithoutEgressRulesLetsNothingOut(t *testing.T) {
	w := newWorld(t)
	n := w.network()
	silent := Group{ID: "silent", Rules: []Rule{tcpPorts(80, 80)}}
	open := w.group(tcpPorts(1, 65535))
	w.apply(Change{Groups: []Group{silent}})
	a := w.machine(n, []string{silent.ID}, "10.0.0.1/24")
	b := w.machine(n, []string{open.ID}, "10.0.0.2/24")
	a.serve(80)
	b.serve(80)
	w.misses(a, "10.0.0.2:80")
	w.reaches(b, "10.0.0.1:80") // the answers belong to a connection that was allowed in
}

func TestRemoteGroupMeansItsPorts(t *testing.T) {
	w := newWorld(t)
	n := w.network()
	friends := w.group()
	web := w.group(Rule{Protocol: tcp, PortMin: 80, PortMax: 80, RemoteGroup: friends.ID})
	a := w.machine(n, []string{friends.ID}, "10.0.0.1/24")
	b := w.machine(n, []string{web.ID}, "10.0.0.2/24")
	b.serve(80)
	w.misses(a, "10.0.0.2:80")
	friends.Addresses = []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32"), netip.MustParsePrefix("10.0.0.0/31"), netip.MustParsePrefix("fd00::1/128")}
	w.apply(Change{Groups: []Group{friends}})
	w.reaches(a, "10.0.0.2:80")
	friends.Addresses = nil
	w.apply(Change{Groups: []Group{friends}})
	w.misses(a, "10.0.0.2:80")
}

func TestPortWithoutSecurityIsOpen(t *testing.T) {
	w := newWorld(t)
	n := w.network()
	a := w.machine(n, nil, "10.0.0.1/24")
	b := w.machine(n, nil, "10.0.0.2/24")
	b.serve(80)
	w.misses(a, "10.0.0.2:80")
	for _, m := range []*machine{a, b} {
		m.port.Secured = false
		w.apply(Change{Ports: []Port{m.port}})
	}
	w.reaches(a, "10.0.0.2:80")
	a.run("ip", "addr", "add", "10.0.0.77/24", "dev", "eth0")
	a.run("ping", "-c1", "-W1", "-I", "10.0.0.77", "10.0.0.2")
}

func TestNetworksMayHaveTheSameAddresses(t *testing.T) {
	w := newWorld(t)
	open := w.group(tcpPorts(80, 80))
	for range 2 {
		n := w.network()
		a := w.machine(n, []string{open.ID}, "10.0.0.1/24")
		b := w.machine(n, []string{open.ID}, "10.0.0.2/24")
		b.serve(80)
		w.reaches(a, "10.0.0.2:80")
	}
}

func TestChangesDisturbNoConnection(t *testing.T) {
	w := newWorld(t)
	n := w.network()
	web := w.group(tcpPorts(80, 80))
	a := w.machine(n, []string{web.ID}, "10.0.0.1/24")
	b := w.machine(n, []string{web.ID}, "10.0.0.2/24")
	b.serve(80)
	c, err := dial(a.ns, "10.0.0.2:80")
	w.ok(err)
	defer c.Close()
	done := make(chan error, 1)
	go func() {
		for i := range 50 {
			other := Port{ID: fmt.Sprintf("%011d", i), NetworkID: n.ID, MAC: randomMAC(), Secured: true, Groups: []string{web.ID}}
			if err := w.Apply(t.Context(), Change{Ports: []Port{other, a.port, b.port}, Groups: []Group{web}}); err != nil {
				done <- err
				return
			}
		}
		done <- w.Reset(t.Context(), Change{Networks: []Network{n}, Ports: []Port{a.port, b.port}, Groups: []Group{web}})
	}()
	for asked, running := 0, true; running; asked++ {
		select {
		case err := <-done:
			w.ok(err)
			running = false
		default:
		}
		if _, err := c.ask("still there?"); err != nil {
			t.Fatalf("after %d answers: %v", asked, err)
		}
	}
	w.reaches(a, "10.0.0.2:80")
}

func TestResetForgetsWhatIsNotMentioned(t *testing.T) {
	w := newWorld(t)
	n, old := w.network(), w.network()
	web := w.group(tcpPorts(80, 80))
	a := w.machine(n, []string{web.ID}, "10.0.0.1/24")
	gone := w.machine(old, []string{web.ID}, "10.0.0.2/24")
	w.ok(w.Reset(t.Context(), Change{Networks: []Network{n}, Ports: []Port{a.port}}))
	for name, want := range map[string]bool{bridgeName(n.ID): true, TapName(a.port.ID): true, bridgeName(old.ID): false, TapName(gone.port.ID): false} {
		link, err := w.ns.find(name)
		w.ok(err)
		if (link != nil) != want {
			t.Errorf("%s is there: %v, want %v", name, link != nil, want)
		}
	}
	w.apply(Change{GonePorts: []string{a.port.ID}, GoneNetworks: []string{n.ID}, GoneGroups: []string{web.ID}})
	w.apply(Change{GonePorts: []string{a.port.ID}, GoneNetworks: []string{n.ID}, GoneGroups: []string{web.ID}})
	links, err := w.ns.LinkList()
	w.ok(err)
	if len(links) != 1 {
		t.Errorf("%d links are left in the fabric, want only lo", len(links))
	}
}

func TestHundredPortsAreFastToChange(t *testing.T) {
	w := newWorld(t)
	n := w.network()
	web := w.group(tcpPorts(80, 80))
	var ports []Port
	for i := range 200 {
		ports = append(ports, Port{ID: fmt.Sprintf("%011d", i), NetworkID: n.ID, MAC: randomMAC(), Secured: true, Groups: []string{web.ID},
			Sources: []Source{{randomMAC(), netip.MustParsePrefix("10.0.0.1/32")}}})
	}
	began := time.Now()
	w.apply(Change{Ports: ports})
	all := time.Since(began)
	var one []time.Duration
	for _, p := range ports[:20] {
		began := time.Now()
		w.apply(Change{Ports: []Port{p}})
		one = append(one, time.Since(began))
	}
	slices.Sort(one)
	t.Logf("200 ports at once: %v; one of them: median %v", all, one[10])
	if all > 5*time.Second || one[10] > 500*time.Millisecond {
		t.Error("that is too slow")
	}
}
