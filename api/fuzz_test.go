package api_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/octavo-lb/octavo/api"
)

// fuzzSite is a site of which requests are answered without a network.
func fuzzSite(f *testing.F) (s *site, answer func(t *testing.T, method, path, body string) (int, string), lbID string, paths map[string]string) {
	s, _ = newTLSSite(f)
	s.config.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	handler, err := api.New(s.config)
	if err != nil {
		f.Fatal(err)
	}
	w := &conformityWorld{client: s.as("member-a")}
	w.name("lb", s.loadBalancer())
	create := func(place, resource, name string) string {
		w.name(name, s.create(place, resource, w.base(resource)))
		return place + "/" + w.ids[name]
	}
	paths = map[string]string{"loadbalancer": "loadbalancers/" + w.ids["lb"]}
	paths["listener"] = create("listeners", "listener", "parent")
	paths["l7policy"] = create("l7policies", "l7policy", "policy")
	paths["rule"] = create(paths["l7policy"]+"/rules", "rule", "rule")
	paths["pool"] = create("pools", "pool", "parent")
	paths["healthmonitor"] = create("healthmonitors", "healthmonitor", "monitor")
	paths["member"] = create(paths["pool"]+"/members", "member", "member")
	return s, func(t *testing.T, method, path, body string) (int, string) {
		q := httptest.NewRequestWithContext(t.Context(), method, "/v2/lbaas/"+path, strings.NewReader(body))
		q.Header.Set("X-Auth-Token", "member-a")
		q.Header.Set("Content-Type", "application/json")
		r := httptest.NewRecorder()
		handler.ServeHTTP(r, q)
		return r.Code, r.Body.String()
	}, w.ids["lb"], paths
}

// writes is a number that changes with every transaction that anybody commits to the site's database.
func (s *site) writes(f *testing.F) func() int64 {
	db, err := sql.Open("sqlite", s.file)
	if err != nil {
		f.Fatal(err)
	}
	db.SetMaxOpenConns(1) // the number is a connection's own
	f.Cleanup(func() { db.Close() })
	return func() (n int64) {
		if err := db.QueryRow("PRAGMA data_version").Scan(&n); err != nil {
			f.Fatal(err)
		}
		return n
	}
}

// Whatever a body says, it is taken, or refused with a reason and then not a byte of the database is another: it never fails, and
// answers are JSON.
func FuzzBodies(f *testing.F) {
	s, answer, lbID, paths := fuzzSite(f)
	writes := s.writes(f)
	if before := writes(); s.loadBalancer() == "" || writes() == before {
		f.Fatal("a load balancer was made, and nothing written")
	}
	type call struct{ method, path string }
	var calls []call
	for _, path := range paths {
		calls = append(calls, call{http.MethodPut, path}, call{http.MethodPost, path[:strings.LastIndex(path, "/")]})
	}
	calls = append(calls, call{http.MethodPut, paths["pool"] + "/members"}, call{http.MethodPut, "loadbalancers/" + lbID + "/graph?dry_run=true"},
		call{http.MethodPut, "quotas/" + projectA})
	slices.SortFunc(calls, func(a, b call) int { return strings.Compare(a.method+a.path, b.method+b.path) })
	for resource, r := range triedResources() {
		o := named(r.base, object{"loadbalancer_id": lbID})
		for name, c := range r.trials {
			one := named(o, c.beside, object{name: c.good})
			for _, body := range []object{{resource: one}, {resource: object{name: c.bad}}, {"loadbalancer": named(object{"vip_subnet_id": subA}, r.nested(one))}} {
				raw, _ := json.Marshal(body)
				for i := range calls {
					if i%5 == len(name)%5 {
						f.Add(uint8(i), string(raw))
					}
				}
			}
		}
	}
	for _, body := range []string{``, `null`, `[]`, `{"members":[{"address":"::ffff:10.0.0.1","protocol_port":80},{}]}`, `{"quota":{"pool":1e9}}`,
		`{"loadbalancer":{"listeners":null,"pools":[null]}}`, `{"listener":{"insert_headers":{"":""}}}`, `{"pool":{"session_persistence":[]}}`, "{\"pool\":{\"name\":\"\xff\"}}"} {
		for i := range calls {
			f.Add(uint8(i), body)
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, body string) {
		c := calls[int(which)%len(calls)]
		before := writes()
		status, got := answer(t, c.method, c.path, body)
		switch {
		case status >= 500 && status != http.StatusNotImplemented:
			t.Fatalf("%s %s: %d %s\n%q", c.method, c.path, status, got, body)
		case got != "" && !json.Valid([]byte(got)):
			t.Fatalf("%s %s answers no JSON: %s", c.method, c.path, got)
		case status >= 400 && !bytes.Contains([]byte(got), []byte(`"faultstring":"`)):
			t.Fatalf("%s %s: %d without a reason: %s", c.method, c.path, status, got)
		case status >= 400 && writes() != before:
			t.Fatalf("%s %s: %d, but something was written: %s\n%q", c.method, c.path, status, got, body)
		}
	})
}

