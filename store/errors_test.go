package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
)

// retryableErrors are errors as servers send them.
func retryableErrors(*Store) []error {
	return []error{
		&mysql.MySQLError{Number: 1213, Message: "Deadlock found when trying to get lock"},
		&mysql.MySQLError{Number: 1205, Message: "Lock wait timeout exceeded"},
		&pgconn.PgError{Code: "40001", Message: "could not serialize access"},
		&pgconn.PgError{Code: "40P01", Message: "deadlock detected"},
		&pgconn.PgError{Code: "55P03", Message: "canceling statement due to lock timeout"},
	}
}

func TestErrorsAreToldApart(t *testing.T) {
	for _, err := range retryableErrors(nil) {
		if err = fmt.Errorf("cannot write: %w", err); !isRetryable(err) || !IsTemporary(err) {
			t.Errorf("%v is not retried", err)
		}
	}
	for _, err := range []error{
		&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, driver.ErrBadConn, mysql.ErrInvalidConn, io.ErrUnexpectedEOF,
		&mysql.MySQLError{Number: 1040}, &pgconn.PgError{Code: "57P01"}, &pgconn.PgError{Code: "57P03"},
		&pgconn.PgError{Code: "53300"}, context.DeadlineExceeded, errors.New("conn closed"),
	} {
		if err = fmt.Errorf("cannot write: %w", err); isRetryable(err) || !IsTemporary(err) {
			t.Errorf("%v: retried %v, temporary %v", err, isRetryable(err), IsTemporary(err))
		}
	}
	for _, err := range []error{nil, ErrNotFound, ErrFenced, context.Canceled, &mysql.MySQLError{Number: 1146},
		&pgconn.PgError{Code: "42P01"}, errors.New("anything else")} {
		if isRetryable(err) || IsTemporary(err) {
			t.Errorf("%v counts as temporary", err)
		}
	}
}

// Two transactions that lock two rows in different order: the database ends one, and both succeed.
func TestDeadlockIsTriedAgain(t *testing.T) {
	openEach(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		if s.dialect.serial {
			return // one writer at a time cannot wait for another in a circle
		}
		for _, name := range []string{"a", "b"} {
			if _, err := s.CreateMaterial(ctx, name, []byte("0")); err != nil {
				t.Fatal(err)
			}
		}
		locked := make(chan struct{}, 2)
		both := make(chan struct{})
		done := make(chan error, 2)
		for _, order := range [][]string{{"a", "b"}, {"b", "a"}} {
			go func() {
				first := true
				done <- s.Write(ctx, func(tx *Tx) error {
					for i, name := range order {
						if _, err := tx.r.exec(ctx, `UPDATE "material" SET "data" = ? WHERE "name" = ?`, []byte("1"), name); err != nil {
							return err
						}
						if i == 0 && first {
							first = false
							locked <- struct{}{}
							<-both
						}
					}
					return nil
				})
			}()
		}
		<-locked
		<-locked
		close(both)
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}
