package store

import (
	"context"
	"fmt"
	"time"
)

// Controller is a controller that runs on this database.
type Controller struct {
	Name    string
	Version string // of the program
	Config  string // a digest of what controllers must agree in
	SeenAt  time.Time
}

// keepControllers is for how long a controller that is seen no more is remembered.
const keepControllers = 24 * time.Hour

// SeeController says that a controller runs now, and forgets those that have not for a day.
func (s *Store) SeeController(ctx context.Context, c Controller) error {
	err := s.Write(ctx, func(tx *Tx) error {
		_, err := tx.r.exec(ctx, `INSERT INTO "controller" ("name", "version", "config", "seen_at") VALUES `+placeholders(4)+
			tx.r.dialect.onConflict([]string{"name"}, "version", "config", "seen_at"), c.Name, c.Version, c.Config, formatTime(tx.now))
		if err != nil {
			return err
		}
		_, err = tx.r.exec(ctx, `DELETE FROM "controller" WHERE "seen_at" < ?`, formatTime(tx.now.Add(-keepControllers)))
		return err
	})
	if err != nil {
		return fmt.Errorf("cannot note that controller %s runs: %w", c.Name, err)
	}
	return nil
}

// ForgetController takes a controller for one that has ended.
func (s *Store) ForgetController(ctx context.Context, name string) error {
	err := s.Write(ctx, func(tx *Tx) error {
		_, err := tx.r.exec(ctx, `DELETE FROM "controller" WHERE "name" = ?`, name)
		return err
	})
	if err != nil {
		return fmt.Errorf("cannot note that controller %s has ended: %w", name, err)
	}
	return nil
}

// Controllers lists those that were seen since a time, by name.
func (s *Store) Controllers(ctx context.Context, since time.Time) ([]Controller, error) {
	var c Controller
	var at nullTime
	var all []Controller
	err := s.read.each(ctx, `SELECT "name", "version", "config", "seen_at" FROM "controller" WHERE "seen_at" >= ? ORDER BY "name"`,
		[]any{formatTime(since)}, func() {
			c.SeenAt = *at.t
			all = append(all, c)
		}, &c.Name, &c.Version, &c.Config, &at)
	if err != nil {
		return nil, fmt.Errorf("cannot list controllers: %w", err)
	}
	return all, nil
}
