package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/localcloud"
)

// keystone is localcloud's identity service over TLS, with certificates of a CA that nobody knows by itself, for clients
// that have one, too.
type keystone struct {
	t       *testing.T
	dir     string
	address string
	handler http.Handler
	server  *httptest.Server
	config  *tls.Config
	client  *http.Client
}

func startKeystone(t *testing.T) *keystone {
	t.Helper()
	k := &keystone{t: t, dir: t.TempDir(), address: freePort(t)}
	cloud, err := localcloud.New(localcloud.Config{Dir: k.dir, Region: "RegionOne", Passwords: passwords, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	k.handler = cloud.Handler()
	k.makeCertificates()
	k.up()
	t.Cleanup(func() {
		k.down()
		if err := cloud.Close(); err != nil {
			t.Error(err)
		}
	})
	return k
}

// makeCertificates writes ca.pem, and client.pem and client.key of it.
func (k *keystone) makeCertificates() {
	k.t.Helper()
	now := time.Now()
	key := func() *ecdsa.PrivateKey {
		made, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		k.ok(err)
		return made
	}
	caKey := key()
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "private CA"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	issue := func(template *x509.Certificate, of *ecdsa.PrivateKey) []byte {
		der, err := x509.CreateCertificate(rand.Reader, template, ca, of.Public(), caKey)
		k.ok(err)
		return der
	}
	root, err := x509.ParseCertificate(issue(ca, caKey))
	k.ok(err)
	pool := x509.NewCertPool()
	pool.AddCert(root)
	leaf := func(serial int64, usage x509.ExtKeyUsage) tls.Certificate {
		of := key()
		return tls.Certificate{PrivateKey: of, Certificate: [][]byte{issue(&x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
			Subject: pkix.Name{CommonName: "leaf"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{usage}}, of)}}
	}
	client := leaf(2, x509.ExtKeyUsageClientAuth)
	k.config = &tls.Config{Certificates: []tls.Certificate{leaf(3, x509.ExtKeyUsageServerAuth)}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
	k.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{client}}, DisableKeepAlives: true}}
	keyDER, err := x509.MarshalPKCS8PrivateKey(client.PrivateKey)
	k.ok(err)
	for name, block := range map[string]*pem.Block{"ca.pem": {Type: "CERTIFICATE", Bytes: root.Raw}, "client.pem": {Type: "CERTIFICATE", Bytes: client.Certificate[0]},
		"client.key": {Type: "PRIVATE KEY", Bytes: keyDER}} {
		k.ok(os.WriteFile(filepath.Join(k.dir, name), pem.EncodeToMemory(block), 0o600))
	}
}

func (k *keystone) ok(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
}

func (k *keystone) up() {
	k.t.Helper()
	l, err := net.Listen("tcp", k.address)
	k.ok(err)
	k.server = httptest.NewUnstartedServer(k.handler)
	k.server.Listener.Close()
	k.server.Listener, k.server.TLS = l, k.config.Clone()
	k.server.StartTLS()
}

func (k *keystone) down() {
	k.server.CloseClientConnections()
	k.server.Close()
}

// call answers the body and the header of a call that must succeed.
func (k *keystone) call(method, path, token string, body any, headers ...string) (map[string]any, http.Header) {
	k.t.Helper()
	text, err := json.Marshal(body)
	k.ok(err)
	request, err := http.NewRequestWithContext(k.t.Context(), method, "https://"+k.address+"/identity/v3"+path, bytes.NewReader(text))
	k.ok(err)
	request.Header.Set("X-Auth-Token", token)
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	answer, err := k.client.Do(request)
	k.ok(err)
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	k.ok(err)
	if answer.StatusCode >= 300 {
		k.t.Fatalf("%s %s: %s\n%s", method, path, answer.Status, said)
	}
	var object map[string]any
	_ = json.Unmarshal(said, &object) // a 204 has none
	return object, answer.Header
}

// token signs a user in to a project and answers the token and the user's id.
func (k *keystone) token(user, project string) (token, userID string) {
	k.t.Helper()
	domain := map[string]any{"name": "Default"}
	body, header := k.call("POST", "/auth/tokens", "", map[string]any{"auth": map[string]any{
		"identity": map[string]any{"methods": []string{"password"}, "password": map[string]any{"user": map[string]any{"name": user, "domain": domain, "password": passwords[user]}}},
		"scope":    map[string]any{"project": map[string]any{"name": project, "domain": domain}}}})
	return header.Get("X-Subject-Token"), body["token"].(map[string]any)["user"].(map[string]any)["id"].(string)
}

