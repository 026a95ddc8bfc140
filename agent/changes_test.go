package agent_test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/agent/instancetest"
	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/agentapi/agentapitest"
	"github.com/octavo-lb/octavo/lb"
)

// TestManyChanges puts one random state after the other into force while clients of every kind are served by what all states
// have in common. OCTAVO_CHANGES says how many, 60 by default.
func TestManyChanges(t *testing.T) {
	changes := 60
	if s := os.Getenv("OCTAVO_CHANGES"); s != "" {
		var err error
		if changes, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	w := newWorld(t)
	w.net.StartEcho(t, "echo1", "10.0.0.11:5300")
	w.net.StartEcho(t, "echo2", "10.0.0.12:5300")
	w.startTunnel(t)
	w.instance.StartAgent(t)
	g := &states{ca: instancetest.NewCA(t, "users"), random: rand.New(rand.NewPCG(1, 2))}
	g.renew()
	g.put(t, w)
	w.controller.Await(t, 10*time.Second, "all members ONLINE", g.right)

	load := w.startLoad(t, 4)
	h2 := w.https(g.ca, "one.example.com")
	h2.Transport.(*http.Transport).DisableKeepAlives = false
	load.run(func() error { return ok(h2.Get("https://10.0.0.100/")) })
	tunnel := w.openTunnel(t)
	load.run(func() error { return tunnel.exchange() })
	udp := w.net.DialUDP(t, "", "10.0.0.100:53")
	first, err := udp.Ask("who?")
	if err != nil {
		t.Fatal(err)
	}
	load.run(func() error {
		got, err := udp.Ask("still you?")
		if err == nil && got != first {
			err = fmt.Errorf("a flow went from %s to %s", first, got)
		}
		time.Sleep(time.Millisecond)
		return err
	})

	start := time.Now()
	var took []time.Duration
	seen := len(w.controller.Reports())
	for range changes {
		g.change()
		begin := time.Now()
		g.put(t, w)
		took = append(took, time.Since(begin))
	}
	elapsed := time.Since(start)
	load.stop(t)
	slices.Sort(took)
	t.Logf("%d changes in %v: p50 %v, p99 %v; %.0f requests/s; %d of them by a reload", changes, elapsed.Round(time.Millisecond),
		took[len(took)/2].Round(time.Millisecond), took[len(took)*99/100].Round(time.Millisecond), float64(load.requests.Load())/elapsed.Seconds(), reloads(t, w))
	neverGoBack(t, w.controller.Reports())
	for _, r := range w.controller.Reports()[seen:] {
		for _, m := range r.Members {
			idle := m.ID == "m3" && m.Status == lb.Offline
			if m.Status != lb.Online && m.Status != lb.NoMonitor && m.Status != lb.Draining && !idle {
				t.Errorf("in report %d of generation %d %s, which was well, is %s: %s", r.Sequence, r.Applied, m.ID, m.Status, m.Detail)
			}
		}
		for _, l := range r.Listeners {
			if l.Status != lb.Online {
				t.Errorf("listener %s was reported %s", l.ID, l.Status)
			}
		}
	}
}

// neverGoBack compares each listener's counters with what was reported of it before.
func neverGoBack(t *testing.T, reports []agentapi.Report) {
	t.Helper()
	last := map[string]agentapi.ListenerHealth{}
	for _, r := range reports {
		for _, l := range r.Listeners {
			before := last[l.ID]
			if l.TotalConnections < before.TotalConnections || l.RequestErrors < before.RequestErrors || l.BytesIn < before.BytesIn || l.BytesOut < before.BytesOut {
				t.Errorf("in report %d of generation %d listener %s counts %+v, after %+v", r.Sequence, r.Applied, l.ID, l, before)
			}
			last[l.ID] = l
		}
	}
	if l := last["l1"]; l.TotalConnections == 0 || l.BytesOut == 0 {
		t.Errorf("nothing was counted: %+v", l)
	}
}

// states makes states that all serve HTTP, TLS, a tunnel and UDP by two members at least, and differ in all else.
type states struct {
	ca      *instancetest.CA
	random  *rand.Rand
	secrets map[string][]byte

	weights                     [2]int
	extra, backup, sni          bool
	log, hsts, idle, redirect   bool
	monitor, limits             string
	extraListener               int
	timeout                     int
	policy, headers             bool
	algorithm, algorithm2, sess string
}

func (g *states) renew() {
	g.secrets = map[string][]byte{}
	g.secrets["c1"], _ = g.ca.Issue("one.example.com")
	g.secrets["c2"], _ = g.ca.Issue("two.example.com")
	g.weights = [2]int{1, 1}
	g.timeout, g.algorithm, g.algorithm2, g.monitor = 50000, "ROUND_ROBIN", "ROUND_ROBIN", "HTTP, url_path: /healthcheck"
}

// change changes one thing.
func (g *states) change() {
	pick := func(from ...string) string { return from[g.random.IntN(len(from))] }
	switch g.random.IntN(19) {
	case 0, 1:
		g.weights = [2]int{1 + g.random.IntN(10), 1 + g.random.IntN(10)}
	case 2, 3:
		g.extra = !g.extra
	case 4:
		g.backup = !g.backup
	case 5:
		g.extraListener = (g.extraListener + 1) % 3
	case 6:
		g.timeout = 20000 + g.random.IntN(10000)
	case 7:
		g.policy = !g.policy
	case 8:
		g.headers = !g.headers
	case 9:
		g.algorithm = pick("ROUND_ROBIN", "LEAST_CONNECTIONS", "SOURCE_IP")
		g.algorithm2 = pick("ROUND_ROBIN", "LEAST_CONNECTIONS", "SOURCE_IP", "SOURCE_IP_PORT")
	case 10:
		g.sess = pick("", ", session_persistence: {type: SOURCE_IP}", ", session_persistence: {type: HTTP_COOKIE}")
	case 11:
		g.secrets["c1"], _ = g.ca.Issue("one.example.com")
	case 12:
		g.sni = !g.sni
	case 13:
		g.monitor = pick("HTTP, url_path: /healthcheck", "HTTP, url_path: /, http_version: 1.1, domain_name: a.example.com", "TCP", "PING", "")
	case 14:
		g.limits = pick("", ", connection_limit: 5000", ", allowed_cidrs: [10.0.0.0/8]", ", allowed_cidrs: [10.0.0.0/24, '2001:db8::/32']")
	case 15:
		g.log = !g.log
	case 16:
		g.hsts = !g.hsts
	case 17:
		g.idle = !g.idle
	case 18:
		g.redirect = !g.redirect
	}
}

func (g *states) put(t *testing.T, w *world) agentapi.Report {
	t.Helper()
	state, err := agentapitest.State(g.text())
	if err != nil {
		t.Fatal(err)
	}
	for ref, content := range g.secrets {
		w.controller.AddSecret(state, ref, content)
	}
	return w.controller.AwaitApplied(t, w.controller.Want(state))
}

func (g *states) text() string {
	var b strings.Builder
	b.WriteString(header)
	headers := ""
	if g.headers {
		headers = ", insert_headers: {X-Forwarded-For: 'true'}"
	}
	b.WriteString("listeners:\n")
	fmt.Fprintf(&b, "  - {id: l1, protocol: HTTP, protocol_port: 80, default_pool_id: p1, timeout_client_data: %d%s%s}\n", g.timeout, headers, g.limits)
	fmt.Fprintf(&b, "  - {id: l2, protocol: TERMINATED_HTTPS, protocol_port: 443, default_pool_id: p1, default_tls_container_ref: c1, sni_container_refs: [%s], alpn_protocols: [h2, http/1.1]%s}\n",
		iff(g.sni, "c2"), iff(g.hsts, ", hsts_max_age: 100"))
	fmt.Fprintf(&b, "  - {id: l3, protocol: HTTP, protocol_port: 8080, default_pool_id: p3}\n")
	fmt.Fprintf(&b, "  - {id: l4, protocol: UDP, protocol_port: 53, default_pool_id: p4}\n")
	for i := range g.extraListener {
		fmt.Fprintf(&b, "  - {id: x%d, protocol: TCP, protocol_port: %d, default_pool_id: p5}\n", i, 9000+i)
	}
	fmt.Fprintf(&b, "pools:\n  - {id: p1, protocol: HTTP, lb_algorithm: %s%s}\n", g.algorithm, g.sess)
	fmt.Fprintf(&b, "  - {id: p3, protocol: HTTP, lb_algorithm: ROUND_ROBIN}\n  - {id: p4, protocol: UDP, lb_algorithm: %s}\n", g.algorithm2)
	fmt.Fprintf(&b, "  - {id: p5, protocol: TCP, lb_algorithm: ROUND_ROBIN}\n")
	b.WriteString("members:\n")
	for i, weight := range g.weights {
		fmt.Fprintf(&b, "  - {id: m%d, pool_id: p1, address: 10.0.0.%d, protocol_port: 80, weight: %d}\n", i+1, 11+i, weight)
		fmt.Fprintf(&b, "  - {id: u%d, pool_id: p4, address: 10.0.0.%d, protocol_port: 5300, weight: %d}\n", i+1, 11+i, weight)
		fmt.Fprintf(&b, "  - {id: t%d, pool_id: p5, address: 10.0.0.%d, protocol_port: 80}\n", i+1, 11+i)
	}
	if g.extra {
		fmt.Fprintf(&b, "  - {id: m3, pool_id: p1, address: 10.0.0.13, protocol_port: 80%s}\n", iff(g.idle, ", admin_state_up: false"))
	}
	if g.backup {
		b.WriteString("  - {id: m4, pool_id: p1, address: 10.0.0.13, protocol_port: 80, backup: true}\n")
	}
	b.WriteString("  - {id: w1, pool_id: p3, address: 10.0.0.13, protocol_port: 8080}\n")
	b.WriteString("monitors:\n  - {id: h4, pool_id: p4, type: UDP-CONNECT, delay: 1, timeout: 1, max_retries: 1}\n")
	if g.monitor != "" {
		fmt.Fprintf(&b, "  - {id: h1, pool_id: p1, delay: 1, timeout: 1, max_retries: 1, type: %s}\n", g.monitor)
	}
	if g.policy || g.redirect {
		policies := iff(g.policy, "{id: y1, listener_id: l1, action: REJECT}, ") + iff(g.redirect, "{id: y2, listener_id: l1, action: REDIRECT_TO_POOL, redirect_pool_id: p3}")
		rules := iff(g.policy, "{id: r1, l7policy_id: y1, type: PATH, compare_type: STARTS_WITH, value: /forbidden}, ") +
			iff(g.redirect, "{id: r2, l7policy_id: y2, type: HOST_NAME, compare_type: EQUAL_TO, value: elsewhere.example.com}")
		fmt.Fprintf(&b, "policies: [%s]\nrules: [%s]\n", policies, rules)
	}
	if g.log {
		b.WriteString("logging: {flow: {local: true}, admin: {local: true}}\n")
	}
	return b.String()
}

func iff(condition bool, text string) string {
	if condition {
		return text
	}
	return ""
}

// right tells whether all members that are checked are ONLINE.
func (g *states) right(r agentapi.Report) bool {
	online := 0
	for _, m := range r.Members {
		if m.Status == lb.Online {
			online++
		}
	}
	return online >= 4
}

// startTunnel starts a member that speaks something else after an upgrade, as WebSocket does.
func (w *world) startTunnel(t *testing.T) {
	t.Helper()
	l := w.net.Listen(t, "10.0.0.13:8080")
	server := &http.Server{Handler: http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		c, buffer, err := out.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_, _ = io.Copy(c, buffer)
	})}
	go server.Serve(l) //nolint:errcheck // it ends with the test
	t.Cleanup(func() { server.Close() })
}

