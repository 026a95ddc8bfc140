package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/agent/instancetest"
	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/agentapi/agentapitest"
	"github.com/octavo-lb/octavo/image"
	"github.com/octavo-lb/octavo/lb"
)

// patience is how long a machine may take to get somewhere: emulated, on a processor shared with other work.
const patience = 2 * time.Minute

const dhcp = `{"links": [{"id": "tap1", "ethernet_mac_address": "` + managementMAC + `", "mtu": 1450}, {"id": "tap2", "ethernet_mac_address": "` + instancetest.MAC + `", "mtu": 1450}],
  "networks": [{"id": "network0", "type": "ipv4_dhcp", "link": "tap1"}, {"id": "network1", "type": "ipv4_dhcp", "link": "tap2"}], "services": []}`

// balanced is a load balancer with two members that are checked every second.
const balanced = `
interfaces: [{mac: '` + instancetest.MAC + `', mtu: 1450, vip: true, addresses: [10.0.0.50/24], gateway: [10.0.0.1]}]
vips: [{address: 10.0.0.100/24}]
listeners: [{id: l1, protocol: HTTP, protocol_port: 80, default_pool_id: p1}]
pools: [{id: p1, protocol: HTTP, lb_algorithm: ROUND_ROBIN}]
members:
  - {id: m1, pool_id: p1, address: 10.0.0.11, protocol_port: 80}
  - {id: m2, pool_id: p1, address: 10.0.0.12, protocol_port: 80}
monitors: [{id: h1, pool_id: p1, type: HTTP, delay: 1, timeout: 5, max_retries: 1, max_retries_down: 3, url_path: /healthcheck}]
`

// build makes the two binaries and the image, once for all tests.
var build = sync.OnceValues(func() (image.Options, error) {
	dir := workDir
	options := image.Options{
		Output: filepath.Join(dir, "amphora.qcow2"), Agent: filepath.Join(dir, "octavo-agent"), Init: filepath.Join(dir, "octavo-init"),
		Cache: filepath.Join(dir, "packages"),
	}
	compile := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", dir, "../../cmd/octavo-agent", "../../cmd/octavo-init")
	compile.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := compile.CombinedOutput(); err != nil {
		return options, fmt.Errorf("%w\n%s", err, out)
	}
	start := time.Now()
	result, err := image.Build(context.Background(), options)
	if err != nil {
		return options, err
	}
	fmt.Printf("image: %.1f MB, disk %.0f MB, built in %.0f s, SHA-256 %s\n", float64(result.Size)/1e6, float64(result.Disk)/1e6, time.Since(start).Seconds(), result.SHA256)
	return options, nil
})

func built(t *testing.T) image.Options {
	t.Helper()
	options, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return options
}

// workDir holds what build makes.
var workDir string

