package fabric

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/uuid"
)

// site is a router between a private network and an outside one that the host is on.
type site struct {
	*world
	private, outside Network
	router           Router
	prefix           netip.Prefix // of the outside network; the host has .1, the router .2
}

func newSite(t *testing.T) *site {
	t.Helper()
	w := newWorld(t)
	s := &site{world: w, private: w.network(), outside: w.network()}
	unlock, err := LockHost(t.Context())
	w.ok(err)
	defer unlock()
	free, err := w.FreePrefixes(1)
	w.ok(err)
	s.prefix = free[0]
	w.ok(w.PlugHost(Plug{uuid.NewString(), s.outside.ID, randomMAC(), 1500, HostLink(w.tag, "ext")}, s.address(1)))
	s.router = Router{ID: uuid.NewString(), SNAT: true, NextHops: []netip.Addr{s.address(1).Addr()},
		Interfaces: []RouterPort{{uuid.NewString(), s.private.ID, randomMAC(), 1500, prefixes("192.168.7.1/24", "fd00:7::1/64")}},
		Gateway:    &RouterPort{uuid.NewString(), s.outside.ID, randomMAC(), 1500, []netip.Prefix{s.address(2)}}}
	s.setRouter()
	return s
}

// address is the outside network's nth, with its prefix's length.
func (s *site) address(n byte) netip.Prefix {
	a := s.prefix.Addr().As4()
	a[3] = n
	return netip.PrefixFrom(netip.AddrFrom4(a), s.prefix.Bits())
}

func (s *site) floatingIP(n byte, fixed string) FloatingIP {
	return FloatingIP{s.address(n).Addr(), netip.MustParseAddr(fixed)}
}

func (s *site) setRouter() {
	s.t.Helper()
	s.ok(s.SetRouter(s.t.Context(), s.router))
}

func prefixes(list ...string) (all []netip.Prefix) {
	for _, p := range list {
		all = append(all, netip.MustParsePrefix(p))
	}
	return all
}

// hostSees is what a server at a floating IP sees of the host that asks it.
func (s *site) hostSees(ip FloatingIP) (string, error) {
	return sees(s.host, fmt.Sprintf("%v:80", ip.Address))
}

func TestFloatingIPLeadsTheHostToAServerAndBack(t *testing.T) {
	s := newSite(t)
	web := s.group(tcpPorts(80, 80))
	a := s.machine(s.private, []string{web.ID}, "192.168.7.10/24").via("192.168.7.1")
	a.serve(80)
	s.router.Floating = []FloatingIP{s.floatingIP(50, "192.168.7.10")}
	s.setRouter()
	from, err := s.hostSees(s.router.Floating[0])
	s.ok(err)
	if want := s.address(1).Addr().String(); from != want {
		t.Errorf("the server sees %s, want the host's own address %s", from, want)
	}
	if _, err := dial(s.host, fmt.Sprintf("%v:81", s.address(50).Addr())); err == nil {
		t.Error("the security group does not hold behind the floating IP")
	}
}

func TestWhatLeavesComesFromTheFloatingIPOrTheGateway(t *testing.T) {
	s := newSite(t)
	g := s.group()
	a := s.machine(s.private, []string{g.ID}, "192.168.7.10/24").via("192.168.7.1")
	b := s.machine(s.private, []string{g.ID}, "192.168.7.11/24").via("192.168.7.1")
	s.router.Floating = []FloatingIP{s.floatingIP(50, "192.168.7.10")}
	s.setRouter()
	hostServer := &machine{w: s.world, ns: s.host}
	hostServer.serve(8901)
	for m, want := range map[*machine]netip.Prefix{a: s.address(50), b: s.address(2)} {
		from, err := sees(m.ns, fmt.Sprintf("%v:8901", s.address(1).Addr()))
		s.ok(err)
		if from != want.Addr().String() {
			t.Errorf("the host sees %v as %s, want %v", m.ip, from, want.Addr())
		}
	}
}

func TestFloatingIPWorksFromInside(t *testing.T) {
	s := newSite(t)
	web := s.group(tcpPorts(80, 80))
	a := s.machine(s.private, []string{web.ID}, "192.168.7.10/24").via("192.168.7.1")
	b := s.machine(s.private, []string{web.ID}, "192.168.7.11/24").via("192.168.7.1")
	a.serve(80)
	s.router.Floating = []FloatingIP{s.floatingIP(50, "192.168.7.10")}
	s.setRouter()
	s.reaches(b, fmt.Sprintf("%v:80", s.address(50).Addr()))
	s.reaches(a, fmt.Sprintf("%v:80", s.address(50).Addr()))
}

