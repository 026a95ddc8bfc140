package compute

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/octavo-lb/octavo/localcloud/fabric"
	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/instance"
	"github.com/octavo-lb/octavo/localcloud/state"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == instance.InitCommand {
		instance.Main(os.Args[2:])
	}
	os.Exit(m.Run())
}

func TestServerLivesOutlivesAndDies(t *testing.T) {
	c := newCloud(t)
	body := c.call("POST", "/servers", `{"server": {"name": "web1", "imageRef": "web", "flavorRef": "tiny", "networks": [{"uuid": "n1", "fixed_ip": "192.0.2.10"}]}}`, 202)
	id := body["server"].(map[string]any)["id"].(string)
	c.until(id, "ACTIVE")
	if got := c.in(id, "curl -s http://192.0.2.10/"); got != "web1\n" {
		t.Errorf("the server answers %q", got)
	}
	shown := fmt.Sprint(c.call("GET", "/servers/"+id, "", 200))
	for _, want := range []string{"192.0.2.10", "power_state:1", "config_drive:True"} {
		if !strings.Contains(shown, want) {
			t.Errorf("%q is missing in %s", want, shown)
		}
	}

	t.Run("it is found again by the next process", func(t *testing.T) {
		c.restart()
		c.until(id, "ACTIVE")
		if got := c.in(id, "curl -s http://192.0.2.10/served"); got != "1\n" {
			t.Errorf("it is another one: it has served %q", got)
		}
	})
	t.Run("it is started again when its instance ends", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := instance.Kill(ctx, c.service.dir(id)); err != nil {
			t.Fatal(err)
		}
		c.eventually("it answers again", func() bool { return c.tryIn(id, "curl -s http://192.0.2.10/served") == "0\n" })
	})
	t.Run("it stops and starts", func(t *testing.T) {
		c.call("POST", "/servers/"+id+"/action", `{"os-stop": null}`, 202)
		c.until(id, "SHUTOFF")
		c.call("POST", "/servers/"+id+"/action", `{"os-start": null}`, 202)
		c.until(id, "ACTIVE")
	})
	t.Run("an interface is plugged and unplugged while it runs", func(t *testing.T) {
		a := c.call("POST", "/servers/"+id+"/os-interface", `{"interfaceAttachment": {"net_id": "n1", "fixed_ips": [{"ip_address": "192.0.2.11"}]}}`, 200)
		port := a["interfaceAttachment"].(map[string]any)["port_id"].(string)
		c.eventually("the second address answers", func() bool { return c.tryIn(id, "curl -s -m 0.5 http://192.0.2.11/") == "web1\n" })
		c.call("DELETE", "/servers/"+id+"/os-interface/"+port, "", 202)
		if got := c.in(id, "ip -o link show eth1 2>&1 || true"); !strings.Contains(got, "does not exist") {
			t.Errorf("the link is there still: %s", got)
		}
	})
	c.call("DELETE", "/servers/"+id, "", 204)
	c.eventually("it is gone", func() bool { return c.status("GET", "/servers/"+id) == 404 })
	if _, err := fabric.OpenNamespace(fabric.ServerNamespace(c.tag, id)); err == nil {
		t.Error("its namespace is left")
	}
	if entries, _ := os.ReadDir(c.service.Dir); len(entries) > 0 {
		t.Errorf("files are left: %v", entries)
	}
	if len(c.network.ports) > 0 {
		t.Errorf("ports are left: %v", c.network.ports)
	}
}

// TestStartedAgainServerHasItsLinksAgain is how amphorae treat their links: into a namespace of their own, which the
// kernel takes down some time after the instance.
func TestStartedAgainServerHasItsLinksAgain(t *testing.T) {
	c := newCloud(t)
	id := c.call("POST", "/servers", `{"server": {"name": "m", "imageRef": "mover", "flavorRef": "tiny", "networks": [{"uuid": "n1", "fixed_ip": "192.0.2.10"}, {"uuid": "n1", "fixed_ip": "192.0.2.11"}]}}`, 202)["server"].(map[string]any)["id"].(string)
	c.until(id, "ACTIVE")
	for range 3 {
		c.eventually("its link is where it wants it", func() bool { return strings.Contains(c.within(id, "ip -n inner -o link show eth1"), "eth1") })
		time.Sleep(shortLife)
		c.ok(instance.Kill(t.Context(), c.service.dir(id)))
	}
	c.eventually("its link is there again", func() bool { return strings.Contains(c.within(id, "ip -n inner -o link show eth1"), "eth1") })
	time.Sleep(200 * time.Millisecond) // an old namespace's end would take it away by now
	if out := c.within(id, "ip -n inner -o link show eth1"); !strings.Contains(out, "eth1") {
		t.Errorf("the link vanished: %s", out)
	}
}

// within runs a command in all of the server's namespaces.
func (c *cloud) within(id, command string) string {
	text, _ := os.ReadFile(filepath.Join(c.service.dir(id), "pid"))
	pid, _, _ := strings.Cut(string(text), " ")
	out, _ := exec.Command("nsenter", "-a", "-t", pid, "bash", "-c", command).Output()
	return string(out)
}

