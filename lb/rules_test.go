package lb_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/lb/attr"
)

// site is a load balancer to put one more object on.
func site() *lb.Tree {
	t := &lb.Tree{LB: lb.LoadBalancer{Meta: lb.Meta{ID: "lb"}, VipAddress: "192.0.2.10", Provider: "amphora"}}
	for i, protocol := range []string{"HTTP", "TCP", "UDP", "TERMINATED_HTTPS", "PROMETHEUS"} {
		t.Listeners = append(t.Listeners, lb.Listener{Meta: lb.Meta{ID: protocol}, Protocol: protocol, ProtocolPort: 1000 + i})
	}
	for _, protocol := range []string{"HTTP", "HTTPS", "PROXY", "PROXYV2", "TCP", "UDP", "SCTP"} {
		t.Pools = append(t.Pools, lb.Pool{Meta: lb.Meta{ID: protocol}, Protocol: protocol})
	}
	t.Members = []lb.Member{{Meta: lb.Meta{ID: "m1"}, PoolID: "HTTP", Address: "2001:db8::1", ProtocolPort: 80}}
	t.Monitors = []lb.HealthMonitor{{Meta: lb.Meta{ID: "h1"}, PoolID: "PROXY"}}
	t.Policies = []lb.L7Policy{{Meta: lb.Meta{ID: "p1"}, ListenerID: "HTTP", Position: 1, RedirectPoolID: new("PROXYV2")}}
	return t
}

// refused checks a fault's status and words; an empty want is no fault.
func refused(t *testing.T, what string, err error, status int, want string) {
	t.Helper()
	f := lb.AsFault(err)
	switch {
	case want == "" && err != nil:
		t.Errorf("%s: refused: %v", what, err)
	case want == "":
	case f == nil:
		t.Errorf("%s: got %v, want %q", what, err, want)
	case f.Code.Status() != status || !strings.Contains(f.Message, want):
		t.Errorf("%s: got %d %q, want %d %q", what, f.Code.Status(), f.Message, status, want)
	}
}

