package haproxy_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/haproxy"
	"github.com/octavo-lb/octavo/lb"
)

// TestPairs puts any two features together and asks HAProxy: what each of them writes must not stand in the other's way.
func TestPairs(t *testing.T) {
	t.Parallel()
	all := features()
	for i, a := range all {
		for _, b := range all[i+1:] {
			state := pairState(t)
			a.apply(state)
			b.apply(state)
			config, err := haproxy.Build(state, environment())
			if err != nil && strings.Contains(err.Error(), "which speaks HTTP") {
				continue // the API refuses it
			}
			if err != nil {
				t.Errorf("%s and %s: %v", a.name, b.name, err)
				continue
			}
			if out, err := judgeFiles(t, config); err != nil {
				t.Errorf("%s and %s: HAProxy refuses it: %s\n%s", a.name, b.name, out, config.Text)
			}
		}
	}
}

// pairState is what features are put into.
func pairState(t *testing.T) *agentapi.State {
	t.Helper()
	state := parseState(t, `
amphora_id: a1
vips: [{address: 192.0.2.10/24}]
listeners: [{id: l1, protocol: HTTP, protocol_port: 80, default_pool_id: p1}]
pools: [{id: p1, protocol: HTTP, lb_algorithm: ROUND_ROBIN}, {id: p2, protocol: HTTP, lb_algorithm: ROUND_ROBIN}]
members:
  - {id: m1, pool_id: p1, address: 10.0.0.1, protocol_port: 80}
  - {id: m2, pool_id: p1, address: 10.0.0.2, protocol_port: 80}
  - {id: m3, pool_id: p2, address: 10.0.0.3, protocol_port: 80}
`)
	state.Secrets = map[string]agentapi.Secret{}
	for _, ref := range []string{"c1", "c2", "ca", "crl"} {
		state.Secrets[ref] = agentapi.Secret{Digest: strings.Repeat("a", 64)}
	}
	return state
}

type feature struct {
	name  string
	apply func(*agentapi.State)
}