func TestServerIsRefusedAndNothingStays(t *testing.T) {
	c := newCloud(t)
	for name, b := range map[string]struct{ body, says string }{
		"flavor":  {`{"server": {"name": "x", "imageRef": "web", "flavorRef": "huge"}}`, "huge"},
		"image":   {`{"server": {"name": "x", "imageRef": "windows", "flavorRef": "tiny"}}`, "windows"},
		"network": {`{"server": {"name": "x", "imageRef": "web", "flavorRef": "tiny", "networks": [{"uuid": "none"}]}}`, "none"},
		"name":    {`{"server": {"name": "", "imageRef": "web", "flavorRef": "tiny"}}`, "name"},
	} {
		t.Run(name, func(t *testing.T) {
			if text := fmt.Sprint(c.call("POST", "/servers", b.body, 400)); !strings.Contains(text, b.says) {
				t.Errorf("the error does not speak of %s: %s", b.says, text)
			}
		})
	}
	c.eventually("no record stays", func() bool { return state.Count[server](c.service.State, nil) == 0 })
}

func TestServerThatCannotStartSaysWhy(t *testing.T) {
	c := newCloud(t)
	id := c.call("POST", "/servers", `{"server": {"name": "b", "imageRef": "broken", "flavorRef": "tiny", "networks": "none"}}`, 202)["server"].(map[string]any)["id"].(string)
	var v map[string]any
	c.eventually("it is in ERROR", func() bool {
		v = c.call("GET", "/servers/"+id, "", 200)["server"].(map[string]any)
		return v["status"] == "ERROR"
	})
	if !strings.Contains(fmt.Sprint(v["fault"]), "/no/such/program") {
		t.Errorf("its fault is %v", v["fault"])
	}
	c.call("DELETE", "/servers/"+id, "", 204)
	c.eventually("it is gone", func() bool { return c.status("GET", "/servers/"+id) == 404 })
}

func TestHalfMadeServerIsFinishedByTheNextProcess(t *testing.T) {
	c := newCloud(t)
	v := server{ID: uuid.NewString(), Name: "half", ProjectID: "p", UserID: "u", ImageID: "web", Program: "web", FlavorID: "tiny",
		Status: Build, Nics: []nic{{Request: PortRequest{NetworkID: "n1", FixedIP: "192.0.2.20"}}}}
	if err := c.service.State.Put(v); err != nil {
		t.Fatal(err)
	}
	c.restart()
	c.until(v.ID, "ACTIVE")
}

func TestManyServersAtOnce(t *testing.T) {
	c := newCloud(t)
	began := time.Now()
	var ids []string
	for i := range 20 {
		b := c.call("POST", "/servers", fmt.Sprintf(`{"server": {"name": "s%d", "imageRef": "web", "flavorRef": "tiny", "networks": [{"uuid": "n1", "fixed_ip": "192.0.2.%d"}]}}`, i, 100+i), 202)
		ids = append(ids, b["server"].(map[string]any)["id"].(string))
	}
	for _, id := range ids {
		c.until(id, "ACTIVE")
	}
	t.Logf("20 servers are ACTIVE after %v", time.Since(began).Round(time.Millisecond))
}

// cloud is a compute service on a fabric of its own, with a network service that remembers.
type cloud struct {
	t       *testing.T
	tag     string
	service *Service
	network *network
	server  *httptest.Server
	stop    context.CancelFunc
}

func newCloud(t *testing.T) *cloud {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("this test makes network namespaces and needs root")
	}
	c := &cloud{t: t, tag: fabric.Tag(t.TempDir() + rand.Text())}
	f, err := fabric.Open(c.tag, slog.New(slog.DiscardHandler))
	c.ok(err)
	t.Cleanup(func() {
		c.stop()
		f.Close()
		if err := fabric.Clean(context.Background(), c.tag); err != nil {
			t.Error(err)
		}
	})
	c.ok(f.Reset(t.Context(), fabric.Change{Networks: []fabric.Network{{ID: "n1", MTU: 1500}}}))
	c.network = &network{fabric: f, ports: map[string]Port{}, owner: map[string]string{}}
	st, err := state.Open(filepath.Join(t.TempDir(), "state.db"))
	c.ok(err)
	t.Cleanup(func() { st.Close() })
	c.service = New(Options{State: st, Tokens: anybody{}, Network: c.network, Images: images{}, Dir: t.TempDir(), Tag: c.tag,
		Programs: map[string][]string{"web": instance.WebProgram, "mover": {"bash", "-c", moveLink}, "broken": {"/no/such/program"}}, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	c.ok(c.service.EnsureFlavors(Flavor{ID: "tiny", Name: "tiny", RAM: 64, VCPUs: 1, Public: true}))
	c.start()
	return c
}

func (c *cloud) ok(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *cloud) start() {
	ctx, cancel := context.WithCancel(context.Background())
	c.service.Start(ctx)
	c.server = httptest.NewServer(c.service.Handler())
	c.stop = func() { cancel(); c.server.Close(); c.service.Wait() }
}

// restart is what a kill and a new start are to the service.
func (c *cloud) restart() {
	c.stop()
	c.service = New(c.service.Options)
	c.start()
}

func (c *cloud) do(method, path, body string) (int, []byte) {
	c.t.Helper()
	req, err := http.NewRequest(method, c.server.URL+"/compute/v2.1"+path, strings.NewReader(body))
	c.ok(err)
	resp, err := http.DefaultClient.Do(req)
	c.ok(err)
	defer resp.Body.Close()
	var b bytes.Buffer
	_, err = b.ReadFrom(resp.Body)
	c.ok(err)
	return resp.StatusCode, b.Bytes()
}

func (c *cloud) status(method, path string) int {
	status, _ := c.do(method, path, "")
	return status
}

func (c *cloud) call(method, path, body string, want int) map[string]any {
	c.t.Helper()
	status, text := c.do(method, path, body)
	if status != want {
		c.t.Fatalf("%s %s answers %d: %s", method, path, status, text)
	}
	var v map[string]any
	if len(text) > 0 {
		c.ok(json.Unmarshal(text, &v))
	}
	return v
}

func (c *cloud) until(id, status string) {
	c.t.Helper()
	c.eventually("server "+id+" is "+status, func() bool {
		v := c.call("GET", "/servers/"+id, "", 200)["server"].(map[string]any)
		if v["status"] == "ERROR" {
			c.t.Fatalf("the server failed: %v", v["fault"])
		}
		return v["status"] == status
	})
}

func (c *cloud) eventually(goal string, reached func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !reached(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("not in time: %s", goal)
		}
	}
}