func TestListenerRules(t *testing.T) {
	type L = lb.Listener
	cert, ca, crl := new("cert"), new("ca"), new("crl")
	for name, c := range map[string]struct {
		change func(*L)
		rules  func(*lb.Rules)
		status int
		want   string
	}{
		"plain":                     {func(l *L) {}, nil, 0, ""},
		"same port, same transport": {func(l *L) { l.ProtocolPort = 1001 }, nil, 409, "already using protocol TCP and protocol_port 1001"},
		"same port, other":          {func(l *L) { l.ProtocolPort = 1002 }, nil, 0, ""},
		"forwarded for":             {func(l *L) { l.InsertHeaders = map[string]string{"X-Forwarded-For": "true"} }, nil, 0, ""},
		"unknown header":            {func(l *L) { l.InsertHeaders = map[string]string{"X-Bad": "true"} }, nil, 400, "['X-Bad'] is not a valid option for insert_headers"},
		"TLS header on HTTP":        {func(l *L) { l.InsertHeaders = map[string]string{"X-SSL-Issuer": "true"} }, nil, 400, "['X-SSL-Issuer'] is not a valid option for HTTP protocol listener."},
		"header on TCP": {func(l *L) { l.Protocol = "TCP"; l.InsertHeaders = map[string]string{"X-Forwarded-For": "true"} }, nil, 400,
			"insert-headers is not a valid option for a TCP protocol listener."},
		"header on UDP":           {func(l *L) { l.Protocol = "UDP"; l.InsertHeaders = map[string]string{"X-Forwarded-For": "true"} }, nil, 400, "UDP"},
		"certificate on HTTP":     {func(l *L) { l.DefaultTLSContainerRef = cert }, nil, 400, "HTTP"},
		"certificate on SCTP":     {func(l *L) { l.Protocol = "SCTP"; l.SniContainerRefs = []string{"a"} }, nil, 400, "SCTP"},
		"TLS without certificate": {func(l *L) { l.Protocol = "TERMINATED_HTTPS" }, nil, 400, "default_tls_container_ref"},
		"TLS":                     {func(l *L) { l.Protocol = "TERMINATED_HTTPS"; l.DefaultTLSContainerRef = cert }, nil, 0, ""},
		"TLS forbidden":           {func(l *L) { l.Protocol = "TERMINATED_HTTPS"; l.DefaultTLSContainerRef = cert }, func(r *lb.Rules) { r.NoTLSTermination = true }, 400, "The selected protocol is not allowed in this deployment: TERMINATED_HTTPS"},
		"Prometheus forbidden":    {func(l *L) { l.Protocol = "PROMETHEUS" }, func(r *lb.Rules) { r.NoPrometheus = true }, 400, "PROMETHEUS"},
		"CA without certificate":  {func(l *L) { l.Protocol = "TERMINATED_HTTPS"; l.ClientCATLSContainerRef = ca }, nil, 400, "client_ca_tls_container_ref"},
		"authentication without CA": {func(l *L) {
			l.Protocol, l.DefaultTLSContainerRef, l.ClientAuthentication = "TERMINATED_HTTPS", cert, "OPTIONAL"
		}, nil, 400, "OPTIONAL"},
		"CRL without CA": {func(l *L) {
			l.Protocol, l.DefaultTLSContainerRef, l.ClientCRLContainerRef = "TERMINATED_HTTPS", cert, crl
		}, nil, 400, "client_crl_container_ref"},
		"prohibited cipher":        {func(l *L) { l.TLSCiphers = new("A:B") }, func(r *lb.Rules) { r.ProhibitedCiphers = []string{"B"} }, 400, "ciphers B"},
		"old TLS":                  {func(l *L) { l.TLSVersions = []string{"TLSv1.3", "TLSv1.1"} }, func(r *lb.Rules) { r.MinTLSVersion = "TLSv1.2" }, 400, "TLSv1.1"},
		"HSTS on HTTP":             {func(l *L) { l.HstsMaxAge = new(1) }, nil, 400, "TERMINATED_HTTPS"},
		"HSTS without age":         {func(l *L) { l.HstsPreload = true }, nil, 400, "hsts_max_age"},
		"CIDR of the VIP's family": {func(l *L) { l.AllowedCidrs = []string{"10.0.0.0/8"} }, nil, 0, ""},
		"CIDR of another family":   {func(l *L) { l.AllowedCidrs = []string{"10.0.0.0/8", "2001:db8::/32"} }, nil, 400, "2001:db8::/32"},
		"pool":                     {func(l *L) { l.DefaultPoolID = new("PROXYV2") }, nil, 0, ""},
		"pool of another protocol": {func(l *L) { l.DefaultPoolID = new("TCP") }, nil, 400, "'TCP'"},
		"pool of nobody":           {func(l *L) { l.DefaultPoolID = new("nobody") }, nil, 404, "Pool nobody not found."},
		"pool of Prometheus":       {func(l *L) { l.Protocol, l.DefaultPoolID = "PROMETHEUS", new("HTTP") }, nil, 400, "PROMETHEUS"},
	} {
		rules := lb.DefaultRules()
		if c.rules != nil {
			c.rules(&rules)
		}
		l := L{Meta: lb.Meta{ID: "new"}, Protocol: "HTTP", ProtocolPort: 80, ClientAuthentication: "NONE"}
		c.change(&l)
		refused(t, name, rules.ValidateListener(site(), lb.Capabilities{}, &l, nil), c.status, c.want)
	}
}

func TestListenersLeadToPoolsOfTheirProtocolsOnly(t *testing.T) {
	rules := lb.DefaultRules()
	for listener, pools := range map[string]string{
		"TCP": "HTTP HTTPS PROXY PROXYV2 TCP", "HTTP": "HTTP PROXY PROXYV2", "HTTPS": "HTTPS PROXY PROXYV2 TCP",
		"TERMINATED_HTTPS": "HTTP PROXY PROXYV2", "UDP": "UDP", "SCTP": "SCTP", "PROMETHEUS": "",
	} {
		for _, p := range site().Pools {
			l := lb.Listener{Protocol: listener, ProtocolPort: 80, ClientAuthentication: "NONE", DefaultPoolID: new(p.ID)}
			if listener == "TERMINATED_HTTPS" {
				l.DefaultTLSContainerRef = new("cert")
			}
			err := rules.ValidateListener(site(), lb.Capabilities{}, &l, nil)
			if want := slices.Contains(strings.Fields(pools), p.Protocol); (err == nil) != want {
				t.Errorf("%s to %s: %v", listener, p.Protocol, err)
			}
		}
	}
}