// tunnel is one connection that stays.
type tunnel struct {
	c      net.Conn
	r      *bufio.Reader
	number int
}

func (w *world) openTunnel(t *testing.T) *tunnel {
	t.Helper()
	c, err := w.net.Dial(t.Context(), "tcp", "10.0.0.100:8080")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	r := bufio.NewReader(c)
	response, err := http.ReadResponse(r, nil)
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("no tunnel: %v %v", response, err)
	}
	return &tunnel{c: c, r: r}
}

func (u *tunnel) exchange() error {
	u.number++
	if err := u.c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(u.c, "%d\n", u.number); err != nil {
		return fmt.Errorf("tunnel: %w", err)
	}
	line, err := u.r.ReadString('\n')
	if err == nil && line != fmt.Sprintf("%d\n", u.number) {
		err = fmt.Errorf("%q", line)
	}
	if err != nil {
		return fmt.Errorf("tunnel, exchange %d: %w", u.number, err)
	}
	time.Sleep(5 * time.Millisecond)
	return nil
}

func ok(response *http.Response, err error) error {
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s", response.Status)
	}
	return nil
}

// reloads asks HAProxy's master how often it was reloaded.
func reloads(t *testing.T, w *world) int {
	t.Helper()
	for line := range strings.Lines(w.instance.Master(t, "show proc")) {
		if f := strings.Fields(line); len(f) > 2 && f[1] == "master" {
			n, _ := strconv.Atoi(f[2])
			return n
		}
	}
	return 0
}

// run adds a client that does the same again and again.
func (l *load) run(request func() error) {
	l.wg.Go(func() {
		for {
			select {
			case <-l.done:
				return
			default:
			}
			l.requests.Add(1)
			if err := request(); err != nil {
				l.mu.Lock()
				l.failures = append(l.failures, err.Error())
				l.mu.Unlock()
				time.Sleep(100 * time.Millisecond)
			}
		}
	})
}
