package agent_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/agent/instancetest"
	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/agentapi/agentapitest"
	"github.com/octavo-lb/octavo/lb"
)

// world is an amphora with two members beside it.
type world struct {
	net        *instancetest.Network
	instance   *instancetest.Instance
	controller *instancetest.Controller
	web        [3]*instancetest.Web
}

const header = `
interfaces: [{mac: '02:00:00:00:00:64', mtu: 1450, vip: true, addresses: [10.0.0.50/24], gateway: [10.0.0.1]}]
vips: [{address: 10.0.0.100/24}]
`

// basic is a load balancer with two members that are checked every second.
const basic = header + `
listeners: [{id: l1, protocol: HTTP, protocol_port: 80, default_pool_id: p1}]
pools: [{id: p1, protocol: HTTP, lb_algorithm: ROUND_ROBIN}]
members:
  - {id: m1, pool_id: p1, address: 10.0.0.11, protocol_port: 80}
  - {id: m2, pool_id: p1, address: 10.0.0.12, protocol_port: 80}
monitors: [{id: h1, pool_id: p1, type: HTTP, delay: 1, timeout: 1, max_retries: 1, max_retries_down: 2, url_path: /healthcheck}]
`

func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	w := &world{net: instancetest.NewNetwork(t, "10.0.0.1/24", "10.0.0.11/24", "10.0.0.12/24", "10.0.0.13/24")}
	w.instance = instancetest.New(t, w.net)
	w.controller = instancetest.NewController(t, w.instance)
	w.instance.Boot(t, w.controller.Boot())
	for i := range w.web {
		w.web[i] = w.net.StartWeb(t, fmt.Sprintf("web%d", i+1), fmt.Sprintf("10.0.0.%d:80", 11+i))
	}
	return w
}

func (w *world) want(t testing.TB, text string) int64 {
	t.Helper()
	state, err := agentapitest.State(text)
	if err != nil {
		t.Fatal(err)
	}
	return w.controller.Want(state)
}

// put wants a state and waits until it is in force.
func (w *world) put(t testing.TB, text string) agentapi.Report {
	t.Helper()
	return w.controller.AwaitApplied(t, w.want(t, text))
}

func TestServesWhatIsWanted(t *testing.T) {
	w := newWorld(t)
	w.instance.StartAgent(t)
	w.put(t, basic)
	w.controller.Await(t, 5*time.Second, "both members ONLINE", membersAre(lb.Online, lb.Online))
	client := w.net.HTTPClient(true)
	seen := map[string]int{}
	for range 10 {
		seen[get(t, client, "http://10.0.0.100/")]++
	}
	if seen["web1"] != 5 || seen["web2"] != 5 {
		t.Errorf("round robin gave %v", seen)
	}
}

// TestMemberHealth: a member whose check fails is reported within its monitor's time and gets no requests; it comes back.
func TestMemberHealth(t *testing.T) {
	w := newWorld(t)
	w.instance.StartAgent(t)
	w.put(t, basic)
	w.controller.Await(t, 5*time.Second, "both members ONLINE", membersAre(lb.Online, lb.Online))
	w.web[0].Ill.Store(true)
	start := time.Now()
	w.controller.Await(t, 10*time.Second, "m1 in ERROR", membersAre(lb.OperError, lb.Online))
	// Two failures, one second apart; the first check is up to a second away, and takes time itself.
	if took := time.Since(start); took > 3500*time.Millisecond {
		t.Errorf("ERROR was reported after %v", took)
	}
	client := w.net.HTTPClient(true)
	for range 4 {
		if got := get(t, client, "http://10.0.0.100/"); got != "web2" {
			t.Errorf("%s answered, though it is in ERROR", got)
		}
	}
	w.web[0].Ill.Store(false)
	w.controller.Await(t, 10*time.Second, "m1 ONLINE again", membersAre(lb.Online, lb.Online))
}

