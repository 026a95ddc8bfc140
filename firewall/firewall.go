// Package firewall writes the nftables rules by which an amphora balances UDP and SCTP: the kernel translates a listener's
// address to that of a member, which the first packet of each flow chooses by the pool's algorithm, and keeps the flow
// there. It is pure: state in, text out. Putting rules into force is package agent/datagram's.
//
// Everything is in one table, in the load balancer's network namespace. A flow is told by its mark, one number for each
// listener and member (Path). What a change must not forget is kept outside of the chains: counters, the clients that
// persistent pools remember, the flows that a connection limit counts.
package firewall

import (
	"net/netip"

	"github.com/octavo-lb/octavo/agentapi"
)

// Table is the name of the table, which is of family inet.
const Table = "octavo"

// AnswerMark is the mark of packets that are answers to clients. They have to be routed as what leaves from a VIP: it is
// their source only after they have been routed.
const AnswerMark = 1

// Seen is what rules depend on besides the wanted state.
type Seen struct {
	Down  map[Member]bool // checks say that the member is ill
	Flows map[Path]int    // how many there are; for LEAST_CONNECTIONS
}

// Member is a member in its pool.
type Member struct{ Pool, ID string }

// Path leads from a listener to a member.
type Path struct{ Listener, Member string }

// Build writes the rules for a wanted state. There are none when no listener of UDP or SCTP is enabled. It fails on a
// state that no rules can express, naming the object and the attribute. Nothing a user wrote gets into the text but
// addresses, networks and numbers that were parsed and are written anew.
func Build(state *agentapi.State, seen Seen) (*Ruleset, error) {
	services, err := services(state, seen)
	if err != nil {
		return nil, err
	}
	r := &Ruleset{services: map[frontend]*service{}}
	for _, s := range services {
		for _, vip := range s.vips {
			r.services[frontend{s.protocol, netip.AddrPortFrom(vip, s.port)}] = s
		}
	}
	if len(services) > 0 {
		r.write(services, sources(state))
	}
	return r, nil
}

// Capabilities are the names of what Build can express, as an agent reports them.
func Capabilities() []string {
	return []string{
		"listener:UDP", "listener:SCTP", "pool:UDP", "pool:SCTP", "algorithm:SOURCE_IP_PORT", "monitor:UDP-CONNECT", "monitor:SCTP",
	}
}

// Datagram tells the protocols that are balanced here. HAProxy serves the others.
func Datagram(protocol string) bool { return protocol == "UDP" || protocol == "SCTP" }
