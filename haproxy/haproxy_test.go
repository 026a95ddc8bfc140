package haproxy_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/agentapi/agentapitest"
	"github.com/octavo-lb/octavo/haproxy"
)

// TestGolden reads each testdata/NAME.yaml, compares with NAME.cfg what is written for it, and asks HAProxy itself.
func TestGolden(t *testing.T) {
	agentapitest.Golden(t, ".cfg", func(t *testing.T, input string) (string, func() (string, error)) {
		state, err := agentapitest.State(input)
		if err != nil {
			t.Fatal(err)
		}
		config, err := haproxy.Build(state, environment())
		if err != nil {
			t.Fatal(err)
		}
		if !config.Serves() {
			return config.Text, nil
		}
		return config.Text, func() (string, error) { return judgeFiles(t, config) }
	})
}

// HAProxy serves the first certificate of a list to clients that name no server or another one.
func TestFirstCertificateOfAListIsTheDefault(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{"testdata/tls.yaml": "https://kms/c1", "testdata/tls-by-name-only.yaml": "https://kms/c2"} {
		config, err := haproxy.Build(readState(t, file), environment())
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256([]byte("cert " + want))
		if list := config.Lists[0].Files; len(list) != 2 || filepath.Base(list[0]) != hex.EncodeToString(sum[:16])+".pem" {
			t.Errorf("%s: the list is not %s and one more: %s", file, want, list)
		}
	}
}

// TestJudgeSaysNo proves that the judge of the other tests can refuse.
func TestJudgeSaysNo(t *testing.T) {
	t.Parallel()
	config, err := haproxy.Build(parseState(t, unbalanced), environment())
	if err != nil {
		t.Fatal(err)
	}
	out, err := judge(t, config.Text)
	if err == nil {
		t.Fatal("HAProxy accepts an unbalanced parenthesis as a regular expression")
	}
	if !strings.Contains(out, "ACL 'r1'") {
		t.Errorf("the refusal does not name the rule: %s", out)
	}
}

// TestBuildRefuses holds what no configuration can express, and that the message names the object and the attribute.
func TestBuildRefuses(t *testing.T) {
	t.Parallel()
	const base = `
vips: [{address: 192.0.2.10/24}]
listeners: [{id: l1, protocol: HTTP, protocol_port: 80, default_pool_id: p1}]
pools: [{id: p1, protocol: HTTP, lb_algorithm: ROUND_ROBIN}]
`
	for name, c := range map[string]struct{ state, want string }{
		"newline in a URL": {base + `
policies: [{id: y1, listener_id: l1, action: REDIRECT_TO_URL, redirect_url: "http://a/\r\nSet-Cookie: x"}]
rules: [{id: r1, l7policy_id: y1, type: PATH, compare_type: EQUAL_TO, value: /}]`,
			"listener l1: l7policy y1: redirect_url has a control character"},
		"newline in a host name": {base + `
monitors: [{id: h1, pool_id: p1, type: HTTP, delay: 1, timeout: 1, max_retries: 1, http_version: 1.1, domain_name: "a\r\nX: y"}]`,
			"pool p1: healthmonitor h1: domain_name has a control character"},
		"codes": {base + `
monitors: [{id: h1, pool_id: p1, type: HTTP, delay: 1, timeout: 1, max_retries: 1, expected_codes: "200 if x"}]`,
			`pool p1: healthmonitor h1: expected_codes "200ifx" is not a list of codes`},
		"cookie name": {strings.Replace(base, "ROUND_ROBIN}", `ROUND_ROBIN, session_persistence: {type: APP_COOKIE, cookie_name: "a b"}}`, 1),
			`pool p1: session_persistence: cookie_name "a b" is not a cookie's name`},
		"ciphers": {strings.Replace(base, "protocol: HTTP,", `protocol: TERMINATED_HTTPS, default_tls_container_ref: c1, tls_ciphers: "a b",`, 1) + "secrets: {c1: {digest: " + strings.Repeat("a", 64) + "}}",
			`listener l1: tls_ciphers "a b" is not a list of ciphers`},
		"missing secret": {strings.Replace(base, "protocol: HTTP,", "protocol: TERMINATED_HTTPS, default_tls_container_ref: c1,", 1),
			`listener l1: default_tls_container_ref: the state has no secret "c1"`},
		"old TLS": {strings.Replace(base, "protocol: HTTP,", `protocol: TERMINATED_HTTPS, default_tls_container_ref: c1, tls_versions: [SSLv3],`, 1) + "secrets: {c1: {digest: " + strings.Repeat("a", 64) + "}}",
			"listener l1: tls_versions: none of [SSLv3] can be served"},
		"algorithm": {strings.Replace(base, "ROUND_ROBIN", "SOURCE_IP_PORT", 1), `pool p1: lb_algorithm "SOURCE_IP_PORT" cannot be served`},
		"id":        {base + `members: [{id: "m1\n", pool_id: p1, address: 10.0.0.1, protocol_port: 80}]`, `the id "m1\n" cannot be a name in haproxy.cfg`},
		"address":   {base + `members: [{id: m1, pool_id: p1, address: "10.0.0.1:80", protocol_port: 80}]`, `pool p1: member m1: address`},
		"empty value": {base + `
policies: [{id: y1, listener_id: l1, action: REJECT}]
rules: [{id: r1, l7policy_id: y1, type: PATH, compare_type: STARTS_WITH, value: ""}]`,
			"listener l1: l7rule r1: value: an empty string cannot be written"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := haproxy.Build(parseState(t, c.state), environment())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one that says %q", err, c.want)
			}
		})
	}
}

