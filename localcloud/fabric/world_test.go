package fabric

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"
)

const (
	tcp    = unix.IPPROTO_TCP
	icmp   = unix.IPPROTO_ICMP
	icmpv6 = unix.IPPROTO_ICMPV6
)

// world is a fabric with a tag of its own, taken away at the end.
type world struct {
	*Fabric
	t *testing.T
}

func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	return newPlainWorld(t)
}

func newPlainWorld(t *testing.T) *world {
	t.Helper()
	tag := Tag(t.TempDir() + rand.Text())
	f, err := Open(tag, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{f, t}
	w.ok(w.Reset(t.Context(), Change{}))
	t.Cleanup(func() {
		w.Fabric.Close()
		if err := Clean(context.Background(), tag); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) apply(c Change) {
	w.t.Helper()
	w.ok(w.Apply(w.t.Context(), c))
}

func (w *world) network() Network {
	w.t.Helper()
	n := Network{uuid.NewString(), 1500}
	w.apply(Change{Networks: []Network{n}})
	return n
}

// machine is what an instance is to the network.
type machine struct {
	w    *world
	port Port
	ns   *Namespace
	ip   []netip.Addr
}

// machine makes one at these addresses ("10.0.0.1/24"), as a secured port of these groups.
func (w *world) machine(n Network, groups []string, addresses ...string) *machine {
	w.t.Helper()
	id := uuid.NewString()
	m := &machine{w: w, port: Port{ID: id, NetworkID: n.ID, MAC: randomMAC(), Secured: true, Groups: groups}}
	var prefixes []netip.Prefix
	for _, a := range addresses {
		p := netip.MustParsePrefix(a)
		prefixes, m.ip = append(prefixes, p), append(m.ip, p.Addr())
		m.port.Sources = append(m.port.Sources, Source{m.port.MAC, host(p.Addr())})
	}
	w.apply(Change{Ports: []Port{m.port}})
	var err error
	m.ns, _, err = EnsureNamespace(ServerNamespace(w.tag, id))
	w.ok(err)
	w.t.Cleanup(m.ns.Close)
	w.ok(w.Plug(Plug{id, n.ID, m.port.MAC, n.MTU, "eth0"}, m.ns))
	w.ok(m.ns.sysctl(map[string]string{"ipv6/conf/eth0/accept_dad": "0"}))
	w.ok(m.ns.up("lo"))
	_, err = m.ns.syncAddresses("eth0", prefixes) // and up
	w.ok(err)
	w.ok(w.Settle(id))
	return m
}

func host(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

func randomMAC() net.HardwareAddr {
	mac := net.HardwareAddr{0xfa, 0x16, 0x3e, 0, 0, 0}
	rand.Read(mac[3:])
	return mac
}

func (m *machine) via(gateway string) *machine {
	m.run("ip", "route", "add", "default", "via", gateway)
	return m
}

// run runs a command inside.
func (m *machine) run(args ...string) {
	m.w.t.Helper()
	m.w.ok(inside(m.ns, args...))
}

func inside(ns *Namespace, args ...string) error {
	return ns.Do(func() error {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out)
		}
		return nil
	})
}

// serve answers each line with the peer's address and the line, until the test ends.
func (m *machine) serve(port int) {
	m.w.t.Helper()
	var listener net.Listener
	m.w.ok(m.ns.Do(func() (err error) {
		listener, err = net.Listen("tcp", fmt.Sprint(":", port))
		return err
	}))
	m.w.t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go echo(conn)
		}
	}()
}

func echo(conn net.Conn) {
	defer conn.Close()
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		host, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
		if _, err := fmt.Fprintln(conn, host, lines.Text()); err != nil {
			return
		}
	}
}

// connection is a TCP connection that is used again and again.
type connection struct {
	net.Conn
	lines *bufio.Scanner
}

func dial(ns *Namespace, to string) (*connection, error) {
	var conn net.Conn
	err := ns.Do(func() (err error) {
		conn, err = net.DialTimeout("tcp", to, 500*time.Millisecond)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &connection{conn, bufio.NewScanner(conn)}, nil
}

// ask sends a line and answers what came back.
func (c *connection) ask(line string) (string, error) {
	c.SetDeadline(time.Now().Add(500 * time.Millisecond))
	if _, err := fmt.Fprintln(c, line); err != nil {
		return "", err
	}
	if !c.lines.Scan() {
		return "", fmt.Errorf("no answer: %w", c.lines.Err())
	}
	return c.lines.Text(), nil
}

// sees answers which address a server at to (host:port) sees, or an error.
func sees(ns *Namespace, to string) (string, error) {
	c, err := dial(ns, to)
	if err != nil {
		return "", err
	}
	defer c.Close()
	answer, err := c.ask("hello")
	return strings.TrimSuffix(answer, " hello"), err
}

func (w *world) reaches(from *machine, to string) {
	w.t.Helper()
	if _, err := sees(from.ns, to); err != nil {
		w.t.Errorf("%v cannot reach %s: %v", from.ip, to, err)
	}
}

func (w *world) misses(from *machine, to string) {
	w.t.Helper()
	if _, err := sees(from.ns, to); err == nil {
		w.t.Errorf("%v can reach %s", from.ip, to)
	}
}

func (w *world) pings(from *machine, to string, want bool) {
	w.t.Helper()
	err := inside(from.ns, "ping", "-c1", "-W1", to)
	// A neighbour that did not answer before is asked again after a while only.
	for try := 0; want && err != nil && try < 5; try++ {
		err = inside(from.ns, "ping", "-c1", "-W1", to)
	}
	if want != (err == nil) {
		w.t.Errorf("ping from %v to %s: %v, want it to work: %v", from.ip, to, err, want)
	}
}

// anyEgress is what Neutron's groups begin with.
func anyEgress() []Rule {
	return []Rule{{Egress: true, PortMin: -1, PortMax: -1}, {Egress: true, IPv6: true, PortMin: -1, PortMax: -1}}
}

// group makes a group that lets everything out, and in what the rules say.
func (w *world) group(rules ...Rule) Group {
	w.t.Helper()
	g := Group{ID: uuid.NewString(), Rules: slices.Concat(anyEgress(), rules)}
	w.apply(Change{Groups: []Group{g}})
	return g
}

func tcpPorts(from, to int) Rule { return Rule{Protocol: tcp, PortMin: from, PortMax: to} }
