package agent_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/agent/instancetest"
	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/agentapi/agentapitest"
)

const terminated = header + `
listeners:
  - {id: l1, protocol: TERMINATED_HTTPS, protocol_port: 443, default_pool_id: p1, default_tls_container_ref: c1, sni_container_refs: [c2],
     alpn_protocols: [h2, http/1.1], tls_versions: [TLSv1.3], hsts_max_age: 99, hsts_include_subdomains: true}
pools: [{id: p1, protocol: HTTP, lb_algorithm: ROUND_ROBIN}]
members:
  - {id: m1, pool_id: p1, address: 10.0.0.11, protocol_port: 80}
  - {id: m2, pool_id: p1, address: 10.0.0.12, protocol_port: 80}
`

// putSecret wants a state with secrets and waits until it is in force.
func (w *world) putSecret(t *testing.T, text string, secrets map[string][]byte) agentapi.Report {
	t.Helper()
	state, err := agentapitest.State(text)
	if err != nil {
		t.Fatal(err)
	}
	for ref, content := range secrets {
		w.controller.AddSecret(state, ref, content)
	}
	return w.controller.AwaitApplied(t, w.controller.Want(state))
}

// https is a strict client from the network.
func (w *world) https(ca *instancetest.CA, name string, show ...tls.Certificate) *http.Client {
	c := w.net.HTTPClient(false)
	transport := c.Transport.(*http.Transport)
	transport.TLSClientConfig = &tls.Config{RootCAs: ca.Pool(), ServerName: name, Certificates: show}
	transport.ForceAttemptHTTP2 = true
	return c
}