// TestDigestStandsForWhatNeedsAReload changes one thing at a time.
func TestDigestStandsForWhatNeedsAReload(t *testing.T) {
	t.Parallel()
	const base = `
vips: [{address: 192.0.2.10/24}]
listeners: [{id: l1, protocol: HTTP, protocol_port: 80, default_pool_id: p1}]
pools: [{id: p1, protocol: HTTP, lb_algorithm: ROUND_ROBIN}]
members:
  - {id: m1, pool_id: p1, address: 10.0.0.1, protocol_port: 80}
`
	before := build(t, base)
	for name, c := range map[string]struct {
		old, new string
		reload   bool
	}{
		"weight":         {"10.0.0.1,", "10.0.0.1, weight: 7,", false},
		"disabled":       {"10.0.0.1,", "10.0.0.1, admin_state_up: false,", false},
		"another member": {"members:", "members:\n  - {id: m2, pool_id: p1, address: 10.0.0.2, protocol_port: 80}", false},
		"algorithm":      {"ROUND_ROBIN", "LEAST_CONNECTIONS", true},
		"port":           {"protocol_port: 80, default", "protocol_port: 81, default", true},
		"timeout":        {"protocol_port: 80, default", "protocol_port: 80, timeout_client_data: 5, default", true},
	} {
		t.Run(name, func(t *testing.T) {
			after := build(t, strings.Replace(base, c.old, c.new, 1))
			if before.Text == after.Text {
				t.Fatal("the change changed nothing")
			}
			if got := before.Digest != after.Digest; got != c.reload {
				t.Errorf("needs a reload: %v, want %v", got, c.reload)
			}
		})
	}
}

func environment() haproxy.Environment {
	return haproxy.Environment{Version: haproxy.Version{Major: 2, Minor: 6}, RunDir: "/run/octavo", SecretDir: "/run/octavo/secrets", MaxConn: 100000}
}

func build(t *testing.T, text string) *haproxy.Config {
	t.Helper()
	config, err := haproxy.Build(parseState(t, text), environment())
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func readState(t *testing.T, file string) *agentapi.State {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return parseState(t, string(text))
}

func parseState(t *testing.T, text string) *agentapi.State {
	t.Helper()
	state, err := agentapitest.State(text)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func judge(t *testing.T, text string) (string, error) {
	t.Helper()
	return judgeFiles(t, &haproxy.Config{Text: text})
}

// judgeFiles asks the real program. Warnings are refusals too: HAProxy warns of what it is going to ignore.
func judgeFiles(t *testing.T, config *haproxy.Config) (string, error) {
	t.Helper()
	return judgeWith(t, "haproxy", config)
}

func judgeWith(t *testing.T, program string, config *haproxy.Config) (string, error) {
	t.Helper()
	// The name of a test would be part of t.TempDir's, which HAProxy reads as part of an address.
	dir, err := os.MkdirTemp("", "octavo-judge")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	here := func(s string) string { return strings.ReplaceAll(s, environment().RunDir, dir) }
	file := filepath.Join(dir, "haproxy.cfg")
	files := map[string]string{file: here(config.Text), filepath.Join(dir, haproxy.StateFile): haproxy.NoServersState}
	for _, l := range config.Lists {
		files[filepath.Join(here(environment().SecretDir), l.Name)] = here(l.Content())
	}
	for _, s := range config.Secrets {
		files[filepath.Join(here(environment().SecretDir), s.Name)] = secret(t, s.Kind)
	}
	if err := os.Mkdir(here(environment().SecretDir), 0o755); err != nil {
		t.Fatal(err)
	}
	for path, content := range files {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), program, "-c", "-dW", "-f", file)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// secret makes one that HAProxy can load.
func secret(t *testing.T, kind string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "example.com"}, NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCRLSign | x509.KeyUsageCertSign,
		SubjectKeyId: []byte{1, 2, 3},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	switch kind {
	case "ca-file":
		return encode("CERTIFICATE", der)
	case "crl-file":
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		crl, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), NextUpdate: time.Now().Add(time.Hour)}, certificate, key)
		if err != nil {
			t.Fatal(err)
		}
		return encode("X509 CRL", crl)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return encode("CERTIFICATE", der) + encode("PRIVATE KEY", private)
}

func ptr[T any](v T) *T { return &v }

func environmentVIPs() []agentapi.VIP {
	return []agentapi.VIP{{Address: netip.MustParsePrefix("192.0.2.10/24")}}
}
