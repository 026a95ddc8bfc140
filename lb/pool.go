package lb

import "strings"

// ValidatePool checks a pool. See Rules.
func (r *Rules) ValidatePool(t *Tree, can Capabilities, p, was *Pool) error {
	if was == nil {
		if err := supports(t.LB.Provider, "pool protocol", p.Protocol, can.Pools); err != nil {
			return err
		}
	}
	if was == nil || p.LBAlgorithm != was.LBAlgorithm {
		if err := supports(t.LB.Provider, "lb_algorithm", p.LBAlgorithm, can.Algorithms); err != nil {
			return err
		}
		// HAProxy has nothing like it; what balances datagrams does.
		if p.LBAlgorithm == "SOURCE_IP_PORT" && can.Algorithms != nil && !isDatagram(p.Protocol) {
			return Refuse(NotProvided, "Provider '%s' does not support a requested option: lb_algorithm %s of a %s pool. Supported for: UDP, SCTP",
				t.LB.Provider, p.LBAlgorithm, p.Protocol)
		}
	}
	if err := p.checkPersistence(); err != nil {
		return err
	}
	if isSet(p.CRLContainerRef) && !isSet(p.CATLSContainerRef) {
		return invalid("crl_container_ref needs ca_tls_container_ref")
	}
	if p.TLSEnabled {
		r.PoolTLS.fill(&p.TLSCiphers, &p.TLSVersions, &p.AlpnProtocols)
	}
	if was == nil {
		was = &Pool{}
	}
	return r.tls(p.TLSCiphers, was.TLSCiphers, p.TLSVersions, was.TLSVersions)
}

func (p *Pool) checkPersistence() error {
	s := p.SessionPersistence
	switch {
	case s == nil:
		return nil
	case isDatagram(p.Protocol) && s.Type != "SOURCE_IP":
		return invalid("session persistence of type %s is not supported for UDP/SCTP protocol pools", s.Type)
	case isDatagram(p.Protocol) && isSet(s.CookieName):
		return invalid("cookie names are not supported for UDP/SCTP pools")
	case !isDatagram(p.Protocol) && (s.PersistenceTimeout != nil || isSet(s.PersistenceGranularity)):
		return invalid("persistence_timeout and persistence_granularity are for UDP and SCTP pools only")
	case s.Type == "APP_COOKIE" && !isSet(s.CookieName):
		return invalid("session persistence of type APP_COOKIE needs cookie_name")
	case s.Type != "APP_COOKIE" && isSet(s.CookieName):
		return invalid("cookie_name is for session persistence of type APP_COOKIE only")
	case isSet(s.CookieName) && strings.ContainsAny(*s.CookieName, `"(),/:;<=>?@[\]{}`):
		return invalid("cookie_name holds characters that no cookie's name may have")
	}
	return nil
}

// ValidateDefaultPool checks that a pool that is being made may become a listener's default pool.
func (l *Listener) ValidateDefaultPool(p *Pool) error {
	if err := l.leadsTo(p); err != nil {
		return err
	}
	if l.DefaultPoolID != nil {
		return Refuse(Duplicate, "This listener already has a default pool")
	}
	return nil
}

// ValidatePoolDelete refuses to delete a pool that L7 policies lead to.
func (t *Tree) ValidatePoolDelete(p *Pool) error {
	for i := range t.Policies {
		if u := &t.Policies[i]; !u.Deleting && u.RedirectPoolID != nil && *u.RedirectPoolID == p.ID {
			return Refuse(InUse, "Pool %s is in use by L7 policy %s", p.ID, u.ID)
		}
	}
	return nil
}
