package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// upstream reads the list of Octavia's options: a file that sets those with a default, and the names of the others.
func upstream(t *testing.T) (text string, others [][2]string) {
	t.Helper()
	content, err := os.ReadFile("testdata/upstream.conf")
	if err != nil {
		t.Fatal(err)
	}
	section := ""
	for line := range strings.Lines(string(content)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			section = strings.Trim(line, "[]")
		}
		if name, ok := strings.CutPrefix(line, "#"); ok && section != "" {
			others = append(others, [2]string{section, name})
		}
	}
	return string(content), others
}

const account = "auth_url = http://keystone:5000\nusername = octavia\npassword = secret\nproject_name = service\n"

// TestEveryOptionOfOctaviaIsKnown uses a file in which every option of Octavia has its default.
func TestEveryOptionOfOctaviaIsKnown(t *testing.T) {
	text, others := upstream(t)
	for _, section := range []string{"keystone_authtoken", "service_auth"} {
		text = strings.Replace(text, "["+section+"]\n", "["+section+"]\n"+account, 1)
	}
	load := func(text string) (*Config, error) {
		file := filepath.Join(t.TempDir(), "octavia.conf")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return Load(Sources{Files: []string{file}})
	}
	// The passphrase that everybody can read is the one default that cannot be used.
	_, err := load(text)
	if problems, ok := err.(Problems); !ok || len(problems) != 1 || !strings.Contains(err.Error(), "server_certs_key_passphrase = ***") || !strings.Contains(err.Error(), "leave it out") {
		t.Errorf("with all defaults: %v", err)
	}
	c, err := load(strings.Replace(text, "server_certs_key_passphrase = ", "#", 1))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range c.Unknown {
		t.Errorf("nobody knows %s", key)
	}
	known := map[string]bool{}
	for _, o := range options() {
		known[nameKey(o.section, o.key)], known[nameKey(o.section, o.old)] = true, true
	}
	for _, o := range others {
		if !known[nameKey(o[0], o[1])] && !withoutEffect(o[0], o[1]) {
			t.Errorf("nobody knows [%s] %s", o[0], o[1])
		}
	}
	if len(others) < 150 || len(c.WithoutEffect) < 150 {
		t.Errorf("the list is short: %d and %d", len(others), len(c.WithoutEffect))
	}
}
