package image

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const sum = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" // of "test"

func TestReadPackageList(t *testing.T) {
	got, err := parseURIs(`'http://deb.debian.org/debian/pool/main/k/keepalived/keepalived_2.2.7-1%2bb2_amd64.deb' keepalived_1%3a2.2.7-1+b2_amd64.deb 570116 SHA256:`+sum+`
'http://deb.debian.org/debian/pool/main/a/adduser/adduser_3.134_all.deb' adduser_3.134_all.deb 183228 SHA256:`+sum+"\n", "/cache")
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Name != "adduser" || got[1].Version != "1:2.2.7-1+b2" || got[1].file != "/cache/keepalived_1%3a2.2.7-1+b2_amd64.deb" {
		t.Errorf("got %+v", got)
	}
	for _, bad := range []string{
		"'http://x/a_1_all.deb' a_1_all.deb 5 MD5Sum:00\n",
		"E: Unable to locate package\n",
	} {
		if _, err := parseURIs(bad, "/cache"); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestTamperedPackageIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x_1_all.deb")
	p := Package{Name: "x", SHA256: sum, file: file}
	for text, good := range map[string]bool{"test": true, "tesu": false} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := p.verify(); (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestWhatIsLeftOut(t *testing.T) {
	for name, wanted := range map[string]bool{
		"usr/sbin/haproxy":                     true,
		"usr/share/doc/haproxy/copyright":      true,
		"usr/share/doc/haproxy/changelog.gz":   false,
		"usr/share/man/man1/haproxy.1.gz":      false,
		"etc/haproxy/haproxy.cfg":              false,
		"usr/lib/systemd/system/haproxy.unit":  false,
		uefiLoader:                             true,
		"usr/lib/x86_64-linux-gnu/libssl.so.3": true,
	} {
		if got := isWanted(name); got != wanted {
			t.Errorf("isWanted(%q) = %v", name, got)
		}
	}
}

func TestOptionsSayWhatIsMissing(t *testing.T) {
	if _, err := Build(t.Context(), Options{Output: "x"}); err == nil || !strings.Contains(err.Error(), "agent") {
		t.Errorf("got %v", err)
	}
}
