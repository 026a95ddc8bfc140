package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/api"
	"github.com/octavo-lb/octavo/identity"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/policy"
	"github.com/octavo-lb/octavo/store"
	"github.com/octavo-lb/octavo/test/dbtest"
)

// site is the API on a real store, with a network service and an identity service that remember.
type site struct {
	t          testing.TB
	server     *httptest.Server
	store      *store.Store
	network    *network
	statements atomic.Int64
	config     api.Config
	reference  *reference
	file       string // of the database, if it is SQLite's
}

const (
	projectA = "11111111111111111111111111111111"
	projectB = "22222222222222222222222222222222"
)

// callers are who the tokens belong to.
var callers = map[string]identity.Caller{
	"member-a":   {UserID: "ua", ProjectID: projectA, Roles: []string{"load-balancer_member"}},
	"observer-a": {UserID: "oa", ProjectID: projectA, Roles: []string{"load-balancer_observer"}},
	"nobody-a":   {UserID: "na", ProjectID: projectA, Roles: []string{"dancer"}},
	"member-b":   {UserID: "ub", ProjectID: projectB, Roles: []string{"member"}},
	"admin":      {UserID: "root", ProjectID: "admin", Roles: []string{"admin"}},
	"unscoped":   {UserID: "ua"},
	"noauth":     {ProjectID: projectA, IsAdmin: true},
}

type tokens struct{}

func (tokens) Identify(r *http.Request) (identity.Caller, error) {
	token := r.Header.Get("X-Auth-Token")
	if token == "while-keystone-is-away" {
		return identity.Caller{}, fmt.Errorf("%w: no route to host", identity.ErrUnavailable)
	}
	c, ok := callers[token]
	if !ok {
		return c, identity.ErrUnauthorized
	}
	c.Token = token
	return c, nil
}

// allProjects own what is shared with all projects.
const allProjects = "*"

// network is a network service in memory. Objects belong to a project, or to all.
type network struct {
	mu       sync.Mutex
	subnets  map[string]lb.Subnet
	networks map[string]lb.Network
	ports    map[string]lb.Port
	others   map[string]bool // QoS policies and security groups
	owner    map[string]string
	free     map[string]int
	next     int
	fail     error // of EnsureVIP
	during   func(*lb.LoadBalancer)
}

const (
	netA, subA, subA6, subA2 = "aaaaaaaa-0000-4000-8000-000000000000", "aaaaaaaa-0000-4000-8000-000000000004",
		"aaaaaaaa-0000-4000-8000-000000000006", "aaaaaaaa-0000-4000-8000-000000000002"
	netB, subB = "bbbbbbbb-0000-4000-8000-000000000000", "bbbbbbbb-0000-4000-8000-000000000004"
	portA      = "aaaaaaaa-0000-4000-8000-00000000000f"
	qosA, sgA  = "aaaaaaaa-0000-4000-8000-0000000000aa", "aaaaaaaa-0000-4000-8000-0000000000bb"
	absent     = "99999999-9999-4999-8999-999999999999"
)

func newNetwork() *network {
	subnet := func(id, network, cidr string) lb.Subnet {
		return lb.Subnet{ID: id, NetworkID: network, CIDR: netip.MustParsePrefix(cidr)}
	}
	return &network{
		subnets: map[string]lb.Subnet{subA6: subnet(subA6, netA, "2001:db8::/64"), subA: subnet(subA, netA, "192.0.2.0/24"),
			subA2: subnet(subA2, netA, "198.51.100.0/24"), subB: subnet(subB, netB, "203.0.113.0/24")},
		networks: map[string]lb.Network{netA: {ID: netA, Subnets: []string{subA6, subA, subA2}}, netB: {ID: netB, Subnets: []string{subB}}},
		ports: map[string]lb.Port{portA: {ID: portA, NetworkID: netA, FixedIPs: []lb.FixedIP{
			{SubnetID: subA, Address: netip.MustParseAddr("192.0.2.77")}}}},
		others: map[string]bool{qosA: true, sgA: true},
		owner: map[string]string{netA: projectA, subA: projectA, subA6: projectA, subA2: projectA, portA: projectA, qosA: projectA,
			sgA: projectA, netB: projectB, subB: projectB},
	}
}

