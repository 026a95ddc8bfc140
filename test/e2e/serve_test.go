package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/loadbalancers"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"

	"github.com/octavo-lb/octavo/localcloud"
	"github.com/octavo-lb/octavo/localcloud/fabric"
	"github.com/octavo-lb/octavo/localcloud/instance"
	"github.com/octavo-lb/octavo/test/dbtest"
)

// TestMain lets the test binary be the init of a server, for clouds that run in a test.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == instance.InitCommand {
		instance.Main(os.Args[2:])
	}
	os.Exit(m.Run())
}

// passwords are those of the cloud's users.
var passwords = map[string]string{"admin": "admin-secret", "demo": "demo-secret", "octavia": "octavia-secret"}

// smallCloud is a cloud without a load balancing service.
type smallCloud struct {
	*localcloud.Machine
	*octavo // for its directory and clients
	url     string
	down    atomic.Value // the path, such as /network, of the service that is down; empty for none
}

// ServeHTTP answers for the cloud's services, unless one is down: then it answers as a proxy does before one that died.
func (c *smallCloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if down, _ := c.down.Load().(string); down != "" && strings.HasPrefix(r.URL.Path, down+"/") {
		http.Error(w, "503 Service Unavailable", http.StatusServiceUnavailable)
		return
	}
	c.Handler().ServeHTTP(w, r)
}

