package lb

// ValidateMonitor checks a health monitor. See Rules.
func (r *Rules) ValidateMonitor(t *Tree, can Capabilities, m, was *HealthMonitor) error {
	p := t.Pool(m.PoolID)
	if p == nil {
		return gone(t.Pools, "Pool", m.PoolID)
	}
	if was == nil {
		if err := r.newMonitor(t, can, m, p); err != nil {
			return err
		}
	}
	if m.Type == "UDP-CONNECT" && m.Delay < r.UDPMinDelay && (was == nil || m.Delay != was.Delay) {
		return invalid("delay of a UDP-CONNECT health monitor is at least %d here", r.UDPMinDelay)
	}
	if m.Type == "HTTP" || m.Type == "HTTPS" {
		m.fillHTTP()
	} else if option := m.httpOption(); option != "" {
		return badOption(option, "health monitors of type "+m.Type)
	}
	switch {
	case isSet(m.DomainName) && m.HTTPVersion == nil:
		return invalid("'http_version' must be specified when 'domain_name' is provided.")
	case isSet(m.DomainName) && *m.HTTPVersion < 1.1:
		return badOption("http_version 1.0", "health monitors HTTP 1.1 domain name health check")
	}
	return nil
}

// newMonitor checks what cannot change later.
func (r *Rules) newMonitor(t *Tree, can Capabilities, m *HealthMonitor, p *Pool) error {
	if r.NoPing && m.Type == "PING" {
		return disabled("type", m.Type)
	}
	if err := supports(t.LB.Provider, "health monitor type", m.Type, can.Monitors); err != nil {
		return err
	}
	if o := t.MonitorOf(p.ID); o != nil && o.ID != m.ID {
		return Refuse(Duplicate, "This pool already has a health monitor")
	}
	switch m.Type {
	case "UDP-CONNECT", "SCTP":
		if !isDatagram(p.Protocol) {
			return invalid("health monitors of type %s are for pools of protocol UDP/SCTP only", m.Type)
		}
	case "HTTP", "TCP":
	default:
		if isDatagram(p.Protocol) {
			return invalid("a pool of protocol %s takes health monitors of type UDP-CONNECT/SCTP/TCP/HTTP only", p.Protocol)
		}
	}
	return nil
}

func (m *HealthMonitor) fillHTTP() {
	if !isSet(m.HTTPMethod) {
		m.HTTPMethod = new("GET")
	}
	if !isSet(m.URLPath) {
		m.URLPath = new("/")
	}
	if !isSet(m.ExpectedCodes) {
		m.ExpectedCodes = new("200")
	}
}

// httpOption is the first option in use that only HTTP checks have.
func (m *HealthMonitor) httpOption() string {
	switch {
	case isSet(m.HTTPMethod):
		return "http_method"
	case isSet(m.URLPath):
		return "url_path"
	case isSet(m.ExpectedCodes):
		return "expected_codes"
	}
	return ""
}
