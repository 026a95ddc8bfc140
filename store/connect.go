package store

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"golang.org/x/sys/unix"
	"modernc.org/sqlite"
)

const (
	connectTimeout = 10 * time.Second
	// lockTimeout bounds the wait for another transaction's lock; the transaction is then tried again.
	lockTimeout = 10 * time.Second
	// deadPeer is when a connection is given up whose other end does not acknowledge.
	deadPeer = 20 * time.Second
)

// connect opens the pools for writing and for reading, which are one for a database server. It reaches nothing yet,
// except that it finds out which server a mysql URL leads to.
func (t *target) connect(ctx context.Context, maxConns int, age time.Duration) (d *dialect, write, read *sql.DB, err error) {
	switch t.system {
	case "sqlite":
		write, read, err = t.openSQLite()
		return sqliteDialect, write, read, err
	case "mysql":
		write, err = t.openMySQL()
	default:
		d = postgresDialect
		write, err = t.openPostgreSQL()
	}
	if err != nil {
		return nil, nil, nil, err
	}
	maxConns = max(maxConns, 2) // one holds the lock while the schema is changed
	write.SetMaxOpenConns(maxConns)
	write.SetMaxIdleConns(maxConns)
	write.SetConnMaxIdleTime(5 * time.Minute)
	write.SetConnMaxLifetime(age)
	if d == nil {
		var version string
		if err := write.QueryRowContext(ctx, "SELECT VERSION()").Scan(&version); err != nil {
			write.Close()
			return nil, nil, nil, err
		}
		mariadb := strings.Contains(strings.ToLower(version), "mariadb")
		d = newMySQLDialect(mariadb)
		// MariaDB has the function since 10.6.
		var none int
		d.jsonTable = mariadb && write.QueryRowContext(ctx,
			`SELECT COUNT(*) FROM JSON_TABLE('[]', '$[*]' COLUMNS ("id" INT PATH '$')) AS "ids"`).Scan(&none) == nil
	}
	return d, write, write, nil
}

// openSQLite gives writing one connection, so that writers wait in line in the process rather than for the file's lock,
// and readers a pool: in WAL mode neither hinders the other.
func (t *target) openSQLite() (write, read *sql.DB, err error) {
	// Only the service may read the database: it is made before the driver makes it for everybody.
	f, err := os.OpenFile(t.file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, nil, err
	}
	f.Close()
	open := func(options string) (*sql.DB, error) {
		connector, err := sqlite.NewConnector("file:" + (&url.URL{Path: t.file}).EscapedPath() +
			"?_pragma=busy_timeout(10000)&_pragma=foreign_keys(ON)&_pragma=temp_store(MEMORY)" + options)
		if err != nil {
			return nil, err
		}
		return sql.OpenDB(prepared{connector}), nil
	}
	write, err = open("&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_txlock=immediate")
	if err != nil {
		return nil, nil, err
	}
	write.SetMaxOpenConns(1)
	if read, err = open("&_pragma=query_only(ON)"); err != nil {
		write.Close()
		return nil, nil, err
	}
	readers := max(4, 2*runtime.NumCPU())
	read.SetMaxOpenConns(readers)
	read.SetMaxIdleConns(readers)
	return write, read, nil
}

func (t *target) openMySQL() (*sql.DB, error) {
	c := mysql.NewConfig()
	c.User, c.Passwd, c.DBName, c.Addr, c.Net = t.user, t.password, t.database, t.address, "tcp"
	if strings.HasPrefix(t.address, "/") {
		c.Net = "unix"
	} else {
		c.DialFunc = dial
	}
	c.Timeout = connectTimeout
	c.ClientFoundRows = true   // an UPDATE that changes nothing has found its row all the same
	c.InterpolateParams = true // one round trip for each statement
	c.ParseTime = true
	c.Logger = &mysql.NopLogger{}
	c.Params = map[string]string{
		"sql_mode":                 "'TRADITIONAL,ANSI_QUOTES'",
		"time_zone":                "'+00:00'",
		"innodb_lock_wait_timeout": fmt.Sprint(int(lockTimeout.Seconds())),
	}
	var err error
	if c.TLS, err = t.mysqlTLS(); err != nil {
		return nil, err
	}
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(readCommitted{connector}), nil
}

// readCommitted makes each statement see what was committed before it, not before the transaction's first read: what is
// read after taking a load balancer's lock must be as new as the lock.
type readCommitted struct{ driver.Connector }

func (c readCommitted) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := conn.(driver.ExecerContext).ExecContext(ctx,
		"SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", nil); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// mysqlTLS reads PyMySQL's options. As there, naming a CA means that the server is checked against it.
func (t *target) mysqlTLS() (*tls.Config, error) {
	ca, cert, key := t.options.Get("ssl_ca"), t.options.Get("ssl_cert"), t.options.Get("ssl_key")
	if ca == "" && cert == "" && t.options.Get("ssl") == "" {
		return nil, nil
	}
	host, _, _ := net.SplitHostPort(t.address)
	c := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12, InsecureSkipVerify: ca == ""}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, fmt.Errorf("cannot read ssl_ca of the database URL: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ssl_ca of the database URL: no certificate in %s", ca)
		}
		if t.options.Get("ssl_check_hostname") == "false" || t.options.Get("ssl_verify_identity") == "false" {
			c.InsecureSkipVerify = true
			c.VerifyConnection = verifyChain(c.RootCAs)
		}
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("cannot read ssl_cert and ssl_key of the database URL: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// verifyChain checks everything but the name.
func verifyChain(roots *x509.CertPool) func(tls.ConnectionState) error {
	return func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 {
			return errors.New("the database server shows no certificate")
		}
		o := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
		for _, c := range s.PeerCertificates[1:] {
			o.Intermediates.AddCert(c)
		}
		_, err := s.PeerCertificates[0].Verify(o)
		return err
	}
}

func (t *target) openPostgreSQL() (*sql.DB, error) {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(t.user, t.password), Host: t.address, Path: "/" + t.database,
		RawQuery: t.options.Encode()}
	if dir, port, ok := strings.Cut(t.address, "/.s.PGSQL."); ok {
		options := maps.Clone(t.options)
		options.Set("host", dir)
		options.Set("port", port)
		u.Host, u.RawQuery = "", options.Encode()
	}
	c, err := pgx.ParseConfig(u.String())
	if err != nil {
		return nil, errors.New("the database URL cannot be used: check its options against PostgreSQL's connection parameters")
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = connectTimeout
	}
	c.DialFunc = dial
	for name, value := range map[string]string{
		"application_name":              "octavo",
		"timezone":                      "UTC",
		"default_transaction_isolation": "read committed",
		"lock_timeout":                  fmt.Sprint(lockTimeout.Milliseconds()),
	} {
		if _, set := c.RuntimeParams[name]; !set {
			c.RuntimeParams[name] = value
		}
	}
	return stdlib.OpenDB(*c), nil
}

// dial makes connections that notice a peer that went away without a word, at rest (keep-alive) and while something is
// under way to it.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{
		Timeout:         connectTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: deadPeer / 2, Interval: deadPeer / 4, Count: 2},
	}
	conn, err := d.DialContext(ctx, network, address)
	if tcp, ok := conn.(*net.TCPConn); ok {
		if raw, err := tcp.SyscallConn(); err == nil {
			raw.Control(func(fd uintptr) {
				unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(deadPeer.Milliseconds()))
			})
		}
	}
	return conn, err
}
