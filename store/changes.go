package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Change is an entry of the change log.
type Change struct {
	Seq        int64 // order in which commits became visible; no reader that goes on from one misses a later one
	LB         string
	Kind       Kind
	ObjectID   string
	Action     string // create, update, delete (asked for); status (something new was observed); purge (the row is gone)
	Generation int64
	ProjectID  string
	At         time.Time
	origin     string
}

func (tx *Tx) insertChanges(ctx context.Context) error {
	const perRow = 8
	args := make([]any, 0, perRow*len(tx.changes))
	for _, c := range tx.changes {
		if b := tx.balance; b != nil {
			c.LB, c.Generation = b.id, b.generation
			if c.ProjectID == "" {
				c.ProjectID = b.projectID
			}
		}
		args = append(args, tx.store.origin, c.LB, string(c.Kind), c.ObjectID, c.Action, c.Generation, c.ProjectID, formatTime(tx.now))
	}
	for chunk := range slices.Chunk(args, rowsPerInsert*perRow) {
		_, err := tx.r.exec(ctx, `INSERT INTO "change_log" ("origin", "lb_id", "kind", "object_id", "action", "generation",`+
			` "project_id", "at") VALUES `+
			strings.TrimSuffix(strings.Repeat(placeholders(perRow)+", ", len(chunk)/perRow), ", "), chunk...)
		if err != nil {
			return fmt.Errorf("cannot append to the change log: %w", err)
		}
	}
	return nil
}

// sequence is the column that orders entries by when their commits became visible. Where one writer writes at a time, the
// key that counts up is that. Elsewhere a key is taken before the commit, so that a reader could be past it when the entry
// appears; there entries are numbered once they can be seen, by whoever reads.
func (d *dialect) sequence() string {
	if d.serial {
		return quote("id")
	}
	return quote("seq")
}

const numberedAtOnce = 500

// number gives entries that can be seen and have no sequence number the next ones. Readers of all nodes take turns.
func (s *Store) number(ctx context.Context) error {
	if s.dialect.serial {
		return nil
	}
	for {
		var one int
		err := s.read.row(ctx, `SELECT 1 FROM "change_log" WHERE "seq" IS NULL LIMIT 1`, nil, &one)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		numbered := 0
		if err == nil {
			err = s.Write(ctx, func(tx *Tx) (err error) {
				numbered, err = tx.number(ctx)
				return err
			})
		}
		if err != nil {
			return fmt.Errorf("cannot number the change log: %w", err)
		}
		if numbered == 0 {
			return nil // another reader was faster, and what is read here does not show that yet
		}
	}
}

// number tells how many entries it gave a sequence number.
func (tx *Tx) number(ctx context.Context) (int, error) {
	var head, id int64
	err := tx.r.row(ctx, `SELECT "seq" FROM "change_head" WHERE "id" = 1`+tx.r.dialect.forUpdate, nil, &head)
	if err != nil {
		return 0, err
	}
	var cases strings.Builder
	var ids []any
	err = tx.r.each(ctx, `SELECT "id" FROM "change_log" WHERE "seq" IS NULL ORDER BY "id" LIMIT ?`, []any{numberedAtOnce}, func() {
		head++
		fmt.Fprintf(&cases, " WHEN %d THEN %d", id, head)
		ids = append(ids, id)
	}, &id)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	if _, err := tx.r.exec(ctx, `UPDATE "change_log" SET "seq" = CASE "id"`+cases.String()+` END WHERE "id" IN `+
		placeholders(len(ids)), ids...); err != nil {
		return 0, err
	}
	_, err = tx.r.exec(ctx, `UPDATE "change_head" SET "seq" = ? WHERE "id" = 1`, head)
	return len(ids), err
}

// Changes reads up to limit entries after a sequence number. A reader that goes on from the last one it got misses none,
// also not one whose transaction took long to commit.
func (s *Store) Changes(ctx context.Context, after int64, limit int) ([]Change, error) {
	if err := s.number(ctx); err != nil {
		return nil, err
	}
	var c Change
	var at nullTime
	changes := []Change{}
	seq := s.dialect.sequence()
	err := s.read.each(ctx, `SELECT `+seq+`, "origin", "lb_id", "kind", "object_id", "action", "generation", "project_id", "at"`+
		` FROM "change_log" WHERE `+seq+` > ? ORDER BY `+seq+` LIMIT ?`, []any{after, limit}, func() {
		c.At = *at.t
		changes = append(changes, c)
	}, &c.Seq, &c.origin, &c.LB, &c.Kind, &c.ObjectID, &c.Action, &c.Generation, &c.ProjectID, &at)
	if err != nil {
		return nil, fmt.Errorf("cannot read the change log: %w", err)
	}
	return changes, nil
}

// LastChange is the newest sequence number, to read on from; 0 when nothing was logged.
func (s *Store) LastChange(ctx context.Context) (last int64, err error) {
	if err := s.number(ctx); err != nil {
		return 0, err
	}
	seq := s.dialect.sequence()
	if err := s.read.row(ctx, `SELECT COALESCE(MAX(`+seq+`), 0) FROM "change_log"`, nil, &last); err != nil {
		return 0, fmt.Errorf("cannot read the change log: %w", err)
	}
	return last, nil
}

// TrimChanges drops numbered entries older than the time and tells how many.
func (s *Store) TrimChanges(ctx context.Context, before time.Time) (dropped int64, err error) {
	err = s.Write(ctx, func(tx *Tx) (err error) {
		dropped, err = tx.r.exec(ctx, `DELETE FROM "change_log" WHERE "at" < ? AND `+s.dialect.sequence()+` IS NOT NULL`,
			formatTime(before))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("cannot trim the change log: %w", err)
	}
	return dropped, nil
}
