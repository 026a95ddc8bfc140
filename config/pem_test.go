package config

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const somePEM = "-----BEGIN CERTIFICATE-----\nTUlJ\n-----END CERTIFICATE-----\n"

func TestPEMComesFromAFileOrAsItselfOrInBase64(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, []byte(somePEM), 0o600); err != nil {
		t.Fatal(err)
	}
	packed := filepath.Join(t.TempDir(), "ca.b64")
	if err := os.WriteFile(packed, []byte(base64.StdEncoding.EncodeToString([]byte(somePEM))), 0o600); err != nil {
		t.Fatal(err)
	}
	long := base64.StdEncoding.EncodeToString([]byte(strings.Repeat(somePEM, 4)))
	for name, text := range map[string]string{
		"a file": file, "a file of base64": packed, "lines that go on": strings.ReplaceAll(strings.TrimSpace(somePEM), "\n", "\n\t"), "base64": long,
		"base64 in lines of 76 columns": long[:76] + "\n\t" + long[76:152] + "\n\t" + long[152:],
	} {
		c := load(t, "[certificates]\nca_certificate = "+text+"\nca_private_key = "+file+"\n")
		if got, err := c.Certificates.CACertificate.Read(); err != nil || !strings.HasPrefix(string(got), strings.TrimSpace(somePEM)) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		var shown strings.Builder
		if err := c.DumpSet(&shown); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(shown.String(), "TUlJ") || strings.Contains(shown.String(), long[:40]) || strings.Contains(name, "a file") != strings.Contains(shown.String(), "ca_certificate = "+text) {
			t.Errorf("%s is shown as\n%s", name, shown.String())
		}
	}
	for text, want := range map[string]string{"/nowhere.pem": "nor a file that can be read", strings.Repeat("x", 300): "too long for the name of a file"} {
		if _, err := PEM(text).Read(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
