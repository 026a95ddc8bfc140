package app

import (
	"bufio"
	"bytes"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/config"
)

// load reads a configuration that needs no cloud, with more in it.
func load(t *testing.T, more string) *config.Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "octavia.conf")
	const base = "[api_settings]\nauth_strategy = noauth\n[controller_worker]\nnetwork_driver = network_noop_driver\ncompute_driver = compute_noop_driver\n"
	if err := os.WriteFile(file, []byte(base+more), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(config.Sources{Files: []string{file}})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestIdleKeysExist(t *testing.T) {
	var reference bytes.Buffer
	if err := config.Reference(&reference); err != nil {
		t.Fatal(err)
	}
	known, section := map[string]bool{}, ""
	for lines := bufio.NewScanner(&reference); lines.Scan(); {
		line := lines.Text()
		if strings.HasPrefix(line, "[") {
			section = strings.Trim(line, "[]")
		}
		if key, _, ok := strings.Cut(strings.TrimPrefix(line, "#"), " = "); ok {
			known[section+" "+key] = true
		}
	}
	told, err := os.ReadFile("../docs/serve.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range idle {
		for key := range strings.FieldsSeq(i.keys) {
			if !known[i.section+" "+key] {
				t.Errorf("[%s] %s is no key", i.section, key)
			}
			if row := regexp.MustCompile(`(?m)^\| .\[` + i.section + `\][^|]*\b` + key + `\b[^|]*\| ` + regexp.QuoteMeta(i.why) + ` \|$`); !row.Match(told) {
				t.Errorf("docs/serve.md does not tell that [%s] %s is without effect, and why", i.section, key)
			}
		}
	}
}

func TestOperatorIsToldOfKeysWithoutEffect(t *testing.T) {
	var log bytes.Buffer
	tellUnused(load(t, "amp_timezone = UTC\n[nova]\nrandom_amphora_name_length = 8\n[controller_worker]\nworkers = 3\nwhat_is_this = 1\n"), slog.New(slog.NewTextHandler(&log, nil)))
	for _, want := range []string{"[nova] random_amphora_name_length (an instance is found again by its name", "[controller_worker] workers", "nobody knows", "what_is_this"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q is missing in %s", want, &log)
		}
	}
}

func TestSettingsFollowTheConfiguration(t *testing.T) {
	cfg := load(t, `amp_boot_network_list = mgmt
amp_secgroup_list = group
amp_image_tag = tag
loadbalancer_topology = ACTIVE_STANDBY
[health_manager]
heartbeat_timeout = 90
[keepalived_vrrp]
vrrp_advert_int = 0.5
[nova]
enable_anti_affinity = true
anti_affinity_policy = auto
[haproxy_amphora]
timeout_client_data = 7000
[networking]
reserved_ips = 169.254.169.254,2001:db8::1
allow_vip_port_id = false
[quotas]
default_pool_quota = 3
`)
	s := planSettings(cfg)
	if s.ManagementNetwork != "mgmt" || s.ManagementGroups[0] != "group" || s.Image.Tag != "tag" || s.DeadAfter != 90*time.Second ||
		s.VRRPInterval != 500*time.Millisecond || s.AntiAffinity != "soft-anti-affinity" || s.BootTimeout != 10*time.Minute {
		t.Errorf("plan: %+v", s)
	}
	a, err := apiConfig(cfg)
	if err != nil || a.Topology != "ACTIVE_STANDBY" || *a.DefaultQuota.Pool != 3 || a.ListenerDefaults["timeout_client_data"] != 7000 || !a.NoVIPPort ||
		len(a.Rules.DeniedMembers) != 2 || a.Rules.DeniedMembers[1].Bits() != 128 {
		t.Errorf("API: %+v (%v)", a, err)
	}
}

