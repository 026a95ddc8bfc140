// Package dbtest starts real MariaDB and PostgreSQL servers for tests and benchmarks: on free ports, with data in a
// temporary directory, as an unprivileged user. A server is started when the first test asks for it, serves the whole test
// binary, and is gone with its data when that ends in any way, also killed.
package dbtest

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// One server of each kind serves the test binary: starting one takes seconds. Benchmarks have servers that write through to
// the disk, as they do in production; for tests that is only slow.
var (
	servers = map[string]func() (*Server, error){
		"mariadb":            sync.OnceValues(StartMariaDB),
		"postgresql":         sync.OnceValues(StartPostgreSQL),
		"durable mariadb":    sync.OnceValues(func() (*Server, error) { return startMariaDB() }),
		"durable postgresql": sync.OnceValues(func() (*Server, error) { return startPostgreSQL() }),
	}
	databases atomic.Int64
)

// Kinds are the databases that Octavo runs on.
func Kinds() []string { return []string{"sqlite", "mariadb", "postgresql"} }

// Each runs a test against a new, empty database of every kind.
func Each(t *testing.T, test func(t *testing.T, dsn string)) {
	for _, kind := range Kinds() {
		t.Run(kind, func(t *testing.T) { test(t, DSN(t, kind)) })
	}
}

// DSN makes a new, empty database of the kind and returns the URL to open it with.
func DSN(t testing.TB, kind string) string {
	t.Helper()
	if kind == "sqlite" {
		return "sqlite:" + filepath.Join(t.TempDir(), "octavo.db")
	}
	name := kind
	if _, ok := t.(*testing.B); ok {
		name = "durable " + kind
	}
	start := servers[name]
	if start == nil {
		t.Fatalf("no database is called %q; there are %s", kind, strings.Join(Kinds(), ", "))
	}
	server, err := start()
	if err != nil {
		t.Fatalf("cannot start %s: %v", kind, err)
	}
	dsn, err := server.NewDatabase(fmt.Sprintf("octavo%d", databases.Add(1)))
	if err != nil {
		t.Fatal(err)
	}
	return dsn
}
