package keymanager

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/secrets"
	"github.com/octavo-lb/octavo/secrets/keymanager/vaulttest"
)

// vaultServer is a Vault and its operator, who does everything over its API: whichever server it is, the tests are the same.
type vaultServer struct {
	*testing.T
	vaulttest.Server
}

func startVault(t *testing.T) *vaultServer { return prepareVault(t, vaulttest.Start(t)) }

func prepareVault(t *testing.T, server vaulttest.Server) *vaultServer {
	v := &vaultServer{t, server}
	v.must("POST", "sys/mounts/secret", `{"type": "kv", "options": {"version": "2"}}`)
	v.must("POST", "sys/mounts/old", `{"type": "kv", "options": {"version": "1"}}`)
	v.must("POST", "sys/auth/approle", `{"type": "approle"}`)
	v.must("POST", "sys/policies/acl/octavo", `{"policy": "path \"secret/data/tenants/*\" { capabilities = [\"read\"] }\npath \"secret/data/tenants/p1/denied\" { capabilities = [\"deny\"] }\npath \"old/*\" { capabilities = [\"read\"] }"}`)
	v.must("POST", "auth/approle/role/octavo", `{"token_policies": "octavo", "token_ttl": "2s", "token_max_ttl": "4s"}`)
	time.Sleep(v.Settle) // an engine of version 2 is made ready in the background
	return v
}

// as calls the API with a token.
func (v *vaultServer) as(token, method, path, body string) (status int, answer map[string]any) {
	v.Helper()
	status, text := v.Request(v, token, method, path, body)
	_ = json.Unmarshal(text, &answer)
	return status, answer
}

func (v *vaultServer) must(method, path, body string) map[string]any {
	v.Helper()
	status, answer := v.as(v.RootToken, method, path, body)
	if status/100 != 2 {
		v.Fatalf("%s %s: %d %v", method, path, status, answer)
	}
	data, _ := answer["data"].(map[string]any)
	return data
}

// put stores a secret's fields in the store of version 2.
func (v *vaultServer) put(path string, fields map[string]string) {
	v.Helper()
	text, err := json.Marshal(map[string]any{"data": fields})
	if err != nil {
		v.Fatal(err)
	}
	v.must("POST", "secret/data/"+path, string(text))
}

// role is how the service proves who it is.
func (v *vaultServer) role() (roleID, secretID secrets.Secret) {
	v.Helper()
	role := v.must("GET", "auth/approle/role/octavo/role-id", "")["role_id"].(string)
	secret := v.must("POST", "auth/approle/role/octavo/secret-id", "{}")["secret_id"].(string)
	return secrets.New(role), secrets.New(secret)
}

// manager is one that logs in by role, reading the folder tenants.
func (v *vaultServer) manager(change func(*VaultOptions)) *Vault {
	v.Helper()
	o := VaultOptions{URL: v.URL, Path: "tenants", Logger: slog.New(slog.NewTextHandler(v.Output(), nil))}
	o.RoleID, o.SecretID = v.role()
	if change != nil {
		change(&o)
	}
	m, err := NewVault(o)
	if err != nil {
		v.Fatal(err)
	}
	return m
}

// pems is a certificate for example.org in its parts and as PKCS #12.
func pems(t *testing.T) (certificate, key string, bundle []byte) {
	t.Helper()
	dir := t.TempDir()
	for _, args := range [][]string{
		{"req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=example.org", "-keyout", "key", "-out", "crt"},
		{"pkcs12", "-export", "-inkey", "key", "-in", "crt", "-passout", "pass:", "-out", "p12"},
	} {
		cmd := exec.CommandContext(t.Context(), "openssl", args...)
		cmd.Dir = dir
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
	}
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	return string(read("crt")), string(read("key")), read("p12")
}