// startCloud runs a cloud in this process.
func startCloud(t *testing.T) *smallCloud {
	t.Helper()
	dir := t.TempDir()
	tag := fabric.Tag(dir + rand.Text())
	machine, err := localcloud.NewMachine(localcloud.MachineConfig{Tag: tag, Agent: binary(t, "octavo-agent"), Hide: []string{dir},
		Config: localcloud.Config{Dir: filepath.Join(dir, "cloud"), Region: "RegionOne", Passwords: passwords, Logger: slog.New(slog.DiscardHandler)}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &smallCloud{Machine: machine, octavo: &octavo{dir: dir}}
	server := httptest.NewServer(c)
	t.Cleanup(func() {
		server.Close()
		cancel()
		machine.Close()
		if err := fabric.Clean(context.Background(), tag); err != nil {
			t.Error(err)
		}
	})
	if err := machine.Start(ctx); err != nil {
		t.Fatal(err)
	}
	c.url = server.URL
	c.writeClouds(t)
	return c
}

func (c *smallCloud) writeClouds(t *testing.T) {
	t.Helper()
	var b strings.Builder
	b.WriteString("clouds:\n")
	for cloud, user := range map[string]string{"octavo": "demo", "octavo-admin": "admin"} {
		fmt.Fprintf(&b, "  %s:\n    region_name: RegionOne\n    identity_api_version: 3\n    auth: {auth_url: %s/identity/v3, username: %s, password: %s, "+
			"project_name: %s, user_domain_name: Default, project_domain_name: Default}\n", cloud, c.url, user, passwords[user], user)
	}
	if err := os.WriteFile(filepath.Join(c.dir, "clouds.yaml"), []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

// bootstrap tells the cloud where its load balancing service is.
func (c *smallCloud) bootstrap(t *testing.T, front string) {
	t.Helper()
	cmd := exec.Command(binary(t, "octavo"), "bootstrap", "--public-url", "http://"+front)
	cmd.Env = c.env("octavo-admin")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("octavo bootstrap: %v\n%s", err, out)
	}
}

// noneOfOctavo fails while the network service has a port that a load balancer needs.
func (c *smallCloud) noneOfOctavo(t *testing.T) error {
	pages, err := ports.List(c.api(t, "octavo-admin").network, ports.ListOpts{}).AllPages(t.Context())
	if err != nil {
		return err
	}
	all, err := ports.ExtractPorts(pages)
	if err != nil {
		return err
	}
	for _, p := range all {
		if strings.HasPrefix(p.Name, "octavia-") {
			return fmt.Errorf("port %s is left", p.Name)
		}
	}
	return nil
}

// conf is an octavia.conf for a controller of the cloud.
func (c *smallCloud) conf(name, database, front, agents string) string {
	account := fmt.Sprintf("auth_url = %s/identity/v3\nusername = octavia\npassword = %s\nproject_name = service\nuser_domain_name = Default\nproject_domain_name = Default\n",
		c.url, passwords["octavia"])
	host, port, _ := net.SplitHostPort(front)
	agentHost, agentPort, _ := net.SplitHostPort(agents)
	return fmt.Sprintf(`[DEFAULT]
host = %s
[api_settings]
bind_host = %s
bind_port = %s
[database]
connection = %s
[keystone_authtoken]
%s[service_auth]
%s[controller_worker]
amp_image_tag = octavia-amphora
amp_flavor_id = amphora
amp_boot_network_list = %s
[health_manager]
bind_ip = %s
bind_port = %s
heartbeat_interval = 3
[octavo]
data_dir = %s
`, name, host, port, database, account, account, c.ManagementNetworkID(), agentHost, agentPort, filepath.Join(c.dir, "data"))
}

// controller is a running `octavo serve`.
type controller struct {
	cmd    *exec.Cmd
	log    *syncBuffer
	exited chan error
}

// serve starts `octavo serve` with a configuration, and waits until it says that it serves.
func serve(t *testing.T, conf string, args ...string) *controller {
	t.Helper()
	file := filepath.Join(t.TempDir(), "octavia.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &controller{log: &syncBuffer{}, exited: make(chan error, 1)}
	c.cmd = exec.Command(binary(t, "octavo"), append([]string{"serve", "-c", file}, args...)...)
	c.cmd.Stdout, c.cmd.Stderr = c.log, c.log
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { c.exited <- c.cmd.Wait() }()
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		if t.Failed() {
			t.Logf("octavo serve %v said:\n%s", args, c.log.tail(20000))
		}
	})
	eventually(t, 30*time.Second, "octavo serves", func() error {
		select {
		case err := <-c.exited:
			t.Fatalf("octavo serve ended: %v\n%s", err, c.log.tail(4000))
		default:
		}
		if !strings.Contains(c.log.tail(1<<20), "octavo serves") {
			return fmt.Errorf("it has not said so")
		}
		return nil
	})
	return c
}

// end asks the process to end, and fails unless it does so cleanly.
func (c *controller) end(t *testing.T) {
	t.Helper()
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-c.exited:
		if err != nil {
			t.Errorf("octavo serve ended: %v\n%s", err, c.log.tail(4000))
		}
	case <-time.After(20 * time.Second):
		t.Error("octavo serve did not end within 20 s")
	}
}

// TestServeOnACloud runs controllers as processes of their own, by octavia.conf, on a cloud that they know by its APIs.
func TestServeOnACloud(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		database string
		roles    [][]string // of each process
	}{
		{"sqlite", [][]string{nil}},
		{"mariadb", [][]string{{"--roles", "api"}, {"--roles", "worker,health,housekeeping"}}},
	} {
		t.Run(c.database, func(t *testing.T) {
			front := freePort(t)
			cloud := startCloud(t)
			cloud.bootstrap(t, front)
			agents := net.JoinHostPort(cloud.ManagementAddress().String(), "9443")
			dsn := dbtest.DSN(t, c.database)
			var running []*controller
			startAll := func() {
				running = nil
				for i, roles := range c.roles {
					running = append(running, serve(t, cloud.conf(fmt.Sprint("node", i), dsn, front, agents), roles...))
				}
			}
			startAll()
			n := cloud.tenant(t)
			n.server("web1", "192.168.21.100")
			began := time.Now()
			lb := n.full("served", "192.168.21.100")
			n.active(lb.ID)
			t.Logf("ACTIVE after %v", time.Since(began).Round(time.Millisecond))
			url := n.floatingIP(lb.VipPortID)
			client := &http.Client{Timeout: 5 * time.Second}
			eventually(t, 20*time.Second, "web1 answers", func() error { return served(client, url, "web1") })

			tr := send(t, url, 2)
			for _, r := range running {
				r.end(t)
			}
			startAll()
			tr.mustNotHaveFailed(t, 200)
			n.ok(loadbalancers.Delete(n.cx, n.c.lb, lb.ID, loadbalancers.DeleteOpts{Cascade: true}).ExtractErr())
			n.gone(lb.ID)
			n.ok(cloud.noneOfOctavo(t))
			for _, r := range running {
				r.end(t)
				if log := r.log.tail(1 << 20); strings.Contains(log, "level=ERROR") {
					t.Errorf("it logged errors:\n%s", log)
				}
			}
		})
	}
}