func TestAListenerMadeUnderOlderSettingsCanBeRenamed(t *testing.T) {
	rules := lb.DefaultRules()
	rules.MinTLSVersion, rules.ProhibitedCiphers, rules.NoTLSTermination = "TLSv1.3", []string{"OLD"}, true
	was := lb.Listener{Protocol: "TERMINATED_HTTPS", DefaultTLSContainerRef: new("cert"), ClientAuthentication: "NONE",
		TLSCiphers: new("OLD"), TLSVersions: []string{"TLSv1"}, AlpnProtocols: []string{"h2"}}
	now := was
	now.Name = "new name"
	refused(t, "renamed", rules.ValidateListener(site(), lb.Capabilities{}, &now, &was), 0, "")
	now.TLSVersions = []string{"TLSv1", "TLSv1.1"}
	refused(t, "other versions", rules.ValidateListener(site(), lb.Capabilities{}, &now, &was), 400, "TLSv1")
}

func TestTLSDefaultsAreFilledIn(t *testing.T) {
	rules := lb.DefaultRules()
	l := lb.Listener{Protocol: "TERMINATED_HTTPS", DefaultTLSContainerRef: new("cert"), ClientAuthentication: "NONE", ProtocolPort: 443}
	refused(t, "TLS", rules.ValidateListener(site(), lb.Capabilities{}, &l, nil), 0, "")
	if l.TLSCiphers == nil || len(l.TLSVersions) != 2 || len(l.AlpnProtocols) != 3 {
		t.Errorf("%v %v %v", l.TLSCiphers, l.TLSVersions, l.AlpnProtocols)
	}
	plain := lb.Pool{Protocol: "HTTP", LBAlgorithm: "ROUND_ROBIN"}
	refused(t, "pool", rules.ValidatePool(site(), lb.Capabilities{}, &plain, nil), 0, "")
	if plain.TLSCiphers != nil || plain.TLSVersions != nil {
		t.Error("a pool without TLS got ciphers or versions")
	}
}

func TestWhatTheProviderCannotServeIsRefusedByName(t *testing.T) {
	rules := lb.DefaultRules()
	can := lb.Capabilities{Listeners: []string{"HTTP", "TCP"}, Pools: []string{"HTTP"}, Algorithms: []string{"ROUND_ROBIN"}, Monitors: []string{"TCP"}}
	l := lb.Listener{Protocol: "UDP", ProtocolPort: 53, ClientAuthentication: "NONE"}
	refused(t, "listener", rules.ValidateListener(site(), can, &l, nil), 501, "Provider 'amphora' does not support a requested option: listener protocol UDP")
	refused(t, "pool", rules.ValidatePool(site(), can, &lb.Pool{Protocol: "SCTP"}, nil), 501, "pool protocol SCTP")
	refused(t, "algorithm", rules.ValidatePool(site(), can, &lb.Pool{Protocol: "HTTP", LBAlgorithm: "SOURCE_IP_PORT"}, nil), 501, "SOURCE_IP_PORT")
	hashing := lb.Capabilities{Algorithms: []string{"SOURCE_IP_PORT"}}
	refused(t, "algorithm of HTTP", rules.ValidatePool(site(), hashing, &lb.Pool{Protocol: "HTTP", LBAlgorithm: "SOURCE_IP_PORT"}, nil), 501, "SOURCE_IP_PORT of a HTTP pool")
	refused(t, "algorithm of UDP", rules.ValidatePool(site(), hashing, &lb.Pool{Protocol: "UDP", LBAlgorithm: "SOURCE_IP_PORT"}, nil), 0, "")
	refused(t, "monitor", rules.ValidateMonitor(site(), can, &lb.HealthMonitor{PoolID: "HTTP", Type: "PING"}, nil), 501, "PING")
}