// So it is with what lists are asked for.
func FuzzQueries(f *testing.F) {
	_, answer, _, paths := fuzzSite(f)
	var lists []string
	for _, path := range paths {
		lists = append(lists, path[:strings.LastIndex(path, "/")])
	}
	lists = append(lists, "quotas", "providers", "flavors")
	slices.Sort(lists)
	for _, q := range []string{"", "limit=1&marker=x", "sort=name:asc,created_at:desc", "sort_key=id&sort_dir=up", "fields=id&fields=name", "tags=a,b&not-tags-any=c",
		"created_at=2026-01-01T00:00:00", "created_at=x", "protocol_port=80&protocol_port=x", "provisioning_status=ACTIVE&operating_status=", "page_reverse=True&limit=-1",
		"admin_state_up=maybe", "vip_address=::1", "healthmonitor_id=", "http_version=NaN", "weight=99999999999999999999", "name=%00", "%zz", "project_id=&tenant_id=x"} {
		for i := range lists {
			f.Add(uint8(i), q)
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, query string) {
		path := lists[int(which)%len(lists)]
		if u, err := url.Parse("/" + path + "?" + query); err != nil || u.Path != "/"+path || strings.ContainsAny(query, "\r\n \t#") {
			return // no client can send it
		}
		if status, got := answer(t, http.MethodGet, path+"?"+query, ""); status >= 500 || !json.Valid([]byte(got)) {
			t.Fatalf("GET %s?%s: %d %s", path, query, status, got)
		}
	})
}

// readings are the addresses for which any reader may take a text: those of this program, of the C library, and of gateways
// between IPv6 and IPv4.
func readings(text string) (all []netip.Addr) {
	text = strings.Trim(strings.TrimSpace(text), "[]")
	text, _, _ = strings.Cut(text, "%")
	if a, err := netip.ParseAddr(text); err == nil {
		all = append(all, a.Unmap())
		for prefix, at := range map[string]int{"::/96": 12, "64:ff9b::/96": 12, "2002::/16": 2} {
			if b := a.As16(); netip.MustParsePrefix(prefix).Contains(a) {
				all = append(all, netip.AddrFrom4([4]byte(b[at:])))
			}
		}
		return all
	}
	// inet_aton: up to four parts, each decimal, octal or hexadecimal, of which the last fills what is left.
	parts := strings.Split(text, ".")
	var sum uint64
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 0, 33)
		if err != nil || len(parts) > 4 {
			return nil
		}
		if sum |= n << (8 * (3 - i)); i == len(parts)-1 {
			sum = sum&^(n<<(8*(3-i))) | n
		}
	}
	return []netip.Addr{netip.AddrFrom4([4]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})}
}

// However an address is written, no member and no check of one leads to the machine itself, its neighbours on the link, the metadata
// service, the control plane or the load balancer's own VIP.
func FuzzMemberAddresses(f *testing.F) {
	var forbidden []netip.Prefix
	for _, p := range []string{"0.0.0.0/32", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "172.16.0.0/22", "192.0.2.11/32",
		"::/127", "fe80::/10", "ff00::/8"} {
		forbidden = append(forbidden, netip.MustParsePrefix(p))
	}
	s := newSite(f, func(c *api.Config) {
		c.Rules.DeniedMembers = []netip.Prefix{netip.MustParsePrefix("172.16.0.0/22")}
		c.Logger = slog.New(slog.DiscardHandler)
	})
	u, lbID := s.as("member-a"), s.loadBalancer()
	if vip := u.get(lbs + "/" + lbID).in("loadbalancer.vip_address"); vip != "192.0.2.11" {
		f.Fatalf("the VIP is %v", vip)
	}
	members := "/v2/lbaas/pools/" + s.create("pools", "pool", named(poolBase, object{"loadbalancer_id": lbID})) + "/members"
	for _, address := range []string{"198.51.100.7", "2001:db8::7", "169.254.169.254", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518",
		"169.16689662", "0xa9.0xfe.0xa9.0xfe", "::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "0:0:0:0:0:ffff:a9fe:a9fe", "::169.254.169.254",
		"64:ff9b::169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::", "fe80::1", "fe80::1%eth0", "FE80::A9FE:A9FE%25eth0", "fd00:ec2::254%1",
		"[::1]", "::1", "::", "0", "0.0.0.0", "127.1", "127.0.0.1", "0177.0.0.1", "2130706433", "::ffff:127.0.0.1", "localhost", " 169.254.169.254",
		"169.254.169.254\n", "169.254.169.254\x00", "169.254.169.254/32", "169.254.169.254:80", "１６９.254.169.254", "169。254。169。254", "172.16.0.2",
		"::ffff:172.16.0.2", "0254.020.0.2", "172.16.2", "192.0.2.11", "::ffff:192.0.2.11", "0300.0.2.013", "224.0.0.1", "ff02::1", "255.255.255.255", ""} {
		f.Add(address)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u := u
		u.t, u.site = t, &site{t: t, server: s.server, reference: s.reference}
		for what, o := range map[string]object{
			"address":         {"address": text, "protocol_port": 80},
			"monitor_address": {"address": "198.51.100.8", "protocol_port": 80, "monitor_address": text},
		} {
			a := u.post(members, object{"member": o})
			if a.status == http.StatusBadRequest || a.status == http.StatusConflict {
				continue
			}
			shown, err := netip.ParseAddr(a.want(201).in("member." + what).(string))
			if err != nil || shown.Zone() != "" {
				t.Fatalf("%s %q is taken, and shown as %v: %v", what, text, shown, err)
			}
			for _, reading := range append(readings(text), shown.Unmap()) {
				if slices.ContainsFunc(forbidden, func(p netip.Prefix) bool { return p.Contains(reading) }) {
					t.Fatalf("%s %q is taken, and leads to %v", what, text, reading)
				}
			}
			u.delete(members + "/" + a.id()).want(204)
		}
	})
}
