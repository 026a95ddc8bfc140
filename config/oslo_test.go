package config

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"reflect"
	"strings"
	"testing"
)

// cases are files (often one) that both we and oslo.config read.
var cases = [][]string{
	{""},
	{"[DEFAULT]\nhost = a\n"},
	{"[DEFAULT]\nhost=a\nhost = b\n"},
	{"[DEFAULT]\nhost: a=b\nlog_file = c:d\n"},
	{"[DEFAULT]\n# a comment\nhost = a # no comment\n; another\n"},
	{"[DEFAULT]\nhost = \"quoted\"\nlog_file = 'it is'\nlog_dir = \"\n"},
	{"[DEFAULT]\nhost = \"a\" b\nlog_file = ''\nlog_dir = \"a'\n"},
	{"[DEFAULT]\nhost = a\n  b\n\tc\n\nlog_file = d\n"},
	{"[DEFAULT]\nhost = a\n  # b\n"},
	{"[DEFAULT]\nhost =\nlog_file=\n"},
	{"[DEFAULT]\r\nhost = a\r\n"},
	{"[default]\nhost = a\n"},
	{"[API_Settings]\napi_base_uri = a\n"},
	{"[api_settings]\nAPI_BASE_URI = a\n"},
	{"[api_settings]\napi-base-uri = a\n"},
	{"[ api_settings ]\napi_base_uri = a\n"},
	{"[api_settings]\napi_base_uri = 1\n[DEFAULT]\nhost = h\n[api_settings]\nbind_port = 5\n"},
	{"[api_settings]\ntls_cipher_blacklist = A:B\n"},
	{"[api_settings]\ntls_cipher_blacklist = A:B\ntls_cipher_prohibit_list = C\n"},
	{"[api_settings]\nbind_port = 0x10\n"},
	{"[api_settings]\nbind_port = 1_000\n"},
	{"[api_settings]\nbind_port = 65536\n"},
	{"[api_settings]\nbind_port = x\n"},
	{"[api_settings]\nbind_port = ' 80'\n"},
	{"[DEFAULT]\ndebug = Yes\n"},
	{"[DEFAULT]\ndebug = on\n"},
	{"[DEFAULT]\ndebug = 0\n"},
	{"[DEFAULT]\ndebug = maybe\n"},
	{"[DEFAULT]\ndebug =\n"},
	{"[networking]\nvalid_vip_networks = a, b ,c,\n"},
	{"[networking]\nvalid_vip_networks = a,,b,,,\n"},
	{"[networking]\nvalid_vip_networks =\n"},
	{"[networking]\nvalid_vip_networks = a,\n  b\n"},
	{"[api_settings]\nenabled_provider_drivers = amphora: The driver, ovn:OVN: the other\n"},
	{"[api_settings]\nenabled_provider_drivers = amphora\n"},
	{"[api_settings]\nenabled_provider_drivers =\n"},
	{"[oslo_messaging_notifications]\ndriver = log\ndriver = messagingv2\n"},
	{"[oslo_messaging_notifications]\ndriver = log\n", "[oslo_messaging_notifications]\ndriver = noop\n"},
	{"[DEFAULT]\nhost = a\nlog_dir = x\n", "[DEFAULT]\nhost = b\n"},
	{"[DEFAULT]\nhost = $log_dir/x\nlog_dir = ${log_file}y\nlog_file = z\n"},
	{"[DEFAULT]\nhost = a\n[api_settings]\napi_base_uri = http://$host:$bind_port/\n"},
	{"[DEFAULT]\nhost = ${api_settings.api_base_uri}\n[api_settings]\napi_base_uri = $bind_port\n"},
	{"[DEFAULT]\nhost = pa$$word\nlog_file = pa\\$word\nlog_dir = 5$ $1\n"},
	{"[DEFAULT]\nhost = pa$word\n"},
	{"[DEFAULT]\nhost = $log_file\n"},
	{"[DEFAULT]\nhost = $HOST\n"},
	{"[DEFAULT]\nhost = $log_dir\nlog_dir = $host\n"},
	{"[networking]\nvalid_vip_networks = a$host,c\n[DEFAULT]\nhost = x,y\n"},
	{"host = a\n"},
	{"[DEFAULT]\nhost\n"},
	{"[DEFAULT\nhost = a\n"},
	{"[]\nhost = a\n"},
	{"[DEFAULT]\n= a\n"},
	{"[DEFAULT]\n  host = a\n"},
	{"[DEFAULT]\nhost = a\n\n  b\n"},
}

func TestFilesMeanWhatTheyMeanToOslo(t *testing.T) {
	want := askOslo(t)
	for i, texts := range cases {
		got := ours(texts)
		if want[i] == nil || got == nil {
			if (want[i] == nil) != (got == nil) {
				t.Errorf("%q: %v, oslo.config says %v", texts, got, want[i])
			}
			continue
		}
		for name, value := range want[i] {
			if !reflect.DeepEqual(got[name], value) {
				t.Errorf("%q: %s is %#v, oslo.config says %#v", texts, name, got[name], value)
			}
		}
	}
}

// askOslo needs Debian's python3-oslo.config, which comes with the openstack client.
func askOslo(t *testing.T) (answers []map[string]any) {
	t.Helper()
	in, err := json.Marshal(cases)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "testdata/oslo.py")
	cmd.Stdin = bytes.NewReader(in)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("oslo.config: %v\n%s", err, complaints.Bytes())
	}
	if err := json.Unmarshal(out, &answers); err != nil {
		t.Fatal(err)
	}
	return answers
}

// ours is nil when the files cannot be read.
func ours(texts []string) map[string]any {
	v := values{}
	for _, text := range texts {
		if v.parse(strings.NewReader(text), "file") != nil {
			return nil
		}
	}
	for section := range v { // what oslo.py leaves out
		if section == "api_settings" && len(v.all(section, "enabled_provider_drivers")) == 0 {
			v[section]["enabled_provider_drivers"] = []value{{text: "a:b"}}
		}
	}
	c, err := decode(v, nil)
	if err != nil {
		return nil
	}
	answer := map[string]any{
		"DEFAULT.host": c.Default.Host, "DEFAULT.log_file": c.Default.LogFile, "DEFAULT.log_dir": c.Default.LogDir,
		"DEFAULT.debug": c.Default.Debug, "api_settings.api_base_uri": c.API.BaseURI,
		"api_settings.bind_port": float64(c.API.BindPort), "api_settings.tls_cert_file": c.API.TLSCertFile,
		"api_settings.tls_cipher_prohibit_list": c.API.ProhibitedCiphers,
		"networking.valid_vip_networks":         list(c.Networking.ValidVIPNetworks),
		"oslo_messaging_notifications.driver":   list(c.Notifications.Drivers),
	}
	providers := map[string]any{}
	for name, text := range c.API.Providers {
		providers[name] = text
	}
	if v["api_settings"] == nil {
		providers = map[string]any{"a": "b"}
	}
	answer["api_settings.enabled_provider_drivers"] = providers
	return answer
}

func list(texts []string) []any {
	all := []any{}
	for _, t := range texts {
		all = append(all, t)
	}
	return all
}
