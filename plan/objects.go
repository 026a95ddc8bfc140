package plan

import (
	"net/netip"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/lb"
)

// addObjects puts into a state what a load balancer's tree holds below it, without what is being deleted and with all
// addresses in their one form.
func addObjects(s *agentapi.State, t *lb.Tree) {
	s.Listeners, s.Pools = []lb.Listener{}, []lb.Pool{}
	s.Members, s.Monitors = []agentapi.Member{}, []agentapi.Monitor{}
	s.Policies, s.Rules = []lb.L7Policy{}, []agentapi.Rule{}
	for _, l := range t.Listeners {
		if wanted(&l.Meta) {
			l.AllowedCidrs = canonicalAll(l.AllowedCidrs)
			l.DefaultPoolID = existing(t, l.DefaultPoolID)
			s.Listeners = append(s.Listeners, l)
		}
	}
	for _, p := range t.Pools {
		if wanted(&p.Meta) {
			s.Pools = append(s.Pools, p)
		}
	}
	for _, m := range t.Members {
		if wanted(&m.Meta) && t.Pool(m.PoolID) != nil {
			m.Address = canonical(m.Address)
			if m.MonitorAddress != nil {
				m.MonitorAddress = new(canonical(*m.MonitorAddress))
			}
			s.Members = append(s.Members, agentapi.Member{Member: m, PoolID: m.PoolID})
		}
	}
	for _, m := range t.Monitors {
		if wanted(&m.Meta) && t.Pool(m.PoolID) != nil {
			s.Monitors = append(s.Monitors, agentapi.Monitor{HealthMonitor: m, PoolID: m.PoolID})
		}
	}
	for _, p := range t.Policies {
		if wanted(&p.Meta) && t.Listener(p.ListenerID) != nil {
			p.RedirectPoolID = existing(t, p.RedirectPoolID)
			s.Policies = append(s.Policies, p)
		}
	}
	for _, r := range t.Rules {
		if wanted(&r.Meta) && t.Policy(r.L7PolicyID) != nil {
			s.Rules = append(s.Rules, agentapi.Rule{L7Rule: r, PolicyID: r.L7PolicyID})
		}
	}
	addSecrets(s, t)
}

// addSecrets names the versions of what the listeners and pools refer to.
func addSecrets(s *agentapi.State, t *lb.Tree) {
	used, _ := t.UsedSecrets() // one that is used in two ways was refused when it was written
	for _, v := range t.Secrets {
		if _, ok := used[v.Ref]; !ok {
			continue
		}
		if s.Secrets == nil {
			s.Secrets = map[string]agentapi.Secret{}
		}
		s.Secrets[v.Ref] = agentapi.Secret{Digest: v.Digest, Kind: v.Kind}
	}
}

// wanted tells whether an object is part of the state, and takes what was observed of it out of the copy: a state says
// what shall be, and is the same whatever is.
func wanted(m *lb.Meta) bool {
	m.ProvisioningStatus, m.OperatingStatus, m.UpdatedAt = "", "", nil
	return !m.Deleting
}

// existing leaves out a reference to a pool that is being deleted.
func existing(t *lb.Tree, poolID *string) *string {
	if poolID == nil || t.Pool(*poolID) == nil {
		return nil
	}
	return poolID
}

// canonical gives an address or network the form in which it is compared.
func canonical(s string) string {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Unmap().String()
	}
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked().String()
	}
	return s
}

func canonicalAll(list []string) []string {
	if list == nil {
		return nil
	}
	all := make([]string, 0, len(list))
	for _, s := range list {
		all = append(all, canonical(s))
	}
	return all
}