// wantUnusable fails unless an error is the reference's fault and says why.
func wantUnusable(t *testing.T, err error, why string) {
	t.Helper()
	var fault *Unusable
	if !errors.As(err, &fault) || !strings.Contains(err.Error(), why) {
		t.Errorf("%v, want that it cannot be used: %s", err, why)
	}
}

// wantOutage fails unless an error is Vault's fault and says why.
func wantOutage(t *testing.T, err error, why string) {
	t.Helper()
	var fault *Unusable
	if err == nil || errors.As(err, &fault) || !strings.Contains(err.Error(), why) {
		t.Errorf("%v, want an outage: %s", err, why)
	}
}

func TestVault(t *testing.T) {
	v := startVault(t)
	certificate, key, p12 := pems(t)
	ours := map[string]string{"certificate": certificate, "private_key": key}
	v.put("tenants/p1/web", ours)

	t.Run("every form of a certificate", func(t *testing.T) {
		v.put("tenants/p1/bundle", map[string]string{"pkcs12": base64.StdEncoding.EncodeToString(p12)})
		v.put("tenants/p1/castellan", map[string]string{"type": "opaque", "value": hex.EncodeToString(p12)})
		v.put("tenants/p1/deep/er", ours)
		m := v.manager(nil)
		var digests []string
		for _, name := range []string{"web", "bundle", "castellan", "deep/er"} {
			got, err := m.Certificate(t.Context(), "vault://p1/"+name)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if len(got.Names) != 1 || got.Names[0] != "example.org" || got.NotAfter.IsZero() {
				t.Errorf("%s: %+v", name, got)
			}
			digests = append(digests, got.Digest)
		}
		for _, d := range digests {
			if d != digests[0] {
				t.Errorf("one certificate has several digests: %q", digests)
			}
		}
		if got, err := m.Authorities(t.Context(), "vault://p1/web"); err != nil || !bytes.Contains(got.PEM, []byte("BEGIN CERTIFICATE")) {
			t.Errorf("as an authority: %+v, %v", got, err)
		}
		_, err := m.Revocations(t.Context(), "vault://p1/web")
		wantUnusable(t, err, "it has no field crl")
	})
	t.Run("a new version is seen", func(t *testing.T) {
		v.put("tenants/p1/renewed", ours)
		m := v.manager(nil)
		before, err := m.Certificate(t.Context(), "vault://p1/renewed")
		if err != nil {
			t.Fatal(err)
		}
		c, k, _ := pems(t)
		v.put("tenants/p1/renewed", map[string]string{"certificate": c, "private_key": k})
		if after, err := m.Certificate(t.Context(), "vault://p1/renewed"); err != nil || after.Digest == before.Digest {
			t.Errorf("%+v, %v", after, err)
		}
		v.must("DELETE", "secret/data/tenants/p1/renewed", "")
		_, err = m.Certificate(t.Context(), "vault://p1/renewed")
		wantUnusable(t, err, "deleted")
	})
	t.Run("what cannot be used", func(t *testing.T) {
		v.put("tenants/p1/half", map[string]string{"certificate": certificate})
		v.put("tenants/p1/denied", ours)
		v.put("tenants/p1/odd", map[string]string{"type": "opaque", "value": "not hex"})
		m := v.manager(nil)
		for name, why := range map[string]string{"missing": "no such secret", "half": "no private key", "denied": "does not let the service read it", "odd": "hexadecimal"} {
			_, err := m.Certificate(t.Context(), "vault://p1/"+name)
			wantUnusable(t, err, why)
		}
		if _, err := m.Certificate(t.Context(), "vault://p1/web"); err != nil {
			t.Errorf("after a denial: %v", err)
		}
	})
	t.Run("tenants are kept apart", func(t *testing.T) {
		m := v.manager(nil)
		if err := m.Grant(t.Context(), Caller{Project: "p1"}, "vault://p1/web"); err != nil {
			t.Error(err)
		}
		wantUnusable(t, m.Grant(t.Context(), Caller{Project: "p2"}, "vault://p1/web"), "not of your project")
		wantUnusable(t, m.Grant(t.Context(), Caller{Project: "p1"}, "vault://p1/../p2/web"), "not of the form")
		wantUnusable(t, m.Grant(t.Context(), Caller{Project: "p1"}, "vault://p1/.."), "not of the form")
		wantUnusable(t, m.Grant(t.Context(), Caller{Project: "p1"}, "0123456789abcdef0123456789abcdef"), "allow_unscoped_ids")
		wantUnusable(t, m.Grant(t.Context(), Caller{}, "vault://p1/web"), "not of your project")
	})
	t.Run("what castellan stored", func(t *testing.T) {
		v.must("POST", "auth/approle/role/castellan", `{"token_policies": "octavo,writer", "token_ttl": "1m"}`)
		v.must("POST", "sys/policies/acl/writer", `{"policy": "path \"secret/*\" { capabilities = [\"create\", \"update\", \"read\"] }"}`)
		id := storeWithCastellan(t, v, p12)
		m := v.manager(func(o *VaultOptions) { o.AnyID, o.Path, o.Token = true, "", secrets.New(v.RootToken) })
		if err := m.Grant(t.Context(), Caller{Project: "anybody"}, id); err != nil {
			t.Error(err)
		}
		if got, err := m.Certificate(t.Context(), id); err != nil || len(got.Names) != 1 {
			t.Errorf("%+v, %v", got, err)
		}
	})
	t.Run("a store of version 1", func(t *testing.T) {
		text, _ := json.Marshal(ours)
		v.must("POST", "old/p1/web", string(text))
		m := v.manager(func(o *VaultOptions) { o.Mount, o.Version, o.Path = "old", 1, "" })
		if got, err := m.Certificate(t.Context(), "vault://p1/web"); err != nil || len(got.Names) != 1 {
			t.Errorf("%+v, %v", got, err)
		}
	})
	t.Run("tokens are renewed, and replaced at their end", func(t *testing.T) {
		m := v.manager(nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); m.Run(ctx) }()
		defer func() { cancel(); <-done }()
		for began := time.Now(); time.Since(began) < 6*time.Second; time.Sleep(500 * time.Millisecond) {
			if _, err := m.Certificate(t.Context(), "vault://p1/web"); err != nil {
				t.Fatalf("after %v: %v", time.Since(began), err)
			}
		}
	})
	t.Run("a revoked token is replaced", func(t *testing.T) {
		m := v.manager(nil)
		if _, err := m.Certificate(t.Context(), "vault://p1/web"); err != nil {
			t.Fatal(err)
		}
		v.must("POST", "auth/token/revoke", fmt.Sprintf(`{"token": %q}`, m.session.token.Reveal()))
		if _, err := m.Certificate(t.Context(), "vault://p1/web"); err != nil {
			t.Error(err)
		}
	})
	t.Run("a token that a human gave", func(t *testing.T) {
		token := v.token(`{"policies": ["octavo"], "ttl": "1m"}`)
		m := v.manager(func(o *VaultOptions) { o.Token, o.RoleID = secrets.New(token), secrets.Secret{} })
		if _, err := m.Certificate(t.Context(), "vault://p1/web"); err != nil {
			t.Fatal(err)
		}
		v.must("POST", "auth/token/revoke", fmt.Sprintf(`{"token": %q}`, token))
		_, err := m.Certificate(t.Context(), "vault://p1/web")
		wantOutage(t, err, "root_token_id any more")
		again := v.manager(func(o *VaultOptions) { o.Token, o.RoleID = secrets.New(token), secrets.Secret{} })
		_, err = again.Certificate(t.Context(), "vault://p1/web")
		wantOutage(t, err, "does not accept [vault] root_token_id")
	})
	t.Run("a wrong secret id", func(t *testing.T) {
		m := v.manager(func(o *VaultOptions) { o.SecretID = secrets.New("hidden") })
		_, err := m.Certificate(t.Context(), "vault://p1/web")
		wantOutage(t, err, "approle_secret_id: they are wrong or have ended")
		if strings.Contains(err.Error(), "hidden") {
			t.Errorf("%v shows it", err)
		}
	})
	t.Run("a wrapped secret id", func(t *testing.T) {
		m := v.manager(func(o *VaultOptions) { o.SecretID = secrets.New(v.wrapped("auth/approle/role/octavo/secret-id")) })
		_, err := m.Certificate(t.Context(), "vault://p1/web")
		wantOutage(t, err, "must be unwrapped first")
	})
	t.Run("sealed, and unsealed again", func(t *testing.T) {
		m := v.manager(nil)
		if _, err := m.Certificate(t.Context(), "vault://p1/web"); err != nil {
			t.Fatal(err)
		}
		v.must("PUT", "sys/seal", "")
		_, err := m.Certificate(t.Context(), "vault://p1/web")
		wantOutage(t, err, "sealed")
		v.must("PUT", "sys/unseal", fmt.Sprintf(`{"key": %q}`, v.UnsealKey))
		time.Sleep(v.Settle)
		if _, err := m.Certificate(t.Context(), "vault://p1/web"); err != nil {
			t.Error(err)
		}
	})
	t.Run("nobody there", func(t *testing.T) {
		m := v.manager(func(o *VaultOptions) { o.URL = "http://127.0.0.1:1" })
		_, err := m.Certificate(t.Context(), "vault://p1/web")
		wantOutage(t, err, "cannot reach Vault")
	})
}

