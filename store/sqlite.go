package store

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"strings"
)

// checkedSize is up to which size a SQLite file is read through at start to find damage: about a second's work.
const checkedSize = 64 << 20

// checkSQLite finds damage before it does harm.
func (t *target) checkSQLite(ctx context.Context, db *sql.DB) error {
	info, err := os.Stat(t.file)
	if err != nil || info.Size() > checkedSize {
		return err
	}
	var verdict string
	if err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return t.damaged(fmt.Errorf("%s", verdict))
	}
	return nil
}

// Of an imagined table of so many rows, how many have the same value in a column, where that is far from a few. What is not
// converged is meant by the column of that name: nothing else is looked up by it.
const (
	imaginedRows = 100_000
	fewRows      = 20
)

var rowsPerValue = map[string]int{"id": 1, "created_at": 1, "seq": 1, "at": 1, "vip_port_id": 1, "object_id": 1, "name": 5,
	"vip_address": 5, "tag": 200, "project_id": 500, "converged": 100, "deleting": imaginedRows / 2}

// adviseSQLite tells SQLite's planner what the indexes are good for, in place of statistics that it would have to gather
// again and again from tables that grow: plans are the same on every installation, from the first row on.
func adviseSQLite(ctx context.Context, db *sql.DB) error {
	if _, err := db.ExecContext(ctx, "ANALYZE sqlite_schema"); err != nil { // makes the table of statistics
		return err
	}
	advice, err := indexAdvice(ctx, db)
	if err != nil {
		return err
	}
	statements := []string{"BEGIN", "DELETE FROM sqlite_stat1"}
	for index, stat := range advice {
		statements = append(statements, fmt.Sprintf("INSERT INTO sqlite_stat1 (tbl, idx, stat) SELECT tbl_name, name, '%s'"+
			" FROM sqlite_schema WHERE name = '%s'", stat, index))
	}
	_, err = db.ExecContext(ctx, strings.Join(append(statements, "COMMIT", "ANALYZE sqlite_schema"), ";"))
	return err
}

// indexAdvice says for each index how many rows there are, and how many agree in its first column, its first two ...
func indexAdvice(ctx context.Context, db *sql.DB) (map[string]string, error) {
	rows, err := db.QueryContext(ctx, `SELECT m.name, i.name FROM sqlite_schema m, pragma_index_info(m.name) i`+
		` WHERE m.type = 'index' ORDER BY m.name, i.seqno`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	advice, agreeing := map[string]string{}, map[string]int{}
	for rows.Next() {
		var index, column string
		if err := rows.Scan(&index, &column); err != nil {
			return nil, err
		}
		if advice[index] == "" {
			advice[index], agreeing[index] = fmt.Sprint(imaginedRows), imaginedRows
		}
		n, known := rowsPerValue[column]
		if !known {
			n = fewRows
		}
		agreeing[index] = min(agreeing[index], n)
		advice[index] += fmt.Sprint(" ", agreeing[index])
	}
	return advice, rows.Err()
}