// TestChangesUnderLoad: members come and go, weights change, listeners are added, and no request fails.
func TestChangesUnderLoad(t *testing.T) {
	w := newWorld(t)
	w.instance.StartAgent(t)
	w.put(t, basic)
	load := w.startLoad(t, 4)
	third := strings.Replace(basic, "monitors:", "  - {id: m3, pool_id: p1, address: 10.0.0.13, protocol_port: 80}\nmonitors:", 1)
	second := strings.Replace(basic, "listeners: [", "listeners: [{id: l2, protocol: HTTP, protocol_port: 81, default_pool_id: p1},", 1)
	pid := workerPID(t, w)
	for range 3 {
		w.put(t, third)
		w.put(t, strings.Replace(basic, "10.0.0.11,", "10.0.0.11, weight: 10,", 1))
		w.put(t, basic)
	}
	if now := workerPID(t, w); now != pid {
		t.Errorf("HAProxy was reloaded for what can be changed at run time (%s, then %s)", pid, now)
	}
	for range 3 {
		w.put(t, second)
		w.put(t, basic)
	}
	if now := workerPID(t, w); now == pid {
		t.Error("HAProxy was not reloaded for another listener")
	}
	load.stop(t)
	if w.web[2].Served.Load() == 0 {
		t.Error("the third member was never used")
	}
}

// TestAgentKilled: traffic does not depend on the agent, and the next one takes over what it finds.
func TestAgentKilled(t *testing.T) {
	w := newWorld(t)
	w.instance.StartAgent(t)
	w.put(t, basic)
	w.controller.Await(t, 5*time.Second, "both members ONLINE", membersAre(lb.Online, lb.Online))
	load := w.startLoad(t, 2)
	pid := workerPID(t, w)
	for _, s := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		w.instance.SignalAgent(t, s)
		time.Sleep(200 * time.Millisecond)
		before := len(w.controller.Reports())
		w.instance.StartAgent(t)
		w.controller.Await(t, 5*time.Second, "the same as before", func(r agentapi.Report) bool {
			return len(w.controller.Reports()) > before && membersAre(lb.Online, lb.Online)(r)
		})
		if now := workerPID(t, w); now != pid {
			t.Errorf("HAProxy was reloaded or restarted by the new agent after %v", s)
		}
	}
	if n := w.controller.Issued(); n != 1 {
		t.Errorf("%d certificates were asked for, want 1: the identity outlives the process", n)
	}
	w.put(t, strings.Replace(basic, "10.0.0.11,", "10.0.0.11, weight: 2,", 1))
	load.stop(t)
}

// TestBadState: what HAProxy refuses leaves everything as it is and is reported; the next good state is put into force.
func TestBadState(t *testing.T) {
	w := newWorld(t)
	w.instance.StartAgent(t)
	good := w.put(t, basic).Applied
	bad := w.want(t, basic+`
policies: [{id: y1, listener_id: l1, action: REJECT}]
rules: [{id: r1, l7policy_id: y1, type: PATH, compare_type: REGEX, value: '('}]`)
	r := w.controller.Await(t, 5*time.Second, "a failure", func(r agentapi.Report) bool { return r.FailedGen == bad })
	if r.Applied != good || !strings.Contains(r.Failure, "missing closing parenthesis") {
		t.Errorf("applied %d with failure %q", r.Applied, r.Failure)
	}
	if got := get(t, w.net.HTTPClient(false), "http://10.0.0.100/"); got == "" {
		t.Error("nothing is served any more")
	}
	if r := w.put(t, basic); r.Failure != "" {
		t.Errorf("the failure is still reported: %s", r.Failure)
	}
}

// TestHAProxyKilled: it is started again within a second.
func TestHAProxyKilled(t *testing.T) {
	w := newWorld(t)
	w.instance.StartAgent(t)
	w.put(t, basic)
	client := w.net.HTTPClient(false)
	for _, victim := range []string{"pgrep -o haproxy", "pgrep -n haproxy"} { // the master, a worker
		get(t, client, "http://10.0.0.100/")
		// Whichever of the two dies, the other goes with it, and may answer a last request first.
		before := w.instance.Output(t, "sh", "-c", "pgrep haproxy | paste -sd,")
		w.instance.Output(t, "sh", "-c", "kill -9 $("+victim+")")
		start := time.Now()
		for {
			gone := w.instance.Command("sh", "-c", "! ps -o stat= -p "+strings.TrimSpace(before)+" | grep -qv Z").Run() == nil
			if response, err := client.Get("http://10.0.0.100/"); err == nil {
				response.Body.Close()
				if gone {
					break
				}
			}
			time.Sleep(5 * time.Millisecond)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("nothing was served for %v after %s", took, victim)
		} else {
			t.Logf("served again %v after %s", took.Round(time.Millisecond), victim)
		}
	}
}