func (n *network) visible(token, id, title string) error {
	owner := n.owner[id]
	if owner != "" && (owner == allProjects || owner == callers[token].ProjectID || token == "admin") {
		return nil
	}
	return lb.Missing(title, id)
}

func (n *network) Port(_ context.Context, token, id string) (lb.Port, error) {
	return n.ports[id], n.visible(token, id, "Port")
}

func (n *network) Subnet(_ context.Context, token, id string) (lb.Subnet, error) {
	return n.subnets[id], n.visible(token, id, "Subnet")
}

func (n *network) Network(_ context.Context, token, id string) (lb.Network, error) {
	return n.networks[id], n.visible(token, id, "Network")
}

func (n *network) QosPolicy(_ context.Context, token, id string) error {
	return n.visible(token, id, "qos_policy")
}

func (n *network) SecurityGroup(_ context.Context, token, id string) error {
	return n.visible(token, id, "Security Group")
}

func (n *network) FreeAddresses(context.Context, string) (map[string]int, error) { return n.free, nil }

func (n *network) EnsureVIP(_ context.Context, b *lb.LoadBalancer) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.during != nil {
		n.during(b)
	}
	if n.fail != nil {
		return n.fail
	}
	n.next++
	address := func(subnetID string) string {
		a := n.subnets[subnetID].CIDR.Addr()
		for range 10 + n.next {
			a = a.Next()
		}
		return a.String()
	}
	if b.VipPortID == nil {
		b.VipPortID = new(fmt.Sprintf("cccccccc-0000-4000-8000-%012d", n.next))
	}
	if b.VipAddress == "" {
		b.VipAddress = address(*b.VipSubnetID)
	}
	for i := range b.AdditionalVips {
		v := &b.AdditionalVips[i]
		v.PortID = b.VipPortID
		if v.IPAddress == "" {
			v.IPAddress = address(v.SubnetID)
		}
	}
	return nil
}

func newSite(t testing.TB, change ...func(*api.Config)) *site {
	t.Helper()
	return newSiteOn(t, "sqlite:"+filepath.Join(t.TempDir(), "octavo.db"), change...)
}

// onEveryDatabase runs a test with SQLite, MariaDB and PostgreSQL.
func onEveryDatabase(t *testing.T, test func(s *site), change ...func(*api.Config)) {
	dbtest.Each(t, func(t *testing.T, dsn string) { test(newSiteOn(t, dsn, change...)) })
}

func newSiteOn(t testing.TB, dsn string, change ...func(*api.Config)) *site {
	t.Helper()
	s := &site{t: t, network: newNetwork(), file: strings.TrimPrefix(dsn, "sqlite:")}
	var err error
	s.store, err = store.Open(t.Context(), dsn, store.Options{
		Trace: func(context.Context, string, time.Duration, error) { s.statements.Add(1) }})
	if err != nil {
		t.Fatal(err)
	}
	enforcer, err := policy.New(nil, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.config = api.Config{
		Store: s.store, Auth: tokens{}, Policy: enforcer, Networks: s.network, VIPs: s.network,
		Logger: slog.New(slog.NewTextHandler(testLog{t}, nil)), Rules: lb.DefaultRules(),
		Providers: []api.Provider{{Name: "amphora"}, {Name: "octavia"}}, AuthURI: "http://keystone.example/v3",
	}
	for _, f := range change {
		f(&s.config)
	}
	handler, err := api.New(s.config)
	if err != nil {
		t.Fatal(err)
	}
	if s.reference, err = referenceOf(string(handler.OpenAPI())); err != nil {
		t.Fatalf("the reference is no OpenAPI document: %v", err)
	}
	s.server = httptest.NewServer(handler)
	t.Cleanup(func() {
		s.server.Close()
		s.store.Close()
	})
	return s
}

type testLog struct{ t testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// answer is what came back.
type answer struct {
	t      testing.TB
	what   string
	status int
	header http.Header
	raw    string
	body   map[string]any
}

// as makes requests with a token.
func (s *site) as(token string) client { return client{s, token} }

type client struct {
	*site
	token string
}

func (c client) do(method, path string, body any) answer {
	c.t.Helper()
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			c.t.Fatal(err)
		}
		r = bytes.NewReader(raw)
	}
	q, err := http.NewRequestWithContext(c.t.Context(), method, c.server.URL+path, r)
	if err != nil {
		c.t.Fatal(err)
	}
	q.Header.Set("X-Auth-Token", c.token)
	if r != nil {
		q.Header.Set("Content-Type", "application/json")
	}
	return c.send(q)
}