const keystoneConf = `
[api_settings]
auth_strategy = keystone
[keystone_authtoken]
auth_type = v3applicationcredential
auth_url = https://%s/identity/v3
application_credential_id = %s
application_credential_secret = %s
cafile = %s/ca.pem
certfile = %s/client.pem
keyfile = %s/client.key
token_cache_time = 2
timeout = 3
`

// TestKeystoneOverTLSWithAnApplicationCredential signs in with an application credential at a Keystone whose CA is private and
// which wants certificates of clients, is told of a revoked token, and goes on through an outage for those whom it knows.
func TestKeystoneOverTLSWithAnApplicationCredential(t *testing.T) {
	t.Parallel()
	k := startKeystone(t)
	service, octavia := k.token("octavia", "service")
	made, _ := k.call("POST", "/users/"+octavia+"/application_credentials", service, map[string]any{"application_credential": map[string]any{"name": "octavo"}})
	credential := made["application_credential"].(map[string]any)
	front, dir := freePort(t), t.TempDir()
	_, port, _ := net.SplitHostPort(front)
	conf := fmt.Sprintf(noopConf, port, "testing", dir, dir) +
		fmt.Sprintf(keystoneConf, k.address, credential["id"], credential["secret"], k.dir, k.dir, k.dir)
	c := serve(t, conf)
	ask := func(token string) int {
		t.Helper()
		q, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+front+"/v2.0/lbaas/loadbalancers", nil)
		k.ok(err)
		q.Header.Set("X-Auth-Token", token)
		answer, err := http.DefaultClient.Do(q)
		k.ok(err)
		answer.Body.Close()
		return answer.StatusCode
	}
	becomes := func(token string, want int) {
		t.Helper()
		eventually(t, 15*time.Second, fmt.Sprintf("the answer is %d", want), func() error {
			if got := ask(token); got != want {
				return fmt.Errorf("it is %d", got)
			}
			return nil
		})
	}
	known, _ := k.token("demo", "demo")
	unknown, _ := k.token("demo", "demo")
	doomed, _ := k.token("demo", "demo")
	for token, want := range map[string]int{known: 200, doomed: 200, "made-up": 401, "": 401} {
		if got := ask(token); got != want {
			t.Errorf("the answer is %d, not %d", got, want)
		}
	}
	k.call("DELETE", "/auth/tokens", doomed, nil, "X-Subject-Token", doomed)
	becomes(doomed, 401)

	if got := ask(known); got != 200 {
		t.Fatal(got)
	}
	k.down()
	time.Sleep(3 * time.Second) // token_cache_time is over
	if got := ask(known); got != 200 {
		t.Errorf("while Keystone is away a token that it knows is answered %d", got)
	}
	if got := ask(unknown); got != 503 {
		t.Errorf("while Keystone is away a token that nobody knows is answered %d", got)
	}
	k.up()
	becomes(unknown, 200)
	becomes(known, 200)

	stranger := strings.Replace(conf, "cafile = "+k.dir+"/ca.pem\n", "", 1)
	if found, _ := examined(t, stranger); found["keystone"].Severity != "failure" || !strings.Contains(found["keystone"].Detail, "certificate signed by unknown authority") {
		t.Errorf("without the CA: %+v", found["keystone"])
	}
	bare := strings.Replace(stranger, "certfile = "+k.dir+"/client.pem\nkeyfile = "+k.dir+"/client.key\n", "insecure = true\n", 1)
	if found, _ := examined(t, bare); found["keystone"].Severity != "failure" || !strings.Contains(found["keystone"].Detail, "certificate required") {
		t.Errorf("without a certificate: %+v", found["keystone"])
	}
	if found, _ := examined(t, conf); found["keystone"].Severity != "ok" || !strings.Contains(found["keystone"].Detail, "octavia of project service") {
		t.Errorf("with all that it needs: %+v", found["keystone"])
	}
	// The account for the other services is the same one, and found there.
	account := strings.NewReplacer("network_driver = network_noop_driver\n", "", "compute_driver = compute_noop_driver\n", "",
		"amphora_driver = amphora_noop_driver\n", "", "noop_cert_manager", "barbican_cert_manager")
	if found, _ := examined(t, account.Replace(conf)+"[service_auth]\nauth_section = keystone_authtoken\n"); found["cloud"].Severity != "ok" || found["key manager"].Severity != "ok" {
		t.Errorf("with the account for the other services: %+v", found)
	}
	c.end(t)
	if said := c.log.tail(1 << 20); strings.Contains(said, credential["secret"].(string)) || strings.Contains(said, known) {
		t.Error("a secret is in the log")
	}
}
