package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// write makes files in a directory of their own and answers their paths.
func write(t *testing.T, texts ...string) (paths []string) {
	t.Helper()
	dir := t.TempDir()
	for i, text := range texts {
		path := filepath.Join(dir, fmt.Sprintf("%d.conf", i))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

const accounts = `
[keystone_authtoken]
auth_url = http://keystone:5000/v3
username = octavia
password = swordfish
project_name = service
[service_auth]
auth_url = http://keystone:5000/v3
username = octavia
password = swordfish
user_domain_name = Default
project_name = service
project_domain_name = Default
`

func load(t *testing.T, text string, env ...string) *Config {
	t.Helper()
	c, err := Load(Sources{Files: write(t, accounts+text), Env: env})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDefaultsAreUpstreams(t *testing.T) {
	c := Default()
	for what, ok := range map[string]bool{
		"port":               c.API.BindPort == 9876 && c.API.BindHost.String() == "127.0.0.1",
		"heartbeat_timeout":  c.HealthManager.HeartbeatTimeout == time.Minute,
		"timeout in ms":      c.HaproxyAmphora.TimeoutClientData == 50*time.Second,
		"list":               strings.Join(c.API.ListenerALPN, " ") == "h2 http/1.1 http/1.0",
		"dict":               c.API.Providers["amphora"] == "The Octavia Amphora driver." && len(c.API.Providers) == 2,
		"none":               c.HealthManager.FailoverThreshold == nil,
		"reference":          c.Octavo.KeyFile == "/var/lib/octavo/keys",
		"addresses":          len(c.Networking.ReservedIPs) == 1 && c.Networking.ReservedIPs[0].String() == "169.254.169.254",
		"format with braces": strings.Contains(c.HaproxyAmphora.UserLogFormat, "{{ project_id }} {{ lb_id }} %f %ci"),
	} {
		if !ok {
			t.Errorf("%s: not as upstream", what)
		}
	}
}

func TestEveryOptionIsDeclaredInFull(t *testing.T) {
	seen := map[string]bool{}
	for _, o := range options() {
		if !strings.HasSuffix(o.doc, ".") || len(o.doc) < 10 {
			t.Errorf("%s: its documentation %q is no sentence", o.name(), o.doc)
		}
		if seen[o.name()] {
			t.Errorf("%s is declared twice", o.name())
		}
		seen[o.name()] = true
		if withoutEffect(o.section, o.key) {
			t.Errorf("%s is also among those without effect", o.name())
		}
	}
}

func TestEnvironmentCountsBeforeFiles(t *testing.T) {
	c := load(t, "[api_settings]\nbind_port = 1000\n[DEFAULT]\nhost = a\n", "OS_API_SETTINGS__BIND_PORT=2000", "OS_DEFAULT__HOST=b", "OS_X=1")
	if c.API.BindPort != 2000 || c.Default.Host != "b" {
		t.Errorf("port %d, host %s", c.API.BindPort, c.Default.Host)
	}
}

func TestDirectoriesAreReadByName(t *testing.T) {
	files := write(t, accounts, "[DEFAULT]\nhost = 1\n", "[DEFAULT]\nhost = 2\n")
	if err := os.WriteFile(filepath.Dir(files[0])+"/3.conf~", []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(Sources{Files: []string{filepath.Dir(files[0])}})
	if err != nil || c.Default.Host != "2" {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestKeysThatMeanNothingAreListed(t *testing.T) {
	c := load(t, "[api_settings]\nbind-port = 1\nbind_prot = 2\n[task_flow]\nengine = serial\n[mine]\nx = 1\n[haproxy_amphora]\nbind_port = 9443\n")
	unknown, unused := strings.Join(c.Unknown, "\n"), strings.Join(c.WithoutEffect, "\n")
	if len(c.Unknown) != 3 || !strings.Contains(unknown, "[api_settings] bind_prot (") || !strings.Contains(unknown, "[mine] x (") || !strings.Contains(unknown, "bind-port") {
		t.Errorf("unknown: %s", unknown)
	}
	if len(c.WithoutEffect) != 2 || !strings.Contains(unused, "[task_flow] engine") || !strings.Contains(unused, "[haproxy_amphora] bind_port") {
		t.Errorf("without effect: %s", unused)
	}
}

func TestProblemsNameKeyValuePlaceAndWhatIsAllowed(t *testing.T) {
	tests := []struct{ text, want string }{
		{"[api_settings]\nbind_port = 70000", "[api_settings] bind_port = 70000 (FILE:15): it must be a number from 0 to 65535."},
		{"[api_settings]\nbind_port =", "[api_settings] bind_port =  (FILE:15): it must be a whole number from 0 to 65535."},
		{"[api_settings]\nbind_host = localhost", "[api_settings] bind_host = localhost (FILE:15): it must be an IP address."},
		{"[api_settings]\nauth_strategy = none", "[api_settings] auth_strategy = none (FILE:15): it must be one of noauth, keystone, testing."},
		{"[api_settings]\ndefault_pool_tls_versions = TLSv1.2,TLSv9", "it must be one of SSLv3, TLSv1"},
		{"[DEFAULT]\ndebug = perhaps", "[DEFAULT] debug = perhaps (FILE:15): it must be true or false."},
		{"[health_manager]\nheartbeat_timeout = soon", "it must be a number of seconds of at least 1."},
		{"[networking]\nreserved_ips = 10.0.0.1,here", "it must be an IP address."},
		{"[DEFAULT]\nhost = pa$word", "[DEFAULT] host (FILE:15): there is no key word for $word to refer to (a dollar sign is written $$)."},
		{"[api_settings]\nenabled_provider_drivers = amphora", "it must be a list of NAME:VALUE, separated by commas."},

		{"[api_settings]\nauth_strategy = noauth\nbind_host = 0.0.0.0", "[api_settings] auth_strategy = noauth (FILE:15): it lets everybody in, so bind_host must be a loopback address and not 0.0.0.0, unless noauth_anywhere = true."},
		{"[api_settings]\ntls_cert_file = /x", "it must be set together with tls_key_file"},
		{"[api_settings]\ndefault_provider_driver = f5", "[api_settings] default_provider_driver = f5 (FILE:15): it must be one of enabled_provider_drivers."},
		{"[api_settings]\npagination_max_limit = many", "it must be a number or infinite."},
		{"[api_settings]\nminimum_tls_version = TLSv1.3", "[api_settings] default_listener_tls_versions = TLSv1.2 (default): it must not hold versions older than minimum_tls_version, TLSv1.3."},
		{"[api_settings]\ntls_cipher_prohibit_list = X:DHE-RSA-CHACHA20-POLY1305", "default_pool_ciphers = DHE-RSA-CHACHA20-POLY1305"},
		{"[api_settings]\ndefault_listener_tls_versions =", "it must hold at least one of"},
		{"[database]\nconnection = mssql://u:swordfish@h/octavia", "[database] connection = *** (FILE:15): it must be a URL that starts with sqlite:///, mysql+pymysql:// or postgresql://."},
		{"[service_auth]\npassword =", "[service_auth]: password is not set."},
		{"[service_auth]\nauth_url = keystone:5000", "[service_auth] auth_url = keystone:5000 (FILE:15): it must be a URL"},
		{"[health_manager]\ncontroller_ip_port_list = 10.0.0.1:5555, ::1:5555", "controller_ip_port_list = ::1:5555 (FILE:15): each element must be ADDRESS:PORT"},
		{"[health_manager]\nheartbeat_timeout = 5", "it must be longer than heartbeat_interval, 10 seconds, and the 5 seconds that a report may wait until it is stored: amphorae that are well would be taken for dead."},
		{"[health_manager]\nheartbeat_timeout = 15", "amphorae that are well would be taken for dead."},
		{"[health_manager]\nheartbeat_timeout = 30\n[octavo]\nagent_update_key = /key", "it must be longer than 30 seconds while [octavo] agent_update_key is set"},
		{"[health_manager]\nbind_port = 9876", "the API listens there"},
		{"[haproxy_amphora]\nhaproxy_stick_size = big", "it must be a number, with k, m or g"},
		{"[networking]\nvalid_vip_networks = a\ndenylist_vip_networks = b,a", "denylist_vip_networks = a (FILE:16): it must not be in valid_vip_networks as well."},
		{"[certificates]\nserver_certs_key_passphrase = insecure-key-do-not-use-this-key", "server_certs_key_passphrase = *** (FILE:15): it must not be the passphrase that everybody can read"},
		{"[certificates]\nca_certificate = /x", "it must be set together with [certificates] ca_private_key"},
	}
	for _, test := range tests {
		files := write(t, accounts+test.text)
		_, err := Load(Sources{Files: files})
		var problems Problems
		if !errors.As(err, &problems) {
			t.Errorf("%s: %v, want Problems", test.text, err)
			continue
		}
		if want := strings.ReplaceAll(test.want, "FILE", files[0]); !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\n%v\nwant\n%s", test.text, err, want)
		}
		if strings.Contains(err.Error(), "swordfish") {
			t.Errorf("%s: the error holds a secret: %v", test.text, err)
		}
	}
}

func TestAllProblemsAreReportedAtOnce(t *testing.T) {
	_, err := Load(Sources{Files: write(t, "[api_settings]\nbind_port = x\nbind_host = y\n[DEFAULT]\ndebug = z\n")})
	var problems Problems
	if !errors.As(err, &problems) || len(problems) != 3 {
		t.Errorf("%v, want three problems", err)
	}
}

func TestUnreadableFileIsNamedWithoutItsContent(t *testing.T) {
	files := write(t, "[DEFAULT]\nswordfish\n")
	_, err := Load(Sources{Files: files})
	if err == nil || !strings.Contains(err.Error(), files[0]+":2: ") || strings.Contains(err.Error(), "swordfish") {
		t.Errorf("%v", err)
	}
	if _, err = Load(Sources{Files: []string{"/nonexistent.conf"}}); err == nil || !strings.Contains(err.Error(), "/nonexistent.conf") {
		t.Errorf("%v", err)
	}
}

func TestAccountsAreInherited(t *testing.T) {
	c := load(t, "[neutron]\nusername = netadmin\nendpoint = http://neutron:9696\nendpoint_type = internalURL\nca_certificates_file = /ca.pem\n")
	n := c.Neutron
	if n.Username != "netadmin" || n.Password.Reveal() != "swordfish" || n.EndpointOverride != "http://neutron:9696" || n.CAFile != "/ca.pem" || n.Interface() != "internal" {
		t.Errorf("neutron: %+v", n)
	}
	c, err := Load(Sources{Files: write(t, accounts[strings.Index(accounts, "[service_auth]"):]+"[keystone_authtoken]\nauth_section = service_auth\n")})
	if err != nil || c.KeystoneToken.Password.Reveal() != "swordfish" || c.KeystoneToken.AuthURL == "" {
		t.Errorf("auth_section: %+v, %v", c, err)
	}
	o := c.ServiceAuth.Options()
	if o.Username != "octavia" || o.DomainName != "Default" || o.Scope.ProjectName != "service" || o.Scope.DomainName != "Default" || o.Password != "swordfish" {
		t.Errorf("gophercloud's options: %+v", o)
	}
}

func TestDumpReadsBackAsTheSameAndHidesSecrets(t *testing.T) {
	text := "[DEFAULT]\nhost = a$$b\ntransport_url = rabbit://swordfish@h/\n[oslo_messaging_notifications]\ndriver = log\ndriver = noop\n" +
		"[health_manager]\nfailover_threshold = 3\n[api_settings]\napi_base_uri = \"'x'\"\n[certificates]\nserver_certs_key_passphrase = swordfish,swordfish\n"
	c := load(t, text)
	var dump bytes.Buffer
	if err := c.Dump(&dump); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(dump.String(), "swordfish") || strings.Contains(fmt.Sprintf("%+v", c), "swordfish") {
		t.Errorf("a secret shows in %s", &dump)
	}
	if !strings.Contains(dump.String(), "0.conf:15\nhost = a$$b\n") {
		t.Errorf("the dump does not say where the host is from: %s", &dump)
	}
	usable := strings.Replace(dump.String(), "\nconnection = ***", "\nconnection = sqlite://", 1)
	again, err := Load(Sources{Files: write(t, usable)})
	if err != nil {
		t.Fatal(err)
	}
	var second bytes.Buffer
	if err := again.Dump(&second); err != nil {
		t.Fatal(err)
	}
	origins := regexp.MustCompile(`(?m)^# from .*\n`)
	if first, second := origins.ReplaceAllString(dump.String(), ""), origins.ReplaceAllString(second.String(), ""); first != second {
		t.Errorf("read back:\n%s\nwas:\n%s", second, first)
	}
	var set bytes.Buffer
	if err := c.DumpSet(&set); err != nil {
		t.Fatal(err)
	}
	if shown := set.String(); !strings.Contains(shown, "failover_threshold = 3") || strings.Contains(shown, "bind_port") || strings.Contains(shown, "[nova]") {
		t.Errorf("what was set: %s", shown)
	}
}

func TestHashTellsControllersApartThatDiffer(t *testing.T) {
	a, b := load(t, "[DEFAULT]\nhost = one\n"), load(t, "[DEFAULT]\nhost = two\n")
	if a.Hash() != b.Hash() {
		t.Error("the host's name makes a difference")
	}
	if c := load(t, "[service_auth]\npassword = other\n"); c.Hash() == a.Hash() {
		t.Error("another password makes no difference")
	}
	if c := load(t, "[health_manager]\nfailover_threshold = 7\n"); c.Hash() == a.Hash() {
		t.Error("another threshold makes no difference")
	}
}

func TestReferenceIsAFileThatSetsNothing(t *testing.T) {
	var b bytes.Buffer
	if err := Reference(&b); err != nil {
		t.Fatal(err)
	}
	c := load(t, b.String())
	if len(c.Unknown) > 0 || c.IsSet("api_settings", "bind_port") {
		t.Errorf("unknown: %v", c.Unknown)
	}
	if !strings.Contains(b.String(), "#bind_port = 9876") {
		t.Errorf("no bind_port in\n%s", &b)
	}
}

func TestWarningsAreOfWhatSurprisesSomebodyOneNight(t *testing.T) {
	if all := load(t, "").Warnings(); len(all) > 0 {
		t.Errorf("of the defaults: %q", all)
	}
	for text, want := range map[string]string{
		"[health_manager]\nheartbeat_timeout = 30\ncontroller_ip_port_list = 192.0.2.1:5555, 192.0.2.2:5555": "agents need up to 35s until another one",
		"[health_manager]\nhealth_check_interval = 90":                                                       "found that much later",
		"[health_manager]\nfailover_threshold = 1":                                                           "none is ever replaced",
		"[haproxy_amphora]\nconnection_max_retries = 3\nconnection_retry_interval = 5":                       "has 15s until its first report",
		"[keepalived_vrrp]\nvrrp_advert_int = 20":                                                            "takes over after 1m0s",
		"[octavo]\noutside_providers = acme":                                                                 "acme is not in [api_settings] enabled_provider_drivers",
		"[certificates]\ncert_validity_time = 3600":                                                          "after 20m0s at the least",
		"[house_keeping]\ncert_expiry_buffer = 2592000":                                                      "after a third of that at the soonest",
		"[nova]\ninsecure = true":                                                                            "[nova] insecure = true: the service's certificate is not checked",
		"[neutron]\ninsecure = true":                                                                         "[neutron] insecure = true",
		"[certificates]\ncert_manager = castellan_cert_manager\n[barbican]\nverify_ssl = false":              "[barbican] verify_ssl = false: the service's certificate is not checked",
		"[certificates]\ninsecure = true":                                                                    "[certificates] insecure = true",
	} {
		if all := load(t, text).Warnings(); len(all) != 1 || !strings.Contains(all[0], want) {
			t.Errorf("%q: %q, want %q", text, all, want)
		}
	}
}
