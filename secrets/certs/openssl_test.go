package certs_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"os"

	"github.com/octavo-lb/octavo/secrets/certs"
)

// TestEveryFormOfKeyThatOpenSSLWritesIsRead lets the real program write keys in all the ways that guides, scripts and older
// versions of it use.
func TestEveryFormOfKeyThatOpenSSLWritesIsRead(t *testing.T) {
	for name, script := range map[string]string{
		"PKCS #8":                          "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key",
		"PKCS #1":                          "openssl genrsa -traditional -out key 2048",
		"PKCS #8 EC":                       "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key",
		"SEC 1 after EC PARAMETERS":        "openssl ecparam -name secp384r1 -genkey -out key",
		"Ed25519":                          "openssl genpkey -algorithm ED25519 -out key",
		"genrsa -des3 of 3.0":              "openssl genrsa -des3 -passout pass:geheim -out key 2048",
		"genrsa -des3 of 1.1":              "openssl genrsa -traditional -des3 -passout pass:geheim -out key 2048",
		"genrsa -aes128 of 1.1":            "openssl genrsa -traditional -aes128 -passout pass:geheim -out key 2048",
		"genrsa -aes192 of 1.1":            "openssl genrsa -traditional -aes192 -passout pass:geheim -out key 2048",
		"genrsa -aes256 of 1.1":            "openssl genrsa -traditional -aes256 -passout pass:geheim -out key 2048",
		"the guide's genpkey":              "openssl genpkey -algorithm RSA -out key -aes-128-cbc -pass pass:geheim -pkeyopt rsa_keygen_bits:2048",
		"genpkey -aes256":                  "openssl genpkey -algorithm RSA -out key -aes256 -pass pass:geheim -pkeyopt rsa_keygen_bits:2048",
		"PBES2 with scrypt":                "openssl genrsa 2048 2>/dev/null | openssl pkcs8 -topk8 -scrypt -passout pass:geheim -out key",
		"PBES2 with HMAC-SHA-512":          "openssl genrsa 2048 2>/dev/null | openssl pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA512 -passout pass:geheim -out key",
		"PBES2 with HMAC-SHA-1":            "openssl genrsa 2048 2>/dev/null | openssl pkcs8 -topk8 -v2 des3 -v2prf hmacWithSHA1 -passout pass:geheim -out key",
		"PBES1 with SHA-1 and triple DES":  "openssl genrsa 2048 2>/dev/null | openssl pkcs8 -topk8 -v1 PBE-SHA1-3DES -passout pass:geheim -out key",
		"encrypted SEC 1":                  "openssl ecparam -name prime256v1 -genkey -noout | openssl ec -aes256 -passout pass:geheim -out key",
		"encrypted Ed25519":                "openssl genpkey -algorithm ED25519 -aes256 -pass pass:geheim -out key",
		"after the text that openssl adds": "openssl genrsa 2048 2>/dev/null | openssl pkey -text -out key",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			c := exec.Command("bash", "-euc", script)
			c.Dir = dir
			if out, err := c.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			text, err := os.ReadFile(filepath.Join(dir, "key"))
			if err != nil {
				t.Fatal(err)
			}
			encrypted := strings.Contains(string(text), "ENCRYPTED")
			if encrypted != strings.Contains(script, "geheim") {
				t.Fatalf("openssl did not write what the name says:\n%s", text)
			}
			if _, err := certs.PrivateKey(text, []byte("geheim")); err != nil {
				t.Fatal(err)
			}
			if !encrypted {
				return
			}
			if _, err := certs.PrivateKey(text, []byte("falsch")); err == nil || !strings.Contains(err.Error(), "passphrase is wrong") {
				t.Errorf("a wrong passphrase: %v", err)
			}
			if _, err := certs.PrivateKey(text, nil); err == nil || !strings.Contains(err.Error(), "passphrase, which is not there") {
				t.Errorf("no passphrase: %v", err)
			}
		})
	}
}

func TestKeyThatCannotBeReadIsToldApartFromAWrongPassphrase(t *testing.T) {
	out, err := exec.Command("bash", "-euc", "openssl genrsa -traditional -camellia256 -passout pass:geheim 2048 2>/dev/null").Output()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := certs.PrivateKey(out, []byte("geheim")); err == nil || !strings.Contains(err.Error(), "encrypted in a way that is not supported") {
		t.Errorf("Camellia: %v", err)
	}
	if _, err := certs.PrivateKey([]byte("hello"), nil); err == nil || !strings.Contains(err.Error(), "no private key in PEM") {
		t.Errorf("no PEM: %v", err)
	}
}