// TestProbeTellsWhatAVaultLacks asks a Vault to which one thing after the other is done that its operator might do.
func TestProbeTellsWhatAVaultLacks(t *testing.T) {
	v := startVault(t)
	probe := func(what string, change func(*VaultOptions), of func(VaultState) error, why string) {
		t.Helper()
		err := of(v.manager(change).Probe(t.Context()))
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, want %q", what, err, why)
		}
	}
	if s := v.manager(nil).Probe(t.Context()); s.Version == "" || errors.Join(s.Address, s.Account, s.Store, s.Read) != nil {
		t.Errorf("all is well: %+v", s)
	}
	if s := v.manager(func(o *VaultOptions) { o.Mount, o.Version, o.Path = "old", 1, "" }).Probe(t.Context()); errors.Join(s.Address, s.Account, s.Store, s.Read) != nil {
		t.Errorf("a store of version 1: %+v", s)
	}
	address := func(s VaultState) error { return s.Address }
	account := func(s VaultState) error { return s.Account }
	kept := func(s VaultState) error { return s.Store }
	probe("nobody there", func(o *VaultOptions) { o.URL = "http://127.0.0.1:1" }, address, "cannot reach Vault")
	probe("a wrong secret id", func(o *VaultOptions) { o.SecretID = secrets.New("x") }, account, "approle_secret_id")
	probe("an old token", func(o *VaultOptions) { o.Token = secrets.New("x") }, account, "root_token_id")
	probe("no such store", func(o *VaultOptions) { o.Mount = "elsewhere" }, kept, "no key/value store elsewhere")
	probe("another version", func(o *VaultOptions) { o.Mount = "old" }, kept, "of version 1")
	probe("another folder", func(o *VaultOptions) { o.Path = "others" }, func(s VaultState) error { return s.Read }, "read below secret/data/others/")
	v.must("PUT", "sys/seal", "")
	m, err := NewVault(VaultOptions{URL: v.URL, Token: secrets.New(v.RootToken)})
	if err != nil {
		t.Fatal(err)
	}
	if s := m.Probe(t.Context()); s.Address == nil || !strings.Contains(s.Address.Error(), "sealed") {
		t.Errorf("sealed: %+v", s)
	}
}

