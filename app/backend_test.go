package app

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/octavo-lb/octavo/config"
)

// TestInsecureIsOfOneService has an image service whose certificate nobody trusts.
func TestInsecureIsOfOneService(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v3/auth/tokens", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Subject-Token", "token")
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, `{"token": {"expires_at": "2099-01-01T00:00:00.000000Z", "project": {"id": "p", "name": "p", "domain": {"id": "d", "name": "d"}}, "catalog": []}}`)
	})
	mux.HandleFunc("GET /v2/images", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"images": []}`)
	})
	keystone, secure := httptest.NewServer(mux), httptest.NewUnstartedServer(mux)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(func() { keystone.Close(); secure.Close() })
	images := func(more string) error {
		t.Helper()
		account := "auth_url = " + keystone.URL + "\nusername = octavia\npassword = x\nproject_name = service\nuser_domain_name = Default\nproject_domain_name = Default\n"
		file := filepath.Join(t.TempDir(), "octavia.conf")
		text := "[keystone_authtoken]\n" + account + "[service_auth]\n" + account
		for _, section := range []string{"nova", "glance", "neutron"} {
			key := map[string]string{"neutron": "endpoint_override"}[section]
			if key == "" {
				key = "endpoint"
			}
			text += "[" + section + "]\n" + key + " = " + secure.URL + "/\n"
		}
		if err := os.WriteFile(file, []byte(text+more), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := config.Load(config.Sources{Files: []string{file}})
		if err != nil {
			t.Fatal(err)
		}
		client, err := newCloudClient(cfg)
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.TaggedImages(t.Context(), "x", "")
		return err
	}
	for _, more := range []string{"", "[certificates]\ninsecure = true\n"} {
		if err := images(more); err == nil || !strings.Contains(err.Error(), "failed to verify certificate") {
			t.Errorf("%q: %v", more, err)
		}
	}
	for _, more := range []string{"[glance]\ninsecure = true\n", "[service_auth]\ninsecure = true\n"} {
		if err := images(more); err != nil {
			t.Errorf("%q: %v", more, err)
		}
	}
}
