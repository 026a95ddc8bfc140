package store

import "testing"

func TestDatabaseURLsOfOctaviaConf(t *testing.T) {
	for dsn, want := range map[string]target{
		"sqlite:octavo.db":             {system: "sqlite", file: "octavo.db"},
		"sqlite:/var/lib/octavo.db":    {system: "sqlite", file: "/var/lib/octavo.db"},
		"sqlite:////var/lib/octavo.db": {system: "sqlite", file: "/var/lib/octavo.db"},
		"sqlite:///octavo.db":          {system: "sqlite", file: "octavo.db"},
		"mysql+pymysql://octavia:p%40ss@db.example/octavia?charset=utf8": {system: "mysql", user: "octavia", password: "p@ss",
			address: "db.example:3306", database: "octavia"},
		"mysql://u@[2001:db8::1]:3307/o":                                      {system: "mysql", user: "u", address: "[2001:db8::1]:3307", database: "o"},
		"mysql+pymysql://u:p@localhost/o?unix_socket=/run/mysqld/mysqld.sock": {system: "mysql", user: "u", password: "p", address: "/run/mysqld/mysqld.sock", database: "o"},
		"postgresql+psycopg2://u:p@/o?host=/var/run/postgresql": {system: "postgresql", user: "u", password: "p",
			address: "/var/run/postgresql/.s.PGSQL.5432", database: "o"},
		"postgres://u:p@db:6432/o": {system: "postgresql", user: "u", password: "p", address: "db:6432", database: "o"},
	} {
		got, err := parseDSN(dsn)
		if err != nil {
			t.Errorf("%s: %v", dsn, err)
			continue
		}
		got.options = nil
		if got.system != want.system || got.file != want.file || got.user != want.user || got.password != want.password ||
			got.address != want.address || got.database != want.database {
			t.Errorf("%s: got %+v, want %+v", dsn, *got, want)
		}
	}
}