func TestPoolRules(t *testing.T) {
	sp := func(kind string, cookie *string, timeout *int) *lb.SessionPersistence {
		return &lb.SessionPersistence{Type: kind, CookieName: cookie, PersistenceTimeout: timeout}
	}
	for name, c := range map[string]struct {
		pool lb.Pool
		want string
	}{
		"plain":                  {lb.Pool{Protocol: "HTTP"}, ""},
		"source address":         {lb.Pool{Protocol: "TCP", SessionPersistence: sp("SOURCE_IP", nil, nil)}, ""},
		"application's cookie":   {lb.Pool{Protocol: "HTTP", SessionPersistence: sp("APP_COOKIE", new("JSESSIONID"), nil)}, ""},
		"cookie without name":    {lb.Pool{Protocol: "HTTP", SessionPersistence: sp("APP_COOKIE", nil, nil)}, "cookie_name"},
		"name without cookie":    {lb.Pool{Protocol: "HTTP", SessionPersistence: sp("HTTP_COOKIE", new("x"), nil)}, "APP_COOKIE"},
		"name of bad letters":    {lb.Pool{Protocol: "HTTP", SessionPersistence: sp("APP_COOKIE", new("a=b"), nil)}, "cookie_name"},
		"cookie over UDP":        {lb.Pool{Protocol: "UDP", SessionPersistence: sp("HTTP_COOKIE", nil, nil)}, "HTTP_COOKIE"},
		"timeout over UDP":       {lb.Pool{Protocol: "UDP", SessionPersistence: sp("SOURCE_IP", nil, new(60))}, ""},
		"timeout over HTTP":      {lb.Pool{Protocol: "HTTP", SessionPersistence: sp("SOURCE_IP", nil, new(60))}, "persistence_timeout"},
		"revocations without CA": {lb.Pool{Protocol: "HTTP", CRLContainerRef: new("crl")}, "crl_container_ref"},
	} {
		rules := lb.DefaultRules()
		refused(t, name, rules.ValidatePool(site(), lb.Capabilities{}, &c.pool, nil), 400, c.want)
	}
	tree := site()
	refused(t, "pool of a policy", tree.ValidatePoolDelete(tree.Pool("PROXYV2")), 409, "Pool PROXYV2 is in use by L7 policy p1")
	refused(t, "pool of nobody", tree.ValidatePoolDelete(tree.Pool("HTTP")), 0, "")
	l := lb.Listener{Protocol: "HTTP", DefaultPoolID: new("HTTP")}
	refused(t, "second default pool", l.ValidateDefaultPool(&lb.Pool{Protocol: "HTTP"}), 409, "already has a default pool")
}

func TestMembersDoNotReachTheControlPlane(t *testing.T) {
	rules := lb.DefaultRules()
	rules.DeniedMembers = []netip.Prefix{netip.MustParsePrefix("198.18.0.0/24")}
	for address, want := range map[string]string{
		"192.0.2.11": "", "2001:db8::7": "",
		"192.0.2.10": "x", "::ffff:192.0.2.10": "x", // the load balancer's own VIP
		"169.254.169.254": "x", "::ffff:169.254.169.254": "x", "fe80::1": "x", "127.0.0.1": "x", "::1": "x", "0.0.0.0": "x", "::": "x",
		"224.0.0.1": "x", "ff02::1": "x", "198.18.0.9": "x", "::ffff:198.18.0.9": "x", "198.18.1.9": "",
		"64:ff9b::169.254.169.254": "x", "64:ff9b::c612:9": "x", "2002:a9fe:a9fe::1": "x", "::169.254.169.254": "x", "64:ff9b::192.0.2.11": "", "2002:c000:20b::1": "",
	} {
		m := lb.Member{PoolID: "HTTP", Address: address, ProtocolPort: 80}
		if want != "" {
			want = address + " is not a valid option for member address"
		}
		refused(t, address, rules.ValidateMember(site(), &m, nil), 400, want)
		if want != "" {
			m = lb.Member{PoolID: "HTTP", Address: "192.0.2.11", ProtocolPort: 80, MonitorAddress: &address}
			refused(t, "checked at "+address, rules.ValidateMember(site(), &m, nil), 400, "monitor_address")
		}
	}
	rules.AllowLocalMembers = true
	refused(t, "allowed", rules.ValidateMember(site(), &lb.Member{PoolID: "HTTP", Address: "127.0.0.1"}, nil), 0, "")
}

func TestOneMemberPerAddressAndPort(t *testing.T) {
	rules := lb.DefaultRules()
	m := lb.Member{PoolID: "HTTP", Address: "2001:DB8:0::1", ProtocolPort: 80}
	refused(t, "spelled differently", rules.ValidateMember(site(), &m, nil), 409, "already using ip 2001:DB8:0::1 on protocol_port 80")
	m.ProtocolPort = 81
	refused(t, "another port", rules.ValidateMember(site(), &m, nil), 0, "")
	m.ProtocolPort, m.PoolID = 80, "TCP"
	refused(t, "another pool", rules.ValidateMember(site(), &m, nil), 0, "")
	m.PoolID = "UDP"
	refused(t, "IPv6 behind an IPv4 VIP", rules.ValidateMember(site(), &m, nil), 501, "IP version")
	tree := site()
	tree.Members[0].Deleting = true
	m.PoolID = "HTTP"
	refused(t, "the other one is going", rules.ValidateMember(tree, &m, nil), 0, "")
}