func TestTLS(t *testing.T) {
	w := newWorld(t)
	w.instance.StartAgent(t)
	ca := instancetest.NewCA(t, "users")
	c1, _ := ca.Issue("one.example.com")
	c2, _ := ca.Issue("two.example.com")
	secrets := map[string][]byte{"c1": c1, "c2": c2}
	w.putSecret(t, terminated, secrets)
	for _, name := range []string{"one.example.com", "two.example.com"} {
		response, err := w.https(ca, name).Get("https://10.0.0.100/")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		response.Body.Close()
		if response.ProtoMajor != 2 || response.TLS.Version != tls.VersionTLS13 {
			t.Errorf("%s: %s over TLS %x", name, response.Proto, response.TLS.Version)
		}
		if got := response.Header.Get("Strict-Transport-Security"); got != "max-age=99; includeSubDomains" {
			t.Errorf("%s: HSTS is %q", name, got)
		}
	}
	t.Run("only the listed versions", func(t *testing.T) {
		c := w.https(ca, "one.example.com")
		c.Transport.(*http.Transport).TLSClientConfig.MaxVersion = tls.VersionTLS12
		if response, err := c.Get("https://10.0.0.100/"); err == nil {
			response.Body.Close()
			t.Error("TLS 1.2 was spoken")
		}
	})
	t.Run("renewed without a reload", func(t *testing.T) {
		pid := workerPID(t, w)
		renewed, want := ca.Issue("one.example.com")
		secrets["c1"] = renewed
		w.putSecret(t, terminated, secrets)
		response, err := w.https(ca, "one.example.com").Get("https://10.0.0.100/")
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if string(response.TLS.PeerCertificates[0].Raw) != string(want.Certificate[0]) {
			t.Error("the old certificate is shown")
		}
		if workerPID(t, w) != pid {
			t.Error("HAProxy was reloaded")
		}
	})
	t.Run("certificates come and go without a reload", func(t *testing.T) {
		pid := workerPID(t, w)
		shown := func(name string) string {
			t.Helper()
			client := w.https(ca, name)
			client.Transport.(*http.Transport).TLSClientConfig.InsecureSkipVerify = true
			response, err := client.Get("https://10.0.0.100/")
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			return response.TLS.PeerCertificates[0].DNSNames[0]
		}
		lists := map[string]string{
			"[c2]": "one two one one", "[c2, c3]": "one two three one", "[c2, c3, c4]": "one two three four", "[c3]": "one one three one", "[]": "one one one one",
		}
		more := map[string][]byte{"c1": secrets["c1"], "c2": c2}
		more["c3"], _ = ca.Issue("three.example.com")
		more["c4"], _ = ca.Issue("four.example.com")
		for _, list := range []string{"[c2, c3]", "[c2, c3, c4]", "[c3]", "[]", "[c3]", "[c3]", "[]", "[c2]"} {
			w.putSecret(t, strings.Replace(terminated, "[c2]", list, 1), more)
			var got []string
			for _, name := range []string{"one", "two", "three", "four"} {
				got = append(got, strings.TrimSuffix(shown(name+".example.com"), ".example.com"))
			}
			if strings.Join(got, " ") != lists[list] {
				t.Errorf("with %s clients are shown %v, want %s", list, got, lists[list])
			}
		}
		if workerPID(t, w) != pid {
			t.Error("HAProxy was reloaded")
		}
		w.instance.Output(t, "sh", "-c", "pkill -9 haproxy")
		eventually(t, 10*time.Second, "HAProxy is back with the same certificates", func() bool {
			client := w.https(ca, "two.example.com")
			response, err := client.Get("https://10.0.0.100/")
			if err != nil {
				return false
			}
			response.Body.Close()
			return true
		})
		// The default certificate takes a reload.
		pid = workerPID(t, w)
		w.putSecret(t, strings.NewReplacer("[c2]", "[c1]", "default_tls_container_ref: c1", "default_tls_container_ref: c2").Replace(terminated), more)
		if got := shown("elsewhere.example.com"); got != "two.example.com" || workerPID(t, w) == pid {
			t.Errorf("clients are shown %s", got)
		}
		// Where there is none, the first of those by name is.
		byName := strings.Replace(terminated, "default_tls_container_ref: c1, ", "", 1)
		for _, c := range []struct{ list, want string }{{"[c2]", "two"}, {"[c3, c2]", "three"}, {"[c2, c3]", "two"}, {"[c4]", "four"}} {
			w.putSecret(t, strings.Replace(byName, "[c2]", c.list, 1), more)
			if got := shown("elsewhere.example.com"); got != c.want+".example.com" {
				t.Errorf("with %s and no default, clients are shown %s, want %s", c.list, got, c.want)
			}
		}
		w.putSecret(t, terminated, secrets)
	})
	t.Run("keys are in memory only", func(t *testing.T) {
		needle := strings.Split(string(secrets["c1"]), "\n")
		key := needle[len(needle)-3]
		out, err := w.instance.Command("grep", "-rlF", "--", key, "/run/octavo", "/var/lib/octavo").Output()
		if err != nil || !strings.HasPrefix(string(out), "/run/octavo/secrets/store/") || strings.Count(string(out), "\n") != 1 {
			t.Errorf("the key is in %s (%v)", out, err)
		}
		if files := w.instance.Output(t, "ls", "/run/octavo/secrets/store"); strings.Count(files, "\n") != 2 {
			t.Errorf("secrets are kept that nobody uses: %s", files)
		}
	})
	t.Run("a reboot without a controller", func(t *testing.T) {
		both := strings.Replace(terminated, "listeners:", "listeners:\n  - {id: l2, protocol: HTTP, protocol_port: 80, default_pool_id: p1}", 1)
		w.putSecret(t, both, secrets)
		w.controller.Stop()
		w.instance.SignalAgent(t, syscall.SIGKILL)
		w.instance.Output(t, "sh", "-c", "pkill -9 haproxy; rm -rf /run/octavo")
		w.instance.StartAgent(t)
		client := w.net.HTTPClient(false)
		eventually(t, 10*time.Second, "what needs no keys is served", func() bool {
			response, err := client.Get("http://10.0.0.100/")
			if err != nil {
				return false
			}
			response.Body.Close()
			return true
		})
		w.controller.Start(t, w.instance)
		eventually(t, 40*time.Second, "the rest is served when the controller is back", func() bool {
			response, err := w.https(ca, "one.example.com").Get("https://10.0.0.100/")
			if err != nil {
				return false
			}
			response.Body.Close()
			return true
		})
	})
}

// TestClientCertificates: asked for, checked against a CA and a revocation list, and told to the member.
func TestClientCertificates(t *testing.T) {
	w := newWorld(t)
	w.instance.StartAgent(t)
	ca, clients, strangers := instancetest.NewCA(t, "users"), instancetest.NewCA(t, "clients"), instancetest.NewCA(t, "strangers")
	c1, _ := ca.Issue("one.example.com")
	_, alice := clients.Issue("alice")
	_, bob := clients.Issue("bob")
	_, eve := strangers.Issue("eve")
	secrets := map[string][]byte{"c1": c1, "ca": clients.PEM(), "crl": clients.Revoke(bob)}
	state := strings.NewReplacer("sni_container_refs: [c2]", `client_authentication: MANDATORY, client_ca_tls_container_ref: ca, client_crl_container_ref: crl,
     insert_headers: {X-SSL-Client-Verify: 'true', X-SSL-Client-Has-Cert: 'true', X-SSL-Client-CN: 'true', X-SSL-Client-DN: 'true'}`).Replace(terminated)
	w.putSecret(t, state, secrets)
	seen := make(chan http.Header, 100)
	for _, m := range w.web {
		m.Requests.Store(func(r *http.Request) { seen <- r.Header })
	}
	try := func(who string, want bool, show ...tls.Certificate) {
		t.Helper()
		response, err := w.https(ca, "one.example.com", show...).Get("https://10.0.0.100/")
		if err == nil {
			response.Body.Close()
		}
		if got := err == nil; got != want {
			t.Errorf("%s is let in: %v, want %v (%v)", who, got, want, err)
		}
	}
	try("alice", true, alice)
	h := <-seen
	if h.Get("X-SSL-Client-Verify") != "0" || h.Get("X-SSL-Client-Has-Cert") != "1" || h.Get("X-SSL-Client-CN") != "alice" {
		t.Errorf("the member was told %v", h)
	}
	try("bob, who is revoked", false, bob)
	try("eve, of another CA", false, eve)
	try("nobody", false)

	secrets["crl"] = clients.Revoke(alice)
	w.putSecret(t, state, secrets)
	try("alice, who is revoked now", false, alice)
	try("bob, who is not any more", true, bob)

	optional := strings.Replace(state, "MANDATORY", "OPTIONAL", 1) + `
policies: [{id: y1, listener_id: l1, action: REDIRECT_TO_URL, redirect_url: 'http://nobody/'}]
rules: [{id: r1, l7policy_id: y1, type: SSL_CONN_HAS_CERT, compare_type: EQUAL_TO, value: 'True', invert: true}]
`
	w.putSecret(t, optional, secrets)
	try("bob", true, bob)
	response, err := w.https(ca, "one.example.com").Get("https://10.0.0.100/")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusFound {
		t.Errorf("a client without a certificate got %s", response.Status)
	}
}

