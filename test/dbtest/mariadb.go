package dbtest

import (
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	_ "github.com/go-sql-driver/mysql"
)

// StartMariaDB starts a server of its own, which does not wait for the disk; the caller closes it.
func StartMariaDB() (*Server, error) {
	return startMariaDB("--debug-no-sync", "--innodb-flush-method=nosync", "--innodb-flush-log-at-trx-commit=2")
}

func startMariaDB(options ...string) (_ *Server, err error) {
	s := &Server{name: "mariadb", signal: "KILL"}
	defer s.discardAfter(&err)
	if err := s.prepare("mysql"); err != nil {
		return nil, err
	}
	install, err := find("mariadb-install-db", "/usr/bin", "/usr/local/*/scripts")
	if err != nil {
		return nil, err
	}
	daemon, err := find("mariadbd", "/usr/sbin", "/usr/local/*/bin")
	if err != nil {
		return nil, err
	}
	data, socket := filepath.Join(s.dir, "data"), filepath.Join(s.dir, "socket")
	if err := s.run(install, "--no-defaults", "--datadir="+data, "--auth-root-authentication-method=normal",
		"--skip-test-db"); err != nil {
		return nil, err
	}
	s.command = []string{daemon, "--no-defaults", "--datadir=" + data, "--socket=" + socket, "--bind-address=127.0.0.1",
		fmt.Sprintf("--port=%d", s.port), "--pid-file=" + filepath.Join(s.dir, "pid"), "--skip-name-resolve",
		"--innodb-buffer-pool-size=256M", "--max-connections=500"}
	s.command = append(s.command, options...)
	s.admin = func() (*sql.DB, error) { return sql.Open("mysql", "root@unix("+socket+")/") }
	s.create = []string{
		"CREATE DATABASE `%[1]s` CHARACTER SET utf8mb4",
		"GRANT ALL ON `%[1]s`.* TO octavo@'%%' IDENTIFIED BY '" + strings.ReplaceAll(Password, "%", "%%") + "'",
	}
	s.url = "mysql+pymysql://octavo:" + escaped() + "@127.0.0.1:%d/%s?charset=utf8mb4"
	return s, s.Start()
}

// escaped is the password as a part of a URL and of a format string.
func escaped() string {
	return strings.ReplaceAll(url.QueryEscape(Password), "%", "%%")
}
