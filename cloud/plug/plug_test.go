package plug

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// machine gives the test's thread a network namespace of its own.
func machine(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("needs root: it makes network namespaces")
	}
	runtime.LockOSThread()
	before, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := netns.Set(before); err != nil {
			t.Error(err)
		}
		before.Close()
		fresh.Close()
		runtime.UnlockOSThread()
	})
	run(t, "ip", "link", "set", "lo", "up")
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func examplePort(kind string) Port {
	return Port{ID: "65696550-00ff-4ef3-b028-860fe2738fdc", NetworkID: "9c08f24c-b3f8-4f81-b747-61cb7dee1acb", MAC: "fa:16:3e:23:fe:19",
		MTU: 1442, Kind: kind, Interface: "o-hm0", Serves: 5555,
		Addresses: []netip.Prefix{netip.MustParsePrefix("172.16.0.2/22"), netip.MustParsePrefix("fc00:61cb:7dee:1acb::2/64")}}
}

// hasPort tells what is not as the port says.
func hasPort(t *testing.T, p Port) {
	t.Helper()
	link, err := netlink.LinkByName(p.Interface)
	if err != nil {
		t.Fatal(err)
	}
	a := link.Attrs()
	if a.HardwareAddr.String() != p.MAC || a.MTU != p.MTU || a.Flags&net.FlagUp == 0 {
		t.Errorf("%s has MAC %v, MTU %d, flags %v", p.Interface, a.HardwareAddr, a.MTU, a.Flags)
	}
	shown := run(t, "ip", "-br", "address", "show", "dev", p.Interface)
	for _, address := range p.Addresses {
		if !strings.Contains(shown, address.String()) {
			t.Errorf("%s has not %v: %s", p.Interface, address, shown)
		}
	}
}

