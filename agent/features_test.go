package agent_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/agent/instancetest"
)

// TestL7 sends requests that policies act on.
func TestL7(t *testing.T) {
	w := newWorld(t)
	w.instance.StartAgent(t)
	w.put(t, header+`
listeners: [{id: l1, protocol: HTTP, protocol_port: 80, default_pool_id: p1}]
pools:
  - {id: p1, protocol: HTTP, lb_algorithm: ROUND_ROBIN}
  - {id: p2, protocol: HTTP, lb_algorithm: ROUND_ROBIN}
members:
  - {id: m1, pool_id: p1, address: 10.0.0.11, protocol_port: 80}
  - {id: m2, pool_id: p2, address: 10.0.0.12, protocol_port: 80}
policies:
  - {id: y1, listener_id: l1, action: REDIRECT_TO_POOL, redirect_pool_id: p2, position: 1}
  - {id: y2, listener_id: l1, action: REDIRECT_TO_URL, redirect_url: 'https://example.com/a%20b?q=%[src]#it''s', redirect_http_code: 307, position: 2}
  - {id: y3, listener_id: l1, action: REDIRECT_PREFIX, redirect_prefix: 'https://www.example.com', position: 3}
  - {id: y4, listener_id: l1, action: REJECT, position: 4}
  - {id: y5, listener_id: l1, action: REDIRECT_TO_POOL, redirect_pool_id: p2, position: 5}
rules:
  - {id: r1, l7policy_id: y1, type: PATH, compare_type: STARTS_WITH, value: /api}
  - {id: r2, l7policy_id: y1, type: HEADER, key: X-Stay, compare_type: EQUAL_TO, value: "yes it's \"so\"", invert: true}
  - {id: r3, l7policy_id: y2, type: PATH, compare_type: EQUAL_TO, value: /old}
  - {id: r4, l7policy_id: y3, type: HOST_NAME, compare_type: ENDS_WITH, value: .example.org}
  - {id: r5, l7policy_id: y4, type: FILE_TYPE, compare_type: REGEX, value: '\.(exe|bat)$'}
  - {id: r6, l7policy_id: y5, type: COOKIE, key: where, compare_type: CONTAINS, value: wo}
`)
	client := w.net.HTTPClient(true)
	for _, c := range []struct {
		name, path, host, header, value string
		status                          int
		want                            string // the body's beginning, or the location
	}{
		{name: "default pool", path: "/", status: 200, want: "web1"},
		{name: "to another pool", path: "/api/x", status: 200, want: "web2"},
		{name: "inverted rule", path: "/api/x", header: "X-Stay", value: `yes it's "so"`, status: 200, want: "web1"},
		{name: "to a URL", path: "/old", status: 307, want: "https://example.com/a%20b?q=%[src]#it's"},
		{name: "to a prefix", path: "/x?y=z", host: "a.EXAMPLE.org", status: 302, want: "https://www.example.com/x?y=z"},
		{name: "reject", path: "/api/virus.exe", status: 403, want: "<html>"},
		{name: "cookie", path: "/", header: "Cookie", value: "a=b; where=two", status: 200, want: "web2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			request, err := http.NewRequest(http.MethodGet, "http://10.0.0.100"+c.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Host = c.host
			if c.header != "" {
				request.Header.Set(c.header, c.value)
			}
			response, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, _ := io.ReadAll(response.Body)
			got := string(body)
			if location := response.Header.Get("Location"); location != "" {
				got = location
			}
			if response.StatusCode != c.status || !strings.HasPrefix(got, c.want) {
				t.Errorf("%d %s, want %d %s", response.StatusCode, got, c.status, c.want)
			}
		})
	}
}