func TestFloatingIPThatMovesTakesNewConnectionsAlong(t *testing.T) {
	s := newSite(t)
	web := s.group(tcpPorts(80, 80))
	a := s.machine(s.private, []string{web.ID}, "192.168.7.10/24").via("192.168.7.1")
	b := s.machine(s.private, []string{web.ID}, "192.168.7.11/24").via("192.168.7.1")
	stays := s.machine(s.private, []string{web.ID}, "192.168.7.12/24").via("192.168.7.1")
	for _, m := range []*machine{a, b, stays} {
		m.serve(80)
	}
	s.router.Floating = []FloatingIP{s.floatingIP(50, "192.168.7.10"), s.floatingIP(51, "192.168.7.12")}
	s.setRouter()
	moved, err := dial(s.host, fmt.Sprintf("%v:80", s.address(50).Addr()))
	s.ok(err)
	defer moved.Close()
	kept, err := dial(s.host, fmt.Sprintf("%v:80", s.address(51).Addr()))
	s.ok(err)
	defer kept.Close()
	s.router.Floating[0].Fixed = netip.MustParseAddr("192.168.7.11")
	s.setRouter()
	if _, err := moved.ask("still there?"); err == nil {
		t.Error("a connection went on to where its floating IP no longer is")
	}
	if _, err := kept.ask("still there?"); err != nil {
		t.Errorf("moving one floating IP cut another's connection: %v", err)
	}
	if _, err := s.hostSees(s.router.Floating[0]); err != nil {
		t.Errorf("new connections to the moved floating IP: %v", err)
	}
	s.router.Floating = nil
	s.setRouter()
	if _, err := s.hostSees(s.floatingIP(51, "192.168.7.12")); err == nil {
		t.Error("a floating IP that is gone still answers")
	}
}

func TestFloatingIPOfAVirtualAddressFollowsItsHolder(t *testing.T) {
	s := newSite(t)
	web := s.group(tcpPorts(80, 80))
	a := s.machine(s.private, []string{web.ID}, "192.168.7.10/24").via("192.168.7.1")
	b := s.machine(s.private, []string{web.ID}, "192.168.7.11/24").via("192.168.7.1")
	s.router.Floating = []FloatingIP{s.floatingIP(50, "192.168.7.100")}
	s.setRouter()
	for _, m := range []*machine{a, b} {
		m.port.Sources = append(m.port.Sources, Source{m.port.MAC, netip.MustParsePrefix("192.168.7.100/32")})
		s.apply(Change{Ports: []Port{m.port}})
		m.serve(80)
	}
	take := func(m *machine) {
		m.run("ip", "addr", "add", "192.168.7.100/32", "dev", "eth0")
		s.ok(m.ns.announce(map[string][]netip.Addr{"eth0": {netip.MustParseAddr("192.168.7.100")}}))
	}
	take(a)
	if _, err := s.hostSees(s.router.Floating[0]); err != nil {
		t.Fatalf("through the first holder: %v", err)
	}
	a.run("ip", "addr", "del", "192.168.7.100/32", "dev", "eth0")
	take(b)
	if _, err := s.hostSees(s.router.Floating[0]); err != nil {
		t.Errorf("through the second holder: %v", err)
	}
}

func TestRouterJoinsNetworksAndForgetsThem(t *testing.T) {
	s := newSite(t)
	other := s.network()
	open := s.group(tcpPorts(80, 80), Rule{IPv6: true, Protocol: icmpv6, PortMin: -1, PortMax: -1})
	a := s.machine(s.private, []string{open.ID}, "192.168.7.10/24", "fd00:7::10/64").via("192.168.7.1").via("fd00:7::1")
	b := s.machine(other, []string{open.ID}, "192.168.8.10/24", "fd00:8::10/64").via("192.168.8.1").via("fd00:8::1")
	b.serve(80)
	s.misses(a, "192.168.8.10:80")
	inside := s.router.Interfaces
	s.router.Interfaces = append(inside, RouterPort{uuid.NewString(), other.ID, randomMAC(), 1500, prefixes("192.168.8.1/24", "fd00:8::1/64")})
	s.setRouter()
	s.reaches(a, "192.168.8.10:80")
	s.pings(a, "fd00:8::10", true)
	s.router.Interfaces = inside
	s.setRouter()
	s.misses(a, "192.168.8.10:80")
	s.ok(s.KeepRouters(nil))
	s.ok(s.RemoveRouter(s.router.ID))
	s.pings(a, "192.168.7.1", false)
}

func TestFreePrefixesAreNotTheHosts(t *testing.T) {
	s := newSite(t)
	free, err := s.FreePrefixes(2)
	s.ok(err)
	if free[0].Overlaps(s.prefix) || free[0] == free[1] {
		t.Errorf("free are %v while the host has %v", free, s.prefix)
	}
	err = s.PlugHost(Plug{uuid.NewString(), s.private.ID, randomMAC(), 1500, HostLink(s.tag, "two")}, s.address(9))
	if err == nil {
		t.Error("the host took a second link on the same prefix")
	}
}

func TestRouterIsSetQuickly(t *testing.T) {
	s := newSite(t)
	began := time.Now()
	for i := range byte(20) {
		s.router.Floating = append(s.router.Floating, s.floatingIP(50+i, fmt.Sprint("192.168.7.", 10+i)))
		s.setRouter()
	}
	t.Logf("one floating IP more: %v", time.Since(began)/20)
}
