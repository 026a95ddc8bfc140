package probe_test

import (
	"crypto/tls"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/agent/instancetest"
	"github.com/octavo-lb/octavo/agent/probe"
)

// checks is a prober in a network with members.
type checks struct {
	*probe.Prober
	changed chan struct{}
}

func start(t *testing.T, net *instancetest.Network) *checks {
	t.Helper()
	c := &checks{changed: make(chan struct{}, 100)}
	c.Prober = probe.New(net, slog.New(slog.DiscardHandler), func() { c.changed <- struct{}{} })
	t.Cleanup(c.Stop)
	return c
}

// await waits until the verdict on every member is known and as wanted.
func (c *checks) await(t *testing.T, want map[string]bool) map[probe.Key]probe.Verdict {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		verdicts := c.Verdicts()
		right := 0
		for k, v := range verdicts {
			if up, listed := want[k.Member]; listed && v.Known && v.Up == up {
				right++
			}
		}
		if right == len(want) {
			return verdicts
		}
		select {
		case <-c.changed:
		case <-deadline:
			t.Fatalf("the verdicts are %v, wanted %v", verdicts, want)
		}
	}
}

func target(member, kind, address string) probe.Target {
	return probe.Target{
		Key: probe.Key{Pool: "p1", Member: member}, Monitor: "h1", Type: kind, Address: netip.MustParseAddrPort(address),
		Interval: 200 * time.Millisecond, Timeout: time.Second, Rise: 1, Fall: 1, Method: "GET", Path: "/healthcheck", Version: "1.0", Codes: "200,201-204",
	}
}

// TestChecks: each kind of check finds a member that is well and one that is not, on both IP versions, and says why.
func TestChecks(t *testing.T) {
	t.Parallel()
	net := instancetest.NewNetwork(t, "10.0.0.1/24", "10.0.0.11/24", "10.0.0.12/24", "2001:db8::11/64")
	net.Sysctl(t, "ipv4/ping_group_range", "0 2147483647")
	net.StartWeb(t, "web1", "10.0.0.11:80")
	net.StartWeb(t, "web6", "[2001:db8::11]:80")
	net.StartWeb(t, "ill", "10.0.0.12:80").Ill.Store(true)
	net.StartEcho(t, "udp1", "10.0.0.11:53")
	net.ListenUDP(t, "[2001:db8::11]:53") // silence is a good sign
	net.StartSCTP(t, "sctp1", "10.0.0.11", 3868)
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Listener.Close()
	secure.Listener = net.Listen(t, "10.0.0.11:443")
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.TLS = &tls.Config{MinVersion: tls.VersionTLS13}
	secure.StartTLS()
	t.Cleanup(secure.Close)
	cases := []struct {
		kind, address string
		up            bool
		detail        string
	}{
		{"PING", "10.0.0.11:1", true, "check passed"},
		{"PING", "[2001:db8::11]:1", true, "check passed"},
		{"PING", "10.0.0.77:1", false, ""},
		{"TCP", "10.0.0.11:80", true, "check passed"},
		{"TCP", "[2001:db8::11]:80", true, "check passed"},
		{"TCP", "10.0.0.11:81", false, "connection refused"},
		{"TCP", "10.0.0.78:80", false, ""},
		{"HTTP", "10.0.0.11:80", true, "check passed"},
		{"HTTP", "[2001:db8::11]:80", true, "check passed"},
		{"HTTP", "10.0.0.12:80", false, "wrong status 503"},
		{"HTTP", "10.0.0.11:443", false, ""},
		{"HTTPS", "10.0.0.11:443", false, "wrong status 404"},
		{"HTTPS", "10.0.0.11:80", false, "TLS handshake"},
		{"TLS-HELLO", "10.0.0.11:443", true, "check passed"},
		{"TLS-HELLO", "10.0.0.11:80", false, "TLS handshake"},
		{"UDP-CONNECT", "10.0.0.11:53", true, "check passed"},
		{"UDP-CONNECT", "[2001:db8::11]:53", true, "check passed"},
		{"UDP-CONNECT", "10.0.0.12:53", false, "connection refused"},
		{"UDP-CONNECT", "[2001:db8::11]:54", false, "connection refused"},
		{"SCTP", "10.0.0.11:3868", true, "check passed"},
		{"SCTP", "10.0.0.12:3868", false, "protocol not available"},
		{"SCTP", "10.0.0.11:3869", false, "timeout"},
	}
	c := start(t, net)
	want := map[string]bool{}
	var targets []probe.Target
	for i, one := range cases {
		want[strconv.Itoa(i)] = one.up
		targets = append(targets, target(strconv.Itoa(i), one.kind, one.address))
	}
	c.Set(t.Context(), targets)
	for k, v := range c.await(t, want) {
		i, _ := strconv.Atoi(k.Member)
		if !strings.Contains(v.Detail, cases[i].detail) {
			t.Errorf("%s of %s: %q, want %q", cases[i].kind, cases[i].address, v.Detail, cases[i].detail)
		}
	}
}