// TestPersistence keeps clients with their member, also over a reload.
func TestPersistence(t *testing.T) {
	w := newWorld(t)
	w.instance.StartAgent(t)
	for name, c := range map[string]struct {
		persistence string
		jar         bool
	}{
		"by address":              {"{type: SOURCE_IP}", false},
		"by HAProxy's cookie":     {"{type: HTTP_COOKIE}", true},
		"by application's cookie": {"{type: APP_COOKIE, cookie_name: sess}", true},
	} {
		t.Run(name, func(t *testing.T) {
			state := strings.Replace(basic, "lb_algorithm: ROUND_ROBIN", "lb_algorithm: ROUND_ROBIN, session_persistence: "+c.persistence, 1)
			w.put(t, state)
			client := w.net.HTTPClient(false)
			if c.jar {
				client.Jar, _ = cookiejar.New(nil)
			}
			first := get(t, client, "http://10.0.0.100/login")
			check := func(when string) {
				for range 6 {
					if got := get(t, client, "http://10.0.0.100/"); got != first {
						t.Errorf("%s: %s answered the client of %s", when, got, first)
					}
				}
			}
			check("at first")
			pid := workerPID(t, w)
			w.put(t, strings.Replace(state, "default_pool_id: p1", "default_pool_id: p1, timeout_client_data: 1000", 1))
			if workerPID(t, w) == pid {
				t.Fatal("no reload")
			}
			check("after a reload")
		})
	}
}

// TestListenerOptions tries what a listener can be told.
func TestListenerOptions(t *testing.T) {
	w := newWorld(t)
	w.instance.StartAgent(t)
	with := func(options string) string {
		return strings.Replace(basic, "default_pool_id: p1", "default_pool_id: p1, "+options, 1)
	}
	t.Run("insert_headers", func(t *testing.T) {
		seen := make(chan http.Header, 2)
		for _, m := range w.web[:2] {
			m.Requests.Store(func(r *http.Request) { seen <- r.Header })
			defer m.Requests.Store(func(*http.Request) {})
		}
		w.put(t, with("insert_headers: {X-Forwarded-For: 'true', X-Forwarded-Port: 'true', X-Forwarded-Proto: 'true'}"))
		get(t, w.net.HTTPClient(false), "http://10.0.0.100/")
		h := <-seen
		if h.Get("X-Forwarded-For") != "10.0.0.1" || h.Get("X-Forwarded-Port") != "80" || h.Get("X-Forwarded-Proto") != "http" {
			t.Errorf("the member got %v", h)
		}
	})
	t.Run("allowed_cidrs", func(t *testing.T) {
		w.put(t, with("allowed_cidrs: [192.0.2.0/24, '2001:db8::/32']"))
		if response, err := w.net.HTTPClient(false).Get("http://10.0.0.100/"); err == nil {
			response.Body.Close()
			t.Error("a client that is not allowed was answered")
		}
		w.put(t, with("allowed_cidrs: [192.0.2.0/24, 10.0.0.0/24]"))
		get(t, w.net.HTTPClient(false), "http://10.0.0.100/")
	})
	t.Run("connection_limit", func(t *testing.T) {
		w.put(t, with("connection_limit: 1"))
		held, err := w.net.Dial(t.Context(), "tcp", "10.0.0.100:80")
		if err != nil {
			t.Fatal(err)
		}
		defer held.Close()
		client := w.net.HTTPClient(false)
		client.Timeout = 500 * time.Millisecond
		if response, err := client.Get("http://10.0.0.100/"); err == nil {
			response.Body.Close()
			t.Error("a second connection was served")
		}
	})
	t.Run("timeout_client_data", func(t *testing.T) {
		w.put(t, with("timeout_client_data: 300"))
		idle, err := w.net.Dial(t.Context(), "tcp", "10.0.0.100:80")
		if err != nil {
			t.Fatal(err)
		}
		defer idle.Close()
		start := time.Now()
		_, _ = io.ReadAll(idle)
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("an idle client was left for %v", took)
		}
	})
}