func TestLogsFollowTheConfiguration(t *testing.T) {
	for _, c := range []struct {
		name, conf string
		want       *agentapi.Logging
	}{
		{"nobody gets any by default", "", nil},
		{"to a server of tenants' logs", "[amphora_agent]\ntenant_log_targets = 192.0.2.1:514, 2001:db8::1:10514\nuser_log_facility = 3\nlog_protocol = TCP\nlog_retry_count = 0\n",
			&agentapi.Logging{Flow: &agentapi.Log{Targets: []string{"192.0.2.1:514", "[2001:db8::1]:10514"}, Facility: 3}, Protocol: "TCP"}},
		{"no tenants' logs", "[amphora_agent]\ntenant_log_targets = 192.0.2.1:514\nadmin_log_targets = 192.0.2.2:514\nforward_all_logs = true\n[haproxy_amphora]\nconnection_logging = false\n",
			&agentapi.Logging{Admin: &agentapi.Log{Targets: []string{"192.0.2.2:514"}, Facility: 1, Kernel: true}, Protocol: "UDP", Retries: 5}},
		{"files", "[amphora_agent]\ndisable_local_log_storage = false\n",
			&agentapi.Logging{Flow: &agentapi.Log{Local: true}, Admin: &agentapi.Log{Facility: 1, Local: true}, Protocol: "UDP", Retries: 5}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := planSettings(load(t, c.conf)).Logging
			if c.want != nil {
				c.want.Format, c.want.Interval, c.want.Queue = got.Format, 2*time.Second, 10000
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestProvidersFollowTheConfiguration(t *testing.T) {
	silent := slog.New(slog.NewTextHandler(io.Discard, nil))
	names := func(more string) string {
		all, err := enabledProviders(load(t, more), silent)
		if err != nil {
			return err.Error()
		}
		var out []string
		for _, p := range all {
			out = append(out, p.Name)
		}
		return strings.Join(out, " ")
	}
	for more, want := range map[string]string{
		"": "noop_driver octavia amphora noop_driver-alt",
		"[api_settings]\nenabled_provider_drivers = octavia:O,amphora:A,ovn:OVN\n":      "amphora octavia",
		"[api_settings]\ndefault_provider_driver = octavia\n":                           "octavia amphora noop_driver noop_driver-alt",
		"[api_settings]\nenabled_provider_drivers = a:A\ndefault_provider_driver = a\n": "[api_settings] default_provider_driver = a: Octavo has no such provider",
	} {
		if got := names(more); !sameWords(got, want) {
			t.Errorf("%q: %q, want %q", more, got, want)
		}
	}
}

// sameWords compares the first word, which is the default, and the others in any order.
func sameWords(a, b string) bool {
	x, y := strings.Fields(a), strings.Fields(b)
	if len(x) != len(y) || x[0] != y[0] {
		return false
	}
	for _, word := range x {
		if !strings.Contains(" "+b+" ", " "+word+" ") {
			return false
		}
	}
	return true
}

func TestAgentsAreToldAnAddressThatTheyCanReach(t *testing.T) {
	bound := &net.TCPAddr{IP: net.IPv6zero, Port: 5555}
	if _, err := controllerURLs(load(t, ""), bound); err == nil || !strings.Contains(err.Error(), "controller_ip_port_list") {
		t.Errorf("listening everywhere: %v", err)
	}
	urls, err := controllerURLs(load(t, "[health_manager]\ncontroller_ip_port_list = 192.0.2.1:5555, [2001:db8::1]:5555\n"), bound)
	if err != nil || strings.Join(urls, " ") != "https://192.0.2.1:5555 https://[2001:db8::1]:5555" {
		t.Errorf("%v, %v", urls, err)
	}
	urls, err = controllerURLs(load(t, ""), &net.TCPAddr{IP: net.ParseIP("2001:db8::2"), Port: 1})
	if err != nil || strings.Join(urls, " ") != "https://[2001:db8::2]:1" {
		t.Errorf("%v, %v", urls, err)
	}
}
