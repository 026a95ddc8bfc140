package firewall

import (
	"net/netip"
	"slices"
)

// Flow is a flow as the kernel tracks it.
type Flow struct {
	Protocol string // udp or sctp
	Client   netip.Addr
	VIP      netip.AddrPort // that the client sends to
	Member   netip.AddrPort // that answers; the VIP when nothing was translated
	Answered bool           // something has come back
}

// Fate is what is to become of a flow.
type Fate int

const (
	Foreign Fate = iota // not of the load balancer
	Kept
	Cut // it leads where the rules lead nobody any more; its next packet begins a new one
)

// Judge tells a flow's fate. Flows stay with members that take no new ones (weight 0, a backup that is not needed any
// more), and do not with those that are gone, disabled or down (Octavia's expire_nodest_conn), nor when the client is not
// allowed any more. A flow that began before its listener did was not translated and never would be.
func (r *Ruleset) Judge(f Flow) (Path, Fate) {
	s, served := r.services[frontend{f.Protocol, f.VIP}]
	switch {
	case !served && f.Member == f.VIP:
		return Path{}, Foreign
	case !served || s.closed && !slices.ContainsFunc(s.allowed, func(p netip.Prefix) bool { return p.Contains(f.Client) }):
		return Path{}, Cut
	}
	id, known := s.ids[f.Member]
	if !known {
		return Path{}, Cut
	}
	return Path{s.listener, id}, Kept
}
