package cloud_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/octavo-lb/octavo/cloud"
	"github.com/octavo-lb/octavo/secrets"
)

// TestAServiceThatIsNotCheckedIsTheOnlyOne has images and compute behind one address whose certificate is for another name.
func TestAServiceThatIsNotCheckedIsTheOnlyOne(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v3/auth/tokens", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Subject-Token", "token")
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, `{"token": {"expires_at": "2099-01-01T00:00:00.000000Z", "project": {"id": "p", "name": "p", "domain": {"id": "d", "name": "d"}}, "catalog": []}}`)
	})
	mux.HandleFunc("GET /image/v2/images", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"images": []}`)
	})
	server := httptest.NewTLSServer(mux)
	defer server.Close()
	server.Config.ErrorLog = nil
	roots := server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	elsewhere := strings.Replace(server.URL, "127.0.0.1", "localhost", 1) // which the certificate does not name
	client := func(insecure string) *cloud.Client {
		services := map[string]cloud.Service{"network": {Endpoint: elsewhere + "/network"}, "compute": {Endpoint: elsewhere + "/compute"}, "image": {Endpoint: elsewhere + "/image"}}
		if s, ok := services[insecure]; ok {
			s.Insecure = true
			services[insecure] = s
		}
		return cloud.New(cloud.Options{Auth: cloud.Auth{URL: server.URL, UserName: "octavia", UserDomainID: "d", ProjectID: "p", Password: secrets.New("x")},
			TLS: &tls.Config{RootCAs: roots}, Services: services})
	}
	const distrust = "failed to verify certificate"
	lax := client("image")
	if _, err := lax.TaggedImages(t.Context(), "x", ""); err != nil {
		t.Errorf("images, which are not checked: %v", err)
	}
	if err := lax.Flavor(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), distrust) {
		t.Errorf("compute, which is checked: %v", err)
	}
	for _, other := range []string{"", "network"} {
		if _, err := client(other).TaggedImages(t.Context(), "x", ""); err == nil || !strings.Contains(err.Error(), distrust) {
			t.Errorf("images, which are checked: %v", err)
		}
	}
}
