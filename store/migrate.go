package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/pressly/goose/v3"

	"github.com/octavo-lb/octavo/store/migrations"
)

// versionTable holds which steps were applied.
const versionTable = "schema_version"

// migrate brings the schema up to date. Nodes that start at the same time wait for each other. A database that a newer
// Octavo wrote is left alone, and so is, with asIs, one that is not up to date.
func (t *target) migrate(ctx context.Context, d *dialect, db *sql.DB, asIs bool) error {
	steps, err := loadSteps(d, migrations.Files)
	if err != nil {
		return err
	}
	unlock, err := d.lockSchema(ctx, db)
	if err != nil {
		return fmt.Errorf("cannot lock the schema: %w", err)
	}
	defer unlock()
	provider, err := goose.NewProvider(d.goose, db, nil, goose.WithTableName(versionTable),
		goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()), goose.WithGoMigrations(steps...))
	if err != nil {
		return fmt.Errorf("cannot read the schema's steps: %w", err)
	}
	current, known, err := provider.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("cannot read the schema's version: %w", err)
	}
	if current > known {
		return &openError{fmt.Sprintf("the database %s was written by a newer version of Octavo: run that version, or restore "+
			"a backup from before the upgrade", t), fmt.Errorf("its schema is %d, this version knows %d", current, known)}
	}
	if asIs && current < known {
		return &openError{fmt.Sprintf("the database %s is of an older version of Octavo, or new: the first controller of this version that starts "+
			"brings it up to date", t), fmt.Errorf("its schema is %d, this version's is %d", current, known)}
	}
	if asIs {
		return nil
	}
	applied, err := provider.Up(ctx)
	if err == nil && d == sqliteDialect && len(applied) > 0 {
		err = adviseSQLite(ctx, db)
	}
	if err != nil {
		return fmt.Errorf("cannot bring the schema up to date: %w", err)
	}
	return nil
}

func loadSteps(d *dialect, files fs.ReadFileFS) ([]*goose.Migration, error) {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return nil, err
	}
	var steps []*goose.Migration
	for _, name := range names {
		number, _, _ := strings.Cut(name, "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("the name of schema step %s does not begin with a number", name)
		}
		text, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		statements, err := d.translate(string(text))
		if err != nil {
			return nil, fmt.Errorf("schema step %s: %w", name, err)
		}
		steps = append(steps, goose.NewGoMigration(version, &goose.GoFunc{
			RunTx: func(ctx context.Context, tx *sql.Tx) error { return d.applyStep(ctx, tx, statements) },
		}, nil))
	}
	return steps, nil
}

var token = regexp.MustCompile(`\$\{(\w+)\}`)

// translate replaces the tokens and splits the text into statements.
func (d *dialect) translate(text string) ([]string, error) {
	var unknown []string
	text = token.ReplaceAllStringFunc(text, func(s string) string {
		name := token.FindStringSubmatch(s)[1]
		value, ok := d.types[name]
		if !ok {
			unknown = append(unknown, s)
		}
		return value
	})
	if len(unknown) > 0 {
		return nil, fmt.Errorf("unknown tokens %v", unknown)
	}
	var statements []string
	for statement := range strings.SplitSeq(text, ";\n") {
		if statement = strings.TrimSpace(statement); statement != "" {
			statements = append(statements, statement)
		}
	}
	return statements, nil
}

func (d *dialect) applyStep(ctx context.Context, tx *sql.Tx, statements []string) error {
	for _, statement := range statements {
		_, err := tx.ExecContext(ctx, statement)
		if e, ok := errors.AsType[*mysql.MySQLError](err); ok && d.eachStatementCommits &&
			slices.Contains([]uint16{mysqlTableExists, mysqlDuplicateColumn, mysqlDuplicateIndex}, e.Number) {
			continue
		}
		if err != nil {
			return fmt.Errorf("%w in %q", err, statement)
		}
	}
	return nil
}

// lockSchema keeps two nodes from changing the schema at once. The lock ends with the connection at the latest.
func (d *dialect) lockSchema(ctx context.Context, db *sql.DB) (unlock func(), err error) {
	if d.serial {
		return func() {}, nil // the directory is locked
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	lock, release := "SELECT 1 FROM (SELECT pg_advisory_lock(hashtext('octavo schema'))) AS locked",
		"SELECT pg_advisory_unlock(hashtext('octavo schema'))"
	if d.goose == goose.DialectMySQL {
		lock, release = "SELECT GET_LOCK(CONCAT('octavo schema ', DATABASE()), 60)",
			"SELECT RELEASE_LOCK(CONCAT('octavo schema ', DATABASE()))"
	}
	var got sql.NullInt64
	err = conn.QueryRowContext(ctx, lock).Scan(&got)
	if err == nil && got.Int64 != 1 {
		err = errors.New("another node has been changing it for a minute")
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return func() {
		conn.ExecContext(context.WithoutCancel(ctx), release)
		conn.Close()
	}, nil
}

// lockDirectory keeps two processes from making or changing the schema of a SQLite file at once. The lock is on the
// directory because closing another descriptor of the file would drop SQLite's own locks on it.
func lockDirectory(ctx context.Context, file string) (unlock func(), err error) {
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { dir.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			dir.Close()
			return nil, fmt.Errorf("cannot lock directory %s: %w", dir.Name(), err)
		}
		select {
		case <-ctx.Done():
			dir.Close()
			return nil, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}