// TestProxyProtocol tells members by the PROXY protocol who the client is.
func TestProxyProtocol(t *testing.T) {
	w := newWorld(t)
	w.instance.StartAgent(t)
	for protocol, begin := range map[string]string{"PROXY": "PROXY TCP4 10.0.0.1 10.0.0.100 ", "PROXYV2": "\r\n\r\n\x00\r\nQUIT\n"} {
		l := w.net.Listen(t, "10.0.0.13:0")
		port := l.Addr().(*net.TCPAddr).Port
		w.put(t, header+fmt.Sprintf(`
listeners: [{id: l1, protocol: TCP, protocol_port: 99, default_pool_id: p1}]
pools: [{id: p1, protocol: %s, lb_algorithm: ROUND_ROBIN}]
members: [{id: m%d, pool_id: p1, address: 10.0.0.13, protocol_port: %d}]
`, protocol, port, port))
		client, err := w.net.Dial(t.Context(), "tcp", "10.0.0.100:99")
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		fmt.Fprintln(client, "hello")
		member, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer member.Close()
		got := make([]byte, len(begin))
		if _, err := io.ReadFull(bufio.NewReader(member), got); err != nil || string(got) != begin {
			t.Errorf("%s: the member got %q (%v), want %q", protocol, got, err, begin)
		}
	}
}

// TestIPv6AndAnotherSubnet: an additional VIP of the other family; a member on a subnet of its own, plugged while the load
// balancer serves, behind a smaller MTU; and it all goes again.
func TestIPv6AndAnotherSubnet(t *testing.T) {
	w := newWorld(t)
	for _, a := range []string{"2001:db8::1/64", "2001:db8::11/64", "10.0.9.1/24"} {
		w.net.AddAddress(t, a)
	}
	w.net.StartWeb(t, "web6", "[2001:db8::11]:80")
	w.net.StartWeb(t, "far", "10.0.9.1:80")
	w.instance.StartAgent(t)
	dual := `
interfaces:
  - {mac: '02:00:00:00:00:64', mtu: 1450, vip: true, addresses: [10.0.0.50/24, '2001:db8::50/64'], gateway: [10.0.0.1, '2001:db8::1']}
  - {mac: '02:00:00:00:00:65', mtu: 1400, addresses: [10.0.9.50/24], routes: [{destination: 10.77.0.0/16, nexthop: 10.0.9.1}]}
vips: [{address: 10.0.0.100/24}, {address: '2001:db8::100/64'}]
listeners: [{id: l1, protocol: HTTP, protocol_port: 80, default_pool_id: p1}]
pools: [{id: p1, protocol: HTTP, lb_algorithm: ROUND_ROBIN}]
members:
  - {id: m6, pool_id: p1, address: '2001:db8::11', protocol_port: 80}
  - {id: m9, pool_id: p1, address: 10.0.9.1, protocol_port: 80}
monitors: [{id: h1, pool_id: p1, type: PING, delay: 1, timeout: 1, max_retries: 1, max_retries_down: 3}]
`
	w.put(t, basic)
	generation := w.want(t, dual)
	time.Sleep(300 * time.Millisecond) // the interface is plugged after the state has named it
	w.net.Plug(t, w.instance, "02:00:00:00:00:65")
	w.controller.AwaitApplied(t, generation)
	for _, vip := range []string{"10.0.0.100", "[2001:db8::100]"} {
		seen := map[string]int{}
		client := w.net.HTTPClient(true)
		for range 4 {
			seen[get(t, client, "http://"+vip+"/")]++
		}
		if seen["web6"] != 2 || seen["far"] != 2 {
			t.Errorf("%s was answered by %v", vip, seen)
		}
	}
	inside := func(command string) string {
		return w.instance.Output(t, "ip", append([]string{"netns", "exec", "amphora-haproxy", "ip"}, strings.Fields(command)...)...)
	}
	if out := inside("link show lb020000000065"); !strings.Contains(out, "mtu 1400") {
		t.Errorf("the interface is %s", out)
	}
	if out := inside("route"); !strings.Contains(out, "10.77.0.0/16 via 10.0.9.1") {
		t.Errorf("the host route is missing: %s", out)
	}
	if out := inside("rule"); !strings.Contains(out, "from 10.0.0.100 lookup 1") {
		t.Errorf("the VIP has no table: %s", out)
	}
	w.put(t, basic)
	get(t, w.net.HTTPClient(false), "http://10.0.0.100/")
	if out := inside("addr"); strings.Contains(out, "2001:db8::100") || strings.Contains(out, "2001:db8::50") {
		t.Errorf("addresses stay that are not wanted: %s", out)
	}
	if out := inside("link show lb020000000065"); !strings.Contains(out, "UP") {
		t.Errorf("the interface that the controller has not unplugged yet is down, under requests that are to end: %s", out)
	}
	if out := inside("rule"); strings.Contains(out, "lookup 1") {
		t.Errorf("rules stay that are not wanted: %s", out)
	}
}