func features() []feature {
	listener := func(f func(*lb.Listener)) func(*agentapi.State) {
		return func(s *agentapi.State) { f(&s.Listeners[0]) }
	}
	pool := func(f func(*lb.Pool)) func(*agentapi.State) {
		return func(s *agentapi.State) { f(&s.Pools[0]) }
	}
	monitor := func(kind string) func(*agentapi.State) {
		return func(s *agentapi.State) {
			s.Monitors = []agentapi.Monitor{{PoolID: "p1", HealthMonitor: lb.HealthMonitor{
				Meta: lb.Meta{ID: "h1", AdminStateUp: true}, Type: kind, Delay: 5, Timeout: 3, MaxRetries: 2, MaxRetriesDown: 3, DomainName: ptr("a.example.com"), HTTPVersion: ptr(1.1),
			}}}
		}
	}
	sticky := func(kind string) func(*agentapi.State) {
		return pool(func(p *lb.Pool) { p.SessionPersistence = &lb.SessionPersistence{Type: kind, CookieName: ptr("sess")} })
	}
	policy := func(s *agentapi.State, p lb.L7Policy, r lb.L7Rule) {
		id := fmt.Sprint(len(s.Policies))
		p.ID, p.AdminStateUp, p.ListenerID, p.Position = "y"+id, true, "l1", len(s.Policies)+1
		r.ID, r.AdminStateUp = "r"+id, true
		s.Policies = append(s.Policies, p)
		s.Rules = append(s.Rules, agentapi.Rule{PolicyID: p.ID, L7Rule: r})
	}
	path := lb.L7Rule{Type: "PATH", CompareType: "STARTS_WITH", Value: "/a"}
	return []feature{
		{"TLS", listener(func(l *lb.Listener) {
			l.Protocol, l.DefaultTLSContainerRef, l.SniContainerRefs = "TERMINATED_HTTPS", ptr("c1"), []string{"c2"}
			l.AlpnProtocols, l.HstsMaxAge = []string{"h2", "http/1.1"}, ptr(10)
		})},
		{"client certificates", listener(func(l *lb.Listener) {
			l.Protocol, l.DefaultTLSContainerRef = "TERMINATED_HTTPS", ptr("c1")
			l.ClientAuthentication, l.ClientCATLSContainerRef, l.ClientCRLContainerRef = "OPTIONAL", ptr("ca"), ptr("crl")
			l.InsertHeaders = map[string]string{"X-SSL-Client-DN": "true"}
		})},
		{"TCP listener", listener(func(l *lb.Listener) { l.Protocol = "TCP" })},
		{"limits", listener(func(l *lb.Listener) {
			l.ConnectionLimit, l.AllowedCidrs, l.TimeoutTCPInspect = 10, []string{"10.0.0.0/8", "2001:db8::/32"}, 1000
		})},
		{"forwarded headers", listener(func(l *lb.Listener) {
			l.InsertHeaders = map[string]string{"X-Forwarded-For": "true", "X-Forwarded-Port": "true", "X-Forwarded-Proto": "true"}
		})},
		{"TCP pool", pool(func(p *lb.Pool) { p.Protocol = "TCP" })},
		{"PROXY pool", pool(func(p *lb.Pool) { p.Protocol = "PROXY" })},
		{"PROXYV2 pool", pool(func(p *lb.Pool) { p.Protocol = "PROXYV2" })},
		{"TLS to members", pool(func(p *lb.Pool) {
			p.TLSEnabled, p.TLSContainerRef, p.CATLSContainerRef, p.CRLContainerRef = true, ptr("c2"), ptr("ca"), ptr("crl")
			p.AlpnProtocols, p.TLSVersions = []string{"h2"}, []string{"TLSv1.2", "TLSv1.3"}
		})},
		{"least connections", pool(func(p *lb.Pool) { p.LBAlgorithm = "LEAST_CONNECTIONS" })},
		{"source", pool(func(p *lb.Pool) { p.LBAlgorithm = "SOURCE_IP" })},
		{"sticky addresses", sticky("SOURCE_IP")},
		{"sticky by HAProxy's cookie", sticky("HTTP_COOKIE")},
		{"sticky by the application's cookie", sticky("APP_COOKIE")},
		{"HTTP monitor", monitor("HTTP")},
		{"HTTPS monitor", monitor("HTTPS")},
		{"TCP monitor", monitor("TCP")},
		{"TLS-HELLO monitor", monitor("TLS-HELLO")},
		{"PING monitor", monitor("PING")},
		{"backup, drained and disabled members", func(s *agentapi.State) {
			s.Members[0].Backup, s.Members[0].Weight, s.Members[1].AdminStateUp = true, 0, false
			s.Members[0].MonitorAddress, s.Members[0].MonitorPort = ptr("10.9.9.9"), ptr(99)
		}},
		{"IPv6", func(s *agentapi.State) {
			s.VIPs = append(s.VIPs, agentapi.VIP{Address: netip.MustParsePrefix("2001:db8::10/64")})
			s.Members[0].Address, s.Members[0].MonitorAddress = "2001:db8::1", ptr("2001:db8::2")
		}},
		{"reject", func(s *agentapi.State) { policy(s, lb.L7Policy{Action: "REJECT"}, path) }},
		{"redirections", func(s *agentapi.State) {
			policy(s, lb.L7Policy{Action: "REDIRECT_TO_URL", RedirectURL: ptr("https://a/%20?x=1"), RedirectHTTPCode: ptr(301)}, path)
			policy(s, lb.L7Policy{Action: "REDIRECT_PREFIX", RedirectPrefix: ptr("https://b")}, path)
		}},
		{"another pool by header", func(s *agentapi.State) {
			policy(s, lb.L7Policy{Action: "REDIRECT_TO_POOL", RedirectPoolID: ptr("p2")}, lb.L7Rule{Type: "HEADER", Key: ptr("X"), CompareType: "REGEX", Value: "^a+$", Invert: true})
		}},
		{"no default pool", listener(func(l *lb.Listener) { l.DefaultPoolID = nil })},
		{"shared pool", func(s *agentapi.State) {
			l := s.Listeners[0]
			l.ID, l.ProtocolPort = "l2", 81
			s.Listeners = append(s.Listeners, l)
		}},
		{"metrics", func(s *agentapi.State) {
			s.Listeners = append(s.Listeners, lb.Listener{Meta: lb.Meta{ID: "l9", AdminStateUp: true}, Protocol: "PROMETHEUS", ProtocolPort: 99})
		}},
		{"pair", func(s *agentapi.State) {
			s.VRRP = &agentapi.VRRP{Address: netip.MustParseAddr("192.0.2.11"), Peers: []netip.Addr{netip.MustParseAddr("192.0.2.12")}, PeerNames: []string{"a2"}}
		}},
	}
}
