// Package store keeps what was asked for and what was observed, in SQLite, MariaDB/MySQL or PostgreSQL. It is the only
// source of truth and the only queue of the service.
//
// A row's columns are the attributes declared in package lb under their wire names, so a new attribute needs a line there
// and a migration here. Provisioning statuses are computed when rows are read; nothing stores them.
package store

import (
	"context"
	"log/slog"
	"time"
)

// Options are what a store takes from outside. The zero value works.
type Options struct {
	// Clock gives the time that rows are stamped and leases are judged with; time.Now when nil.
	Clock func() time.Time
	// Logger hears about outages and slow work; silent when nil.
	Logger *slog.Logger
	// Poll is how often the change log is read for other nodes' writes while somebody is subscribed; a second when 0.
	Poll time.Duration
	// MaxConns bounds the connections to the database server; 20 when 0. SQLite has one for writing besides.
	MaxConns int
	// Trace is called after every statement, for tests and profiles.
	Trace func(ctx context.Context, statement string, took time.Duration, err error)
}

// Store is a database of load balancers. Its methods may be called concurrently.
//
// An error for which IsTemporary holds means that the database cannot be reached or is overloaded; the store recovers by
// itself, and callers try again later.
type Store struct {
	options Options
}

// Open connects to the database that dsn names, brings its schema up to date and returns the store. The dsn is SQLAlchemy's
// URL as octavia.conf has it: sqlite:FILE, mysql+pymysql://user:password@host:port/database?..., postgresql://...
// An error says in one sentence what is wrong and names no password.
func Open(ctx context.Context, dsn string, o Options) (*Store, error) { panic("store: not built yet") }

// Close ends subscriptions and closes the connections.
func (s *Store) Close() error { panic("store: not built yet") }

// Ping tells whether the database answers.
func (s *Store) Ping(ctx context.Context) error { panic("store: not built yet") }

// IsTemporary tells an outage or overload of the database from every other error.
func IsTemporary(err error) bool { panic("store: not built yet") }
