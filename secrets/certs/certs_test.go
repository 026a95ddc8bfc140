package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// issued is a certificate with its key, for making others.
type issued struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func (i *issued) certPEM() []byte { return toPEM("CERTIFICATE", i.cert.Raw) }

func (i *issued) keyPEM(t *testing.T) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(i.key)
	if err != nil {
		t.Fatal(err)
	}
	return toPEM("PRIVATE KEY", der)
}

func toPEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func issue(t *testing.T, name string, key crypto.Signer, by *issued) *issued {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature | x509.KeyUsageCRLSign}
	if name != "" {
		template.DNSNames = []string{name, "www." + name}
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &issued{cert, key}
}

func ecKey(t *testing.T) crypto.Signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// family is a root, what it issued, what that issued, and a leaf.
type family struct{ root, upper, lower, leaf *issued }

func newFamily(t *testing.T, leafKey crypto.Signer) family {
	var f family
	f.root = issue(t, "root", ecKey(t), nil)
	f.upper = issue(t, "upper", ecKey(t), f.root)
	f.lower = issue(t, "lower", ecKey(t), f.upper)
	f.leaf = issue(t, "example.org", leafKey, f.lower)
	return f
}

// checkWhole: the leaf, its chain in order, and a PEM that a TLS server can load.
func (f family) checkWhole(t *testing.T, what string, c *Certificate, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	if !c.Leaf.Equal(f.leaf.cert) || len(c.Chain) != 2 || !c.Chain[0].Equal(f.lower.cert) || !c.Chain[1].Equal(f.upper.cert) {
		t.Errorf("%s: not the leaf and its issuers in order", what)
		return
	}
	text, err := c.PEM()
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	pair, err := tls.X509KeyPair(text, text)
	if err != nil || len(pair.Certificate) != 3 {
		t.Errorf("%s: the PEM cannot be loaded: %v", what, err)
	}
	if names := strings.Join(c.Names(), " "); names != "example.org www.example.org" {
		t.Errorf("%s: names %s", what, names)
	}
}

