package provider_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/provider"
	"github.com/octavo-lb/octavo/store"
	"github.com/octavo-lb/octavo/store/storetest"
)

type object = map[string]any

// desk is a server with its store.
type desk struct {
	t     *testing.T
	store *store.Store
	dir   string
}

const outside = "f5"

// socketDir is short: the path of a Unix socket has at most 107 bytes.
func socketDir(t *testing.T) string {
	dir, err := os.MkdirTemp("", "octavo-provider-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (d *desk) config() provider.Config {
	at := func(name string) provider.Socket {
		return provider.Socket{Path: filepath.Join(d.dir, name), Timeout: time.Second}
	}
	return provider.Config{Store: d.store, Serves: func(p string) bool { return p == outside }, Logger: slog.New(slog.DiscardHandler),
		Status: at("status.sock"), Stats: at("stats.sock"), Get: at("get.sock")}
}

func open(t *testing.T) *desk {
	d := &desk{t, storetest.Open(t, store.Options{}), socketDir(t)}
	s, err := provider.Listen(d.config())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if left, _ := os.ReadDir(d.dir); len(left) > 0 {
			t.Errorf("%v is left", left)
		}
	})
	return d
}

func (d *desk) balancer(served string) *lb.Tree {
	return storetest.Create(d.t, d.store, "p", func(tree *lb.Tree) { tree.LB.Provider = served })
}

// raw sends bytes and answers all that comes back.
func (d *desk) raw(socket, text string) string {
	d.t.Helper()
	c, err := net.Dial("unix", filepath.Join(d.dir, socket))
	if err != nil {
		d.t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, text); err != nil {
		d.t.Fatal(err)
	}
	answer, err := io.ReadAll(bufio.NewReader(c))
	if err != nil {
		d.t.Fatalf("%s after %.60q: %v", socket, text, err)
	}
	return string(answer)
}

func framed(text string) string { return fmt.Sprintf("%d\n%s", len(text), text) }

func (d *desk) ask(socket string, message any) object {
	d.t.Helper()
	text, err := json.Marshal(message)
	if err != nil {
		d.t.Fatal(err)
	}
	length, said, _ := strings.Cut(d.raw(socket, framed(string(text))), "\n")
	var answer object
	if err := json.Unmarshal([]byte(said), &answer); err != nil || length != fmt.Sprint(len(said)) {
		d.t.Fatalf("%s to %s: %q %q: %v", socket, text, length, said, err)
	}
	return answer
}

func TestStatusesAreTakenIn(t *testing.T) {
	d := open(t)
	made := d.balancer(outside)
	listener, member := made.Listeners[0].ID, made.Members[0].ID
	if got := d.ask("status.sock", object{
		"listeners": []object{{"id": listener, "provisioning_status": "ACTIVE", "operating_status": "ONLINE"}},
		"members":   []object{{"id": member, "operating_status": "ERROR"}}, "pools": nil, "fruit": 1,
		"loadbalancers": []object{{"id": made.LB.ID, "provisioning_status": "ACTIVE", "operating_status": "DEGRADED"}},
	}); len(got) != 1 || got["status_code"] != 200.0 {
		t.Errorf("the answer is %v", got)
	}
	tree, err := d.store.Tree(t.Context(), made.LB.ID)
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string][2]any{
		"load balancer": {[2]any{tree.LB.Provisioning(), tree.LB.OperatingStatus}, [2]any{lb.Active, lb.Degraded}},
		"listener":      {[2]any{tree.Listeners[0].ProvisioningStatus, tree.Listeners[0].OperatingStatus}, [2]any{lb.Active, lb.Online}},
		"member":        {tree.Member(member).OperatingStatus, lb.OperError},
	} {
		if c[0] != c[1] {
			t.Errorf("%s: %v, want %v", what, c[0], c[1])
		}
	}
}

func TestFaultsNameWhatIsWrong(t *testing.T) {
	d := open(t)
	made, other := d.balancer(outside), d.balancer("amphora")
	listener, generation := made.Listeners[0].ID, made.LB.Generation
	for name, c := range map[string]struct {
		message           any
		fault, object, id string
	}{
		"no id":              {object{"pools": []object{{"provisioning_status": "ACTIVE"}}}, "'id' is missing.", "pools", ""},
		"an id of no sort":   {object{"members": []object{{"id": 5}}}, "An element of members cannot be read", "members", ""},
		"a number for one":   {object{"listeners": []object{{"id": listener, "provisioning_status": 4}}}, "An element of listeners", "listeners", listener},
		"not a list":         {object{"listeners": object{"id": listener}}, "listeners must be a list of objects.", "listeners", ""},
		"not an object":      {[]string{"listeners"}, "The message must be a JSON object.", "", ""},
		"no such status":     {object{"listeners": []object{{"id": listener, "provisioning_status": "READY"}}}, `"READY" is not a provisioning_status`, "listeners", listener},
		"no such state":      {object{"listeners": []object{{"id": listener, "operating_status": "FINE"}}}, "ONLINE, OFFLINE, DEGRADED", "listeners", listener},
		"another's":          {object{"loadbalancers": []object{{"id": other.LB.ID, "provisioning_status": "ERROR"}}}, `provider "amphora"`, "loadbalancers", other.LB.ID},
		"wanted by its user": {object{"listeners": []object{{"id": listener, "provisioning_status": "DELETED"}}}, "was not deleted by its user", "listeners", listener},
	} {
		t.Run(name, func(t *testing.T) {
			got := d.ask("status.sock", c.message)
			for member, want := range map[string]string{"status_object": c.object, "status_object_id": c.id} {
				if said, _ := got[member].(string); said != want {
					t.Errorf("%s is %q, want %q", member, said, want)
				}
			}
			if said, _ := got["fault_string"].(string); got["status_code"] != 500.0 || !strings.Contains(said, c.fault) {
				t.Errorf("%v, want %q", got, c.fault)
			}
		})
	}
	if b, err := store.Get[lb.LoadBalancer](t.Context(), d.store, made.LB.ID); err != nil || b.Generation != generation || b.Told != "" {
		t.Errorf("what was refused changed something: %+v (%v)", b.Meta, err)
	}
	// What is gone is nobody's mistake: Octavia says 200 to it, too.
	if got := d.ask("status.sock", object{"members": []object{{"id": storetest.ID("gone"), "provisioning_status": "DELETED"}}}); got["status_code"] != 200.0 {
		t.Errorf("a member that is gone: %v", got)
	}
}

