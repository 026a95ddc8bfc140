package keymanager

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/keymanager/v1/acls"
	"github.com/gophercloud/gophercloud/v2/openstack/keymanager/v1/containers"
	barbican "github.com/gophercloud/gophercloud/v2/openstack/keymanager/v1/secrets"

	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/state"
	"github.com/octavo-lb/octavo/secrets"
)

// tokens are user@project:role.
type tokens struct{}

func (tokens) Authenticate(_ context.Context, token string) (httpx.Caller, error) {
	user, rest, ok := strings.Cut(token, "@")
	project, role, _ := strings.Cut(rest, ":")
	if !ok {
		return httpx.Caller{}, httpx.ErrBadToken
	}
	return httpx.Caller{UserID: user, ProjectID: project, Roles: []string{role}, IsAdmin: role == "admin"}, nil
}

const (
	eva     = "eva@demo:member"
	adam    = "adam@demo:member"
	looker  = "lou@demo:reader"
	chief   = "chief@demo:admin"
	octavia = "octavia@service:admin"
)

type manager struct {
	t    *testing.T
	url  string
	path string
	now  time.Time
}

func newManager(t *testing.T) *manager {
	t.Helper()
	dir := t.TempDir()
	m := &manager{t: t, path: filepath.Join(dir, "state.db"), now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
	st, err := state.Open(m.path)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := secrets.OpenKeyring(filepath.Join(dir, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	s := New(Options{State: st, Tokens: tokens{}, Sealer: keys, Clock: func() time.Time { return m.now }, Logger: slog.New(slog.DiscardHandler)})
	server := httptest.NewServer(s.Handler())
	t.Cleanup(func() { server.Close(); st.Close() })
	m.url = server.URL + "/key-manager"
	return m
}

func (m *manager) client(who string) *gophercloud.ServiceClient {
	return &gophercloud.ServiceClient{ProviderClient: &gophercloud.ProviderClient{TokenID: who}, Endpoint: m.url + "/", ResourceBase: m.url + "/v1/"}
}

func (m *manager) call(who, method, url, body string, headers ...string) (int, string) {
	m.t.Helper()
	if strings.HasPrefix(url, "/") {
		url = m.url + url
	}
	r, err := http.NewRequestWithContext(m.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		m.t.Fatal(err)
	}
	r.Header.Set("X-Auth-Token", who)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		m.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		m.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// store answers a new secret's reference.
func (m *manager) store(who, body string) string {
	m.t.Helper()
	status, text := m.call(who, "POST", "/v1/secrets", body)
	var answer struct {
		Ref string `json:"secret_ref"`
	}
	if json.Unmarshal([]byte(text), &answer); status != 201 || !strings.HasPrefix(answer.Ref, m.url+"/v1/secrets/") {
		m.t.Fatalf("store %s: %d %s", body, status, text)
	}
	return answer.Ref
}

func id(ref string) string { return ref[strings.LastIndex(ref, "/")+1:] }

const plain = `{"name": "s", "payload": "swordfish", "payload_content_type": "text/plain"}`

func TestGophercloudStoresAndReadsSecrets(t *testing.T) {
	m := newManager(t)
	client := m.client(eva)
	made, err := barbican.Create(t.Context(), client, barbican.CreateOpts{Name: "bundle", Payload: "AAEC", PayloadContentType: "application/octet-stream",
		PayloadContentEncoding: "base64", SecretType: barbican.OpaqueSecret}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	got, err := barbican.Get(t.Context(), client, id(made.SecretRef)).Extract()
	if err != nil || got.Name != "bundle" || got.Status != "ACTIVE" || got.CreatorID != "eva" || got.ContentTypes["default"] != "application/octet-stream" || !got.Created.Equal(m.now) {
		t.Errorf("%+v, %v", got, err)
	}
	payload, err := barbican.GetPayload(t.Context(), client, id(made.SecretRef), barbican.GetPayloadOpts{PayloadContentType: "application/octet-stream"}).Extract()
	if err != nil || string(payload) != "\x00\x01\x02" {
		t.Errorf("payload %q, %v", payload, err)
	}
	if err := barbican.Delete(t.Context(), client, id(made.SecretRef)).ExtractErr(); err != nil {
		t.Error(err)
	}
	if err := barbican.Get(t.Context(), client, id(made.SecretRef)).Err; !gophercloud.ResponseCodeIs(err, 404) {
		t.Errorf("after the deletion: %v", err)
	}
}

func TestGophercloudContainersAndACLs(t *testing.T) {
	m := newManager(t)
	client := m.client(eva)
	key, cert := m.store(eva, plain), m.store(eva, plain)
	made, err := containers.Create(t.Context(), client, containers.CreateOpts{Type: containers.CertificateContainer, Name: "tls",
		SecretRefs: []containers.SecretRef{{Name: "certificate", SecretRef: cert}, {Name: "private_key", SecretRef: key}}}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	got, err := containers.Get(t.Context(), client, id(made.ContainerRef)).Extract()
	if err != nil || got.Type != "certificate" || len(got.SecretRefs) != 2 || got.SecretRefs[1].SecretRef != key {
		t.Errorf("%+v, %v", got, err)
	}
	service := m.client(octavia)
	if err := containers.Get(t.Context(), service, id(made.ContainerRef)).Err; !gophercloud.ResponseCodeIs(err, 403) {
		t.Errorf("an admin of another project without a place on the list: %v, want 403", err)
	}
	if _, err := acls.UpdateContainerACL(t.Context(), client, id(made.ContainerRef), acls.SetOpts{{Type: "read", Users: &[]string{"octavia"}}}).Extract(); err != nil {
		t.Fatal(err)
	}
	if _, err := containers.Get(t.Context(), service, id(made.ContainerRef)).Extract(); err != nil {
		t.Errorf("with a place on the list: %v", err)
	}
	list, err := acls.GetContainerACL(t.Context(), client, id(made.ContainerRef)).Extract()
	if err != nil || fmt.Sprint((*list)["read"].Users) != "[octavia]" || !(*list)["read"].ProjectAccess {
		t.Errorf("list %+v, %v", list, err)
	}
	owner, err := containers.CreateConsumer(t.Context(), client, id(made.ContainerRef), containers.CreateConsumerOpts{Name: "octavia", URL: "lbaas://x"}).Extract()
	if err != nil || len(owner.Consumers) != 1 {
		t.Errorf("consumer: %+v, %v", owner, err)
	}
	if owner, err = containers.DeleteConsumer(t.Context(), client, id(made.ContainerRef), containers.DeleteConsumerOpts{Name: "octavia", URL: "lbaas://x"}).Extract(); err != nil || len(owner.Consumers) != 0 {
		t.Errorf("consumer gone: %+v, %v", owner, err)
	}
	if err := containers.Delete(t.Context(), client, id(made.ContainerRef)).ExtractErr(); err != nil {
		t.Error(err)
	}
	if status, _ := m.call(eva, "GET", key, ""); status != 200 {
		t.Errorf("the key went with its container: %d", status)
	}
}

func TestWhoMayReadAPayload(t *testing.T) {
	m := newManager(t)
	open, shut := m.store(eva, plain), m.store(eva, plain)
	m.call(eva, "PUT", shut+"/acl", `{"read": {"users": ["octavia"], "project-access": false}}`)
	for _, test := range []struct {
		who       string
		ref       string
		status    int
		operation string
	}{
		{eva, open, 200, "GET"}, {adam, open, 200, "GET"}, {looker, open, 200, "GET"}, {chief, open, 200, "GET"}, {octavia, open, 403, "GET"}, {"x", open, 401, "GET"},
		{eva, shut, 200, "GET"}, {adam, shut, 403, "GET"}, {chief, shut, 200, "GET"}, {octavia, shut, 200, "GET"},
		{"octavia@elsewhere:reader", shut, 200, "GET"}, {"mallory@other:admin", shut, 403, "GET"},
		{octavia, shut, 403, "DELETE"}, {adam, shut, 403, "DELETE"}, {chief, shut, 204, "DELETE"}, {adam, open, 204, "DELETE"},
	} {
		url := test.ref
		if test.operation == "GET" {
			url += "/payload"
		}
		status, text := m.call(test.who, test.operation, url, "")
		if status != test.status || (status == 200) != (text == "swordfish") {
			t.Errorf("%s %s: %d %s, want %d", test.operation, test.who, status, text, test.status)
		}
	}
	if status, text := m.call(looker, "POST", "/v1/secrets", plain); status != 403 {
		t.Errorf("a reader stores: %d %s", status, text)
	}
}

func TestSecretIsFilledOnce(t *testing.T) {
	m := newManager(t)
	ref := m.store(eva, `{"name": "later"}`)
	if status, _ := m.call(eva, "GET", ref+"/payload", ""); status != 404 {
		t.Errorf("payload before it is there: %d, want 404", status)
	}
	if status, text := m.call(eva, "PUT", ref, "AAEC", "Content-Type", "application/octet-stream", "Content-Encoding", "base64"); status != 204 {
		t.Errorf("fill: %d %s", status, text)
	}
	if status, _ := m.call(eva, "PUT", ref, "x", "Content-Type", "text/plain"); status != 409 {
		t.Errorf("fill again: %d, want 409", status)
	}
	if _, text := m.call(eva, "GET", ref, "", "Accept", "application/octet-stream"); text != "\x00\x01\x02" {
		t.Errorf("payload %q", text)
	}
	if status, _ := m.call(eva, "GET", ref+"/payload", "", "Accept", "text/plain"); status != 406 {
		t.Errorf("as another type: %d, want 406", status)
	}
}

func TestBadSecretsAndContainersAreRefused(t *testing.T) {
	m := newManager(t)
	ref := m.store(eva, plain)
	foreign := m.store("mallory@other:member", plain)
	for _, test := range []struct {
		path, body string
		status     int
	}{
		{"secrets", `{"payload": "x"}`, 400},
		{"secrets", `{"payload_content_type": "text/plain"}`, 400},
		{"secrets", `{"payload": "", "payload_content_type": "text/plain"}`, 400},
		{"secrets", `{"payload": "x", "payload_content_type": "text/html"}`, 415},
		{"secrets", `{"payload": "x", "payload_content_type": "text/plain;charset=latin1"}`, 415},
		{"secrets", `{"payload": "x", "payload_content_type": "application/octet-stream"}`, 400},
		{"secrets", `{"payload": "*", "payload_content_type": "application/octet-stream", "payload_content_encoding": "base64"}`, 400},
		{"secrets", `{"payload": "` + strings.Repeat("x", maxPayload+1) + `", "payload_content_type": "text/plain"}`, 413},
		{"secrets", `{"secret_type": "rumour"}`, 400},
		{"secrets", `{"expiration": "2029-01-01T00:00:00"}`, 400},
		{"containers", `{"type": "box"}`, 400},
		{"containers", `{"type": "certificate"}`, 400},
		{"containers", `{"type": "certificate", "secret_refs": [{"name": "password", "secret_ref": "` + ref + `"}]}`, 400},
		{"containers", `{"type": "generic", "secret_refs": [{"name": "a", "secret_ref": "` + ref + `"}, {"name": "a", "secret_ref": "` + ref + `"}]}`, 400},
		{"containers", `{"type": "generic", "secret_refs": [{"name": "a", "secret_ref": "` + ref + `0"}]}`, 404},
		{"containers", `{"type": "generic", "secret_refs": [{"name": "a", "secret_ref": "` + foreign + `"}]}`, 403},
		{"secrets/" + id(ref) + "/acl", `{}`, 405},
	} {
		if status, text := m.call(eva, "POST", "/v1/"+test.path, test.body); status != test.status {
			t.Errorf("%s %.100s: %d %s, want %d", test.path, test.body, status, text, test.status)
		}
	}
}

func TestExpiredSecretIsGone(t *testing.T) {
	m := newManager(t)
	ref := m.store(eva, `{"expiration": "2030-01-01T01:00:00", "payload": "x", "payload_content_type": "text/plain"}`)
	m.now = m.now.Add(time.Hour)
	if status, _ := m.call(eva, "GET", ref+"/payload", ""); status != 404 {
		t.Errorf("%d, want 404", status)
	}
}

func TestListsShowThePagesOfTheProject(t *testing.T) {
	m := newManager(t)
	for range 12 {
		m.store(eva, plain)
	}
	m.store("mallory@other:member", plain)
	pages := 0
	url := "/v1/secrets?limit=5&name=s"
	for total := 0; url != ""; pages++ {
		var page struct {
			Secrets []shownSecret
			Total   int
			Next    string
		}
		status, text := m.call(adam, "GET", url, "")
		if err := json.Unmarshal([]byte(text), &page); err != nil || status != 200 || page.Total != 12 {
			t.Fatalf("%s: %d %s", url, status, text)
		}
		if strings.Contains(text, "swordfish") {
			t.Error("a list shows payloads")
		}
		if total += len(page.Secrets); page.Next == "" && total != 12 {
			t.Errorf("%d secrets on all pages, want 12", total)
		}
		url = page.Next
	}
	if pages != 3 {
		t.Errorf("%d pages, want 3", pages)
	}
}

func TestPayloadsAreSealedAtRest(t *testing.T) {
	m := newManager(t)
	m.store(eva, plain)
	for _, name := range []string{"", "-wal"} {
		content, err := os.ReadFile(m.path + name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(content), "swordfish") {
			t.Errorf("state.db%s holds the payload in clear", name)
		}
	}
}
