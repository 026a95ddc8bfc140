package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
)

var (
	// ErrNotFound tells that no row has the id asked for.
	ErrNotFound = errors.New("not found")
	// ErrConflict tells that a row with this id, or another value that must be unique, exists already.
	ErrConflict = errors.New("exists already")
	// ErrFenced tells a worker that its lease was taken over by another one: nothing of the transaction was written, and
	// the worker must stop touching the load balancer.
	ErrFenced = errors.New("the lease was taken over")
	// ErrNothingDue tells a worker that no load balancer needs one now.
	ErrNothingDue = errors.New("nothing is due")
	// ErrStale tells that a report is older than one that was taken in already; nothing was written.
	ErrStale = errors.New("the report is older than one already taken in")
)

// QueryError is a list's filter, sort key or marker that cannot be used.
type QueryError struct {
	Part   string // "filter", "sort_key" or "marker"
	Name   string // the attribute, or the marker
	Reason string
}

func (e *QueryError) Error() string { return fmt.Sprintf("%s %q: %s", e.Part, e.Name, e.Reason) }

// The databases' own error numbers.
const (
	sqliteBusy, sqliteLocked, sqliteCorrupt, sqliteFull, sqliteCantOpen, sqliteNotADB = 5, 6, 11, 13, 14, 26
	sqlitePrimaryKey, sqliteUnique                                                    = 1555, 2067

	mysqlTooManyConnections, mysqlAccessDeniedDB, mysqlAccessDenied, mysqlUnknownDatabase = 1040, 1044, 1045, 1049
	mysqlShutdown, mysqlDuplicateColumn, mysqlDuplicateIndex, mysqlDuplicateEntry         = 1053, 1060, 1061, 1062
	mysqlTableExists, mysqlRecordChanged, mysqlTooManyUserConnections                     = 1050, 1020, 1203
	mysqlLockWait, mysqlDeadlock, mysqlReadOnly, mysqlConnectionKilled, mysqlNotReady     = 1205, 1213, 1290, 1927, 1047
)

var (
	mysqlRetry     = []uint16{mysqlLockWait, mysqlDeadlock, mysqlRecordChanged}
	mysqlTemporary = []uint16{mysqlTooManyConnections, mysqlShutdown, mysqlTooManyUserConnections, mysqlReadOnly,
		mysqlConnectionKilled, mysqlNotReady}
	// Serialisation failure, deadlock, lock timeout.
	postgresRetry = []string{"40001", "40P01", "55P03"}
)

// isRetryable tells that the database rolled the transaction back because of others, and that trying again makes sense.
func isRetryable(err error) bool {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code()&0xff == sqliteBusy || e.Code()&0xff == sqliteLocked
	}
	if e, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return slices.Contains(mysqlRetry, e.Number)
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return slices.Contains(postgresRetry, e.Code)
	}
	return false
}

func isDuplicate(err error) bool {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() == sqlitePrimaryKey || e.Code() == sqliteUnique
	}
	if e, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return e.Number == mysqlDuplicateEntry
	}
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.Code == "23505"
}

// IsTemporary tells an outage or overload of the database from every other error. A deadline that passed while waiting
// for the database counts as one, a cancelled context does not.
func IsTemporary(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) {
		return false
	}
	if isRetryable(err) || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code()&0xff == sqliteFull || e.Code()&0xff == sqliteCantOpen
	}
	if e, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return slices.Contains(mysqlTemporary, e.Number)
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		// Connection exceptions, lack of resources, intervention by an operator (shutdown, starting up), a server that
		// turned read-only in a failover.
		return slices.Contains([]string{"08", "53", "57"}, e.Code[:2]) || e.Code == "25006"
	}
	return isConnectionLoss(err)
}

func isConnectionLoss(err error) bool {
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	for _, lost := range []error{driver.ErrBadConn, mysql.ErrInvalidConn, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed,
		os.ErrDeadlineExceeded} {
		if errors.Is(err, lost) {
			return true
		}
	}
	// pgconn reports statements on a connection that broke before by this text alone.
	return strings.Contains(err.Error(), "conn closed")
}

// openError is a sentence for the operator on why the database cannot be opened.
type openError struct {
	text  string
	cause error
}

func (e *openError) Error() string { return e.text + ": " + oneLine(e.cause) }

func (e *openError) Unwrap() error { return e.cause }

// oneLine drops repetitions and line ends, which some drivers' errors are full of.
func oneLine(err error) string {
	// pgconn tells of every address and of TLS and plain attempts; what the server said last is what matters.
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		err = e
	} else if e, ok := errors.AsType[*net.OpError](err); ok {
		err = e
	}
	var lines []string
	for line := range strings.Lines(err.Error()) {
		if line = strings.TrimSpace(line); line != "" && !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, " ")
}

// explain turns a failure to open the database into a sentence for the operator.
func (t *target) explain(err error) error {
	if e, ok := errors.AsType[*openError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok && slices.Contains([]int{sqliteNotADB, sqliteCorrupt}, e.Code()&0xff) {
		return t.damaged(err)
	}
	var mysqlCode uint16
	if e, ok := errors.AsType[*mysql.MySQLError](err); ok {
		mysqlCode = e.Number
	}
	postgresCode := ""
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		postgresCode = e.Code
	}
	switch {
	case slices.Contains([]uint16{mysqlAccessDenied, mysqlAccessDeniedDB}, mysqlCode),
		slices.Contains([]string{"28P01", "28000", "42501"}, postgresCode):
		return &openError{fmt.Sprintf("the database server at %s refuses user %q: the password is wrong or the user has no "+
			"right to database %q", t.address, t.user, t.database), err}
	case mysqlCode == mysqlUnknownDatabase, postgresCode == "3D000":
		return &openError{fmt.Sprintf("the database server at %s has no database %q: create it and give user %q all rights "+
			"to it", t.address, t.database, t.user), err}
	case t.system != "sqlite" && IsTemporary(err):
		return &openError{fmt.Sprintf("cannot reach the database server at %s: check that it runs and that [database] "+
			"connection names it rightly", t.address), err}
	}
	return &openError{fmt.Sprintf("cannot open the database %s", t), err}
}

func (t *target) damaged(err error) error {
	return &openError{fmt.Sprintf("the database file %s is damaged: restore it from a backup, or move it away to start with "+
		"an empty one", t.file), err}
}
