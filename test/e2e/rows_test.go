package e2e

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	_ "modernc.org/sqlite"
)

// kept are the tables whose rows outlive load balancers: the log of changes, what the service itself needs, and what an
// operator sets.
var kept = []string{"change_log", "change_head", "material", "schema_version", "quota", "sqlite_sequence", "sqlite_stat1", "sqlite_stat4"}

// rows counts what the database holds of load balancers, by table; tables without rows are left out.
func (o *octavo) rows(t testing.TB) string {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(o.dir, "octavo.db")+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var tables []string
	list, err := db.Query(`SELECT name FROM sqlite_master WHERE type = 'table'`)
	if err != nil {
		t.Fatal(err)
	}
	for list.Next() {
		var name string
		if err := list.Scan(&name); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(kept, name) {
			tables = append(tables, name)
		}
	}
	if err := list.Err(); err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, name := range tables {
		var n int
		if err := db.QueryRow(`SELECT COUNT(*) FROM "` + name + `"`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			found = append(found, fmt.Sprint(name, ": ", n))
		}
	}
	return strings.Join(found, ", ")
}