// TestTLSToMembers: members show certificates that are checked, and ask for ours.
func TestTLSToMembers(t *testing.T) {
	w := newWorld(t)
	w.instance.StartAgent(t)
	ca, members := instancetest.NewCA(t, "users"), instancetest.NewCA(t, "members")
	c1, _ := ca.Issue("one.example.com")
	ours, _ := ca.Issue("balancer")
	_, good := members.Issue("one.example.com")
	_, bad := ca.Issue("one.example.com")
	for i, certificate := range []tls.Certificate{good, bad} {
		l := w.net.Listen(t, fmt.Sprintf("10.0.0.%d:443", 11+i))
		server := &http.Server{Handler: http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(out, "member %d: %s, %s, from %s", i+1, r.Proto, r.TLS.ServerName, r.TLS.PeerCertificates[0].Subject.CommonName)
		}), TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool()}, ErrorLog: silent()}
		go server.ServeTLS(l, "", "") //nolint:errcheck // it ends with the test
		t.Cleanup(func() { server.Close() })
	}
	state := strings.NewReplacer("lb_algorithm: ROUND_ROBIN", `lb_algorithm: ROUND_ROBIN, tls_enabled: true, ca_tls_container_ref: mca, tls_container_ref: ours,
     alpn_protocols: [h2]`, "protocol_port: 80}", "protocol_port: 443}", "sni_container_refs: [c2],", "").Replace(terminated) + `
monitors: [{id: h1, pool_id: p1, type: TLS-HELLO, delay: 1, timeout: 1, max_retries: 1, max_retries_down: 1}]
`
	w.putSecret(t, state, map[string][]byte{"c1": c1, "ours": ours, "mca": members.PEM()})
	w.controller.Await(t, 10*time.Second, "m2, whose certificate is wrong, in ERROR", membersAre("ONLINE", "ERROR"))
	client := w.https(ca, "one.example.com")
	for range 3 {
		response, err := client.Get("https://10.0.0.100/")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if got := string(body); got != "member 1: HTTP/2.0, one.example.com, from balancer" {
			t.Errorf("got %q", got)
		}
	}
}

// TestPassThrough: TLS is the member's business.
func TestPassThrough(t *testing.T) {
	w := newWorld(t)
	w.instance.StartAgent(t)
	ca := instancetest.NewCA(t, "members")
	_, certificate := ca.Issue("one.example.com")
	l := w.net.Listen(t, "10.0.0.13:443")
	server := &http.Server{Handler: w.web[2], TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}}, ErrorLog: silent()}
	go server.ServeTLS(l, "", "") //nolint:errcheck // it ends with the test
	t.Cleanup(func() { server.Close() })
	w.put(t, header+`
listeners: [{id: l1, protocol: HTTPS, protocol_port: 443, default_pool_id: p1}]
pools: [{id: p1, protocol: HTTPS, lb_algorithm: LEAST_CONNECTIONS}]
members: [{id: m3, pool_id: p1, address: 10.0.0.13, protocol_port: 443}]
monitors: [{id: h1, pool_id: p1, type: HTTPS, delay: 1, timeout: 1, max_retries: 1, url_path: /healthcheck, domain_name: one.example.com, http_version: 1.1}]
`)
	w.controller.Await(t, 5*time.Second, "the member ONLINE", membersAre("ONLINE"))
	if got := get(t, w.https(ca, "one.example.com"), "https://10.0.0.100/"); got != "web3" {
		t.Errorf("got %q", got)
	}
}

// silent is for servers whose clients break off on purpose.
func silent() *log.Logger { return log.New(io.Discard, "", 0) }
