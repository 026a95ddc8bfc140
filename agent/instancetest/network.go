package instancetest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// Network is a namespace with a bridge: where the instance is plugged, and clients and members are.
type Network struct {
	ns     netns.NsHandle
	handle *netlink.Handle
	bridge netlink.Link // what addresses are on
	plugs  int
}

// NewNetwork makes one in which the given addresses (CIDR) are local.
func NewNetwork(t testing.TB, addresses ...string) *Network {
	t.Helper()
	n := newNamespace(t)
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}
	for _, err := range []error{n.handle.LinkAdd(bridge), n.up("br0")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	n.bridge = bridge
	for _, a := range addresses {
		n.AddAddress(t, a)
	}
	return n
}

func newNamespace(t testing.TB) *Network {
	t.Helper()
	n := &Network{}
	err := onThread(func() (err error) {
		n.ns, err = netns.New()
		return err
	})
	if err != nil {
		t.Fatalf("making a network namespace (this needs root): %v", err)
	}
	t.Cleanup(func() { n.ns.Close() })
	if n.handle, err = netlink.NewHandleAt(n.ns); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.handle.Close)
	if err := n.up("lo"); err != nil {
		t.Fatal(err)
	}
	return n
}

// AddAddress makes an address (CIDR) local to the network's clients and members.
func (n *Network) AddAddress(t testing.TB, cidr string) {
	t.Helper()
	a, err := netlink.ParseAddr(cidr)
	if err != nil {
		t.Fatal(err)
	}
	if a.IP.To4() == nil {
		a.Flags = 0x02 // IFA_F_NODAD
	}
	if err := n.handle.AddrAdd(n.bridge, a); err != nil {
		t.Fatal(err)
	}
}

// RemoveAddress takes an address (CIDR) away.
func (n *Network) RemoveAddress(t testing.TB, cidr string) {
	t.Helper()
	a, err := netlink.ParseAddr(cidr)
	if err == nil {
		err = n.handle.AddrDel(n.bridge, a)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (n *Network) up(name string) error {
	l, err := n.handle.LinkByName(name)
	if err != nil {
		return err
	}
	return n.handle.LinkSetUp(l)
}

func (n *Network) plug(t testing.TB, instance netns.NsHandle, mac net.HardwareAddr) {
	t.Helper()
	n.plugs++
	outer, inner := fmt.Sprintf("port%d", n.plugs), fmt.Sprintf("ens%d", n.plugs)
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: outer}, PeerName: inner, PeerHardwareAddr: mac}
	if err := n.handle.LinkAdd(veth); err != nil {
		t.Fatal(err)
	}
	o, err1 := n.handle.LinkByName(outer)
	in, err2 := n.handle.LinkByName(inner)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	for _, err := range []error{n.handle.LinkSetMaster(o, n.bridge), n.handle.LinkSetUp(o), n.handle.LinkSetNsFd(in, int(instance))} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Plug connects the instance once more, by an interface of that MAC.
func (n *Network) Plug(t testing.TB, i *Instance, mac string) {
	t.Helper()
	instance, err := netns.GetFromPid(i.holder.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer instance.Close()
	hardware, err := net.ParseMAC(mac)
	if err != nil {
		t.Fatal(err)
	}
	n.plug(t, instance, hardware)
}

// Do calls f in the network: sockets that it opens and processes that it starts belong there.
func (n *Network) Do(f func() error) error {
	return onThread(func() error {
		if err := netns.Set(n.ns); err != nil {
			return err
		}
		return f()
	})
}

// Start starts a program in the network.
func (n *Network) Start(cmd *exec.Cmd) error { return n.Do(cmd.Start) }

// Listen opens a listening socket in the network.
func (n *Network) Listen(t testing.TB, address string) net.Listener {
	t.Helper()
	var l net.Listener
	err := n.Do(func() (err error) {
		l, err = net.Listen("tcp", address)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// Dial connects from the network.
func (n *Network) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	var c net.Conn
	err := n.Do(func() (err error) {
		var d net.Dialer
		c, err = d.DialContext(ctx, network, address)
		return err
	})
	return c, err
}

// HTTPClient makes requests from the network.
func (n *Network) HTTPClient(keepAlive bool) *http.Client {
	return &http.Client{
		Timeout:       10 * time.Second,
		Transport:     &http.Transport{DialContext: n.Dial, DisableKeepAlives: !keepAlive, MaxIdleConnsPerHost: 64},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Web is a member that answers its name, and 200 on /healthcheck as long as it is well.
type Web struct {
	Name     string
	Served   atomic.Int64
	Checked  atomic.Int64
	Ill      atomic.Bool
	Requests atomic.Value // func(*http.Request), called for each request that is no check, if set
	listener net.Listener
}

// StartWeb starts a member.
func (n *Network) StartWeb(t testing.TB, name, address string) *Web {
	t.Helper()
	w := &Web{Name: name, listener: n.Listen(t, address)}
	server := &http.Server{Handler: w}
	go server.Serve(w.listener) //nolint:errcheck // it always ends with the test
	t.Cleanup(func() { server.Close() })
	return w
}

func (w *Web) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/healthcheck" {
		w.Checked.Add(1)
		if w.Ill.Load() {
			out.WriteHeader(http.StatusServiceUnavailable)
		}
		return
	}
	w.Served.Add(1)
	if f, ok := w.Requests.Load().(func(*http.Request)); ok {
		f(r)
	}
	if r.URL.Path == "/login" {
		out.Header().Set("Set-Cookie", "sess=of-"+w.Name)
	}
	fmt.Fprintf(out, "%s\n", w.Name)
}

func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends
		done <- f()
	}()
	return <-done
}

// Neighbour is another namespace on the network's wire, with an address (CIDR) of its own: what goes there is not local.
func (n *Network) Neighbour(t testing.TB, address string) *Network {
	t.Helper()
	other := newNamespace(t)
	n.plugs++
	mac := net.HardwareAddr{2, 0, 0, 1, 0, byte(n.plugs)}
	n.plug(t, other.ns, mac)
	link, err := other.handle.LinkByName(fmt.Sprintf("ens%d", n.plugs))
	if err != nil {
		t.Fatal(err)
	}
	other.bridge = link
	if err := other.handle.LinkSetUp(link); err != nil {
		t.Fatal(err)
	}
	other.AddAddress(t, address)
	return other
}

// Route sends what goes to a network (CIDR) by way of a neighbour.
func (n *Network) Route(t testing.TB, cidr, via string) {
	t.Helper()
	_, to, err := net.ParseCIDR(cidr)
	if err == nil {
		err = n.handle.RouteAdd(&netlink.Route{LinkIndex: n.bridge.Attrs().Index, Dst: to, Gw: net.ParseIP(via)})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Sysctl sets a value below /proc/sys/net in the network.
func (n *Network) Sysctl(t testing.TB, name, value string) {
	t.Helper()
	if err := n.Do(func() error { return os.WriteFile("/proc/sys/net/"+name, []byte(value), 0) }); err != nil {
		t.Fatal(err)
	}
}

// Delivered is how many IPv4 packets have come in for the network's own addresses.
func (n *Network) Delivered(t testing.TB) int64 {
	t.Helper()
	var text []byte
	err := n.Do(func() (err error) {
		text, err = os.ReadFile("/proc/thread-self/net/snmp")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if fields[0] != "Ip:" {
			continue
		}
		if i := slices.Index(names, "InDelivers"); i >= 0 {
			n, err := strconv.ParseInt(fields[i], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		names = fields
	}
	t.Fatal("the kernel does not count what it delivers")
	return 0
}