func (c *cloud) tryIn(id, command string) string {
	out, _ := exec.Command("ip", "netns", "exec", fabric.ServerNamespace(c.tag, id), "bash", "-c", command).CombinedOutput()
	return string(out)
}

func (c *cloud) in(id, command string) string {
	c.t.Helper()
	out, err := exec.Command("ip", "netns", "exec", fabric.ServerNamespace(c.tag, id), "bash", "-c", command).CombinedOutput()
	if err != nil {
		c.t.Fatalf("%s: %v: %s", command, err, out)
	}
	return string(out)
}

type anybody struct{}

func (anybody) Authenticate(context.Context, string) (httpx.Caller, error) {
	return httpx.Caller{UserID: "u", ProjectID: "p"}, nil
}

// moveLink is a program that does with its second link what amphorae do.
const moveLink = "ip netns add inner && ip link set eth1 netns inner && ip -n inner link set eth1 up && exec sleep 1000"

type images struct{}

func (images) Image(_ httpx.Caller, id string) (Image, error) {
	if !slices.Contains([]string{"web", "mover", "broken"}, id) {
		return Image{}, httpx.BadRequest("", "Image %s could not be found.", id)
	}
	return Image{ID: id, Name: id, Program: id}, nil
}

// network gives ports on n1 (192.0.2.0/24) and wires them for real.
type network struct {
	fabric *fabric.Fabric
	mu     sync.Mutex
	ports  map[string]Port
	owner  map[string]string // port → server
}

func (n *network) AttachPort(_ httpx.Caller, serverID string, r PortRequest, taken []string) (Port, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for id, p := range n.ports {
		if n.owner[id] == serverID && !slices.Contains(taken, id) {
			return p, nil
		}
	}
	if r.NetworkID != "n1" {
		return Port{}, httpx.BadRequest("", "Network %s could not be found.", r.NetworkID)
	}
	mac := net.HardwareAddr{0xfa, 0x16, 0x3e, 0, 0, byte(len(n.owner) + 1)}
	p := Port{ID: uuid.NewString(), NetworkID: "n1", NetworkName: "net", MAC: mac.String(), MTU: 1500,
		Addresses: []Address{{Prefix: netip.MustParsePrefix(r.FixedIP + "/24")}}}
	n.ports[p.ID], n.owner[p.ID] = p, serverID
	return p, n.fabric.Apply(context.Background(), fabric.Change{Ports: []fabric.Port{{ID: p.ID, NetworkID: "n1", MAC: mac}}})
}

func (n *network) ReleasePort(string, string) error {
	return errors.New("no port here was there before its server")
}

func (n *network) RemovePort(id string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.ports, id)
	return n.fabric.Apply(context.Background(), fabric.Change{GonePorts: []string{id}})
}

func (n *network) Port(id string) (Port, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p, ok := n.ports[id]
	if !ok {
		return p, fmt.Errorf("port %s: %w", id, state.ErrNotFound)
	}
	return p, nil
}

func (n *network) Plug(id string, ns *fabric.Namespace, link string) error {
	p, err := n.Port(id)
	if err != nil {
		return err
	}
	mac, err := net.ParseMAC(p.MAC)
	if err != nil {
		return err
	}
	return n.fabric.Plug(fabric.Plug{PortID: id, NetworkID: "n1", MAC: mac, MTU: p.MTU, Name: link}, ns)
}

func (n *network) Networks(httpx.Caller) []string { return []string{"n1", "n2"} }

func (n *network) Settle(id string) error { return n.fabric.Settle(id) }
func (n *network) Unplug(id string) error { return n.fabric.Unplug(id) }
