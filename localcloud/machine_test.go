package localcloud

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/localcloud/clitest"
	"github.com/octavo-lb/octavo/localcloud/fabric"
	"github.com/octavo-lb/octavo/localcloud/instance"
)

// TestMain lets the test binary be an instance's init, as octavo is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == instance.InitCommand {
		instance.Main(os.Args[2:])
	}
	os.Exit(m.Run())
}

// machineTest is a cloud with networks and servers at a real address.
type machineTest struct {
	*Machine
	t        *testing.T
	dir, tag string
	url      string
	stop     func()
}

func startMachine(t *testing.T) *machineTest {
	t.Helper()
	dir := t.TempDir()
	m := &machineTest{t: t, dir: dir, tag: fabric.Tag(dir + rand.Text())}
	m.start()
	t.Cleanup(func() {
		m.stop()
		m.clean()
	})
	return m
}

func (m *machineTest) clean() {
	m.t.Helper()
	if err := fabric.Clean(context.Background(), m.tag); err != nil {
		m.t.Error(err)
	}
}

// start is also what a start after a kill is: nothing was told to anybody.
func (m *machineTest) start() {
	m.t.Helper()
	machine, err := NewMachine(MachineConfig{Tag: m.tag, Agent: "/bin/false", Hide: []string{m.dir},
		Config: Config{Dir: m.dir, Region: "RegionOne", Passwords: passwords, Logger: slog.New(slog.DiscardHandler)}})
	if err != nil {
		m.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	if err := machine.Start(ctx); err != nil {
		cancel()
		m.t.Fatal(err)
	}
	server := httptest.NewServer(machine.Handler())
	m.Machine, m.url = machine, server.URL
	stopped := false
	m.stop = func() {
		if !stopped {
			stopped = true
			server.Close()
			cancel()
			machine.Close()
		}
	}
}

func (m *machineTest) client(user, project string) *clitest.Client {
	return clitest.New(m.t, m.url+"/identity/v3", user, passwords[user], project)
}

// get answers what a web server says to this machine.
func (m *machineTest) get(url string) string {
	m.t.Helper()
	client := http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		m.t.Errorf("GET %s: %v", url, err)
		return ""
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return strings.TrimSpace(string(text))
}

// on lists what on this machine carries the tag: namespaces, links, processes.
func (m *machineTest) on() string {
	out, _ := exec.Command("bash", "-c", fmt.Sprintf(`ip netns list | grep octavo-%s; ip -o link | grep ' o%s'; ps -eo args= | grep '^octavo instance-init.*%s'; grep octavo-%s /proc/mounts`,
		m.tag, m.tag, m.dir, m.tag)).Output()
	return string(out)
}

func TestClientWalksThroughServers(t *testing.T) {
	t.Parallel()
	m := startMachine(t)
	demo := m.client("demo", "demo")
	demo.Run("server", "create", "--image", "web", "--flavor", "tiny", "--nic", "net-id=private,v4-fixed-ip=192.168.21.100", "--wait", "web1")
	demo.Run("server", "create", "--image", "web", "--flavor", "tiny", "--property", "web_port=8080", "--wait", "web2") // private is the only network
	if names := demo.Names("server", "list", "--status", "ACTIVE", "--sort-column", "Name"); names != "web1 web2" {
		t.Errorf("servers: %s", names)
	}
	shown := demo.Run("server", "show", "web1", "-f", "json")
	for _, want := range []string{`"192.168.21.100"`, `"status": "ACTIVE"`, `"OS-EXT-STS:power_state": 1`, `"name": "default"`} {
		if !strings.Contains(shown, want) {
			t.Errorf("%s is missing in %s", want, shown)
		}
	}
	address := demo.Value("floating_ip_address", "floating", "ip", "create", "ext_net")
	demo.Run("server", "add", "floating", "ip", "web1", address)
	if got := m.get("http://" + address + "/"); got != "web1" {
		t.Errorf("the server answers %q at its floating IP", got)
	}
	if list := demo.Run("server", "list", "--name", "^web1$", "-f", "json"); !strings.Contains(list, address) {
		t.Errorf("the list does not show the floating IP: %s", list)
	}
	demo.Refused("in use", "server", "create", "--image", "web", "--flavor", "tiny", "--port", portOf(demo, "web1"), "web3")
	demo.Refused("already allocated", "server", "create", "--image", "web", "--flavor", "tiny", "--nic", "net-id=private,v4-fixed-ip=192.168.21.100", "web3")

	demo.Run("network", "create", "lab")
	demo.Run("subnet", "create", "--network", "lab", "--subnet-range", "10.7.0.0/24", "lab4")
	demo.Run("port", "create", "--network", "lab", "--fixed-ip", "ip-address=10.7.0.9", "extra")
	demo.Run("server", "add", "port", "web1", "extra")
	if rows := demo.Rows("port", "list", "--server", "web1"); len(rows) != 2 {
		t.Errorf("ports of web1: %v", rows)
	}
	demo.Run("server", "remove", "port", "web1", "extra")
	if status := demo.Value("status", "port", "show", "extra"); status != "DOWN" {
		t.Errorf("the port that was taken off is %s", status)
	}
	demo.Run("server", "stop", "web2")
	demo.Run("server", "start", "web2")
	demo.Run("server", "reboot", "--wait", "web1")
	if got := m.get("http://" + address + "/"); got != "web1" {
		t.Errorf("after the reboot the server answers %q", got)
	}
	demo.Run("server", "set", "--name", "renamed", "--property", "role=member", "web2")
	demo.Run("server", "delete", "--wait", "web1", "renamed")
	if rows := demo.Rows("port", "list", "--device-owner", "compute:nova"); len(rows) != 0 {
		t.Errorf("ports are left: %v", rows)
	}
}

func portOf(c *clitest.Client, server string) string {
	return c.Rows("port", "list", "--server", server)[0]["ID"].(string)
}

func TestClientWalksThroughCompute(t *testing.T) {
	t.Parallel()
	m := startMachine(t)
	demo, admin := m.client("demo", "demo"), m.client("admin", "admin")
	if names := demo.Names("flavor", "list"); names != "tiny" {
		t.Errorf("flavors that a tenant sees: %s", names)
	}
	admin.Run("flavor", "create", "--ram", "128", "--vcpus", "2", "--id", "7", "small")
	if id := demo.Value("id", "flavor", "show", "small"); id != "7" {
		t.Errorf("flavor small has the id %s", id)
	}
	demo.Refused("403", "flavor", "delete", "small")
	admin.Run("flavor", "delete", "small")

	if key := demo.Run("keypair", "create", "made"); !strings.Contains(key, "PRIVATE KEY") {
		t.Errorf("the new key: %s", key)
	}
	demo.Run("keypair", "create", "--public-key", publicKey(t), "mine")
	if names := demo.Names("keypair", "list"); names != "made mine" {
		t.Errorf("key pairs: %s", names)
	}
	demo.Run("keypair", "delete", "made")

	demo.Run("server", "group", "create", "--policy", "anti-affinity", "apart")
	if names := demo.Names("server", "group", "list"); names != "apart" {
		t.Errorf("server groups: %s", names)
	}
	demo.Run("server", "create", "--image", "web", "--flavor", "tiny", "--key-name", "mine",
		"--hint", "group="+demo.Value("id", "server", "group", "show", "apart"), "--network", "private", "--wait", "one")
	id := demo.Value("id", "server", "show", "one")
	if members := demo.Value("members", "server", "group", "show", "apart"); !strings.Contains(members, id) {
		t.Errorf("members of the group: %s, want %s", members, id)
	}
	demo.Run("console", "log", "show", "one")
	if zones := demo.Run("availability", "zone", "list", "--compute", "-f", "value"); !strings.Contains(zones, "nova") {
		t.Errorf("zones: %s", zones)
	}
	demo.Run("limits", "show", "--absolute")
	if quota := demo.Run("quota", "show", "-f", "json"); !strings.Contains(quota, "instances") || !strings.Contains(quota, "floating-ips") {
		t.Errorf("quota: %s", quota)
	}
	if rows := admin.Rows("server", "list", "--all-projects"); len(rows) != 1 {
		t.Errorf("all servers: %v", rows)
	}
	if names := admin.Names("server", "list"); names != "" {
		t.Errorf("servers of the project admin: %s", names)
	}
	tagged := clitest.NewWith(t, "OS_AUTH_URL="+m.url+"/identity/v3", "OS_USERNAME=demo", "OS_PASSWORD="+passwords["demo"], "OS_PROJECT_NAME=demo",
		"OS_USER_DOMAIN_NAME=Default", "OS_PROJECT_DOMAIN_NAME=Default", "OS_COMPUTE_API_VERSION=2.79")
	tagged.Run("server", "set", "--description", "the first", "--tag", "blue", "one")
	if shown := tagged.Run("server", "show", "one", "-f", "json"); !strings.Contains(shown, "the first") || !strings.Contains(shown, "blue") {
		t.Errorf("with version 2.79: %s", shown)
	}
	if names := tagged.Names("server", "list", "--tags", "blue"); names != "one" {
		t.Errorf("servers with the tag: %s", names)
	}
	demo.Run("server", "delete", "--wait", "one")
	demo.Run("server", "group", "delete", "apart")
}

func publicKey(t *testing.T) string {
	t.Helper()
	path := t.TempDir() + "/key.pub"
	if err := os.WriteFile(path, []byte("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJtdQm0GPv1Mv0uEy9Kc6nCzWbYj8mU3pYw2yB7j1k0h me\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestKilledCloudIsTakenUpAgain starts another process' worth of services on what the first left, then takes it all away.
func TestKilledCloudIsTakenUpAgain(t *testing.T) {
	t.Parallel()
	m := startMachine(t)
	demo := m.client("demo", "demo")
	demo.Run("server", "create", "--image", "web", "--flavor", "tiny", "--network", "private", "--wait", "web1")
	address := demo.Value("floating_ip_address", "floating", "ip", "create", "--port", portOf(demo, "web1"), "ext_net")
	if m.get("http://"+address+"/") != "web1" {
		t.Fatal("it does not even begin to work")
	}
	m.stop()
	if got := m.get("http://" + address + "/"); got != "web1" {
		t.Errorf("without the cloud the server answers %q", got)
	}
	m.start()
	demo = m.client("demo", "demo")
	if status := demo.Value("status", "server", "show", "web1"); status != "ACTIVE" {
		t.Errorf("after the start it is %s", status)
	}
	if served := m.get("http://" + address + "/served"); served != "2" {
		t.Errorf("it is another one: it has served %s requests, not 2", served)
	}
	m.stop()
	m.clean()
	if left := m.on(); left != "" {
		t.Errorf("left on the machine:\n%s", left)
	}

	// What a reboot of the machine leaves is the data directory alone.
	m.start()
	demo = m.client("demo", "demo")
	deadline := time.Now().Add(10 * time.Second)
	for demo.Value("status", "server", "show", "web1") != "ACTIVE" && time.Now().Before(deadline) {
	}
	if served := m.get("http://" + address + "/served"); served != "0" {
		t.Errorf("after a reboot it has served %s requests", served)
	}
}