func TestStatisticsAreTakenIn(t *testing.T) {
	d := open(t)
	made := d.balancer(outside)
	id := made.Listeners[0].ID
	full := object{"id": id, "active_connections": 1, "total_connections": 2, "request_errors": 3, "bytes_in": 4, "bytes_out": 5}
	if got := d.ask("stats.sock", object{"listeners": []object{full}}); got["status_code"] != 200.0 {
		t.Error(got)
	}
	stats, err := d.store.StatisticsOfListeners(t.Context(), id)
	want := store.Statistics{ActiveConnections: 1, TotalConnections: 2, RequestErrors: 3, BytesIn: 4, BytesOut: 5}
	if err != nil || stats[id] != want {
		t.Errorf("%+v (%v)", stats, err)
	}
	for fault, record := range map[string]object{
		"'bytes_out' is missing.":     {"id": id, "active_connections": 1, "total_connections": 2, "request_errors": 3, "bytes_in": 4},
		"'id' is missing.":            {"bytes_in": 4},
		"bytes_in must not be":        {"id": id, "active_connections": 1, "total_connections": 2, "request_errors": 3, "bytes_in": -4, "bytes_out": 5},
		"An element of listeners can": {"id": id, "active_connections": "many"},
	} {
		got := d.ask("stats.sock", object{"listeners": []object{record}})
		if said, _ := got["fault_string"].(string); got["status_code"] != 500.0 || got["stats_object"] != "listeners" || !strings.Contains(said, fault) {
			t.Errorf("%v: %v", record, got)
		}
	}
}

func TestObjectsAreShownToTheirProviderOnly(t *testing.T) {
	d := open(t)
	made, other := d.balancer(outside), d.balancer("amphora")
	got := d.ask("get.sock", object{"object": "loadbalancers", "id": made.LB.ID})
	pool := made.Pools[0].ID
	text, _ := json.Marshal(got)
	for _, part := range []string{`"loadbalancer_id":"` + made.LB.ID, `"listener_id":"` + made.Listeners[0].ID, `"pool_id":"` + pool,
		`"member_id":"` + made.Members[1].ID, `"healthmonitor_id":"` + made.Monitors[0].ID, `"l7policy_id":"` + made.Policies[0].ID,
		`"l7rule_id":"` + made.Rules[0].ID, `"default_pool":{`, `"vip_address":"192.0.2.1"`} {
		if !strings.Contains(string(text), part) {
			t.Errorf("%s is missing in %s", part, text)
		}
	}
	for _, q := range []object{{"object": "loadbalancers", "id": other.LB.ID}, {"object": "pools", "id": other.Pools[0].ID},
		{"object": "pools", "id": made.LB.ID}, {"object": "fruit", "id": pool}} {
		if got := d.ask("get.sock", q); len(got) != 0 {
			t.Errorf("%v is answered with %v", q, got)
		}
	}
}

func TestMalformedMessagesGetNoAnswer(t *testing.T) {
	d := open(t)
	for _, text := range []string{"\n", "x\n{}", "-1\n", "99999999999999999999999\n", strings.Repeat("1", 50), "1000000000\n{}", "10\n{}"} {
		for _, socket := range []string{"status.sock", "stats.sock", "get.sock"} {
			began := time.Now()
			if got := d.raw(socket, text); got != "" {
				t.Errorf("%s to %.60q: %s", socket, text, got)
			}
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("%s held a connection that says %.60q for %v", socket, text, took)
			}
		}
	}
	for _, text := range []string{"", "{", "null", "5", `{"object": 5, "id": "x"}`, `{"id": "x"}`} {
		if got := d.raw("get.sock", framed(text)); got != "" {
			t.Errorf("%q is answered with %s", text, got)
		}
		if got := d.raw("status.sock", framed(text)); !strings.Contains(got, "must be a JSON object") && !strings.HasPrefix(text, `{"`) {
			t.Errorf("%q is answered with %s", text, got)
		}
	}
}

func TestSocketsAreForTheirUserAndGroup(t *testing.T) {
	d := open(t)
	for _, name := range []string{"status.sock", "stats.sock", "get.sock"} {
		info, err := os.Stat(filepath.Join(d.dir, name))
		if err != nil || info.Mode() != os.ModeSocket|0o660 {
			t.Errorf("%s has mode %v (%v)", name, info.Mode(), err)
		}
	}
	if _, err := provider.Listen(d.config()); err == nil || !strings.Contains(err.Error(), "[driver_agent] status_socket_path: another program answers") {
		t.Errorf("a second process takes the sockets: %v", err)
	}
}

func TestASocketThatAKilledProcessLeftIsReplaced(t *testing.T) {
	d := &desk{t, storetest.Open(t, store.Options{}), socketDir(t)}
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: filepath.Join(d.dir, "status.sock")})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()
	s, err := provider.Listen(d.config())
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err := os.Stat(filepath.Join(d.dir, "status.sock")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}