func TestMonitorRules(t *testing.T) {
	type M = lb.HealthMonitor
	for name, c := range map[string]struct {
		monitor M
		status  int
		want    string
	}{
		"HTTP":                      {M{PoolID: "HTTP", Type: "HTTP"}, 0, ""},
		"second":                    {M{PoolID: "PROXY", Type: "HTTP"}, 409, "This pool already has a health monitor"},
		"of nobody":                 {M{PoolID: "nobody", Type: "HTTP"}, 404, "Pool nobody not found."},
		"path of TCP":               {M{PoolID: "HTTP", Type: "TCP", URLPath: new("/")}, 400, "url_path is not a valid option for health monitors of type TCP"},
		"UDP on HTTP":               {M{PoolID: "HTTP", Type: "UDP-CONNECT", Delay: 5}, 400, "UDP-CONNECT"},
		"PING on UDP":               {M{PoolID: "UDP", Type: "PING"}, 400, "UDP"},
		"HTTP on UDP":               {M{PoolID: "UDP", Type: "HTTP"}, 0, ""},
		"UDP too often":             {M{PoolID: "UDP", Type: "UDP-CONNECT", Delay: 1}, 400, "delay"},
		"domain without version":    {M{PoolID: "HTTP", Type: "HTTP", DomainName: new("a.b")}, 400, "'http_version' must be specified"},
		"domain with HTTP/1.0":      {M{PoolID: "HTTP", Type: "HTTP", DomainName: new("a.b"), HTTPVersion: new(1.0)}, 400, "http_version 1.0 is not a valid option"},
		"domain with HTTP/1.1":      {M{PoolID: "HTTP", Type: "HTTP", DomainName: new("a.b"), HTTPVersion: new(1.1)}, 0, ""},
		"longer timeout than delay": {M{PoolID: "HTTP", Type: "HTTP", Delay: 5, Timeout: 10}, 0, ""},
	} {
		rules := lb.DefaultRules()
		m := c.monitor
		refused(t, name, rules.ValidateMonitor(site(), lb.Capabilities{}, &m, nil), c.status, c.want)
		if c.want == "" && (*m.HTTPMethod != "GET" || *m.URLPath != "/" || *m.ExpectedCodes != "200") {
			t.Errorf("%s: defaults of HTTP are missing", name)
		}
	}
	rules := lb.DefaultRules()
	rules.NoPing = true
	refused(t, "PING", rules.ValidateMonitor(site(), lb.Capabilities{}, &M{PoolID: "HTTP", Type: "PING"}, nil), 400, "not allowed in this deployment: PING")
}

