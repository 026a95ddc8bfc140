// Package vaulttest starts a Vault for tests: the real server where OCTAVO_VAULT names the program that test/vault builds
// (make test-vault), and otherwise one that answers what the tests ask as the real one does. The same tests judge both.
package vaulttest

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Server is a new, empty and unsealed Vault with the API of its own.
type Server struct {
	URL, RootToken, UnsealKey string
	Settle                    time.Duration // how long it takes until an engine that was mounted or unsealed is ready
	// CA is what the server's certificate is checked with, in PEM, and Namespace where everything is; both are empty but with
	// StartSecure.
	CA        []byte
	Namespace string
}

// Request asks the API as an operator with a token would.
func (s Server) Request(t testing.TB, token, method, path, body string, headers ...string) (status int, answer []byte) {
	t.Helper()
	q, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), method, s.URL+"/v1/"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("X-Vault-Token", token)
	if s.Namespace != "" {
		q.Header.Set("X-Vault-Namespace", s.Namespace)
	}
	for i := 0; i < len(headers); i += 2 {
		q.Header.Set(headers[i], headers[i+1])
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.CA)
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
	resp, err := client.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if answer, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, answer
}

// StartSecure starts a server that speaks TLS with a certificate of a private CA and has all that there is in a namespace.
// It is always the one of this package: namespaces are not in the Vault that can be built from source.
func StartSecure(t testing.TB, namespace string) Server {
	t.Helper()
	root, leaf := certificates(t)
	server := httptest.NewUnstartedServer(newVault(namespace))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{leaf}}
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that do not trust it are part of the tests
	server.StartTLS()
	t.Cleanup(server.Close)
	return Server{URL: server.URL, RootToken: rootToken, UnsealKey: unsealKey, CA: root, Namespace: namespace}
}

// certificates makes a CA, in PEM, and a certificate of it for 127.0.0.1.
func certificates(t testing.TB) (root []byte, leaf tls.Certificate) {
	t.Helper()
	sign := func(template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) []byte {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	var keys [2]*ecdsa.PrivateKey
	for i := range keys {
		var err error
		if keys[i], err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	authority := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Private CA"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign}
	rootDER := sign(authority, authority, keys[0], keys[0])
	leafDER := sign(&x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "vault"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, authority, keys[1], keys[0])
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rootDER}), tls.Certificate{Certificate: [][]byte{leafDER}, PrivateKey: keys[1]}
}

// Start starts a server that is gone with the test.
func Start(t testing.TB) Server {
	t.Helper()
	if program := os.Getenv("OCTAVO_VAULT"); program != "" {
		return startReal(t, program)
	}
	v := newVault("")
	server := httptest.NewServer(v)
	t.Cleanup(server.Close)
	return Server{URL: server.URL, RootToken: rootToken, UnsealKey: unsealKey}
}

func startReal(t testing.TB, program string) Server {
	t.Helper()
	cmd := exec.Command(program, "127.0.0.1:0")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatalf("cannot start Vault: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	words := strings.Fields(line)
	if err != nil || len(words) != 3 {
		t.Fatalf("Vault said %q (%v)", line, err)
	}
	return Server{URL: words[0], RootToken: words[1], UnsealKey: words[2], Settle: 2 * time.Second}
}