// TestStartsWithoutController: after a reboot the last good state is served, also when nobody answers.
func TestStartsWithoutController(t *testing.T) {
	w := newWorld(t)
	w.instance.StartAgent(t)
	w.put(t, basic)
	w.controller.Stop()
	w.instance.SignalAgent(t, syscall.SIGKILL)
	w.instance.Output(t, "sh", "-c", "pkill -9 haproxy; rm -rf /run/octavo; umount /run/netns/amphora-haproxy && rm /run/netns/amphora-haproxy")
	w.net.Plug(t, w.instance, instancetest.MAC) // the namespace took its interface along
	w.instance.StartAgent(t)
	client := w.net.HTTPClient(false)
	eventually(t, 5*time.Second, "the last good state is served", func() bool {
		response, err := client.Get("http://10.0.0.100/")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	w.controller.Start(t, w.instance)
	w.put(t, basic)
}

// TestDisabled: a disabled load balancer, and one without listeners, serve nothing and run nothing.
func TestDisabled(t *testing.T) {
	w := newWorld(t)
	w.instance.StartAgent(t)
	for name, off := range map[string]string{"disabled": "disabled: true\n" + basic, "without listeners": header} {
		w.put(t, basic)
		get(t, w.net.HTTPClient(false), "http://10.0.0.100/")
		w.put(t, off)
		if response, err := w.net.HTTPClient(false).Get("http://10.0.0.100/"); err == nil {
			response.Body.Close()
			t.Errorf("%s: still served", name)
		}
		// The instance's init takes a moment to bury it.
		eventually(t, 5*time.Second, name+": HAProxy has ended", func() bool {
			out, _ := w.instance.Command("pgrep", "haproxy").Output()
			return len(out) == 0
		})
	}
}

// TestCountersGrow: totals go on over reloads and over agents.
func TestCountersGrow(t *testing.T) {
	w := newWorld(t)
	w.controller.Interval = 100 * time.Millisecond
	w.instance.StartAgent(t)
	w.put(t, basic)
	total := int64(0)
	count := func(n int64) {
		t.Helper()
		total += n
		for range n {
			get(t, w.net.HTTPClient(false), "http://10.0.0.100/")
		}
		w.controller.Await(t, 5*time.Second, fmt.Sprint(total, " connections"), func(r agentapi.Report) bool {
			return len(r.Listeners) > 0 && r.Listeners[0].TotalConnections == total && r.Listeners[0].BytesOut > 0
		})
	}
	count(5)
	w.put(t, strings.Replace(basic, "default_pool_id: p1", "default_pool_id: p1, timeout_client_data: 1000", 1))
	count(3)
	w.instance.SignalAgent(t, syscall.SIGKILL)
	w.instance.StartAgent(t)
	count(2)
}

// TestPrivileges: HAProxy has none, and the agent no more than it uses.
func TestPrivileges(t *testing.T) {
	w := newWorld(t)
	w.instance.StartAgent(t)
	w.put(t, basic)
	status := func(pid string) string { return w.instance.Output(t, "cat", "/proc/"+pid+"/status") }
	haproxy := status(strings.TrimSpace(w.instance.Output(t, "pgrep", "-n", "haproxy")))
	for _, want := range []string{"CapEff:\t0000000000000000", "CapPrm:\t0000000000000000", "NoNewPrivs:\t1"} {
		if !strings.Contains(haproxy, want) {
			t.Errorf("HAProxy's status lacks %q:\n%s", want, haproxy)
		}
	}
	if strings.Contains(haproxy, "Uid:\t0") {
		t.Errorf("HAProxy runs as root:\n%s", haproxy)
	}
	agent := status(strings.TrimSpace(w.instance.Output(t, "pgrep", "octavo-agent")))
	for _, line := range []string{"CapEff", "CapPrm", "CapBnd"} {
		if !strings.Contains(agent, line+":\t0000000000a030eb") {
			t.Errorf("the agent has other capabilities than it should:\n%s", agent)
		}
	}
}

// TestCertificateIsRenewed, and the connection goes on with the new one.
func TestCertificateIsRenewed(t *testing.T) {
	w := newWorld(t)
	w.controller.Lifetime = 3 * time.Second
	w.controller.Interval = 100 * time.Millisecond
	w.instance.StartAgent(t)
	w.put(t, basic)
	eventually(t, 10*time.Second, "the certificate was renewed", func() bool { return w.controller.Issued() >= 3 })
	w.put(t, basic)
}

func membersAre(statuses ...lb.OperatingStatus) func(agentapi.Report) bool {
	return func(r agentapi.Report) bool {
		if len(r.Members) != len(statuses) {
			return false
		}
		for i, m := range r.Members {
			if m.Status != statuses[i] {
				return false
			}
		}
		return true
	}
}

func get(t *testing.T, c *http.Client, url string) string {
	t.Helper()
	response, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s: %s", url, response.Status, text)
	}
	return strings.TrimSpace(string(text))
}

func eventually(t *testing.T, timeout time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(timeout); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in %v: %s", timeout, what)
		}
	}
}