// openssl runs a command in dir and answers the file out.
func openssl(t *testing.T, dir string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "openssl", append(args, "-out", "out")...)
	cmd.Dir = dir
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("openssl %v: %v\n%s", args, err, text)
	}
	out, err := os.ReadFile(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// files writes the family's files for openssl: leaf.pem, key.pem and a chain in the wrong order.
func (f family) files(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string][]byte{"leaf.pem": f.leaf.certPEM(), "key.pem": f.leaf.keyPEM(t),
		"chain.pem": slices.Concat(f.upper.certPEM(), f.lower.certPEM())} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestPKCS12AsOpenSSLWritesIt(t *testing.T) {
	keys := map[string]crypto.Signer{"ECDSA": ecKey(t)}
	var err error
	if keys["RSA"], err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	if _, keys["Ed25519"], err = ed25519.GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	forms := map[string][]string{
		"today":       nil,
		"before 3.0":  {"-legacy"},
		"RC2-128":     {"-legacy", "-certpbe", "PBE-SHA1-RC2-128", "-keypbe", "PBE-SHA1-RC2-128"},
		"3DES":        {"-legacy", "-descert"},
		"AES-128":     {"-certpbe", "AES-128-CBC", "-keypbe", "AES-192-CBC"},
		"in clear":    {"-certpbe", "NONE", "-keypbe", "NONE"},
		"without MAC": {"-nomac"},
		"iterations":  {"-iter", "100000"},
	}
	for kind, key := range keys {
		f := newFamily(t, key)
		dir := f.files(t)
		for form, options := range forms {
			der := openssl(t, dir, append([]string{"pkcs12", "-export", "-inkey", "key.pem", "-in", "leaf.pem", "-certfile", "chain.pem", "-passout", "pass:"}, options...)...)
			c, err := FromBundle(der)
			f.checkWhole(t, kind+" "+form, c, err)
		}
	}
}

func TestPKCS12WithAPasswordIsRefused(t *testing.T) {
	f := newFamily(t, ecKey(t))
	der := openssl(t, f.files(t), "pkcs12", "-export", "-inkey", "key.pem", "-in", "leaf.pem", "-passout", "pass:swordfish")
	if _, err := FromBundle(der); err == nil || !strings.Contains(err.Error(), "passphrase") {
		t.Errorf("%v", err)
	}
}

func TestEndlessKeyDerivationIsRefusedAtOnce(t *testing.T) {
	f := newFamily(t, ecKey(t))
	dir := f.files(t)
	for _, form := range [][]string{nil, {"-legacy"}} {
		der := openssl(t, dir, append([]string{"pkcs12", "-export", "-inkey", "key.pem", "-in", "leaf.pem", "-passout", "pass:", "-iter", "100000"}, form...)...)
		count := []byte{2, 3, 0x01, 0x86, 0xa0}
		if bytes.Count(der, count) < 2 {
			t.Fatalf("the iterations are not where the test looks for them")
		}
		for _, other := range [][]byte{{2, 3, 0x7f, 0xff, 0xff}, {2, 3, 0x80, 0, 0}} { // eight million, and less than none
			if _, err := FromBundle(bytes.ReplaceAll(der, count, other)); err != errTooLong {
				t.Errorf("%x iterations: %v, want errTooLong", other[2:], err)
			}
		}
	}
	start := time.Now()
	b := newBudget()
	for range 4 {
		b.take(1_000_000)
	}
	if err := b.take(1); err != errTooLong || time.Since(start) > time.Second {
		t.Errorf("the budget has no end: %v", err)
	}
	huge := 1 << 62
	if err := (&budget{left: 10}).take(2 * huge); err != errTooLong {
		t.Errorf("an overflow: %v", err)
	}
}

func TestPEMBundlesAndParts(t *testing.T) {
	f := newFamily(t, ecKey(t))
	dir := f.files(t)
	sec1 := openssl(t, dir, "ec", "-in", "key.pem")
	params := openssl(t, dir, "ecparam", "-name", "prime256v1")
	leaf, key, chain := f.leaf.certPEM(), f.leaf.keyPEM(t), slices.Concat(f.upper.certPEM(), f.lower.certPEM())
	pass := []byte("swordfish")
	for what, p := range map[string]Parts{
		"all in one":              {Certificate: slices.Concat(chain, key, leaf)},
		"in parts":                {Certificate: leaf, PrivateKey: key, Intermediates: chain},
		"SEC 1 with parameters":   {Certificate: leaf, PrivateKey: slices.Concat(params, sec1), Intermediates: chain},
		"Windows line ends":       {Certificate: bytes.ReplaceAll(slices.Concat(leaf, key, chain), []byte("\n"), []byte("\r\n"))},
		"text around":             {Certificate: slices.Concat([]byte("Bag Attributes\n  friendlyName: x\n"), leaf, []byte("\n\nand\n"), key, chain)},
		"PKCS #7 in PEM":          {Certificate: leaf, PrivateKey: key, Intermediates: openssl(t, dir, "crl2pkcs7", "-nocrl", "-certfile", "chain.pem")},
		"PKCS #7 in DER":          {Certificate: leaf, PrivateKey: key, Intermediates: openssl(t, dir, "crl2pkcs7", "-nocrl", "-certfile", "chain.pem", "-outform", "DER")},
		"encrypted PKCS #8":       {Certificate: leaf, Passphrase: pass, Intermediates: chain, PrivateKey: openssl(t, dir, "pkcs8", "-topk8", "-in", "key.pem", "-passout", "pass:swordfish")},
		"encrypted, 3DES":         {Certificate: leaf, Passphrase: pass, Intermediates: chain, PrivateKey: openssl(t, dir, "pkcs8", "-topk8", "-v2", "des3", "-in", "key.pem", "-passout", "pass:swordfish")},
		"encrypted, SHA-1":        {Certificate: leaf, Passphrase: pass, Intermediates: chain, PrivateKey: openssl(t, dir, "pkcs8", "-topk8", "-v2prf", "hmacWithSHA1", "-in", "key.pem", "-passout", "pass:swordfish")},
		"encrypted as PKCS #12":   {Certificate: leaf, Passphrase: pass, Intermediates: chain, PrivateKey: openssl(t, dir, "pkcs8", "-topk8", "-v1", "PBE-SHA1-3DES", "-in", "key.pem", "-passout", "pass:swordfish")},
		"encrypted in PEM itself": {Certificate: leaf, Passphrase: pass, Intermediates: chain, PrivateKey: openssl(t, dir, "ec", "-aes256", "-in", "key.pem", "-passout", "pass:swordfish")},
	} {
		c, err := FromParts(p)
		f.checkWhole(t, what, c, err)
	}
}

func TestWhatDoesNotFitIsRefusedInWords(t *testing.T) {
	f, other := newFamily(t, ecKey(t)), newFamily(t, ecKey(t))
	dir := f.files(t)
	leaf, key := f.leaf.certPEM(), f.leaf.keyPEM(t)
	encrypted := openssl(t, dir, "pkcs8", "-topk8", "-in", "key.pem", "-passout", "pass:swordfish")
	nameless := issue(t, "", ecKey(t), f.lower)
	for _, test := range []struct {
		parts Parts
		want  string
	}{
		{Parts{}, "no certificate"},
		{Parts{Certificate: leaf}, "no private key"},
		{Parts{PrivateKey: key}, "no certificate"},
		{Parts{Certificate: leaf, PrivateKey: other.leaf.keyPEM(t)}, "not the certificate's"},
		{Parts{Certificate: slices.Concat(leaf, key), PrivateKey: key}, "more than one private key"},
		{Parts{Certificate: leaf, PrivateKey: encrypted}, "passphrase, which is not there"},
		{Parts{Certificate: leaf, PrivateKey: encrypted, Passphrase: []byte("wrong")}, "passphrase is wrong"},
		{Parts{Certificate: toPEM("CERTIFICATE", []byte("junk")), PrivateKey: key}, "damaged"},
		{Parts{Certificate: leaf, PrivateKey: toPEM("PRIVATE KEY", []byte("junk"))}, "neither PKCS #8"},
		{Parts{Certificate: leaf, PrivateKey: key, Intermediates: []byte("junk")}, "neither PEM nor"},
		{Parts{Certificate: leaf, PrivateKey: key, Intermediates: toPEM("X509 CRL", []byte("junk"))}, "there is none"},
		{Parts{Certificate: nameless.certPEM(), PrivateKey: nameless.keyPEM(t)}, "names nobody"},
	} {
		c, err := FromParts(test.parts)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v, %v; want an error with %q", c, err, test.want)
		}
	}
	if _, err := FromBundle([]byte("junk")); err == nil || !strings.Contains(err.Error(), "neither PEM nor PKCS #12") {
		t.Errorf("junk: %v", err)
	}
}

