package datagram

import (
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/agent/instancetest"
	"github.com/octavo-lb/octavo/firewall"
)

// place is a network in which flows on the loopback interface are tracked and translated to port 5300.
type place struct{ *instancetest.Network }

func newPlace(t testing.TB) place {
	t.Helper()
	p := place{instancetest.NewNetwork(t)}
	p.run(t, "ip address add fd00::1/128 dev lo && nft 'table inet x { chain out { type nat hook output priority -100; "+
		"udp dport 53 dnat ip to 127.0.0.2:5300; udp dport 53 dnat ip6 to [fd00::1]:5300; }; }'")
	return p
}

func (p place) run(t testing.TB, script string) {
	t.Helper()
	err := p.Do(func() error {
		out, err := exec.Command("sh", "-c", script).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s: %w: %s", script, err, out)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// send sends a datagram from a port to each of some addresses.
func (p place) send(t testing.TB, from int, to ...netip.AddrPort) {
	t.Helper()
	err := p.Do(func() error {
		c, err := net.ListenUDP("udp", &net.UDPAddr{Port: from})
		if err != nil {
			return err
		}
		defer c.Close()
		for _, a := range to {
			if _, err := c.WriteToUDPAddrPort([]byte("x"), a); err != nil && !strings.Contains(err.Error(), "refused") {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestFlows reads what the kernel tracks, of both IP versions, and cuts what is condemned and nothing else.
func TestFlows(t *testing.T) {
	p := newPlace(t)
	k := kernel{p}
	p.send(t, 2001, netip.MustParseAddrPort("127.0.0.1:53"), netip.MustParseAddrPort("[::1]:53"))
	p.send(t, 2002, netip.MustParseAddrPort("127.0.0.3:54"))
	seen := func() map[string]int {
		t.Helper()
		all := map[string]int{}
		err := k.flows(func(f firewall.Flow) { all[fmt.Sprintf("%s %s %s", f.Protocol, f.VIP, f.Member)]++ })
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	want := []string{"udp 127.0.0.1:53 127.0.0.2:5300", "udp [::1]:53 [fd00::1]:5300", "udp 127.0.0.3:54 127.0.0.3:54"}
	before := seen()
	for _, w := range want {
		if before[w] != 1 {
			t.Errorf("%s is not among %v", w, before)
		}
	}
	n, err := k.cut(func(f firewall.Flow) bool { return f.Member.Port() == 5300 })
	if n != 2 || err != nil {
		t.Errorf("%d flows were cut: %v", n, err)
	}
	if after := seen(); after[want[0]] != 0 || after[want[1]] != 0 || after[want[2]] != 1 {
		t.Errorf("left are %v", after)
	}
}

// TestCutSparesTheNext: a flow that was begun anew since it was looked at is another one.
func TestCutSparesTheNext(t *testing.T) {
	p := newPlace(t)
	k := kernel{p}
	to, other := netip.MustParseAddrPort("127.0.0.1:53"), netip.MustParseAddrPort("127.0.0.3:54")
	p.send(t, 2001, to)
	n, err := k.cut(func(f firewall.Flow) bool {
		p.run(t, "conntrack -F 2>/dev/null")
		// The kernel tells flows of the same ends apart by where in its memory they are: others take the place that is free.
		for port := range 64 {
			p.send(t, 3000+port, other)
		}
		p.send(t, 2001, to)
		return f.VIP == to
	})
	if err != nil {
		t.Fatalf("%d flows were cut: %v", n, err)
	}
	left := 0
	err = k.flows(func(f firewall.Flow) {
		if f.VIP == to {
			left++
		}
	})
	if err != nil || left != 1 {
		t.Errorf("%d flows are left: %v", left, err)
	}
}

// BenchmarkCount is what it takes to look at 100,000 flows.
func BenchmarkCount(b *testing.B) {
	p := newPlace(b)
	var to []netip.AddrPort
	for i := range 100_000 {
		to = append(to, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i)}), uint16(1000+i>>16)))
	}
	p.send(b, 2001, to...)
	n := 0
	start := time.Now()
	rounds := 0
	for b.Loop() {
		n = 0
		if err := (kernel{p}).flows(func(firewall.Flow) { n++ }); err != nil {
			b.Fatal(err)
		}
		rounds++
	}
	if n < 90_000 {
		b.Fatalf("only %d flows are tracked", n)
	}
	b.ReportMetric(float64(time.Since(start).Milliseconds())/float64(rounds), "udp_count_100000_flows_ms")
}