func TestMain(m *testing.M) {
	var err error
	if workDir, err = os.MkdirTemp("", "octavo-image-test-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(workDir)
	os.Exit(code)
}

// TestSameInputsSameBytes: an operator can build our image and compare, with the command, without root, in another directory.
func TestSameInputsSameBytes(t *testing.T) {
	options := built(t)
	dir, err := os.MkdirTemp("", "octavo-image-nobody-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := errors.Join(os.Chmod(dir, 0o777), os.Chmod(filepath.Dir(options.Agent), 0o755)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "build", "-o", dir, "../../cmd/octavo").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	again := filepath.Join(dir, "again.qcow2")
	cmd := exec.Command(filepath.Join(dir, "octavo"), "image", "build", "--agent", options.Agent, "--init", options.Init, "--output", again)
	cmd.Dir, cmd.Env = dir, []string{"HOME=" + dir, "TMPDIR=" + dir, "PATH=" + os.Getenv("PATH")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	first, err := os.ReadFile(options.Output)
	if err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(again)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(first, second) {
		t.Error("two builds of the same packages and binaries differ")
	}
}

// TestAmphora follows one through its life: it enrols, serves, lets nobody in, is switched off, and serves again after a
// reboot although there is no controller.
func TestAmphora(t *testing.T) {
	m := newMachine(t, built(t).Output)
	m.serveDHCP()
	c := m.controller("198.51.100.1", dhcp)
	for i := range 2 {
		m.StartWeb(t, fmt.Sprintf("web%d", i+1), fmt.Sprintf("10.0.0.%d:80", 11+i))
	}
	state, err := agentapitest.State(balanced)
	if err != nil {
		t.Fatal(err)
	}
	generation := c.Want(state)
	start := time.Now()
	m.powerOn(pc)
	c.Await(t, patience, "the first report", func(agentapi.Report) bool { return true })
	fmt.Printf("power-on to first report: %.1f s\n", time.Since(start).Seconds())
	c.Await(t, patience, "both members ONLINE", func(r agentapi.Report) bool {
		return r.Applied == generation && len(r.Members) == 2 && r.Members[0].Status == lb.Online && r.Members[1].Status == lb.Online
	})
	fmt.Printf("power-on to both members ONLINE: %.1f s\n", time.Since(start).Seconds())
	m.mustBalance()
	m.mustNotListen("198.51.100.5")

	m.pressPowerButton(30 * time.Second)
	c.Stop()
	m.powerOn(pc)
	m.mustBalance()
	if c.Issued() != 1 {
		t.Errorf("the amphora asked for %d certificates: its identity did not survive", c.Issued())
	}
}

// mustBalance waits until the VIP answers, and then wants both members in turn.
func (m *machine) mustBalance() {
	m.t.Helper()
	client := m.HTTPClient(false)
	seen := map[string]int{}
	for deadline := time.Now().Add(patience); len(seen) < 2; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			m.t.Fatalf("after %v only %v have answered on the VIP", patience, seen)
		}
		answer, err := client.Get("http://10.0.0.100/")
		if err != nil {
			continue
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err == nil && answer.StatusCode == 200 {
			seen[strings.TrimSpace(string(body))]++
		}
	}
}

// mustNotListen tries every TCP port of the management address.
func (m *machine) mustNotListen(address string) {
	m.t.Helper()
	var next atomic.Int32
	var wg sync.WaitGroup
	var refused atomic.Int32
	for range 4 {
		wg.Go(func() {
			for {
				port := next.Add(1)
				if port > 65535 {
					return
				}
				conn, err := m.Dial(m.t.Context(), "tcp", net.JoinHostPort(address, fmt.Sprint(port)))
				switch {
				case err == nil:
					conn.Close()
					m.t.Errorf("port %d is open", port)
				case errors.Is(err, syscall.ECONNREFUSED):
					refused.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if refused.Load() < 65000 {
		m.t.Errorf("only %d of 65535 ports said no: was the machine there at all?", refused.Load())
	}
}

// TestManagementNetwork boots with every kind of address that the network service may give, on different hardware.
func TestManagementNetwork(t *testing.T) {
	link := `{"links": [{"id": "tap1", "ethernet_mac_address": "` + managementMAC + `", "mtu": 1450}], "networks": [%s]}`
	for _, c := range []struct {
		name       string
		hardware   hardware
		dnsmasq    []string
		controller string
		network    string
	}{
		{"static IPv4", q35, nil, "198.51.100.1", `{"type": "ipv4", "link": "tap1", "ip_address": "198.51.100.5", "netmask": "255.255.255.0", "routes": [{"network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": "198.51.100.1"}]}`},
		{"static IPv6", pc, nil, "fd00:51::1", `{"type": "ipv6", "link": "tap1", "ip_address": "fd00:51::5", "netmask": "ffff:ffff:ffff:ffff::", "routes": []}`},
		{"router advertisements", pc, []string{"--enable-ra", "--dhcp-range=::,constructor:mgmt,ra-only,64"}, "fd00:51::1", `{"type": "ipv6_slaac", "link": "tap1"}`},
		{"DHCPv6", pc, []string{"--enable-ra", "--dhcp-range=fd00:51::5,fd00:51::5,64,1h"}, "fd00:51::1", `{"type": "ipv6_dhcpv6-stateful", "link": "tap1"}`},
		{"DHCP", uefi, nil, "198.51.100.1", `{"type": "ipv4_dhcp", "link": "tap1"}`},
	} {
		t.Run(c.name+" on "+c.hardware.name, func(t *testing.T) {
			m := newMachine(t, built(t).Output)
			m.serveDHCP(c.dnsmasq...)
			controller := m.controller(c.controller, fmt.Sprintf(link, c.network))
			start := time.Now()
			m.powerOn(c.hardware)
			controller.Await(t, patience, "that the agent is there", func(agentapi.Report) bool { return true })
			fmt.Printf("%s on %s: power-on to first report: %.1f s\n", c.name, c.hardware.name, time.Since(start).Seconds())
		})
	}
}