func TestAuthoritiesAndRevocations(t *testing.T) {
	f := newFamily(t, ecKey(t))
	text, err := Authorities(slices.Concat([]byte("words\n"), f.root.certPEM(), f.upper.certPEM()))
	if err != nil || !bytes.Equal(text, slices.Concat(f.root.certPEM(), f.upper.certPEM())) {
		t.Errorf("%s, %v", text, err)
	}
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour)}, f.root.cert, f.root.key)
	if err != nil {
		t.Fatal(err)
	}
	crl := toPEM("X509 CRL", der)
	if text, err := Revocations(slices.Concat([]byte("words\n"), crl)); err != nil || !bytes.Equal(text, crl) {
		t.Errorf("%s, %v", text, err)
	}
	for what, try := range map[string]func() ([]byte, error){
		"no authority":       func() ([]byte, error) { return Authorities(crl) },
		"no list":            func() ([]byte, error) { return Revocations(f.root.certPEM()) },
		"damaged list":       func() ([]byte, error) { return Revocations(toPEM("X509 CRL", der[:20])) },
		"nothing":            func() ([]byte, error) { return Authorities(nil) },
		"damaged authority":  func() ([]byte, error) { return Authorities(toPEM("CERTIFICATE", der)) },
		"authority in clear": func() ([]byte, error) { return Authorities(f.root.cert.Raw) },
	} {
		if text, err := try(); err == nil {
			t.Errorf("%s: %s", what, text)
		}
	}
}

// RFC 2268, section 5: those vectors whose effective key length is the key's length.
func TestRC2Vectors(t *testing.T) {
	for _, v := range []struct{ key, plain, sealed string }{
		{"\xff\xff\xff\xff\xff\xff\xff\xff", "\xff\xff\xff\xff\xff\xff\xff\xff", "\x27\x8b\x27\xe4\x2e\x2f\x0d\x49"},
		{"\x30\x00\x00\x00\x00\x00\x00\x00", "\x10\x00\x00\x00\x00\x00\x00\x01", "\x30\x64\x9e\xdf\x9b\xe7\xd2\xc2"},
		{"\x88\xbc\xa9\x0e\x90\x87\x5a\x7f\x0f\x79\xc3\x84\x62\x7b\xaf\xb2", "\x00\x00\x00\x00\x00\x00\x00\x00", "\x22\x69\x55\x2a\xb0\xf8\x5c\xa6"},
	} {
		c, err := newRC2([]byte(v.key))
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 8)
		if c.Decrypt(got, []byte(v.sealed)); string(got) != v.plain {
			t.Errorf("key %x: %x, want %x", v.key, got, v.plain)
		}
	}
}

func FuzzFromBundle(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"))
	f.Add([]byte{0x30, 0x80})
	f.Fuzz(func(t *testing.T, bundle []byte) {
		if c, err := FromBundle(bundle); err == nil {
			if text, err := c.PEM(); err != nil {
				t.Errorf("accepted, but %v", err)
			} else if _, err := tls.X509KeyPair(text, text); err != nil {
				t.Errorf("accepted, but cannot be loaded: %v", err)
			}
		}
		if text, err := Authorities(bundle); err == nil && !x509.NewCertPool().AppendCertsFromPEM(text) {
			t.Error("accepted authorities that cannot be loaded")
		}
		readIntermediates(bundle)
		Revocations(bundle)
	})
}
