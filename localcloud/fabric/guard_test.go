package fabric

import (
	"net"
	"net/netip"
	"testing"
)

func TestSpoofedSourcesAreDropped(t *testing.T) {
	w := newWorld(t)
	n := w.network()
	open := w.group(Rule{PortMin: -1, PortMax: -1}, Rule{IPv6: true, PortMin: -1, PortMax: -1})
	a := w.machine(n, []string{open.ID}, "10.0.0.1/24", "fd00::1/64")
	w.machine(n, []string{open.ID}, "10.0.0.2/24", "fd00::2/64")
	w.pings(a, "10.0.0.2", true)
	w.pings(a, "fd00::2", true)

	a.run("ip", "addr", "add", "10.0.0.66/24", "dev", "eth0")
	a.run("ip", "-6", "addr", "add", "fd00::66/64", "dev", "eth0")
	from := func(address, to string) bool { return inside(a.ns, "ping", "-c1", "-W1", "-I", address, to) == nil }
	if from("10.0.0.66", "10.0.0.2") || from("fd00::66", "fd00::2") {
		t.Error("a packet from an address that is not the port's arrived")
	}
	a.port.Sources = append(a.port.Sources, Source{a.port.MAC, netip.MustParsePrefix("10.0.0.64/26")}, Source{a.port.MAC, netip.MustParsePrefix("fd00::66/128")})
	w.apply(Change{Ports: []Port{a.port}})
	if !from("10.0.0.66", "10.0.0.2") || !from("fd00::66", "fd00::2") {
		t.Error("a packet from an allowed address pair did not arrive")
	}

	other := randomMAC()
	setMAC(a, other)
	w.pings(a, "10.0.0.2", false)
	w.pings(a, "fd00::2", false)
	a.port.Sources = append(a.port.Sources, Source{other, netip.MustParsePrefix("10.0.0.1/32")}, Source{other, netip.MustParsePrefix("fd00::1/128")})
	w.apply(Change{Ports: []Port{a.port}})
	w.pings(a, "10.0.0.2", true)
	w.pings(a, "fd00::2", true)
}

func setMAC(m *machine, mac net.HardwareAddr) {
	m.run("ip", "link", "set", "eth0", "down", "address", mac.String())
	m.w.ok(m.ns.up("eth0"))
	m.w.ok(m.w.Settle(m.port.ID))
	m.run("ip", "-6", "addr", "replace", m.ip[1].String()+"/64", "dev", "eth0", "nodad")
	m.run("ip", "neigh", "flush", "all")
}

// TestNeighboursCannotBePoisoned lets one machine claim another's address in ARP and neighbour discovery.
func TestNeighboursCannotBePoisoned(t *testing.T) {
	w := newWorld(t)
	n := w.network()
	open := w.group(tcpPorts(80, 80), Rule{IPv6: true, Protocol: tcp, PortMin: 80, PortMax: 80})
	client := w.machine(n, []string{open.ID}, "10.0.0.1/24", "fd00::1/64")
	server := w.machine(n, []string{open.ID}, "10.0.0.2/24", "fd00::2/64")
	thief := w.machine(n, []string{open.ID}, "10.0.0.3/24", "fd00::3/64")
	server.serve(80)
	w.reaches(client, "10.0.0.2:80")
	w.reaches(client, "[fd00::2]:80")
	thief.run("ip", "addr", "add", "10.0.0.2/24", "dev", "eth0")
	thief.run("ip", "-6", "addr", "add", "fd00::2/64", "dev", "eth0", "nodad")
	w.ok(thief.ns.announce(map[string][]netip.Addr{"eth0": {netip.MustParseAddr("10.0.0.2")}}))
	client.run("ip", "neigh", "flush", "all") // whoever answers first has the address now
	w.reaches(client, "10.0.0.2:80")
	w.reaches(client, "[fd00::2]:80")
}