// TestRiseAndFall: a verdict turns after as many results in a row as the monitor says, the first one at once.
func TestRiseAndFall(t *testing.T) {
	t.Parallel()
	net := instancetest.NewNetwork(t, "10.0.0.1/24", "10.0.0.11/24")
	web := net.StartWeb(t, "web1", "10.0.0.11:80")
	c := start(t, net)
	one := target("m1", "HTTP", "10.0.0.11:80")
	one.Interval, one.Rise, one.Fall = 100*time.Millisecond, 4, 3
	c.Set(t.Context(), []probe.Target{one})
	c.await(t, map[string]bool{"m1": true})
	for _, ill := range []bool{true, false} {
		before := web.Checked.Load()
		web.Ill.Store(ill)
		c.await(t, map[string]bool{"m1": !ill})
		// One check more may have begun before, and one may have begun since.
		need := int64(4)
		if ill {
			need = 3
		}
		if took := web.Checked.Load() - before; took < need || took > need+2 {
			t.Errorf("the verdict turned to %v after %d checks", !ill, took)
		}
	}
}

// TestFirstFailureIsRepeated: one failure at the very beginning is no verdict, and the second check does not wait for the
// interval; two are one.
func TestFirstFailureIsRepeated(t *testing.T) {
	t.Parallel()
	net := instancetest.NewNetwork(t, "10.0.0.1/24", "10.0.0.11/24")
	web := net.StartWeb(t, "web1", "10.0.0.11:80")
	web.Ill.Store(true)
	c := start(t, net)
	one := target("m1", "HTTP", "10.0.0.11:80")
	one.Interval = time.Hour
	c.Set(t.Context(), []probe.Target{one})
	c.await(t, map[string]bool{"m1": false})
	if checked := web.Checked.Load(); checked != 2 {
		t.Errorf("the verdict was found after %d checks", checked)
	}
}

// TestUDPHostGone: silence is a good sign only as long as there is somebody who could answer.
func TestUDPHostGone(t *testing.T) {
	t.Parallel()
	net := instancetest.NewNetwork(t, "10.0.0.1/24", "2001:db8::1/64")
	other := net.Neighbour(t, "10.0.0.11/24")
	other.ListenUDP(t, "10.0.0.11:53")
	c := start(t, net)
	c.Set(t.Context(), []probe.Target{
		target("gone", "UDP-CONNECT", "10.0.0.77:53"), target("gone6", "UDP-CONNECT", "[2001:db8::77]:53"), target("there", "UDP-CONNECT", "10.0.0.11:53"),
	})
	verdicts := c.await(t, map[string]bool{"gone": false, "gone6": false, "there": true})
	for _, member := range []string{"gone", "gone6"} {
		if detail := verdicts[probe.Key{Pool: "p1", Member: member}].Detail; detail != "no route to host" {
			t.Errorf("the check of %s says %q", member, detail)
		}
	}
}

// TestChangedMonitor: what was found stays until the next result when only numbers change, also for the next prober.
func TestChangedMonitor(t *testing.T) {
	t.Parallel()
	net := instancetest.NewNetwork(t, "10.0.0.1/24", "10.0.0.11/24")
	c := start(t, net)
	refused := target("m1", "TCP", "10.0.0.11:80")
	c.Set(t.Context(), []probe.Target{refused})
	c.await(t, map[string]bool{"m1": false})
	refused.Interval = time.Hour
	c.Set(t.Context(), []probe.Target{refused})
	if v := c.Verdicts()[refused.Key]; !v.Known || v.Up {
		t.Errorf("the verdict is %v", v)
	}
	file := t.TempDir() + "/verdicts"
	if err := c.Save(file); err != nil {
		t.Fatal(err)
	}
	next := start(t, net)
	next.Load(file)
	refused.Fall, refused.Rise = 2, 2
	next.Set(t.Context(), []probe.Target{refused, target("m2", "TCP", "10.0.0.11:80")})
	if v := next.Verdicts()[refused.Key]; !v.Known || v.Up {
		t.Errorf("the next prober's verdict is %v", v)
	}
}

// TestChecksTakeNoThreads: a thousand checks that wait at once wait in a few threads.
func TestChecksTakeNoThreads(t *testing.T) {
	net := instancetest.NewNetwork(t, "10.0.0.1/24")
	net.ListenUDP(t, "10.0.0.1:53")
	c := start(t, net)
	var targets []probe.Target
	want := map[string]bool{}
	for i := range 1000 {
		one := target(strconv.Itoa(i), "UDP-CONNECT", "10.0.0.1:53")
		one.Interval = time.Hour
		targets = append(targets, one)
		want[strconv.Itoa(i)] = true
	}
	most := 0
	c.changed = make(chan struct{}, 2000)
	c.Set(t.Context(), targets)
	for range 20 {
		most = max(most, threads(t))
		time.Sleep(50 * time.Millisecond)
	}
	c.await(t, want)
	if most > 100 {
		t.Errorf("there were %d threads", most)
	}
}

func threads(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
