package state

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

const schemaVersion = 1

const schema = `CREATE TABLE IF NOT EXISTS object (
	seq  INTEGER NOT NULL,
	kind TEXT NOT NULL,
	key  TEXT NOT NULL,
	body TEXT NOT NULL,
	PRIMARY KEY (kind, key)
) WITHOUT ROWID`

// ErrInUse says that another process has the state file open.
var ErrInUse = errors.New("in use by another process")

// openDatabase keeps the lock on the file for as long as it is open (locking_mode) and writes each commit to the
// write-ahead log before it returns: a killed process loses nothing; a machine that loses power may lose the last
// transactions but never half of one.
func openDatabase(path string) (*sql.DB, error) {
	// The file holds password hashes and instances' user data: it must exist with its mode before SQLite would make it.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot open the state file: %w", err)
	}
	f.Close()
	pragmas := url.Values{"_pragma": {"locking_mode(EXCLUSIVE)", "journal_mode(WAL)", "synchronous(NORMAL)"}}
	dsn := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: pragmas.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, fmt.Errorf("cannot open the state file %s: %w", path, err)
	}
	db.SetMaxOpenConns(1)
	db.SetMaxIdleConns(1)
	if err := prepare(db); err != nil {
		db.Close()
		return nil, fmt.Errorf("cannot open the state file %s: %w", path, explain(err))
	}
	return db, nil
}

func prepare(db *sql.DB) error {
	var version int
	if err := db.QueryRow("PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	if version > schemaVersion {
		return fmt.Errorf("it was written by a newer octavo (format %d, this one knows %d)", version, schemaVersion)
	}
	if _, err := db.Exec(schema); err != nil {
		return err
	}
	// Also takes the exclusive lock, which a mere reader would not have.
	_, err := db.Exec(fmt.Sprintf("PRAGMA user_version = %d", schemaVersion))
	return err
}

func explain(err error) error {
	var failure *sqlite.Error
	if !errors.As(err, &failure) {
		return err
	}
	switch failure.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return ErrInUse
	case sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT:
		return fmt.Errorf("it is damaged: %w", err)
	}
	return err
}

func (s *Store) load() error {
	rows, err := s.db.Query("SELECT seq, kind, key, body FROM object")
	if err != nil {
		return explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id objectID
		e := new(entry)
		if err := rows.Scan(&e.seq, &id.kind, &id.key, &e.body); err != nil {
			return explain(err)
		}
		if !json.Valid(e.body) {
			return fmt.Errorf("it is damaged: %s %s is not JSON", id.kind, id.key)
		}
		s.insert(id, e)
		s.seq = max(s.seq, e.seq)
	}
	return explain(rows.Err())
}

func save(ctx context.Context, db *sql.DB, tx *Tx) error {
	t, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("cannot begin a state transaction: %w", explain(err))
	}
	defer t.Rollback()
	for _, id := range tx.order {
		if err := saveObject(ctx, t, id, tx.changed[id]); err != nil {
			return fmt.Errorf("cannot write %s %s: %w", id.kind, id.key, explain(err))
		}
	}
	if err := t.Commit(); err != nil {
		return fmt.Errorf("cannot commit a state transaction: %w", explain(err))
	}
	return nil
}

func saveObject(ctx context.Context, t *sql.Tx, id objectID, e *entry) error {
	if e == nil {
		_, err := t.ExecContext(ctx, "DELETE FROM object WHERE kind = ? AND key = ?", id.kind, id.key)
		return err
	}
	_, err := t.ExecContext(ctx, "INSERT INTO object (seq, kind, key, body) VALUES (?, ?, ?, ?) "+
		"ON CONFLICT (kind, key) DO UPDATE SET body = excluded.body", e.seq, id.kind, id.key, string(e.body))
	return err
}