func (c client) send(q *http.Request) answer {
	c.t.Helper()
	var sent []byte
	if q.Body != nil {
		var err error
		if sent, err = io.ReadAll(q.Body); err != nil {
			c.t.Fatal(err)
		}
		q.Body = io.NopCloser(bytes.NewReader(sent))
	}
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	a := answer{t: c.t, what: q.Method + " " + q.URL.RequestURI(), status: resp.StatusCode, header: resp.Header, raw: string(raw)}
	json.Unmarshal(raw, &a.body)
	if c.config.BasePath == "" {
		c.reference.check(c.t, q, string(sent), a)
	}
	return a
}

func (c client) get(path string) answer            { c.t.Helper(); return c.do("GET", path, nil) }
func (c client) post(path string, body any) answer { c.t.Helper(); return c.do("POST", path, body) }
func (c client) put(path string, body any) answer  { c.t.Helper(); return c.do("PUT", path, body) }
func (c client) delete(path string) answer         { c.t.Helper(); return c.do("DELETE", path, nil) }

// want checks the status and that the body has each of the words.
func (a answer) want(status int, words ...string) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("%s: %d, want %d: %s", a.what, a.status, status, a.raw)
	}
	for _, w := range words {
		if !strings.Contains(a.raw, w) {
			a.t.Fatalf("%s: %q is missing in %s", a.what, w, a.raw)
		}
	}
	if id := a.header.Get("X-Openstack-Request-Id"); !strings.HasPrefix(id, "req-") {
		a.t.Errorf("%s: request id %q", a.what, id)
	}
	if status >= 400 && status != 401 {
		a.wantFault()
	}
	return a
}

func (a answer) wantFault() {
	a.t.Helper()
	_, hasDebug := a.body["debuginfo"]
	if (a.body["faultcode"] != "Client" && a.body["faultcode"] != "Server") || a.body["faultstring"] == "" || !hasDebug {
		a.t.Errorf("%s: the error has another form: %s", a.what, a.raw)
	}
}

// in is a member of the answer by its path, such as "listener.protocol" or "listeners.0.id".
func (a answer) in(path string) any {
	a.t.Helper()
	var v any = a.body
	for part := range strings.SplitSeq(path, ".") {
		switch o := v.(type) {
		case map[string]any:
			v = o[part]
		case []any:
			var i int
			fmt.Sscan(part, &i)
			if i >= len(o) {
				a.t.Fatalf("%s: no %s in %s", a.what, path, a.raw)
			}
			v = o[i]
		default:
			a.t.Fatalf("%s: no %s in %s", a.what, path, a.raw)
		}
	}
	return v
}

func (a answer) id() string {
	a.t.Helper()
	for _, member := range []string{"loadbalancer", "listener", "pool", "member", "healthmonitor", "l7policy", "rule"} {
		if o, ok := a.body[member].(map[string]any); ok {
			return o["id"].(string)
		}
	}
	a.t.Fatalf("%s: no object in %s", a.what, a.raw)
	return ""
}

func (a answer) ids(list string) []string {
	a.t.Helper()
	var ids []string
	for _, o := range a.in(list).([]any) {
		ids = append(ids, o.(map[string]any)["id"].(string))
	}
	return ids
}

type object map[string]any

// loadBalancer makes one that is ACTIVE.
func (s *site) loadBalancer() string {
	s.t.Helper()
	id := s.as("member-a").post("/v2/lbaas/loadbalancers", object{"loadbalancer": object{"vip_subnet_id": subA}}).want(201).id()
	s.converge(id)
	return id
}

// converge does what a worker and agents do at the end: it takes everything as in force.
func (s *site) converge(lbID string) {
	s.t.Helper()
	err := s.store.Write(s.t.Context(), func(tx *store.Tx) error {
		b, err := tx.Lock(s.t.Context(), lbID)
		if err != nil {
			return err
		}
		return tx.SetCloudGeneration(s.t.Context(), b.Generation)
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) create(path, member string, o object) string {
	s.t.Helper()
	return s.as("member-a").post("/v2/lbaas/"+path, object{member: o}).want(201).id()
}
