package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/keymanager/v1/containers"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/octavo-lb/octavo/agent/instancetest"
)

// openssl lets openssl read a file and answers what it writes.
func openssl(t *testing.T, content []byte, command string, args ...string) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "in")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("openssl", append([]string{command, "-in", file}, args...)...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("openssl %s: %v: %s", command, err, said.String())
	}
	return out
}

// vault stores secrets as a tenant.
type vault struct {
	t    *testing.T
	keys *gophercloud.ServiceClient
}

func (v vault) put(payload []byte) string { return storeSecret(v.t, v.keys, payload) }

// container stores a certificate whose key is encrypted.
func (v vault) container(bundle []byte) string {
	v.t.Helper()
	encrypted := openssl(v.t, bundle, "pkcs8", "-topk8", "-v2", "aes-256-cbc", "-passout", "pass:correct horse")
	made, err := containers.Create(v.t.Context(), v.keys, containers.CreateOpts{Type: containers.CertificateContainer, Name: "encrypted", SecretRefs: []containers.SecretRef{
		{Name: "certificate", SecretRef: v.put(openssl(v.t, bundle, "x509"))}, {Name: "private_key", SecretRef: v.put(encrypted)},
		{Name: "private_key_passphrase", SecretRef: v.put([]byte("correct horse"))},
	}}).Extract()
	if err != nil {
		v.t.Fatal(err)
	}
	return made.ContainerRef
}