// TestVaultOverTLSInANamespace has a Vault with a certificate of a private CA, everything in a namespace of it.
func TestVaultOverTLSInANamespace(t *testing.T) {
	v := prepareVault(t, vaulttest.StartSecure(t, "clouds/north"))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(v.CA)
	trusting := func(o *VaultOptions) { o.TLS, o.Namespace = &tls.Config{RootCAs: roots}, "clouds/north" }
	certificate, key, _ := pems(t)
	v.put("tenants/p1/web", map[string]string{"certificate": certificate, "private_key": key})
	m := v.manager(trusting)
	if got, err := m.Certificate(t.Context(), "vault://p1/web"); err != nil || len(got.Names) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	if s := m.Probe(t.Context()); errors.Join(s.Address, s.Account, s.Store, s.Read) != nil {
		t.Errorf("%+v", s)
	}
	v.must("POST", "auth/token/revoke", fmt.Sprintf(`{"token": %q}`, m.session.token.Reveal()))
	if _, err := m.Certificate(t.Context(), "vault://p1/web"); err != nil {
		t.Errorf("after its token was revoked: %v", err)
	}
	for name, c := range map[string]struct {
		change func(*VaultOptions)
		why    string
	}{
		"without its CA":            {func(o *VaultOptions) { o.TLS = nil }, "unknown authority"},
		"with a CA of somebody":     {func(o *VaultOptions) { o.TLS = &tls.Config{RootCAs: x509.NewCertPool()} }, "unknown authority"},
		"without its namespace":     {func(o *VaultOptions) { o.Namespace = "" }, "[vault] namespace"},
		"in another namespace":      {func(o *VaultOptions) { o.Namespace = "clouds/south" }, "[vault] namespace"},
		"under a name it is not of": {func(o *VaultOptions) { o.URL = strings.Replace(v.URL, "127.0.0.1", "localhost", 1) }, "match localhost"},
	} {
		_, err := v.manager(func(o *VaultOptions) { trusting(o); c.change(o) }).Certificate(t.Context(), "vault://p1/web")
		wantOutage(t, err, c.why)
		if err != nil && strings.Contains(err.Error(), "unknown authority") != (c.why == "unknown authority") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// token makes one with the root token.
func (v *vaultServer) token(options string) string {
	v.Helper()
	_, answer := v.as(v.RootToken, "POST", "auth/token/create", options)
	auth, ok := answer["auth"].(map[string]any)
	if !ok {
		v.Fatalf("no token: %v", answer)
	}
	return auth["client_token"].(string)
}

// wrapped answers a wrapping token for what a path answers.
func (v *vaultServer) wrapped(path string) string {
	v.Helper()
	_, text := v.Request(v, v.RootToken, "POST", path, "{}", "X-Vault-Wrap-TTL", "60s")
	var a vaultAnswer
	if err := json.Unmarshal(text, &a); err != nil || a.Wrap == nil {
		v.Fatalf("nothing wrapped: %v", err)
	}
	return a.Wrap.Token
}

const castellanStore = `
import sys
from oslo_config import cfg
from castellan import key_manager, options
from castellan.common.objects import opaque_data
conf = cfg.ConfigOpts()
conf([])
options.set_defaults(conf, backend='vault', vault_url=sys.argv[1], vault_approle_role_id=sys.argv[2], vault_approle_secret_id=sys.argv[3])
print(key_manager.API(conf).store(None, opaque_data.OpaqueData(sys.stdin.buffer.read(), name='PKCS12 Certificate Bundle')))
`

// storeWithCastellan stores a bundle as Octavia's castellan_cert_manager does, and answers its id.
func storeWithCastellan(t *testing.T, v *vaultServer, bundle []byte) string {
	t.Helper()
	role := v.must("GET", "auth/approle/role/castellan/role-id", "")["role_id"].(string)
	secret := v.must("POST", "auth/approle/role/castellan/secret-id", "{}")["secret_id"].(string)
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "-c", castellanStore, v.URL, role, secret)
	cmd.Stdin = bytes.NewReader(bundle)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("castellan: %v\n%s", err, said.String())
	}
	return strings.TrimSpace(string(out))
}
