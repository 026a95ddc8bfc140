package network

import (
	"context"
	"net/netip"
	"slices"

	"github.com/octavo-lb/octavo/localcloud/fabric"
	"github.com/octavo-lb/octavo/localcloud/state"
)

// Connections that were allowed when they began go on when a rule that allows them is taken away: the fabric judges
// beginnings only. So whoever takes something away has the connections concerned looked at again, after the rules are in
// force. Looking through all connections takes its time, so this has rounds of its own, apart from the applier's.

// revoke ends the connections of these ports, as they were, that could not begin now.
func (s *Service) revoke(ctx context.Context, ports []Port) {
	if len(ports) > 0 {
		s.revoker.wait(ctx, dirty{lost: ports})
	}
}

// revokeRound does what it can, once: connections that it leaves were allowed when they began.
func (s *Service) revokeRound(_ context.Context, d dirty) (failed dirty) {
	for _, id := range networksOf(d.lost) {
		lost := map[netip.Addr]bool{}
		for _, p := range d.lost {
			for _, a := range p.reach() {
				if p.NetworkID == id && a.IsSingleIP() {
					lost[a.Addr()] = true
				}
			}
		}
		j := s.judgeOf(id)
		err := s.fabric.Cut(id, func(f fabric.Flow) bool {
			return lost[f.To] && !j.allows("ingress", f.To, f.From, f) || lost[f.From] && !j.allows("egress", f.From, f.To, f)
		})
		if err != nil {
			s.opts.Logger.Error("cannot end connections that are no longer allowed", "network", id, "err", err)
		}
	}
	return dirty{}
}

func networksOf(ports []Port) []string {
	var ids []string
	for _, p := range ports {
		if !slices.Contains(ids, p.NetworkID) {
			ids = append(ids, p.NetworkID)
		}
	}
	return ids
}

// reach are the addresses that a port sends from.
func (p Port) reach() []netip.Prefix {
	var all []netip.Prefix
	for _, ip := range p.FixedIPs {
		all = append(all, single(ip.IPAddress))
	}
	for _, pair := range p.AllowedAddressPairs {
		if prefix, ok := pair.prefix(); ok {
			all = append(all, prefix)
		}
	}
	return all
}

// judge says for one network what the fabric's rules would, were a connection to begin now.
type judge struct {
	s     *Service
	at    map[netip.Addr][]fabric.Port // by addresses that they send from
	wide  map[netip.Prefix][]fabric.Port
	rules map[string][]SecurityGroupRule // by group, as far as they were needed
}

func (s *Service) judgeOf(networkID string) *judge {
	j := &judge{s, map[netip.Addr][]fabric.Port{}, map[netip.Prefix][]fabric.Port{}, map[string][]SecurityGroupRule{}}
	for _, p := range portsOn(s.state, networkID) {
		port := s.fabricPort(p)
		for _, a := range p.reach() {
			if a.IsSingleIP() {
				j.at[a.Addr()] = append(j.at[a.Addr()], port)
			} else {
				j.wide[a] = append(j.wide[a], port)
			}
		}
	}
	return j
}

// allows tells whether any of the ports that the address may be at lets the connection pass in that direction.
func (j *judge) allows(direction string, own, peer netip.Addr, f fabric.Flow) bool {
	lets := func(p fabric.Port) bool {
		return !p.Secured || slices.ContainsFunc(p.Groups, func(g string) bool {
			return slices.ContainsFunc(j.rulesOf(g), func(r SecurityGroupRule) bool {
				return r.Direction == direction && r.matches(f) && j.matchesPeer(r, peer)
			})
		})
	}
	if slices.ContainsFunc(j.at[own], lets) {
		return true
	}
	for prefix, ports := range j.wide {
		if prefix.Contains(own) && slices.ContainsFunc(ports, lets) {
			return true
		}
	}
	return false
}

func (j *judge) rulesOf(group string) []SecurityGroupRule {
	if _, known := j.rules[group]; !known {
		j.rules[group] = rulesOf(j.s.state, group)
	}
	return j.rules[group]
}

// matches compares all but the peer. Types of ICMP are taken as they come.
func (r SecurityGroupRule) matches(f fabric.Flow) bool {
	rule := r.fabric()
	if rule.IPv6 != f.To.Is6() || rule.Protocol != 0 && rule.Protocol != f.Protocol {
		return false
	}
	ported := f.Protocol != 1 && f.Protocol != 58
	return !ported || rule.PortMin < 0 || f.Port >= rule.PortMin && f.Port <= rule.PortMax
}

func (j *judge) matchesPeer(r SecurityGroupRule, peer netip.Addr) bool {
	switch {
	case r.RemoteIPPrefix != nil:
		return r.RemoteIPPrefix.Masked().Contains(peer)
	case r.RemoteGroupID != nil:
		_, member := state.Find(j.s.state, func(p *Port) bool {
			return slices.Contains(p.SecurityGroups, *r.RemoteGroupID) &&
				slices.ContainsFunc(p.reach(), func(a netip.Prefix) bool { return a.Contains(peer) })
		})
		return member
	}
	return true
}

// inGroup are the ports that a change of the group's rules concerns.
func (s *Service) inGroup(id string) []Port {
	return state.List(s.state, func(p *Port) bool { return slices.Contains(p.SecurityGroups, id) })
}

// trusting are the ports whose groups have rules about the members of these groups.
func (s *Service) trusting(groups []string) []Port {
	var theirs []string
	for _, r := range state.List(s.state, func(r *SecurityGroupRule) bool {
		return r.RemoteGroupID != nil && slices.Contains(groups, *r.RemoteGroupID)
	}) {
		theirs = append(theirs, r.SecurityGroupID)
	}
	return state.List(s.state, func(p *Port) bool {
		return slices.ContainsFunc(p.SecurityGroups, func(g string) bool { return slices.Contains(theirs, g) })
	})
}