func TestPolicyRules(t *testing.T) {
	type P = lb.L7Policy
	pool, url, prefix := new("HTTP"), new("http://a.example/"), new("http://b.example/")
	for name, c := range map[string]struct {
		policy P
		given  string
		status int
		want   string
		action string
	}{
		"reject":                {P{Action: "REJECT", RedirectURL: url}, "action redirect_url", 0, "", "REJECT"},
		"to URL":                {P{Action: "REDIRECT_TO_URL", RedirectURL: url}, "action redirect_url", 0, "", "REDIRECT_TO_URL"},
		"to URL without one":    {P{Action: "REDIRECT_TO_URL"}, "action", 400, "redirect_url must not be None", ""},
		"to prefix":             {P{Action: "REDIRECT_PREFIX", RedirectPrefix: prefix}, "action redirect_prefix", 0, "", "REDIRECT_PREFIX"},
		"to prefix without one": {P{Action: "REDIRECT_PREFIX"}, "action", 400, "redirect_prefix must not be None", ""},
		"to pool":               {P{Action: "REDIRECT_TO_POOL", RedirectPoolID: pool}, "action redirect_pool_id", 0, "", "REDIRECT_TO_POOL"},
		"to pool without one":   {P{Action: "REDIRECT_TO_POOL"}, "action", 400, "redirect_pool_id must not be None", ""},
		"to pool of nobody":     {P{Action: "REDIRECT_TO_POOL", RedirectPoolID: new("x")}, "action redirect_pool_id", 404, "Pool x not found.", ""},
		"to pool of TCP":        {P{Action: "REDIRECT_TO_POOL", RedirectPoolID: new("TCP")}, "action redirect_pool_id", 400, "'TCP'", ""},
		"pool and prefix":       {P{Action: "REDIRECT_TO_POOL", RedirectPoolID: pool, RedirectPrefix: prefix}, "action redirect_pool_id redirect_prefix", 400, "together", ""},
		"now a pool":            {P{Action: "REDIRECT_TO_URL", RedirectURL: url, RedirectPoolID: pool, RedirectHTTPCode: new(301)}, "redirect_pool_id", 0, "", "REDIRECT_TO_POOL"},
		"now a URL":             {P{Action: "REJECT", RedirectURL: url}, "redirect_url", 0, "", "REDIRECT_TO_URL"},
		"now a prefix":          {P{Action: "REDIRECT_TO_URL", RedirectURL: url, RedirectPrefix: prefix}, "redirect_prefix", 0, "", "REDIRECT_PREFIX"},
	} {
		rules := lb.DefaultRules()
		given := attr.Given{}
		for _, g := range strings.Fields(c.given) {
			given[g] = true
		}
		p := c.policy
		p.ListenerID = "HTTP"
		refused(t, name, rules.ValidatePolicy(site(), lb.Capabilities{}, &p, given), c.status, c.want)
		if c.want != "" {
			continue
		}
		redirects := c.action == "REDIRECT_TO_URL" || c.action == "REDIRECT_PREFIX"
		if p.Action != c.action || (p.RedirectPoolID != nil) != (c.action == "REDIRECT_TO_POOL") ||
			(p.RedirectURL != nil) != (c.action == "REDIRECT_TO_URL") || (p.RedirectPrefix != nil) != (c.action == "REDIRECT_PREFIX") ||
			(p.RedirectHTTPCode != nil && *p.RedirectHTTPCode == 302) != redirects {
			t.Errorf("%s: %+v", name, p)
		}
	}
	rules := lb.DefaultRules()
	amphora := lb.Capabilities{PolicyListeners: []string{"HTTP", "TERMINATED_HTTPS"}}
	for listener, status := range map[string]int{"TCP": 501, "UDP": 501, "PROMETHEUS": 400, "nobody": 404} {
		refused(t, listener, rules.ValidatePolicy(site(), amphora, &P{ListenerID: listener, Action: "REJECT"}, nil), status, listener)
	}
	// What the protocols of listeners mean is up to the provider.
	refused(t, "TCP elsewhere", rules.ValidatePolicy(site(), lb.Capabilities{}, &P{ListenerID: "TCP", Action: "REJECT"}, nil), 0, "")

	// An update can take the code away; saying where to redirect to brings the default back.
	without := P{ListenerID: "HTTP", Action: "REDIRECT_TO_URL", RedirectURL: url}
	refused(t, "no code", rules.ValidatePolicy(site(), amphora, &without, attr.Given{"redirect_http_code": true}), 0, "")
	if without.RedirectHTTPCode != nil {
		t.Errorf("the code is %d after it was set to null", *without.RedirectHTTPCode)
	}
	refused(t, "renamed", rules.ValidatePolicy(site(), amphora, &without, attr.Given{"name": true}), 0, "")
	if without.RedirectHTTPCode != nil {
		t.Errorf("another update brought the code %d back", *without.RedirectHTTPCode)
	}
	refused(t, "new URL", rules.ValidatePolicy(site(), amphora, &without, attr.Given{"redirect_url": true}), 0, "")
	if c := without.RedirectHTTPCode; c == nil || *c != 302 {
		t.Errorf("the code of a new URL is %v, want 302", c)
	}
}