// TestHTTPS terminates TLS with every kind of secret, checks clients and members by certificates, and speaks gRPC all through.
func TestHTTPS(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	v := vault{t, s.keyManager(t, "octavo")}
	ca, clients, members := instancetest.NewCA(t, "site"), instancetest.NewCA(t, "clients"), instancetest.NewCA(t, "members")
	bundle := func(name string) []byte { text, _ := ca.Issue(name); return text }
	plain := v.put(bundle("one.example"))
	other := v.put(openssl(t, bundle("two.example"), "pkcs12", "-export", "-passout", "pass:"))
	_, good := clients.Issue("good client")
	_, revoked := clients.Issue("revoked client")
	_, stranger := ca.Issue("stranger")
	clientCA, clientCRL := v.put(clients.PEM()), v.put(clients.Revoke(revoked))
	ours, _ := members.Issue("balancer")
	_, theirs := members.Issue("one.example")
	_, lapsed := members.Issue("one.example")

	web := s.web(t, speaker("web"))
	asking := &tls.Config{Certificates: []tls.Certificate{theirs}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: members.Pool(), NextProtos: []string{"h2", "http/1.1"}}
	trusted := s.webTLS(t, asking, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s", r.Proto, r.TLS.ServerName, r.TLS.PeerCertificates[0].Subject.CommonName)
	}))
	untrusted := s.webTLS(t, &tls.Config{Certificates: []tls.Certificate{stranger}}, named("untrusted"))
	gone := s.webTLS(t, &tls.Config{Certificates: []tls.Certificate{lapsed}}, named("revoked"))

	terminated := func(port int, members m, more m) m {
		all := m{"protocol": "TERMINATED_HTTPS", "protocol_port": port, "default_tls_container_ref": plain, "default_pool": members}
		for k, v := range more {
			all[k] = v
		}
		return all
	}
	says := func(url string, kind, compare, key, value string) m {
		return m{"action": "REDIRECT_TO_URL", "redirect_url": url, "rules": []m{{"type": "PATH", "compare_type": "EQUAL_TO", "value": "/" + kind},
			{"type": kind, "compare_type": compare, "key": key, "value": value}}}
	}
	told := m{}
	for _, h := range []string{"Verify", "Has-Cert", "DN", "CN", "SHA1", "Not-Before", "Not-After"} {
		told["X-SSL-Client-"+h] = "true"
	}
	told["X-SSL-Issuer"], told["X-Forwarded-Proto"] = "true", "true"
	reencrypted := m{"tls_enabled": true, "ca_tls_container_ref": v.put(members.PEM()), "crl_container_ref": v.put(members.Revoke(lapsed)),
		"tls_container_ref": v.put(ours), "alpn_protocols": []string{"h2"}}
	_, ip := s.balancer(t,
		terminated(443, pool([]m{member(web)}), m{"sni_container_refs": []string{other}, "alpn_protocols": []string{"h2", "http/1.1"},
			"tls_versions": []string{"TLSv1.3"}, "hsts_max_age": 99, "hsts_include_subdomains": true, "hsts_preload": true}),
		terminated(444, pool([]m{member(web)}), m{"client_authentication": "MANDATORY", "client_ca_tls_container_ref": clientCA,
			"client_crl_container_ref": clientCRL, "insert_headers": told}),
		terminated(445, pool([]m{member(web)}), m{"client_authentication": "OPTIONAL", "client_ca_tls_container_ref": clientCA, "l7policies": []m{
			says("http://shown.test/", "SSL_CONN_HAS_CERT", "EQUAL_TO", "", "True"), says("http://valid.test/", "SSL_VERIFY_RESULT", "EQUAL_TO", "", "0"),
			says("http://good.test/", "SSL_DN_FIELD", "STARTS_WITH", "CN", "good"),
		}}),
		terminated(446, pool([]m{member(web)}), m{"tls_versions": []string{"TLSv1.2"}, "tls_ciphers": "ECDHE-ECDSA-AES128-GCM-SHA256", "alpn_protocols": []string{"http/1.1"}}),
		terminated(447, pool([]m{member(web)}), m{"default_tls_container_ref": v.container(bundle("three.example"))}),
		terminated(448, pool([]m{member(trusted), member(untrusted), member(gone)}, reencrypted, m{"healthmonitor": m{"type": "TLS-HELLO", "delay": 1, "timeout": 1, "max_retries": 1, "max_retries_down": 1}}), nil),
		terminated(449, pool([]m{member(s.grpc(t))}, m{"tls_enabled": true, "alpn_protocols": []string{"h2"}}), m{"alpn_protocols": []string{"h2"}}),
		m{"protocol": "HTTPS", "protocol_port": 450, "default_pool": pool([]m{member(untrusted)}, m{"protocol": "HTTPS"})},
	)
	// dial is a strict client.
	dial := func(name string, show ...tls.Certificate) *http.Client {
		client := fresh()
		client.Transport.(*http.Transport).ForceAttemptHTTP2 = true
		client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: ca.Pool(), ServerName: name, Certificates: show}
		return client
	}
	at := func(port int, path string) string { return fmt.Sprintf("https://%s:%d%s", ip, port, path) }
	fails := func(t *testing.T, client *http.Client, url, why string) {
		if resp, err := client.Get(url); err == nil {
			resp.Body.Close()
			t.Errorf("%s: answered %s", why, resp.Status)
		}
	}

	t.Run("certificates by name", func(t *testing.T) {
		for port, names := range map[int][]string{443: {"one.example", "two.example"}, 447: {"three.example"}} {
			for _, name := range names {
				resp, err := dial(name).Get(at(port, "/"))
				if got := body(t, resp, err); got != "web" || resp.ProtoMajor != 2 {
					t.Errorf("%s is answered %s by %s", name, got, resp.Proto)
				}
			}
		}
		fails(t, dial("other.example"), at(443, "/"), "a name that is in no certificate")
	})
	t.Run("HSTS", func(t *testing.T) {
		resp, err := dial("one.example").Get(at(443, "/"))
		if body(t, resp, err); resp.Header.Get("Strict-Transport-Security") != "max-age=99; includeSubDomains; preload" {
			t.Errorf("HSTS is %q", resp.Header.Get("Strict-Transport-Security"))
		}
	})
	t.Run("versions, ciphers and ALPN", func(t *testing.T) {
		old := dial("one.example")
		old.Transport.(*http.Transport).TLSClientConfig.MaxVersion = tls.VersionTLS12
		fails(t, old, at(443, "/"), "TLS 1.2 where only 1.3 is spoken")
		resp, err := old.Get(at(446, "/"))
		if body(t, resp, err); resp.TLS.CipherSuite != tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 || resp.ProtoMajor != 1 {
			t.Errorf("%s over %s", resp.Proto, tls.CipherSuiteName(resp.TLS.CipherSuite))
		}
		other := dial("one.example")
		other.Transport.(*http.Transport).TLSClientConfig.MaxVersion = tls.VersionTLS12
		other.Transport.(*http.Transport).TLSClientConfig.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}
		fails(t, other, at(446, "/"), "a cipher that is not listed")
		newer := dial("one.example")
		newer.Transport.(*http.Transport).TLSClientConfig.MinVersion = tls.VersionTLS13
		fails(t, newer, at(446, "/"), "TLS 1.3 where only 1.2 is spoken")
	})
	t.Run("client certificates", func(t *testing.T) {
		resp, err := dial("one.example", good).Get(at(444, "/headers"))
		got := body(t, resp, err)
		for _, want := range []string{"X-Ssl-Client-Verify: 0\r\n", "X-Ssl-Client-Has-Cert: 1\r\n", "X-Ssl-Client-Cn: good client\r\n", "CN=good client",
			"X-Ssl-Issuer: /CN=clients\r\n", "X-Ssl-Client-Sha1: ", "X-Ssl-Client-Not-Before: ", "X-Ssl-Client-Not-After: ", "X-Forwarded-Proto: https\r\n"} {
			if !strings.Contains(got, want) {
				t.Errorf("the member got %q, without %q", got, want)
			}
		}
		fails(t, dial("one.example"), at(444, "/"), "no certificate where one is mandatory")
		fails(t, dial("one.example", revoked), at(444, "/"), "a revoked certificate")
		fails(t, dial("one.example", stranger), at(444, "/"), "a stranger's certificate")
		for path, want := range map[string][2]string{
			"/SSL_CONN_HAS_CERT": {"302 http://shown.test/", "200 web"}, "/SSL_DN_FIELD": {"302 http://good.test/", "200 web"},
			"/SSL_VERIFY_RESULT": {"302 http://valid.test/", "302 http://valid.test/"}, // OpenSSL's result for none is 0 too
		} {
			for i, client := range []*http.Client{dial("one.example", good), dial("one.example")} {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at(445, path), nil)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := answer(client, req); got != want[i] {
					t.Errorf("%s is answered %s, %v; want %s", path, got, err, want[i])
				}
			}
		}
	})
	t.Run("to members", func(t *testing.T) {
		client := dial("one.example")
		eventually(t, 10*time.Second, "only the member whose certificate is good serves", func() error {
			return served(client, at(448, "/"), "HTTP/2.0 one.example balancer")
		})
	})
	t.Run("passed through", func(t *testing.T) {
		resp, err := dial("stranger").Get(at(450, "/"))
		if got := body(t, resp, err); got != "untrusted" {
			t.Errorf("answered by %s", got)
		}
	})
	t.Run("gRPC", func(t *testing.T) {
		callsGRPC(t, ip+":449", &tls.Config{RootCAs: ca.Pool(), ServerName: "one.example"})
	})
}

