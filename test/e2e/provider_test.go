package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// library is octavia-lib as Debian has it, in a process of its own.
type library struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Reader
}

type libraryAnswer struct {
	Result map[string]any
	Fault  map[string]string
}

func startLibrary(t *testing.T, sockets ...string) *library {
	t.Helper()
	cmd := exec.Command("/usr/bin/python3", append([]string{"testdata/provider.py"}, sockets...)...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("this test needs Debian's python3-octavia-lib: %v", err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("octavia-lib: %v", err)
		}
	})
	return &library{t, in, bufio.NewReader(out)}
}

func (l *library) call(method string, arguments ...any) libraryAnswer {
	l.t.Helper()
	line, err := json.Marshal(append([]any{method}, arguments...))
	if err != nil {
		l.t.Fatal(err)
	}
	if _, err := l.in.Write(append(line, '\n')); err != nil {
		l.t.Fatal(err)
	}
	text, err := l.out.ReadString('\n')
	var a libraryAnswer
	if err == nil {
		err = json.Unmarshal([]byte(text), &a)
	}
	if err != nil {
		l.t.Fatalf("%s: %q: %v", line, text, err)
	}
	return a
}

// tell says statuses, and fails if they are not taken in.
func (l *library) tell(status map[string]any) {
	l.t.Helper()
	if a := l.call("update_loadbalancer_status", status); a.Fault != nil {
		l.t.Fatalf("%v: %v", status, a.Fault)
	}
}

// caller calls an API that asks nobody who they are.
type caller struct {
	t    *testing.T
	root string
}

