package dbtest

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"

	_ "github.com/jackc/pgx/v5/stdlib"
)

// StartPostgreSQL starts a server of its own, which does not wait for the disk; the caller closes it.
func StartPostgreSQL() (*Server, error) {
	return startPostgreSQL("-c", "fsync=off", "-c", "full_page_writes=off")
}

func startPostgreSQL(options ...string) (_ *Server, err error) {
	s := &Server{name: "postgresql", signal: "QUIT"}
	defer s.discardAfter(&err)
	if err := s.prepare("postgres"); err != nil {
		return nil, err
	}
	const binaries = "/usr/lib/postgresql/*/bin"
	initdb, err := find("initdb", binaries)
	if err != nil {
		return nil, err
	}
	daemon, err := find("postgres", binaries)
	if err != nil {
		return nil, err
	}
	data, passwords := filepath.Join(s.dir, "data"), filepath.Join(s.dir, "password")
	if err := os.WriteFile(passwords, []byte(Password+"\n"), 0o644); err != nil {
		return nil, err
	}
	if err := s.run(initdb, "-D", data, "-U", "octavo", "-A", "scram-sha-256", "--pwfile="+passwords, "-E", "UTF8",
		"--locale=C.UTF-8", "--no-sync"); err != nil {
		return nil, err
	}
	s.command = []string{daemon, "-D", data, "-k", s.dir, "-h", "127.0.0.1", "-p", fmt.Sprint(s.port),
		"-c", "max_connections=500", "-c", "shared_buffers=256MB"}
	s.command = append(s.command, options...)
	s.url = "postgresql://octavo:" + escaped() + "@127.0.0.1:%d/%s"
	s.admin = func() (*sql.DB, error) { return sql.Open("pgx", fmt.Sprintf(s.url, s.port, "postgres")) }
	s.create = []string{`CREATE DATABASE "%[1]s"`}
	return s, s.Start()
}