func TestPoliciesAreNumberedFromOneWithoutGaps(t *testing.T) {
	for _, c := range []struct {
		have     string // ids in order of their positions
		moved    string
		position int
		deleted  string
		want     string
	}{
		{"abc", "x", 1, "", "xabc"}, {"abc", "x", 3, "", "abxc"}, {"abc", "x", 4, "", "abcx"}, {"abc", "x", 2147483647, "", "abcx"},
		{"", "x", 2147483647, "", "x"}, {"abc", "a", 3, "", "bca"}, {"abc", "c", 1, "", "cab"}, {"abc", "b", 2, "", "abc"},
		{"abc", "", 0, "a", "bc"}, {"abc", "", 0, "b", "ac"},
	} {
		tree := &lb.Tree{}
		for i, id := range strings.Split(c.have, "") {
			if id != "" {
				tree.Policies = append(tree.Policies, lb.L7Policy{Meta: lb.Meta{ID: id, Deleting: id == c.deleted}, ListenerID: "l", Position: i + 1})
			}
		}
		if p := tree.Policy(c.moved); p != nil {
			p.Position = c.position
		} else if c.moved != "" {
			tree.Policies = append(tree.Policies, lb.L7Policy{Meta: lb.Meta{ID: c.moved}, ListenerID: "l", Position: c.position})
		}
		tree.Policies = append(tree.Policies, lb.L7Policy{Meta: lb.Meta{ID: "o"}, ListenerID: "other", Position: 7})
		tree.Arrange("l", c.moved)
		at := map[int]string{}
		for _, p := range tree.Policies {
			if p.ListenerID == "l" && !p.Deleting {
				at[p.Position] = p.ID
			}
		}
		got := ""
		for i := range len(at) {
			got += at[i+1]
		}
		if got != c.want {
			t.Errorf("%+v: got %q", c, got)
		}
	}
}

func TestRuleRules(t *testing.T) {
	for _, c := range []struct{ kind, compare, key, value, want string }{
		{"PATH", "STARTS_WITH", "", "/api", ""},
		{"PATH", "REGEX", "", `^/(?!private)[a-z]++$`, ""},
		{"PATH", "REGEX", "", `(`, "regular expression"},
		{"PATH", "REGEX", "", `*`, "regular expression"},
		{"PATH", "EQUAL_TO", "", "", "value"},
		{"PATH", "EQUAL_TO", "", "/a b", "Invalid characters"},
		{"PATH", "EQUAL_TO", "", `"/a b"`, ""},
		{"HOST_NAME", "ENDS_WITH", "", ".example.com", ""},
		{"FILE_TYPE", "EQUAL_TO", "", "jpg", ""},
		{"FILE_TYPE", "CONTAINS", "", "jpg", "CONTAINS"},
		{"HEADER", "EQUAL_TO", "", "x", "key"},
		{"HEADER", "EQUAL_TO", "X Y", "x", "key"},
		{"HEADER", "CONTAINS", "X-Y", "x", ""},
		{"COOKIE", "EQUAL_TO", "a", "b;c", "Invalid characters"},
		{"COOKIE", "EQUAL_TO", "a", "b", ""},
		{"SSL_CONN_HAS_CERT", "EQUAL_TO", "", "True", ""},
		{"SSL_CONN_HAS_CERT", "EQUAL_TO", "", "no", "True"},
		{"SSL_CONN_HAS_CERT", "EQUAL_TO", "k", "true", "key"},
		{"SSL_VERIFY_RESULT", "EQUAL_TO", "", "-1", "number"},
		{"SSL_VERIFY_RESULT", "REGEX", "", "1", "EQUAL_TO"},
		{"SSL_VERIFY_RESULT", "EQUAL_TO", "", "0", ""},
		{"SSL_DN_FIELD", "EQUAL_TO", "CN", "example.com", ""},
		{"SSL_DN_FIELD", "EQUAL_TO", "", "x", "key"},
		{"SSL_DN_FIELD", "EQUAL_TO", "1=2", "x", "key"},
		{"SSL_DN_FIELD", "REGEX", "CN", "[", "regular expression"},
	} {
		rules := lb.DefaultRules()
		u := lb.L7Rule{L7PolicyID: "p1", Type: c.kind, CompareType: c.compare, Value: c.value}
		if c.key != "" {
			u.Key = &c.key
		}
		refused(t, fmt.Sprintf("%+v", c), rules.ValidateRule(site(), &u, nil), 400, c.want)
	}
	tree, rules := site(), lb.DefaultRules()
	for i := range 50 {
		tree.Rules = append(tree.Rules, lb.L7Rule{Meta: lb.Meta{ID: fmt.Sprint(i)}, L7PolicyID: "p1"})
	}
	u := lb.L7Rule{L7PolicyID: "p1", Type: "PATH", CompareType: "EQUAL_TO", Value: "/"}
	refused(t, "one too many", rules.ValidateRule(tree, &u, nil), 409, "Too many rules on L7 policy p1")
}
