package app

import (
	"bytes"
	"context"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/octavo-lb/octavo/config"
	"github.com/octavo-lb/octavo/localcloud/identity"
	"github.com/octavo-lb/octavo/localcloud/state"
)

// keystone is an identity service that knows nothing of load balancing.
func keystone(t *testing.T) (url string) {
	t.Helper()
	st, err := state.Open(filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := identity.New(identity.Options{State: st, Logger: slog.New(slog.DiscardHandler), HashCost: 4,
		Services: []identity.CatalogService{{Type: "identity", Name: "keystone", Path: "/identity/v3"}}})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Ensure(identity.Seed{Projects: []string{"service"}, Roles: []string{"admin", "member"}, Users: []identity.SeedUser{
		{Name: "octavia", Password: "pw", Grants: map[string][]string{"service": {"admin"}}},
		{Name: "guest", Password: "pw", Grants: map[string][]string{"service": {"member"}}}}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s.Handler())
	t.Cleanup(func() {
		server.Close()
		st.Close()
	})
	return server.URL + "/identity/v3"
}

// account is an octavia.conf with a service account.
func account(t *testing.T, keystone, user string) func() (config.Sources, error) {
	t.Helper()
	t.Setenv("OS_CLOUD", "")
	t.Setenv("OS_AUTH_URL", "")
	options := "auth_url = " + keystone + "\nusername = " + user + "\npassword = pw\nproject_name = service\nuser_domain_name = Default\nproject_domain_name = Default\n"
	file := filepath.Join(t.TempDir(), "octavia.conf")
	if err := os.WriteFile(file, []byte("[keystone_authtoken]\n"+options+"[service_auth]\n"+options+"region_name = RegionOne\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return func() (config.Sources, error) { return config.Sources{Files: []string{file}}, nil }
}

func bootstrapOnce(t *testing.T, o BootstrapOptions) (said string) {
	t.Helper()
	var out bytes.Buffer
	o.Out = &out
	if err := Bootstrap(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestBootstrapMakesWhatIsMissingOnce(t *testing.T) {
	o := BootstrapOptions{Config: account(t, keystone(t), "octavia"), PublicURL: "https://lb.example.org:9876", InternalURL: "http://10.0.0.5:9876"}
	said := bootstrapOnce(t, o)
	for _, want := range []string{"service load-balancer: made", "public endpoint https://lb.example.org:9876: made", "internal endpoint http://10.0.0.5:9876: made",
		"admin endpoint http://10.0.0.5:9876: made", "role load-balancer_member: made", "role load-balancer_admin: made"} {
		if !strings.Contains(said, want+"\n") {
			t.Errorf("%q is missing in\n%s", want, said)
		}
	}
	if again := bootstrapOnce(t, o); strings.Contains(again, "made") || strings.Contains(again, "changed") || strings.Count(again, ": there\n") != 9 {
		t.Errorf("the second time:\n%s", again)
	}
	o.PublicURL = "https://new.example.org/load-balancer"
	if moved := bootstrapOnce(t, o); !strings.Contains(moved, "public endpoint https://new.example.org/load-balancer: changed, it was https://lb.example.org:9876\n") ||
		strings.Count(moved, ": there\n") != 8 {
		t.Errorf("with another address:\n%s", moved)
	}
}

func TestBootstrapSaysWhatIsWrong(t *testing.T) {
	url := keystone(t)
	for _, c := range []struct {
		o    BootstrapOptions
		want string
	}{
		{BootstrapOptions{Config: account(t, url, "octavia")}, "--public-url must be a URL"},
		{BootstrapOptions{Config: account(t, url, "octavia"), PublicURL: "lb.example.org"}, "--public-url must be a URL"},
		{BootstrapOptions{Config: account(t, url, "stranger"), PublicURL: "http://h"}, "does not accept the user, password or project"},
		{BootstrapOptions{Config: account(t, url, "guest"), PublicURL: "http://h"}, "not authorized"},
		{BootstrapOptions{Config: account(t, "http://127.0.0.1:1/v3", "octavia"), PublicURL: "http://h"}, "connection refused"},
	} {
		c.o.Out = &bytes.Buffer{}
		err := Bootstrap(context.Background(), c.o)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%+v: %v, want %q", c.o, err, c.want)
		}
	}
}

func TestCheckTellsWhatIsWrongWithFilesAsWell(t *testing.T) {
	cfg := filepath.Join(t.TempDir(), "octavia.conf")
	const noop = "[api_settings]\nauth_strategy = noauth\n[controller_worker]\nnetwork_driver = network_noop_driver\ncompute_driver = compute_noop_driver\n"
	check := func(more string) (string, error) {
		if err := os.WriteFile(cfg, []byte(noop+more), 0o600); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		err := CheckConfig(config.Sources{Files: []string{cfg}}, &out)
		return out.String(), err
	}
	said, err := check("nonsense = 1\n[nova]\nrandom_amphora_name_length = 8\n[health_manager]\nfailover_threshold = 1\n")
	if err != nil || !strings.Contains(said, "Nobody knows: [controller_worker] nonsense") || !strings.Contains(said, "Without effect in Octavo: [nova] random_amphora_name_length (") ||
		!strings.Contains(said, "Think twice: [health_manager] failover_threshold = 1: ") ||
		!strings.Contains(said, "The configuration can be used.") {
		t.Errorf("%v\n%s", err, said)
	}
	if _, err = check("amp_timezone = Mars/Olympus\n"); err == nil || !strings.Contains(err.Error(), "[controller_worker] amp_timezone: this machine knows no time zone") {
		t.Errorf("of a time zone that is none: %v", err)
	}
	_, err = check("[certificates]\ncert_manager = local_cert_manager\nstorage_path = /missing\n[api_settings]\ntls_cert_file = /no.pem\ntls_key_file = /no.key\n")
	if err == nil || !strings.Contains(err.Error(), "/missing") || !strings.Contains(err.Error(), "/no.pem") {
		t.Errorf("%v, want both problems", err)
	}
}