// grpc is a member that speaks gRPC.
func (s *stage) grpc(t *testing.T) (port int) {
	t.Helper()
	_, certificate := instancetest.NewCA(t, "grpc").Issue("member")
	l, port := s.listen(t)
	server := grpc.NewServer(grpc.Creds(credentials.NewServerTLSFromCert(&certificate)))
	service := health.NewServer()
	service.SetServingStatus("known", healthpb.HealthCheckResponse_SERVING)
	healthpb.RegisterHealthServer(server, service)
	go func() { _ = server.Serve(l) }()
	go func() {
		for i := 0; t.Context().Err() == nil; i++ { // news for who watches
			service.SetServingStatus("changing", healthpb.HealthCheckResponse_ServingStatus(1+i%2))
			time.Sleep(100 * time.Millisecond)
		}
	}()
	t.Cleanup(server.Stop)
	return port
}

// callsGRPC makes calls with one answer, with an error in the trailers, and with many answers, at the same time.
func callsGRPC(t *testing.T, address string, config *tls.Config) {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	client := healthpb.NewHealthClient(conn)
	watch, err := client.Watch(ctx, &healthpb.HealthCheckRequest{Service: "changing"})
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if got, err := client.Check(ctx, &healthpb.HealthCheckRequest{Service: "known"}); err != nil || got.Status != healthpb.HealthCheckResponse_SERVING {
			t.Fatalf("answered %v, %v", got, err)
		}
	}
	if _, err := client.Check(ctx, &healthpb.HealthCheckRequest{Service: "unknown"}); status.Code(err) != codes.NotFound {
		t.Errorf("the error of a call is %v", err)
	}
	for i := range 10 {
		if _, err := watch.Recv(); err != nil {
			t.Fatalf("answer %d of a stream: %v", i, err)
		}
	}
}