func (c caller) call(method, path, body string, want int) map[string]any {
	c.t.Helper()
	q, err := http.NewRequestWithContext(c.t.Context(), method, c.root+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	q.Header = http.Header{"Content-Type": {"application/json"}, "X-Project-Id": {strings.Repeat("1", 32)}}
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	b.ReadFrom(resp.Body)
	if resp.StatusCode != want {
		c.t.Fatalf("%s %s: %d %s", method, path, resp.StatusCode, b.String())
	}
	var answer map[string]any
	_ = json.Unmarshal(b.Bytes(), &answer)
	for _, inner := range answer {
		if o, ok := inner.(map[string]any); ok && len(answer) == 1 {
			return o
		}
	}
	return answer
}

// status is both statuses of what a path shows.
func (c caller) status(path string) string {
	c.t.Helper()
	o := c.call("GET", path, "", 200)
	return fmt.Sprint(o["provisioning_status"], " ", o["operating_status"])
}

func (c caller) is(path, want string) {
	c.t.Helper()
	if got := c.status(path); got != want {
		c.t.Errorf("%s is %s, want %s", path, got, want)
	}
}

func first(list any) map[string]any { return list.([]any)[0].(map[string]any) }

// startOutside runs a controller, with more options of [octavo], and a provider outside of it; socket is the one for statuses.
func startOutside(t *testing.T, options string) (controller *controller, u caller, lib *library, socket string) {
	t.Helper()
	front := freePort(t)
	dir, err := os.MkdirTemp("", "octavo-") // the paths of sockets are short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	_, port, _ := net.SplitHostPort(front)
	at := func(name string) string { return filepath.Join(dir, name) }
	controller = serve(t, fmt.Sprintf(noopConf, port, "noauth", dir, dir)+fmt.Sprintf("outside_providers = noop_driver\n%s\n"+
		"[driver_agent]\nstatus_socket_path = %s\nstats_socket_path = %s\nget_socket_path = %s\n", options, at("a"), at("b"), at("c")))
	return controller, caller{t, "http://" + front + "/v2.0/lbaas/"}, startLibrary(t, at("a"), at("b"), at("c")), at("a")
}

// TestAProviderOutsideOfTheProcess is one that works with octavia-lib: nothing is in force before it says so, nothing is
// gone before it says so.
func TestAProviderOutsideOfTheProcess(t *testing.T) {
	t.Parallel()
	controller, u, lib, socket := startOutside(t, "")

	made := u.call("POST", "loadbalancers", `{"loadbalancer": {"name": "lb1", "vip_network_id": "6b8f5b6e-0000-4000-8000-000000000001",
		"vip_subnet_id": "6b8f5b6e-0000-4000-8000-000000000002", "listeners": [{"protocol": "TERMINATED_HTTPS", "protocol_port": 443,
		"default_tls_container_ref": "http://keys/1", "l7policies": [{"action": "REJECT", "rules": [{"type": "PATH", "compare_type": "EQUAL_TO", "value": "/x"}]}],
		"default_pool": {"name": "p", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "members": [{"address": "192.0.2.4", "protocol_port": 80}],
		"healthmonitor": {"type": "HTTP", "delay": 5, "timeout": 3, "max_retries": 2}}}]}}`, 201)
	id := made["id"].(string)
	path := "loadbalancers/" + id

	seen := lib.call("get_loadbalancer", id).Result
	if seen == nil || seen["name"] != "lb1" || seen["vip_address"] != made["vip_address"] || seen["project_id"] != strings.Repeat("1", 32) {
		t.Fatalf("the provider sees %v of %v", seen, made)
	}
	listener := first(seen["listeners"])
	pool := listener["default_pool"].(map[string]any)
	ids := map[string]string{"listener": listener["listener_id"].(string), "pool": pool["pool_id"].(string),
		"member": first(pool["members"])["member_id"].(string), "healthmonitor": pool["healthmonitor"].(map[string]any)["healthmonitor_id"].(string),
		"l7policy": first(listener["l7policies"])["l7policy_id"].(string), "l7rule": first(first(listener["l7policies"])["rules"])["l7rule_id"].(string)}
	if tls := listener["default_tls_container_data"].(map[string]any); !strings.Contains(fmt.Sprint(tls["private_key"]), "PRIVATE KEY") ||
		!strings.Contains(fmt.Sprint(tls["certificate"]), "BEGIN CERTIFICATE") {
		t.Errorf("the listener's certificate is %v", tls)
	}
	for kind, id := range ids {
		if got := lib.call("get_"+kind, id).Result; got == nil || got[kind+"_id"] != id {
			t.Errorf("get_%s: %v", kind, got)
		}
		if got := lib.call("get_"+kind, "6b8f5b6e-0000-4000-8000-00000000ffff"); got.Result != nil || got.Fault != nil {
			t.Errorf("get_%s of nothing: %v", kind, got)
		}
	}
	u.is(path, "PENDING_CREATE OFFLINE")

	record := func(id, provisioning, operating string) []any {
		return []any{map[string]any{"id": id, "provisioning_status": provisioning, "operating_status": operating}}
	}
	all := map[string]any{"loadbalancers": record(id, "ACTIVE", "ONLINE")}
	for kind, id := range ids {
		plural := strings.Replace(kind+"s", "ys", "ies", 1)
		all[plural] = record(id, "ACTIVE", "ONLINE")
	}
	lib.tell(all)
	u.is(path, "ACTIVE ONLINE")
	u.is("pools/"+ids["pool"]+"/members/"+ids["member"], "ACTIVE ONLINE")
	u.is("l7policies/"+ids["l7policy"]+"/rules/"+ids["l7rule"], "ACTIVE ONLINE")

	if a := lib.call("update_listener_statistics", map[string]any{"listeners": []any{map[string]any{"id": ids["listener"],
		"active_connections": 1, "total_connections": 2, "request_errors": 3, "bytes_in": 4, "bytes_out": 5}}}); a.Fault != nil {
		t.Errorf("statistics: %v", a.Fault)
	}
	if stats := u.call("GET", path+"/stats", "", 200); stats["bytes_out"] != 5.0 || stats["active_connections"] != 1.0 {
		t.Errorf("the load balancer has the statistics %v", stats)
	}
	if a := lib.call("update_loadbalancer_status", map[string]any{"pools": record(ids["pool"], "READY", "ONLINE")}); a.Fault["status_object"] != "pools" ||
		a.Fault["status_object_id"] != ids["pool"] || !strings.Contains(a.Fault["fault_string"], "READY") {
		t.Errorf("a wrong status: %v", a)
	}

	// A pool that the provider cannot make what it should be; the load balancer serves on.
	u.call("PUT", "pools/"+ids["pool"], `{"pool": {"name": "q"}}`, 200)
	u.is(path, "PENDING_UPDATE ONLINE")
	lib.tell(map[string]any{"pools": record(ids["pool"], "ERROR", "DEGRADED"), "loadbalancers": record(id, "ACTIVE", "DEGRADED")})
	u.is("pools/"+ids["pool"], "ERROR DEGRADED")
	u.is(path, "ACTIVE DEGRADED")
	if got := u.call("GET", "pools?provisioning_status=ERROR", "", 200)["pools"].([]any); len(got) != 1 {
		t.Errorf("pools in ERROR: %v", got)
	}

	u.call("DELETE", "pools/"+ids["pool"]+"/members/"+ids["member"], "", 204)
	u.is("pools/"+ids["pool"]+"/members/"+ids["member"], "PENDING_DELETE ONLINE")
	lib.tell(map[string]any{"members": record(ids["member"], "DELETED", "OFFLINE"), "loadbalancers": record(id, "ACTIVE", "ONLINE")})
	u.call("GET", "pools/"+ids["pool"]+"/members/"+ids["member"], "", 404)

	u.call("DELETE", path+"?cascade=true", "", 204)
	time.Sleep(300 * time.Millisecond) // for a worker that would take it away too early
	u.is(path, "PENDING_DELETE ONLINE")
	lib.tell(map[string]any{"loadbalancers": record(id, "DELETED", "OFFLINE")})
	eventually(t, 10*time.Second, "it is gone", func() error {
		if list := u.call("GET", "loadbalancers", "", 200)["loadbalancers"].([]any); len(list) > 0 {
			return fmt.Errorf("%v", list)
		}
		return nil
	})
	controller.end(t)
	if _, err := os.Stat(socket); err == nil {
		t.Error("the socket is still there")
	}
}

// TestAProviderThatStaysAwayLeavesNothingPending has one that is silent, says something, and is silent again.
func TestAProviderThatStaysAwayLeavesNothingPending(t *testing.T) {
	t.Parallel()
	c, u, lib, _ := startOutside(t, "provider_timeout = 3")
	record := func(id, provisioning string) []any {
		return []any{map[string]any{"id": id, "provisioning_status": provisioning}}
	}
	becomes := func(path, want string) {
		t.Helper()
		eventually(t, 20*time.Second, path+" is "+want, func() error {
			if got := u.call("GET", path, "", 200)["provisioning_status"]; got != want {
				return fmt.Errorf("it is %v", got)
			}
			return nil
		})
	}

	made := u.call("POST", "loadbalancers", `{"loadbalancer": {"vip_network_id": "6b8f5b6e-0000-4000-8000-000000000001",
		"vip_subnet_id": "6b8f5b6e-0000-4000-8000-000000000002", "pools": [{"name": "p", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN"}]}}`, 201)
	id := made["id"].(string)
	path, pool := "loadbalancers/"+id, first(made["pools"])["id"].(string)
	u.is(path, "PENDING_CREATE OFFLINE")
	becomes(path, "ERROR")
	becomes("pools/"+pool, "ERROR")
	if said := c.log.tail(1 << 20); !strings.Contains(said, "provider noop_driver has not said for 3s what became of this") {
		t.Errorf("the reason is not told:\n%s", said)
	}
	lib.tell(map[string]any{"loadbalancers": record(id, "ACTIVE")})
	becomes(path, "ACTIVE")
	becomes("pools/"+pool, "ACTIVE")

	// One that is at it and says so has time; then it goes away.
	u.call("PUT", "pools/"+pool, `{"pool": {"name": "q"}}`, 200)
	for range 4 {
		lib.tell(map[string]any{"pools": record(pool, "PENDING_UPDATE")})
		time.Sleep(time.Second)
		u.is("pools/"+pool, "PENDING_UPDATE OFFLINE")
	}
	becomes("pools/"+pool, "ERROR")
	becomes(path, "ERROR")
	lib.tell(map[string]any{"loadbalancers": record(id, "ACTIVE"), "pools": record(pool, "ACTIVE")})
	becomes(path, "ACTIVE")
	becomes("pools/"+pool, "ACTIVE")

	u.call("DELETE", path+"?cascade=true", "", 204)
	becomes(path, "ERROR")
	lib.tell(map[string]any{"loadbalancers": record(id, "DELETED")})
	eventually(t, 10*time.Second, "it is gone", func() error {
		if list := u.call("GET", "loadbalancers", "", 200)["loadbalancers"].([]any); len(list) > 0 {
			return fmt.Errorf("%v", list)
		}
		return nil
	})
	c.end(t)
}
