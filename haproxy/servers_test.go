package haproxy_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/octavo-lb/octavo/haproxy"
)

// TestServersAreGivenBeforeOthersAreTaken: when one member takes another's place, a request meets one of them at any moment.
func TestServersAreGivenBeforeOthersAreTaken(t *testing.T) {
	t.Parallel()
	const pool = `
vips: [{address: 192.0.2.10/24}]
listeners: [{id: l1, protocol: HTTP, protocol_port: 80, default_pool_id: p1}]
pools: [{id: p1, protocol: HTTP, lb_algorithm: ROUND_ROBIN}]
members:
`
	for name, c := range map[string]struct{ members, first, last string }{
		"enabled and disabled": {"  - {id: m1, pool_id: p1, address: 10.0.0.1, protocol_port: 80, admin_state_up: false}\n" +
			"  - {id: m2, pool_id: p1, address: 10.0.0.2, protocol_port: 80, weight: 9}", "m2 state ready", "m1 state maint"},
		"weights": {"  - {id: m1, pool_id: p1, address: 10.0.0.1, protocol_port: 80, weight: 0}\n" +
			"  - {id: m2, pool_id: p1, address: 10.0.0.2, protocol_port: 80, admin_state_up: false, weight: 10}", "m2 weight 10", "m1 weight 0"},
		"added and removed": {"  - {id: m3, pool_id: p1, address: 10.0.0.3, protocol_port: 80}", "add server p1:l1/m3 ", "del server p1:l1/m"},
	} {
		t.Run(name, func(t *testing.T) {
			states := []haproxy.ServerState{server("m1", "10.0.0.1", false), server("m2", "10.0.0.2", true)}
			commands, ok := build(t, pool+c.members).Changes(states, nil)
			if !ok {
				t.Fatal("a reload is wanted")
			}
			at := func(part string) int {
				return slices.IndexFunc(commands, func(s string) bool { return strings.Contains(s, part) })
			}
			if first, last := at(c.first), at(c.last); first < 0 || last < first {
				t.Errorf("%q is not before %q in\n%s", c.first, c.last, strings.Join(commands, "\n"))
			}
		})
	}
}

func server(name, address string, maintenance bool) haproxy.ServerState {
	return haproxy.ServerState{Backend: "p1:l1", Name: name, Address: netip.AddrPortFrom(netip.MustParseAddr(address), 80), Weight: 1, Maintenance: maintenance}
}
