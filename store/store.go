// Package store keeps what was asked for and what was observed, in SQLite, MariaDB/MySQL or PostgreSQL. It is the only
// source of truth and the only queue of the service.
//
// A row's columns are the attributes declared in package lb under their wire names, so a new attribute needs a line there
// and a migration here. Provisioning statuses are computed when rows are read; nothing stores them.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"time"

	"github.com/google/uuid"

	"github.com/octavo-lb/octavo/lb"
)

// Options are what a store takes from outside. The zero value works.
type Options struct {
	// Clock gives the time that rows are stamped and leases are judged with; time.Now when nil.
	Clock func() time.Time
	// Rand gives a number from 0 to n-1, for back-off and for choosing among what is due; math/rand/v2 when nil.
	Rand func(n int) int
	// Logger hears about outages; silent when nil.
	Logger *slog.Logger
	// Poll is how often the change log is read for other nodes' writes while somebody is subscribed; a second when 0.
	Poll time.Duration
	// MaxConns bounds the connections to the database server; 20 when 0. SQLite has one for writing and a few for reading.
	MaxConns int
	// MaxConnAge is after how long a connection to the database server is replaced, so that connections move on after a
	// failover behind a proxy; 30 minutes when 0.
	MaxConnAge time.Duration
	// Notify writes the text of a notification: of a load balancer that was created, updated or deleted, as it is when that is
	// in force. No notifications are stored when nil.
	Notify func(event string, tree *lb.Tree, at time.Time) []byte
	// AsIs opens a database for a look: there must be one, of this version's schema, and nothing of it is changed by Open.
	AsIs bool
	// Trace is called after every statement, for tests and profiles.
	Trace func(ctx context.Context, statement string, took time.Duration, err error)
}

// Store is a database of load balancers. Its methods may be called concurrently.
//
// An error for which IsTemporary holds means that the database cannot be reached or is overloaded; the store recovers by
// itself, and callers try again later.
type Store struct {
	options Options
	dialect *dialect
	writeDB *sql.DB
	readDB  *sql.DB
	read    reader
	origin  string // tells this store's change log entries from other nodes'
	feed    *feed
}

// Open connects to the database that dsn names, brings its schema up to date and returns the store. The dsn is SQLAlchemy's
// URL as octavia.conf has it: sqlite:FILE, mysql+pymysql://user:password@host:port/database?..., postgresql://...
// An error says in one sentence what is wrong and names no password.
func Open(ctx context.Context, dsn string, o Options) (*Store, error) {
	target, err := parseDSN(dsn)
	if err != nil {
		return nil, err
	}
	o.fill()
	if _, missing := os.Stat(target.file); o.AsIs && target.system == "sqlite" && missing != nil {
		return nil, target.explain(missing)
	}
	if target.system == "sqlite" {
		unlock, err := lockDirectory(ctx, target.file)
		if err != nil {
			return nil, target.explain(err)
		}
		defer unlock()
	}
	d, write, read, err := target.connect(ctx, o.MaxConns, o.MaxConnAge)
	if err != nil {
		return nil, target.explain(err)
	}
	s := &Store{options: o, dialect: d, writeDB: write, readDB: read, origin: uuid.NewString()}
	s.read = reader{dialect: d, queryer: read, trace: o.Trace}
	s.feed = newFeed(s)
	if err := s.prepare(ctx, target); err != nil {
		s.Close()
		return nil, target.explain(err)
	}
	return s, nil
}

func (o *Options) fill() {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.IntN
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Poll == 0 {
		o.Poll = time.Second
	}
	if o.MaxConnAge == 0 {
		o.MaxConnAge = 30 * time.Minute
	}
	if o.MaxConns == 0 {
		o.MaxConns = 20
	}
}

func (s *Store) prepare(ctx context.Context, t *target) error {
	if err := s.writeDB.PingContext(ctx); err != nil {
		return err
	}
	if t.system == "sqlite" {
		if err := t.checkSQLite(ctx, s.writeDB); err != nil {
			return err
		}
	}
	return t.migrate(ctx, s.dialect, s.writeDB, s.options.AsIs)
}

// Close ends subscriptions and closes the connections.
func (s *Store) Close() error {
	s.feed.close()
	return errors.Join(s.readDB.Close(), s.writeDB.Close())
}

// Ping tells whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.readDB.PingContext(ctx); err != nil {
		return fmt.Errorf("the database does not answer: %w", err)
	}
	return nil
}

// now is the time as the databases can store it.
func (s *Store) now() time.Time { return s.options.Clock().UTC().Truncate(time.Microsecond) }

func (s *Store) reader() *reader { return &s.read }
