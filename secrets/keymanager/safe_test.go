package keymanager

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/secrets"
)

// authority writes a CA and its revocation list as local certificates of these ids.
func authority(t *testing.T, dir, ca, crl string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SubjectKeyId: []byte(ca)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	list, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), NextUpdate: time.Now().Add(time.Hour)}, template, key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{ca: {Type: "CERTIFICATE", Bytes: der}, crl: {Type: "X509 CRL", Bytes: list}} {
		if err := os.WriteFile(filepath.Join(dir, name+".crt"), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

const (
	ourCA, ourCRL     = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
	theirCA, theirCRL = "00000000-0000-4000-8000-000000000003", "00000000-0000-4000-8000-000000000004"
)

func newSafe(t *testing.T) *Safe {
	t.Helper()
	dir := t.TempDir()
	authority(t, dir, ourCA, ourCRL)
	authority(t, dir, theirCA, theirCRL)
	local, err := OpenLocal(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { local.Close() })
	keys, err := secrets.OpenKeyring(filepath.Join(t.TempDir(), "keys"))
	if err != nil {
		t.Fatal(err)
	}
	return NewSafe(local, keys)
}

func (s *Safe) admit(t *testing.T, kind, ref string) lb.Secret {
	t.Helper()
	got, err := s.Admit(t.Context(), "token", "project", lb.Secret{Ref: ref, Kind: kind})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestRevocationListMustBeOfTheAuthority(t *testing.T) {
	s := newSafe(t)
	ca, crl, stray := s.admit(t, lb.AuthoritySecret, ourCA), s.admit(t, lb.RevocationSecret, ourCRL), s.admit(t, lb.RevocationSecret, theirCRL)
	if err := s.CheckRevocations(crl, ca); err != nil {
		t.Errorf("the authority's own: %v", err)
	}
	if err := s.CheckRevocations(stray, ca); lb.AsFault(err) == nil || lb.AsFault(err).Code.Status() != 400 {
		t.Errorf("another's: %v, want a fault", err)
	}
}

func TestSealedSecretOpensAsWhatItIsOnly(t *testing.T) {
	s := newSafe(t)
	ours, theirs := s.admit(t, lb.AuthoritySecret, ourCA), s.admit(t, lb.AuthoritySecret, theirCA)
	if text, err := s.Open(ours.Sealed, ours.Digest); err != nil || len(text) == 0 {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := s.Open(theirs.Sealed, ours.Digest); err == nil {
		t.Error("another secret opens in its place")
	}
}

func TestUnusableReferenceIsTheTenantsFault(t *testing.T) {
	s := newSafe(t)
	for kind, ref := range map[string]string{lb.CertificateSecret: ourCA, lb.RevocationSecret: ourCA, lb.AuthoritySecret: "nowhere"} {
		_, err := s.Admit(t.Context(), "token", "project", lb.Secret{Ref: ref, Kind: kind})
		if f := lb.AsFault(err); f == nil || f.Code != lb.InvalidReference {
			t.Errorf("%s as %s: %v, want a fault", ref, kind, err)
		}
	}
}

func TestNoopHasTheSameForAReferenceEachTime(t *testing.T) {
	keys, err := secrets.OpenKeyring(filepath.Join(t.TempDir(), "keys"))
	if err != nil {
		t.Fatal(err)
	}
	s := NewSafe(Noop{}, keys)
	for _, kind := range []string{lb.CertificateSecret, lb.AuthoritySecret, lb.RevocationSecret} {
		if one, other := s.admit(t, kind, "x"), s.admit(t, kind, "x"); one.Digest != other.Digest {
			t.Errorf("%s: %s and %s", kind, one.Digest, other.Digest)
		}
	}
	if s.admit(t, lb.CertificateSecret, "x").Digest == s.admit(t, lb.CertificateSecret, "y").Digest {
		t.Error("two certificates are the same")
	}
	if err := s.CheckRevocations(s.admit(t, lb.RevocationSecret, "x"), s.admit(t, lb.AuthoritySecret, "y")); err != nil {
		t.Error(err)
	}
}
