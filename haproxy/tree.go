package haproxy

import (
	"cmp"
	"fmt"
	"net/netip"
	"regexp"
	"slices"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/lb"
)

// tree is a wanted state by id, with the disabled objects left out where leaving them out is what disabling means.
type tree struct {
	state     *agentapi.State
	listeners []lb.Listener
	pools     map[string]lb.Pool
	members   map[string][]agentapi.Member // by pool
	monitors  map[string]agentapi.Monitor  // by pool
	policies  map[string][]lb.L7Policy     // by listener, in the order in which they act
	rules     map[string][]agentapi.Rule   // by policy
}

// identifier is what an id must look like to be a name in the configuration. Ids are the service's own, so that another
// one is a fault and not a user's wish.
var identifier = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z-]{0,63}$`)

func index(s *agentapi.State) (*tree, error) {
	t := &tree{
		state: s, pools: map[string]lb.Pool{}, members: map[string][]agentapi.Member{}, monitors: map[string]agentapi.Monitor{},
		policies: map[string][]lb.L7Policy{}, rules: map[string][]agentapi.Rule{},
	}
	if s.Disabled {
		return t, nil
	}
	ids := []string{s.LB}
	if s.VRRP != nil {
		ids = append(append(ids, s.AmphoraID), s.VRRP.PeerNames...)
	}
	for _, l := range s.Listeners {
		ids = append(ids, l.ID)
		if l.AdminStateUp && !l.Deleting && !datagram(l.Protocol) {
			t.listeners = append(t.listeners, l)
		}
	}
	for _, p := range s.Pools {
		ids = append(ids, p.ID)
		if p.AdminStateUp && !p.Deleting {
			t.pools[p.ID] = p
		}
	}
	for _, m := range s.Members {
		ids = append(ids, m.ID)
		if !m.Deleting {
			t.members[m.PoolID] = append(t.members[m.PoolID], m)
		}
	}
	for _, m := range s.Monitors {
		if m.AdminStateUp && !m.Deleting {
			t.monitors[m.PoolID] = m
		}
	}
	for _, p := range s.Policies {
		if p.AdminStateUp && !p.Deleting {
			t.policies[p.ListenerID] = append(t.policies[p.ListenerID], p)
		}
	}
	for _, r := range s.Rules {
		ids = append(ids, r.ID)
		if r.AdminStateUp && !r.Deleting {
			t.rules[r.PolicyID] = append(t.rules[r.PolicyID], r)
		}
	}
	for _, policies := range t.policies {
		slices.SortStableFunc(policies, byPrecedence)
	}
	for _, id := range ids {
		if !identifier.MatchString(id) {
			return nil, fmt.Errorf("the id %q cannot be a name in haproxy.cfg", id)
		}
	}
	return t, nil
}

// byPrecedence orders policies as Octavia's users know it (doc/source/user/guides/l7.rst): REJECT before redirections to
// URLs before redirections to pools, each by position.
func byPrecedence(a, b lb.L7Policy) int {
	return cmp.Or(cmp.Compare(rank(a.Action), rank(b.Action)), cmp.Compare(a.Position, b.Position), cmp.Compare(a.ID, b.ID))
}

func rank(action string) int {
	switch action {
	case "REJECT":
		return 0
	case "REDIRECT_TO_URL", "REDIRECT_PREFIX":
		return 1
	}
	return 2
}

func datagram(protocol string) bool { return protocol == "UDP" || protocol == "SCTP" }

func (t *tree) addresses() []netip.Addr {
	var out []netip.Addr
	for _, v := range t.state.VIPs {
		out = append(out, v.Address.Addr())
	}
	return out
}
