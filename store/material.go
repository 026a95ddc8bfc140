package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
)

// Material reads a blob that was sealed by its owner, such as a CA's key. ErrNotFound.
func (s *Store) Material(ctx context.Context, name string) ([]byte, error) {
	data, err := s.read.material(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", name, err)
	}
	return data, nil
}

func (r *reader) material(ctx context.Context, name string) (data []byte, err error) {
	err = r.row(ctx, `SELECT "data" FROM "material" WHERE "name" = ?`, []any{name}, &data)
	return data, err
}

// CreateMaterial stores a blob unless one of that name exists, and returns the one that is stored then: of several nodes
// that start for the first time, all go on with the same.
func (s *Store) CreateMaterial(ctx context.Context, name string, data []byte) (stored []byte, err error) {
	err = s.Write(ctx, func(tx *Tx) error {
		_, err := tx.r.exec(ctx, insertMaterial+tx.r.dialect.onConflict([]string{"name"}), name, notNil(data), formatTime(tx.now))
		if err == nil {
			stored, err = tx.r.material(ctx, name)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("cannot create %s: %w", name, err)
	}
	return stored, nil
}

// SwapMaterial stores a blob in place of was, and tells whether it did: not if another blob, or none, is stored by now.
func (s *Store) SwapMaterial(ctx context.Context, name string, was, data []byte) (swapped bool, err error) {
	err = s.Write(ctx, func(tx *Tx) error {
		var now []byte
		err := tx.r.row(ctx, `SELECT "data" FROM "material" WHERE "name" = ?`+tx.r.dialect.forUpdate, []any{name}, &now)
		if swapped = err == nil && bytes.Equal(now, was); !swapped {
			if errors.Is(err, ErrNotFound) {
				err = nil
			}
			return err
		}
		_, err = tx.r.exec(ctx, `UPDATE "material" SET "data" = ?, "updated_at" = ? WHERE "name" = ?`, notNil(data), formatTime(tx.now), name)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("cannot store %s: %w", name, err)
	}
	return swapped, nil
}

const insertMaterial = `INSERT INTO "material" ("name", "data", "updated_at") VALUES (?, ?, ?)`

// notNil keeps an empty blob from being taken for NULL.
func notNil(data []byte) []byte { return append([]byte{}, data...) }
