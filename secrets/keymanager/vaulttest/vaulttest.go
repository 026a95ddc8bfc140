// Package vaulttest starts a Vault for tests: the real server where OCTAVO_VAULT names the program that test/vault builds
// (make test-vault), and otherwise one that answers what the tests ask as the real one does. The same tests judge both.
package vaulttest

import (
	"bufio"
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
}

// Start starts a server that is gone with the test.
func Start(t testing.TB) Server {
	t.Helper()
	if program := os.Getenv("OCTAVO_VAULT"); program != "" {
		return startReal(t, program)
	}
	v := newVault()
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
