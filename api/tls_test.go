package api

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// certificateDir has cert.pem and key.pem.
type certificateDir string

func (d certificateDir) file(name string) string { return filepath.Join(string(d), name) }

func (d certificateDir) write(t *testing.T, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: cert}, "key.pem": {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(d.file(file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// handshake answers the name in the server's certificate.
func handshake(address string, config *tls.Config) (string, error) {
	config.InsecureSkipVerify = true // its own certificate, which is what is looked at
	conn, err := tls.Dial("tcp", address, config)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].Subject.CommonName, nil
}

func TestReplacedCertificateIsTakenAndABrokenOneIsNot(t *testing.T) {
	dir := certificateDir(t.TempDir())
	dir.write(t, "first")
	var mu sync.Mutex
	now := time.Now()
	pass := func() { mu.Lock(); defer mu.Unlock(); now = now.Add(time.Second) }
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	var log bytes.Buffer
	config, err := TLS(dir.file("cert.pem"), dir.file("key.pem"), clock, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func(conn net.Conn) { conn.(*tls.Conn).Handshake(); conn.Close() }(conn)
		}
	}()
	expect := func(want string) {
		t.Helper()
		if got, err := handshake(listener.Addr().String(), &tls.Config{}); err != nil || got != want {
			t.Errorf("certificate of %q, %v; want %s", got, err, want)
		}
	}
	expect("first")
	dir.write(t, "second")
	pass()
	expect("second")
	if err := os.WriteFile(dir.file("key.pem"), []byte("half a key"), 0o600); err != nil {
		t.Fatal(err)
	}
	pass()
	expect("second")
	dir.write(t, "third")
	pass()
	expect("third")
	if !strings.Contains(log.String(), "keeps its old certificate") {
		t.Errorf("nobody is told of the broken key: %s", &log)
	}
	if name, err := handshake(listener.Addr().String(), &tls.Config{MaxVersion: tls.VersionTLS11}); err == nil {
		t.Errorf("TLS 1.1 is accepted by %s", name)
	}
}

func TestUnusableCertificateIsNamedAtTheStart(t *testing.T) {
	dir := certificateDir(t.TempDir())
	_, err := TLS(dir.file("cert.pem"), dir.file("key.pem"), nil, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), dir.file("cert.pem")) {
		t.Errorf("%v", err)
	}
}
