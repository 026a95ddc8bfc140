package keymanager

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

const id = "7f3a0000-0000-4000-8000-000000000000"

func TestReferencesNameAndNeverLead(t *testing.T) {
	for ref, want := range map[string]target{
		"https://barbican.example.org:9311/v1/secrets/" + id:       {false, id},
		"http://10.0.0.1/key-manager/v1/containers/" + id:          {true, id},
		"http://h/v1/secrets/7F3A0000-0000-4000-8000-000000000000": {false, id},
		"http://h/v1/secrets/" + id + "/":                          {false, id},
	} {
		if got, err := parse(ref); err != nil || got != want {
			t.Errorf("%s: %v, %v", ref, got, err)
		}
	}
	for _, ref := range []string{"", id, "/v1/secrets/" + id, "ftp://h/v1/secrets/" + id, "http://h/v2/secrets/" + id, "http:///v1/secrets/" + id,
		"http://h/v1/secrets/" + id + "/payload", "http://h/v1/secrets/../" + id, "http://h/?/v1/secrets/" + id, "http://h/v1/secrets/" + id + "\n"} {
		var fault *Unusable
		if got, err := parse(ref); !errors.As(err, &fault) {
			t.Errorf("%q: %v, %v; want Unusable", ref, got, err)
		}
	}
}

func TestLocalDirectory(t *testing.T) {
	dir := t.TempDir()
	make := exec.CommandContext(t.Context(), "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-subj", "/CN=example.org",
		"-passout", "pass:swordfish", "-keyout", id+".key", "-out", id+".crt")
	make.Dir = dir
	if text, err := make.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if err := os.WriteFile(filepath.Join(dir, id+".pass"), []byte("swordfish"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(dir), "outside.crt"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := OpenLocal(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if m, err := l.Certificate(t.Context(), id); err != nil || len(m.Names) != 1 || m.Names[0] != "example.org" {
		t.Errorf("%+v, %v", m, err)
	}
	if m, err := l.Authorities(t.Context(), id); err != nil || m.Digest == "" {
		t.Errorf("%+v, %v", m, err)
	}
	for _, ref := range []string{"../outside", "7f3a0000-0000-4000-8000-000000000001", "/etc/passwd"} {
		var fault *Unusable
		if _, err := l.Certificate(t.Context(), ref); !errors.As(err, &fault) {
			t.Errorf("%s: %v", ref, err)
		}
		if _, err := l.Revocations(t.Context(), ref); !errors.As(err, &fault) {
			t.Errorf("%s: %v", ref, err)
		}
	}
}
