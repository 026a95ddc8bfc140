package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/secrets/keymanager/vaulttest"
)

const vaultConf = `[certificates]
cert_manager = castellan_cert_manager
[key_manager]
backend = vault
[vault]
vault_url = %s
root_token_id = %s
kv_path = tenants
`

// TestCertificatesFromVault serves with certificates of Vault's, and goes on when Vault is sealed.
func TestCertificatesFromVault(t *testing.T) {
	t.Parallel()
	serveFromVault(t, vaulttest.Start(t), "")
}

// TestCertificatesFromAVaultOfAPrivateCA has everything in a namespace as well.
func TestCertificatesFromAVaultOfAPrivateCA(t *testing.T) {
	t.Parallel()
	vault := vaulttest.StartSecure(t, "clouds/north")
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, vault.CA, 0o600); err != nil {
		t.Fatal(err)
	}
	serveFromVault(t, vault, "use_ssl = true\nssl_ca_crt_file = "+file+"\nnamespace = clouds/north\n")
}

func serveFromVault(t *testing.T, vault vaulttest.Server, more string) {
	operate := func(method, path, body string) {
		t.Helper()
		if status, said := vault.Request(t, vault.RootToken, method, path, body); status/100 != 2 {
			t.Fatalf("%s: %d %s", path, status, said)
		}
	}
	operate("POST", "sys/mounts/secret", `{"type": "kv", "options": {"version": "2"}}`)
	time.Sleep(vault.Settle)
	certificate, key := selfSignedPEM(t)
	fields, _ := json.Marshal(map[string]any{"data": map[string]string{"certificate": certificate, "private_key": key}})
	const ours = "11111111111111111111111111111111"
	operate("POST", "secret/data/tenants/"+ours+"/web", string(fields))

	front, dir := freePort(t), t.TempDir()
	_, port, _ := net.SplitHostPort(front)
	conf := strings.Replace(fmt.Sprintf(noopConf, port, "noauth", dir, dir), "cert_manager = noop_cert_manager\n", "", 1)
	conf += fmt.Sprintf(vaultConf, vault.URL, vault.RootToken) + more
	c := serve(t, conf)
	id := createQuick(t, front, "secure")
	listen := func(port int, ref string) (string, int) {
		return bareRequest(t, "POST", "http://"+front+"/v2.0/lbaas/listeners", fmt.Sprintf(
			`{"listener": {"loadbalancer_id": %q, "protocol": "TERMINATED_HTTPS", "protocol_port": %d, "default_tls_container_ref": %q}}`, id, port, ref), "X-Project-Id", ours)
	}
	for ref, why := range map[string]string{"vault://22222222222222222222222222222222/web": "not of your project", "vault://" + ours + "/other": "no such secret"} {
		if said, status := listen(444, ref); status != 400 || !strings.Contains(said, why) {
			t.Errorf("%s: %d %s, want 400 and %q", ref, status, said, why)
		}
	}
	if said, status := listen(443, "vault://"+ours+"/web"); status != 201 {
		t.Fatalf("%d %s", status, said)
	}
	activeQuick(t, front, id)

	if found, _ := examined(t, conf); found["key manager"].Severity != "ok" {
		t.Errorf("while all is well: %+v", found["key manager"])
	}
	operate("PUT", "sys/seal", "")
	if found, code := examined(t, conf); code != 2 || found["key manager"].Severity != "failure" || !strings.Contains(found["key manager"].Detail, "sealed") {
		t.Errorf("while Vault is sealed: exit code %d, %+v", code, found["key manager"])
	}
	if said, status := listen(445, "vault://"+ours+"/web"); status != 503 || !strings.Contains(said, "key manager does not answer") {
		t.Errorf("a new listener while Vault is sealed: %d %s, want 503", status, said)
	}
	renameQuick(t, front, id, "still there")
	if said, status := bareRequest(t, "DELETE", "http://"+front+"/v2.0/lbaas/loadbalancers/"+id+"?cascade=true", "", "X-Project-Id", ours); status != 204 {
		t.Errorf("%d %s", status, said)
	}
	eventually(t, 20*time.Second, "it is gone", func() error {
		if _, status := bareRequest(t, "GET", "http://"+front+"/v2.0/lbaas/loadbalancers/"+id, "", "X-Project-Id", ours); status != 404 {
			return fmt.Errorf("%d", status)
		}
		return nil
	})
	c.end(t)
	if log := c.log.tail(1 << 20); strings.Contains(log, "PRIVATE KEY") || !strings.Contains(log, "sealed") {
		t.Errorf("it logged:\n%s", log)
	}
}

func bareRequest(t *testing.T, method, url, body, header, value string) (said string, status int) {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set(header, value)
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	b.ReadFrom(resp.Body)
	return b.String(), resp.StatusCode
}

func selfSignedPEM(t *testing.T) (certificate, key string) {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=example.org",
		"-keyout", "key", "-out", "crt")
	cmd.Dir = dir
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for name, into := range map[string]*string{"crt": &certificate, "key": &key} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		*into = string(text)
	}
	return certificate, key
}
