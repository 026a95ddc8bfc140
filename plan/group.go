package plan

import (
	"net/netip"

	"github.com/octavo-lb/octavo/lb"
)

// PeerPort is where the amphorae of a pair exchange their stick tables (octavia/common/constants.py HAPROXY_BASE_PEER_PORT).
const PeerPort = 1025

// Protocol numbers that Neutron takes as they are.
const (
	protocolVRRP = "112"
	protocolAH   = "51"
)

// Group is the load balancer's security group. It lets in what listeners serve, from where they allow it, and what
// the amphorae of a pair say to each other; when the user brought security groups, those say what clients may do. Out
// goes everything.
func Group(t *lb.Tree) SecurityGroup {
	g := groupBuilder{seen: map[Rule]bool{}}
	g.add(Rule{Egress: true})
	g.add(Rule{Egress: true, IPv6: true})
	var v4, v6 bool
	for _, v := range vips(&t.LB) {
		v4, v6 = v4 || v.Address.Is4(), v6 || v.Address.Is6()
	}
	if len(t.LB.VipSgIDs) == 0 {
		for i := range t.Listeners {
			if l := &t.Listeners[i]; !l.Deleting {
				g.listener(l, v4, v6)
			}
		}
	}
	if t.LB.Topology == activeStandby {
		g.pair(address(t.LB.VipAddress).Is6())
	}
	return SecurityGroup{Name: GroupName(t.LB.ID), Rules: g.rules}
}

type groupBuilder struct {
	rules []Rule
	seen  map[Rule]bool
}

func (g *groupBuilder) add(r Rule) {
	if !g.seen[r] {
		g.seen[r] = true
		g.rules = append(g.rules, r)
	}
}

func (g *groupBuilder) listener(l *lb.Listener, v4, v6 bool) {
	rule := Rule{Protocol: "tcp", Port: l.ProtocolPort}
	switch l.Protocol {
	case "UDP":
		rule.Protocol = "udp"
	case "SCTP":
		rule.Protocol = "sctp"
	}
	if len(l.AllowedCidrs) == 0 {
		if v4 {
			g.add(rule)
		}
		if v6 {
			rule.IPv6 = true
			g.add(rule)
		}
		return
	}
	for _, text := range l.AllowedCidrs {
		cidr, err := netip.ParsePrefix(text)
		if err != nil {
			continue // lets nobody in, which is the safe way to be wrong
		}
		r := rule
		if r.IPv6 = cidr.Addr().Is6(); r.IPv6 && v6 || !r.IPv6 && v4 {
			if cidr.Bits() > 0 {
				r.Remote = cidr.Masked()
			}
			g.add(r)
		}
	}
}

// pair lets in what the two amphorae say to each other: from each other only, so that nobody else on the VIP's network
// can pose as one of them.
func (g *groupBuilder) pair(v6 bool) {
	for _, r := range []Rule{{Protocol: protocolVRRP}, {Protocol: protocolAH}, {Protocol: "tcp", Port: PeerPort}} {
		r.IPv6, r.Peers = v6, true
		g.add(r)
	}
}