func workerPID(t testing.TB, w *world) string {
	t.Helper()
	for line := range strings.Lines(w.instance.HAProxy(t, "show info")) {
		if pid, ok := strings.CutPrefix(line, "Pid: "); ok {
			return strings.TrimSpace(pid)
		}
	}
	t.Fatal("HAProxy tells no pid")
	return ""
}

// load is clients that send requests all the time, over connections that stay and over new ones.
type load struct {
	done     chan struct{}
	wg       sync.WaitGroup
	requests atomic.Int64
	mu       sync.Mutex
	failures []string
}

func (w *world) startLoad(t *testing.T, clients int) *load {
	t.Helper()
	l := &load{done: make(chan struct{})}
	for i := range clients {
		client := w.net.HTTPClient(i%2 == 0)
		l.wg.Go(func() {
			for {
				select {
				case <-l.done:
					return
				default:
					l.request(client)
				}
			}
		})
	}
	t.Cleanup(func() { l.end() })
	return l
}

func (l *load) request(c *http.Client) {
	l.requests.Add(1)
	response, err := c.Get("http://10.0.0.100/")
	if err == nil {
		_, err = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s", response.Status)
		}
	}
	if err != nil {
		l.mu.Lock()
		l.failures = append(l.failures, err.Error())
		l.mu.Unlock()
	}
}

var ended sync.Map

func (l *load) end() {
	if _, again := ended.LoadOrStore(l, true); !again {
		close(l.done)
	}
	l.wg.Wait()
}

// stop ends the load and fails the test if a request has.
func (l *load) stop(t *testing.T) {
	t.Helper()
	l.end()
	t.Logf("%d requests, %d failed", l.requests.Load(), len(l.failures))
	if len(l.failures) > 0 {
		t.Errorf("%d of %d requests failed, the first: %s", len(l.failures), l.requests.Load(), l.failures[0])
	}
}

// TestPing: members are checked by the agent, which tells HAProxy; a new process of HAProxy inherits the verdict.
func TestPing(t *testing.T) {
	w := newWorld(t)
	w.instance.StartAgent(t)
	state := strings.Replace(basic, "type: HTTP", "type: PING", 1)
	w.put(t, state)
	w.controller.Await(t, 5*time.Second, "both members ONLINE", membersAre(lb.Online, lb.Online))
	w.net.RemoveAddress(t, "10.0.0.11/24")
	w.controller.Await(t, 10*time.Second, "m1 in ERROR", membersAre(lb.OperError, lb.Online))
	client := w.net.HTTPClient(false)
	for _, when := range []string{"at once", "after a reload"} {
		for range 4 {
			if got := get(t, client, "http://10.0.0.100/"); got != "web2" {
				t.Errorf("%s: %s answered, though it is in ERROR", when, got)
			}
		}
		w.put(t, strings.Replace(state, "default_pool_id: p1", "default_pool_id: p1, timeout_client_data: 1000", 1))
	}
	w.net.AddAddress(t, "10.0.0.11/24")
	w.controller.Await(t, 10*time.Second, "m1 ONLINE again", membersAre(lb.Online, lb.Online))
}

// TestWithoutHAProxy: the agent says so and does not start.
func TestWithoutHAProxy(t *testing.T) {
	w := newWorld(t)
	out, err := w.instance.Command(w.instance.Binary, "--config-drive", w.instance.Drive, "--haproxy", "/nowhere/haproxy").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "cannot run /nowhere/haproxy, is HAProxy installed?") {
		t.Errorf("%v: %s", err, out)
	}
}