// TestPrometheus asks for metrics as Prometheus does.
func TestPrometheus(t *testing.T) {
	w := newWorld(t)
	w.instance.StartAgent(t)
	state := strings.Replace(basic, "listeners: [", "listeners: [{id: l9, protocol: PROMETHEUS, protocol_port: 8088},", 1)
	w.put(t, state)
	w.put(t, strings.Replace(state, "10.0.0.11,", "10.0.0.11, weight: 5,", 1))
	client := w.net.HTTPClient(false)
	for range 3 {
		get(t, client, "http://10.0.0.100/")
	}
	text := get(t, client, "http://10.0.0.100:8088/metrics")
	for _, want := range []string{
		`octavia_listener_http_requests_total{listener="l1"} 3`, `octavia_pool_active_members{pool="p1:l1"} 2`,
		`octavia_member_status{pool="p1:l1",member="m1",state="UP"} 1`, "octavia_loadbalancer_cpu ", "octavia_loadbalancer_memory ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if strings.Contains(text, "haproxy") {
		t.Errorf("HAProxy's own names are shown:\n%s", text)
	}
	response, err := client.Get("http://10.0.0.100:8088/")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusNotFound {
		t.Errorf("/ is answered %s", response.Status)
	}
}

// TestLogs: requests and what happens to members, to a syslog target on the management side and to files.
func TestLogs(t *testing.T) {
	w := newWorld(t)
	w.instance.StartAgent(t)
	target := w.instance.ListenUDP(t)
	lines := make(chan string, 100)
	go func() {
		buffer := make([]byte, 64<<10)
		for {
			n, _, err := target.ReadFrom(buffer)
			if err != nil {
				return
			}
			lines <- string(buffer[:n])
		}
	}()
	await := func(parts ...string) {
		t.Helper()
		for timeout := time.After(10 * time.Second); ; {
			select {
			case line := <-lines:
				if containsAll(line, parts) {
					return
				}
			case <-timeout:
				t.Fatalf("no line with %q", parts)
			}
		}
	}
	w.put(t, basic+fmt.Sprintf("logging: {flow: {targets: ['%[1]s']}, admin: {targets: ['%[1]s'], facility: 1}}\nproject_id: project1\n", target.LocalAddr()))
	w.controller.Await(t, 5*time.Second, "both members ONLINE", membersAre("ONLINE", "ONLINE"))
	get(t, w.net.HTTPClient(false), "http://10.0.0.100/some?thing")
	await("<134>1 ", " amphora-"+instancetest.AmphoraID+" haproxy ", "project1 lb1 l1 10.0.0.1 ", `"GET /some?thing HTTP/1.1" 200 `)
	w.web[0].Ill.Store(true)
	await("<141>1 ", "p1:l1/m1 is DOWN")
	w.put(t, basic+fmt.Sprintf("logging: {flow: {targets: ['%[1]s'], facility: 7}, admin: {targets: ['%[1]s'], facility: 1}}\n", target.LocalAddr()))
	await("<142>1 ", " octavo-agent - - - ", `msg="in force"`, "lb=lb1", "generation=")

	w.put(t, basic+"logging: {flow: {local: true}}\n")
	get(t, w.net.HTTPClient(false), "http://10.0.0.100/to-a-file")
	eventually(t, 5*time.Second, "the request is in the file", func() bool {
		out, _ := w.instance.Command("cat", "/var/lib/octavo/log/flow.log").Output()
		return strings.Contains(string(out), `"GET /to-a-file HTTP/1.1" 200 `)
	})
	w.put(t, basic)
	get(t, w.net.HTTPClient(false), "http://10.0.0.100/secret")
	if out, err := w.instance.Command("grep", "-c", "secret", "/var/lib/octavo/log/flow.log").Output(); err == nil {
		t.Errorf("a request was logged though nothing is to be: %s", out)
	}
}

func containsAll(s string, parts []string) bool {
	for _, p := range parts {
		if !strings.Contains(s, p) {
			return false
		}
	}
	return true
}
