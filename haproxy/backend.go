package haproxy

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/lb"
)

type backend struct {
	Backend
	Mode      string
	Balance   []string
	Table     string // of a stick table, empty for none
	Stick     []string
	Check     []string // directives of the health monitor
	Headers   []string
	ConnectMS int
	ServerMS  int
}

func (t *tree) backend(l lb.Listener, p lb.Pool, files *tlsFiles, env Environment) (*backend, error) {
	b := &backend{
		Backend: Backend{Name: backendName(p.ID, l.ID), PoolID: p.ID}, Mode: poolMode(p.Protocol, l.Protocol),
		ConnectMS: orDefault(l.TimeoutMemberConnect, defaultConnectMS), ServerMS: orDefault(l.TimeoutMemberData, defaultDataMS),
	}
	if b.Mode == "tcp" && listenerMode(l.Protocol) == "http" {
		return nil, fmt.Errorf("protocol %s cannot be behind listener %s, which speaks HTTP", p.Protocol, l.ID)
	}
	balance, err := balance(p.LBAlgorithm)
	if err != nil {
		return nil, err
	}
	b.Balance = balance
	var options []string
	if monitor, ok := t.monitors[p.ID]; ok {
		check, option, err := checks(monitor, p)
		if err != nil {
			return nil, fmt.Errorf("healthmonitor %s: %w", monitor.ID, err)
		}
		b.Check = check
		if option == "" {
			b.Told = true
		} else {
			b.Checked = true
			options = append(options, option)
		}
	}
	if o := proxyProtocol(p.Protocol, l.Protocol); o != "" {
		options = append(options, o)
	}
	tls, err := t.serverTLS(p, files)
	if err != nil {
		return nil, err
	}
	b.Options = strings.Join(append(options, tls...), " ")
	cookie, err := b.persist(p.SessionPersistence)
	if err != nil {
		return nil, err
	}
	if b.Mode == "http" {
		b.Headers = insertHeaders(l)
	}
	b.Dynamic = env.Version.AtLeast(2, 6) && !cookie
	for _, m := range t.members[p.ID] {
		s, err := server(m, b.Checked)
		if err != nil {
			return nil, fmt.Errorf("member %s: %w", m.ID, err)
		}
		s.Cookie = cookie
		b.Servers = append(b.Servers, s)
	}
	return b, nil
}

func poolMode(pool, listener string) string {
	switch pool {
	case "HTTP":
		return "http"
	case "PROXY", "PROXYV2":
		return listenerMode(listener)
	}
	return "tcp"
}

// balance picks hashing that moves few clients when members come and go, which is also the kind that can be changed
// at run time.
func balance(algorithm string) ([]string, error) {
	switch algorithm {
	case "ROUND_ROBIN":
		return []string{"balance roundrobin"}, nil
	case "LEAST_CONNECTIONS":
		return []string{"balance leastconn"}, nil
	case "SOURCE_IP":
		return []string{"balance source", "hash-type consistent sdbm avalanche"}, nil
	}
	return nil, fmt.Errorf("lb_algorithm %q cannot be served", algorithm)
}

func proxyProtocol(pool, listener string) string {
	switch {
	case pool == "PROXY":
		return "send-proxy"
	case pool == "PROXYV2" && listener == "TERMINATED_HTTPS":
		return "send-proxy-v2-ssl-cn"
	case pool == "PROXYV2":
		return "send-proxy-v2"
	}
	return ""
}

// tableSize is how many clients a sticky pool remembers; the least recently seen are forgotten first.
const tableSize = "100k"

func (b *backend) persist(s *lb.SessionPersistence) (cookie bool, err error) {
	if s == nil {
		return false, nil
	}
	switch {
	case s.Type == "SOURCE_IP":
		b.Table = "type ipv6 size " + tableSize
		b.Stick = []string{"stick on src"}
	case b.Mode != "http":
		// Octavia accepts the others for HTTP only; without HTTP there is no cookie to look at.
	case s.Type == "HTTP_COOKIE":
		b.Stick = []string{"cookie SRV insert indirect nocache"}
		return true, nil
	case s.Type == "APP_COOKIE":
		if s.CookieName == nil {
			return false, fmt.Errorf("session_persistence: no cookie_name")
		}
		arg, ok := argument(*s.CookieName)
		if !ok {
			return false, fmt.Errorf("session_persistence: cookie_name %q is not a cookie's name", *s.CookieName)
		}
		store, err1 := word("res.cook(" + arg + ")")
		match, err2 := word("req.cook(" + arg + ")")
		if err1 != nil || err2 != nil {
			return false, fmt.Errorf("session_persistence: cookie_name %q cannot be written", *s.CookieName)
		}
		b.Table = "type string len 64 size " + tableSize
		b.Stick = []string{"stick store-response " + store, "stick match " + match}
	default:
		return false, fmt.Errorf("session_persistence: unknown type %q", s.Type)
	}
	return false, nil
}

func insertHeaders(l lb.Listener) []string {
	var out []string
	if isTrue(l.InsertHeaders, "X-Forwarded-For") {
		out = append(out, "option forwardfor")
	}
	if isTrue(l.InsertHeaders, "X-Forwarded-Port") {
		out = append(out, "http-request set-header X-Forwarded-Port %[dst_port]")
	}
	if isTrue(l.InsertHeaders, "X-Forwarded-Proto") {
		scheme := "http"
		if l.Protocol == "TERMINATED_HTTPS" {
			scheme = "https"
		}
		out = append(out, "http-request set-header X-Forwarded-Proto "+scheme)
	}
	return append(out, clientHeaders(l)...)
}

func server(m agentapi.Member, checked bool) (Server, error) {
	address, err := netip.ParseAddr(m.Address)
	if err != nil {
		return Server{}, fmt.Errorf("address: %w", err)
	}
	s := Server{
		Name: m.ID, Address: netip.AddrPortFrom(address.Unmap(), uint16(m.ProtocolPort)), Weight: m.Weight, Backup: m.Backup,
		Disabled: !m.AdminStateUp,
	}
	if !checked {
		return s, nil
	}
	if m.MonitorAddress != nil {
		if s.CheckAddress, err = netip.ParseAddr(*m.MonitorAddress); err != nil {
			return s, fmt.Errorf("monitor_address: %w", err)
		}
		s.CheckAddress = s.CheckAddress.Unmap()
	}
	if m.MonitorPort != nil {
		s.CheckPort = *m.MonitorPort
	}
	return s, nil
}