// bridgeAgent does what Neutron's does: it puts a port's tap into its network's bridge.
func bridgeAgent(t *testing.T, p Port) {
	t.Helper()
	run(t, "ip", "link", "add", p.bridge(), "type", "bridge", "forward_delay", "0")
	run(t, "ip", "link", "set", p.bridge(), "up")
	ns, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never back: the thread ends with the goroutine
		defer ns.Close()
		if err := netns.Set(ns); err != nil {
			done <- err
			return
		}
		for {
			if tap, err := netlink.LinkByName(p.tap()); err == nil {
				bridge, err := netlink.LinkByName(p.bridge())
				if err == nil {
					err = netlink.LinkSetMaster(tap, bridge)
				}
				done <- err
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	t.Cleanup(func() {
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestPlugsAsTheLinuxBridgeAgentExpects(t *testing.T) {
	machine(t)
	p := examplePort("bridge")
	bridgeAgent(t, p)
	if changed, err := Plug(t.Context(), p); err != nil || !changed {
		t.Fatalf("changed %v, %v", changed, err)
	}
	hasPort(t, p)
	if text, err := os.ReadFile(filepath.Join("/proc/thread-self/root/proc/sys/net/ipv4/conf", p.bridge(), "arp_ignore")); err != nil || string(text) != "1\n" {
		t.Errorf("the bridge's arp_ignore is %s, %v: it would answer for the interface", text, err)
	}
	if changed, err := Plug(t.Context(), p); err != nil || changed {
		t.Errorf("again: changed %v, %v", changed, err)
	}

	// Somebody meddles, and the port gets another address.
	run(t, "ip", "address", "flush", "dev", p.Interface, "scope", "global")
	run(t, "ip", "link", "set", p.Interface, "mtu", "1300", "down")
	p.Addresses = []netip.Prefix{netip.MustParsePrefix("172.16.0.7/22")}
	if changed, err := Plug(t.Context(), p); err != nil || !changed {
		t.Errorf("after meddling: changed %v, %v", changed, err)
	}
	hasPort(t, p)

	for range 2 {
		if err := Unplug(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	if link, err := find(p.Interface); err != nil || link != nil {
		t.Errorf("after unplugging: %v, %v", link, err)
	}
}

func TestReplacesTheInterfaceOfAnotherPort(t *testing.T) {
	machine(t)
	old, p := examplePort("bridge"), examplePort("bridge")
	old.ID, old.MAC = "11111111-00ff-4ef3-b028-860fe2738fdc", "fa:16:3e:00:00:01"
	if _, err := ensureVeth(old); err != nil {
		t.Fatal(err)
	}
	bridgeAgent(t, p)
	if _, err := Plug(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	hasPort(t, p)
	if tap, err := find(old.tap()); err != nil || tap != nil {
		t.Errorf("the old tap: %v, %v", tap, err)
	}
}

func TestRefusesWhatItDidNotMake(t *testing.T) {
	machine(t)
	run(t, "ip", "link", "add", "o-hm0", "type", "bridge")
	for _, kind := range []string{"bridge", "ovs"} {
		if _, err := Plug(t.Context(), examplePort(kind)); err == nil || !strings.Contains(err.Error(), "is something else (bridge)") {
			t.Errorf("%s: %v", kind, err)
		}
	}
	if kind := mustFind(t, "o-hm0").Type(); kind != "bridge" {
		t.Errorf("o-hm0 is %s now", kind)
	}
}

func mustFind(t *testing.T, name string) netlink.Link {
	t.Helper()
	link, err := find(name)
	if err != nil || link == nil {
		t.Fatalf("%s: %v, %v", name, link, err)
	}
	return link
}

// openVSwitch starts one with its datapath in user space, for the test alone.
func openVSwitch(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("OVS_RUNDIR", dir)
	t.Setenv("OVS_DBDIR", dir)
	t.Setenv("OVS_LOGDIR", dir)
	socket := "unix:" + dir + "/db.sock"
	run(t, "ovsdb-tool", "create", dir+"/conf.db", "/usr/share/openvswitch/vswitch.ovsschema")
	for _, command := range [][]string{
		{"ovsdb-server", dir + "/conf.db", "--remote=p" + socket, "--no-chdir"},
		{"ovs-vswitchd", socket, "--no-chdir"},
	} {
		daemon := exec.Command(command[0], command[1:]...)
		if err := daemon.Start(); err != nil {
			t.Fatalf("%v (install openvswitch-switch)", err)
		}
		t.Cleanup(func() {
			daemon.Process.Kill()
			daemon.Wait()
		})
		for deadline := time.Now().Add(10 * time.Second); command[0] == "ovsdb-server"; time.Sleep(20 * time.Millisecond) {
			if _, err := os.Stat(dir + "/db.sock"); err == nil {
				break
			} else if time.Now().After(deadline) {
				t.Fatal(err)
			}
		}
	}
	run(t, "ovs-vsctl", "--timeout=20", "--no-wait", "init")
	run(t, "ovs-vsctl", "--timeout=20", "add-br", Bridge, "--", "set", "Bridge", Bridge, "datapath_type=netdev")
}

func TestPlugsIntoOpenVSwitch(t *testing.T) {
	machine(t)
	openVSwitch(t)
	p := examplePort("ovs")
	if changed, err := Plug(t.Context(), p); err != nil || !changed {
		t.Fatalf("changed %v, %v", changed, err)
	}
	hasPort(t, p)
	if ids := run(t, "ovs-vsctl", "get", "Interface", p.Interface, "external_ids"); !strings.Contains(ids, `iface-id="`+p.ID+`"`) || !strings.Contains(ids, p.MAC) {
		t.Errorf("external ids %s", ids)
	}
	if changed, err := Plug(t.Context(), p); err != nil || changed {
		t.Errorf("again: changed %v, %v", changed, err)
	}
	p.MTU = 1300
	if changed, err := Plug(t.Context(), p); err != nil || !changed {
		t.Errorf("with another MTU: changed %v, %v", changed, err)
	}
	hasPort(t, p)
	for range 2 {
		if err := Unplug(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	if ports := run(t, "ovs-vsctl", "list-ports", Bridge); ports != "" {
		t.Errorf("left in the bridge: %s", ports)
	}
}

// TestOnlyTheAgentsPortIsOpen calls the machine from an instance on its bridge, by all ways that lead there.
func TestOnlyTheAgentsPortIsOpen(t *testing.T) {
	machine(t)
	p := examplePort("bridge")
	bridgeAgent(t, p)
	// As router advertisements do, and the machine's address in another network.
	run(t, "ip", "address", "add", "fc00:61cb:7dee:1acb::77/64", "dev", p.bridge(), "nodad", "valid_lft", "1000", "preferred_lft", "1000")
	run(t, "ip", "address", "add", "10.9.9.9/32", "dev", "lo")
	if _, err := Plug(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if shown := run(t, "ip", "-br", "address", "show", "dev", p.bridge()); strings.Contains(shown, ":") && strings.Contains(shown, "/64") {
		t.Errorf("the bridge has an address: %s", shown)
	}
	host, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	for _, port := range []string{"5555", "22", "9443"} {
		l, err := net.Listen("tcp", ":"+port)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
	instance, err := netns.New() // the thread is in the instance from here on
	if err != nil {
		t.Fatal(err)
	}
	defer instance.Close()
	defer netns.Set(host)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "eth0"
	veth := netlink.NewVeth(attrs)
	veth.PeerName, veth.PeerNamespace = "vm0", netlink.NsFd(host)
	if err := netlink.LinkAdd(veth); err != nil {
		t.Fatal(err)
	}
	run(t, "ip", "address", "add", "172.16.0.9/22", "dev", "eth0")
	run(t, "ip", "address", "add", "fc00:61cb:7dee:1acb::9/64", "dev", "eth0", "nodad")
	run(t, "ip", "link", "set", "eth0", "up")
	if err := netns.Set(host); err != nil {
		t.Fatal(err)
	}
	run(t, "ip", "link", "set", "vm0", "master", p.bridge(), "up")
	bridgeMAC := mustFind(t, p.bridge()).Attrs().HardwareAddr.String()
	if err := netns.Set(instance); err != nil {
		t.Fatal(err)
	}

	for address, open := range map[string]bool{
		"172.16.0.2:5555": true, "[fc00:61cb:7dee:1acb::2]:5555": true,
		"172.16.0.2:22": false, "172.16.0.2:9443": false, "[fc00:61cb:7dee:1acb::2]:22": false,
	} {
		patience := time.Second
		if open {
			patience = 15 * time.Second
		}
		if err := dial(address, patience); (err == nil) != open {
			t.Errorf("from the instance to %s: %v, want open: %v", address, err, open)
		}
	}
	// The bridge is the machine's, too: frames to its MAC arrive past the interface.
	run(t, "ip", "neighbour", "replace", "172.16.0.2", "lladdr", bridgeMAC, "dev", "eth0", "nud", "permanent")
	run(t, "ip", "route", "add", "10.9.9.9", "via", "172.16.0.2", "dev", "eth0")
	for _, address := range []string{"172.16.0.2:22", "172.16.0.2:5555", "10.9.9.9:22"} {
		if err := dial(address, time.Second); err == nil {
			t.Errorf("%s is open by the bridge's MAC", address)
		}
	}
}

func TestLeavesABridgeWithAddressesOfAnOperatorAlone(t *testing.T) {
	machine(t)
	p := examplePort("bridge")
	bridgeAgent(t, p)
	run(t, "ip", "address", "add", "192.0.2.7/24", "dev", p.bridge())
	run(t, "ip", "address", "add", "2001:db8::7/64", "dev", p.bridge(), "nodad")
	if _, err := Plug(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if shown := run(t, "ip", "-br", "address", "show", "dev", p.bridge()); !strings.Contains(shown, "192.0.2.7/24") || !strings.Contains(shown, "2001:db8::7/64") {
		t.Errorf("the bridge's addresses: %s", shown)
	}
	if rules := run(t, "nft", "list", "table", "inet", table); strings.Contains(rules, p.bridge()) {
		t.Errorf("the bridge is closed:\n%s", rules)
	}
}

// dial is done by a program that the test's own thread starts, whose namespace it is to be in.
func dial(address string, patience time.Duration) error {
	at := netip.MustParseAddrPort(address)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return exec.CommandContext(ctx, "bash", "-c", fmt.Sprintf("exec 3<>/dev/tcp/%v/%d", at.Addr(), at.Port())).Run()
}