const noopConf = `[api_settings]
bind_port = %s
auth_strategy = %s
[database]
connection = sqlite:///%s/octavo.db
[controller_worker]
network_driver = network_noop_driver
compute_driver = compute_noop_driver
amphora_driver = amphora_noop_driver
[certificates]
cert_manager = noop_cert_manager
[octavo]
data_dir = %s
`

// TestServeWithNothingElseOnTheMachine develops against an API behind which there is no cloud.
func TestServeWithNothingElseOnTheMachine(t *testing.T) {
	t.Parallel()
	front, dir := freePort(t), t.TempDir()
	_, port, _ := net.SplitHostPort(front)
	c := serve(t, fmt.Sprintf(noopConf, port, "testing", dir, dir))
	call := func(method, path, project, roles, body string) string {
		t.Helper()
		q, err := http.NewRequestWithContext(t.Context(), method, "http://"+front+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Content-Type", "application/json")
		q.Header.Set("X-Project-Id", project)
		q.Header.Set("X-Roles", roles)
		resp, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var b bytes.Buffer
		b.ReadFrom(resp.Body)
		return fmt.Sprint(resp.StatusCode, " ", b.String())
	}
	const project, list = "11111111111111111111111111111111", "/v2.0/lbaas/loadbalancers?fields=provisioning_status&fields=operating_status&fields=provider"
	made := call("POST", "/v2.0/lbaas/loadbalancers", project, "load-balancer_member", `{"loadbalancer": {"vip_network_id": "6b8f5b6e-0000-4000-8000-000000000001",
		"vip_subnet_id": "6b8f5b6e-0000-4000-8000-000000000002", "listeners": [{"protocol": "TERMINATED_HTTPS", "protocol_port": 443,
		"default_tls_container_ref": "http://keys/1", "default_pool": {"name": "p", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN",
		"members": [{"address": "192.0.2.4", "protocol_port": 80}]}}]}}`)
	if !strings.HasPrefix(made, "201 ") {
		t.Fatal(made)
	}
	want := `{"provider":"noop_driver","provisioning_status":"ACTIVE","operating_status":"ONLINE"}`
	eventually(t, 10*time.Second, "it is ACTIVE", func() error {
		got := call("GET", list, project, "load-balancer_member", "")
		for member := range strings.SplitSeq(strings.Trim(want, "{}"), ",") {
			if !strings.Contains(got, member) {
				return fmt.Errorf("%s", got)
			}
		}
		return nil
	})
	if got := call("GET", list, project, "dancer", ""); !strings.HasPrefix(got, "403 ") {
		t.Errorf("without a role: %s", got)
	}
	if got := call("GET", list, "22222222222222222222222222222222", "load-balancer_member", ""); !strings.Contains(got, `"loadbalancers":[]`) {
		t.Errorf("another project sees %s", got)
	}
	policy := filepath.Join(filepath.Dir(c.cmd.Args[3]), "policy.yaml")
	if err := os.WriteFile(policy, []byte("os_load-balancer_api:loadbalancer:get_all: role:dancer and project_id:%(project_id)s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_ = c.cmd.Process.Signal(syscall.SIGHUP)
	eventually(t, 5*time.Second, "the new policy is in force", func() error {
		if got := call("GET", list, project, "dancer", ""); !strings.HasPrefix(got, "200 ") {
			return fmt.Errorf("%s", got)
		}
		return nil
	})
	ended := follow(t, "http://"+front+"/v2.0/lbaas/events", project)
	began := time.Now()
	c.end(t)
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("with a client that follows events it took %v to end", took)
	}
	if err := <-ended; err != nil {
		t.Errorf("the stream of events did not end as it should: %v", err)
	}
}

// follow reads a stream of events from its first line on, and tells how it ended.
func follow(t *testing.T, url, project string) <-chan error {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Header = http.Header{"Accept": {"text/event-stream"}, "X-Project-Id": {project}, "X-Roles": {"dancer"}}
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", url, resp.Status)
	}
	ended := make(chan error, 1)
	go func() {
		defer resp.Body.Close()
		_, err := io.Copy(io.Discard, resp.Body)
		ended <- err
	}()
	return ended
}

// TestServeRefusesInOneSentence starts with what cannot work.
func TestServeRefusesInOneSentence(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, takenPort, _ := net.SplitHostPort(taken.Addr().String())
	good := fmt.Sprintf(noopConf, "0", "noauth", dir, dir)
	for what, c := range map[string]struct {
		conf string
		args []string
		want []string
	}{
		"a port in use":            {conf: fmt.Sprintf(noopConf, takenPort, "noauth", dir, dir), want: []string{"another program listens on 127.0.0.1 port " + takenPort, "[api_settings] bind_host and bind_port"}},
		"everybody let in":         {conf: good + "[api_settings]\nbind_host = 0.0.0.0\n", want: []string{"auth_strategy = noauth", "loopback", "noauth_anywhere"}},
		"several at once":          {conf: good + "[api_settings]\nbind_port = x\n[quotas]\ndefault_pool_quota = -7\n", want: []string{"bind_port = x", "default_pool_quota = -7", "at least -1"}},
		"no account":               {conf: "[database]\nconnection = sqlite:////tmp/x\n", want: []string{"[keystone_authtoken]: auth_url is not set", "[service_auth]: auth_url is not set"}},
		"an unknown role":          {conf: good, args: []string{"--roles", "api,dancer"}, want: []string{`there is no role "dancer"`, "api, worker, health, housekeeping"}},
		"a database that is not":   {conf: strings.Replace(good, "sqlite:///"+dir, "sqlite:///"+dir+"/missing", 1), want: []string{dir + "/missing"}},
		"a damaged policy":         {conf: good + "[oslo_policy]\npolicy_file = " + dir + "/broken.yaml\n", want: []string{"broken.yaml"}},
		"a certificate that isn't": {conf: good + "[api_settings]\ntls_cert_file = /nowhere.pem\ntls_key_file = /nowhere.key\n", want: []string{"/nowhere.pem"}},
		"no default provider":      {conf: good + "[api_settings]\nenabled_provider_drivers = ovn:OVN\ndefault_provider_driver = ovn\n", want: []string{"ovn", "no such provider"}},
	} {
		t.Run(what, func(t *testing.T) {
			if err := os.WriteFile(filepath.Join(dir, "broken.yaml"), []byte("a: [\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "octavia.conf")
			if err := os.WriteFile(file, []byte(c.conf), 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			out, err := exec.CommandContext(ctx, binary(t, "octavo"), append([]string{"serve", "-c", file}, c.args...)...).CombinedOutput()
			said := string(out)
			if err == nil || ctx.Err() != nil {
				t.Fatalf("it started:\n%s", said)
			}
			for _, w := range c.want {
				if !strings.Contains(said, w) {
					t.Errorf("%q is missing in:\n%s", w, said)
				}
			}
			if strings.Contains(said, "goroutine ") || strings.Contains(said, "octavo serves") {
				t.Errorf("it said:\n%s", said)
			}
		})
	}
}
