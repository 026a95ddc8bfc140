package store

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// target is a database as a DSN names it. Its String has no password, for messages.
type target struct {
	system   string // sqlite, mysql or postgresql
	file     string // of sqlite
	user     string
	password string
	address  string // host:port, or the path of a socket
	database string
	options  url.Values
}

func (t *target) String() string {
	if t.system == "sqlite" {
		return t.file
	}
	return t.database + " at " + t.address
}

// parseDSN reads SQLAlchemy's form of a database URL: system+driver://user:password@host:port/database?options. The
// driver is Python's business and is passed over.
func parseDSN(dsn string) (*target, error) {
	scheme, rest, found := strings.Cut(dsn, ":")
	system, _, _ := strings.Cut(strings.ToLower(scheme), "+")
	if !found {
		return nil, errors.New("the database URL has no scheme; sqlite:FILE, mysql+pymysql://... and postgresql://... are known")
	}
	switch system {
	case "sqlite":
		return parseSQLite(rest)
	case "mysql", "mariadb":
		return parseServer("mysql", rest, "3306")
	case "postgresql", "postgres":
		return parseServer("postgresql", rest, "5432")
	}
	return nil, fmt.Errorf("the database URL's scheme is %q; sqlite:FILE, mysql+pymysql://... and postgresql://... are known", scheme)
}

// parseSQLite takes sqlite:FILE as well as SQLAlchemy's sqlite:///FILE, in which an absolute path makes four slashes.
func parseSQLite(rest string) (*target, error) {
	file, _, _ := strings.Cut(strings.TrimPrefix(rest, "///"), "?")
	if file == "" || file == "//" || file == ":memory:" {
		return nil, errors.New("the database URL names no file; a database in memory would be lost at every start")
	}
	return &target{system: "sqlite", file: file}, nil
}

func parseServer(system, rest, defaultPort string) (*target, error) {
	u, err := url.Parse(system + ":" + rest)
	if err != nil {
		// The error of url.Parse shows the whole URL, password and all.
		return nil, errors.New("the database URL cannot be read; special characters in the password must be written as %XX")
	}
	t := &target{system: system, options: u.Query(), database: strings.TrimPrefix(u.Path, "/")}
	if t.database == "" {
		return nil, errors.New("the database URL names no database")
	}
	if u.User != nil {
		t.user = u.User.Username()
		t.password, _ = u.User.Password()
	}
	host, port := u.Hostname(), u.Port()
	if host == "" {
		host = "127.0.0.1"
	}
	if port == "" {
		port = defaultPort
	}
	t.address = net.JoinHostPort(host, port)
	for _, option := range []string{"unix_socket", "host"} {
		if path := t.options.Get(option); strings.HasPrefix(path, "/") {
			t.address = path
			if system == "postgresql" {
				t.address = path + "/.s.PGSQL." + port
			}
		}
	}
	return t, nil
}
