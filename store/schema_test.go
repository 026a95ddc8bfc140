package store

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/lb/attr"
	"github.com/octavo-lb/octavo/test/dbtest"
)

// kept are the columns that are no attributes: what the service itself keeps about an object.
var kept = map[string][]string{
	"load_balancer": {"generation", "created", "deleting", "told", "topology", "observed_generation", "failure", "vip_port_owned",
		"cloud_generation", "failures", "failure_at", "next_try_at", "due_at", "wake_seq", "lease_owner", "lease_token",
		"lease_until", "converged", "awaited_since"},
	"listener":       {"generation", "created", "deleting", "told"},
	"pool":           {"generation", "created", "deleting", "told"},
	"member":         {"generation", "created", "deleting", "told", "loadbalancer_id", "pool_id"},
	"health_monitor": {"generation", "created", "deleting", "told", "loadbalancer_id"},
	"l7policy":       {"generation", "created", "deleting", "told", "loadbalancer_id"},
	"l7rule":         {"generation", "created", "deleting", "told", "loadbalancer_id", "l7policy_id"},
}

// columnTypes are the types of columns that can hold an attribute of a type, as the databases call them.
var columnTypes = map[attr.Type][]string{
	attr.String:    {"varchar(36)", "varchar(255)", "text", "mediumtext", "character varying(36)", "character varying(255)"},
	attr.Integer:   {"bigint", "bigint(20)"},
	attr.Boolean:   {"boolean", "tinyint(1)"},
	attr.Float:     {"double precision", "double"},
	attr.Time:      {"text", "datetime(6)", "timestamp without time zone"},
	attr.Strings:   {"text", "mediumtext"},
	attr.StringMap: {"text", "mediumtext"},
	attr.Object:    {"text", "mediumtext"},
	attr.Objects:   {"text", "mediumtext"},
}

func TestSchemaHoldsEveryAttributeUnderItsWireName(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, dsn string) {
		s, err := Open(t.Context(), dsn, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for name, declared := range map[string]*attr.Table{
			"load_balancer": attr.Of[lb.LoadBalancer](), "listener": attr.Of[lb.Listener](), "pool": attr.Of[lb.Pool](),
			"member": attr.Of[lb.Member](), "health_monitor": attr.Of[lb.HealthMonitor](),
			"l7policy": attr.Of[lb.L7Policy](), "l7rule": attr.Of[lb.L7Rule](),
		} {
			compareWithDeclaration(t, s, name, declared)
		}
	})
}

func compareWithDeclaration(t *testing.T, s *Store, name string, declared *attr.Table) {
	columns := readColumns(t, s, name)
	for _, a := range declared.Attrs {
		if a.Name == "provisioning_status" {
			continue
		}
		c, ok := columns[a.Name]
		delete(columns, a.Name)
		switch {
		case !ok:
			t.Errorf("table %s has no column for attribute %s: it needs a migration", name, a.Name)
		case c.null != a.Nullable:
			t.Errorf("column %s.%s takes null: %v, the attribute: %v", name, a.Name, c.null, a.Nullable)
		case !slices.Contains(columnTypes[a.Type], c.kind):
			t.Errorf("column %s.%s has type %s, which is none for the attribute's %v", name, a.Name, c.kind, a.Type)
		case a.Max != nil && *a.Max > 255 && strings.Contains(c.kind, "255"):
			t.Errorf("column %s.%s is too short for %d characters", name, a.Name, *a.Max)
		}
	}
	for _, k := range kept[name] {
		delete(columns, k)
	}
	for c := range columns {
		t.Errorf("column %s.%s is neither an attribute nor listed as the service's own", name, c)
	}
}

type schemaColumn struct {
	kind string
	null bool
}

func readColumns(t *testing.T, s *Store, name string) map[string]schemaColumn {
	statement := `SELECT column_name, column_type, is_nullable = 'YES' FROM information_schema.columns` +
		` WHERE table_schema = DATABASE() AND table_name = ?`
	switch s.dialect.name {
	case "sqlite":
		statement = `SELECT name, lower(type), NOT "notnull" AND NOT pk FROM pragma_table_info(?)`
	case "postgresql":
		statement = `SELECT column_name, data_type || COALESCE('(' || character_maximum_length || ')', ''), is_nullable = 'YES'` +
			` FROM information_schema.columns WHERE table_name = ?`
	}
	columns := map[string]schemaColumn{}
	var c schemaColumn
	var column string
	err := s.read.each(t.Context(), statement, []any{name}, func() { columns[column] = c }, &column, &c.kind, &c.null)
	if err != nil {
		t.Fatal(err)
	}
	return columns
}

func TestFieldsThatAreNotOnTheWireHaveColumnsOfTheirOwn(t *testing.T) {
	for field, want := range map[string]string{"L7PolicyID": "l7policy_id", "VipPortOwned": "vip_port_owned",
		"ObservedGeneration": "observed_generation", "PoolID": "pool_id", "ID": "id"} {
		if got := underscored(field); got != want {
			t.Errorf("%s: got %s, want %s", field, got, want)
		}
	}
}

func TestMigrationTokensAreChecked(t *testing.T) {
	if _, err := sqliteDialect.translate("CREATE TABLE x (a ${uuid});\n"); err == nil || !strings.Contains(err.Error(), "${uuid}") {
		t.Errorf("an unknown token gives %v", err)
	}
	got, err := postgresDialect.translate("CREATE TABLE x (\n  a ${bool}\n) ${table};\nDROP TABLE y;\n")
	want := []string{"CREATE TABLE x (\n  a BOOLEAN\n)", "DROP TABLE y"}
	if err != nil || !slices.EqualFunc(got, want, func(a, b string) bool { return strings.TrimSpace(a) == b }) {
		t.Errorf("got %q, %v", got, err)
	}
}

// The struct that a row is scanned to is used for all rows: nothing of one row may be left in the next.
func TestEveryFieldIsAColumn(t *testing.T) {
	for _, typ := range []reflect.Type{reflect.TypeFor[lb.Listener](), reflect.TypeFor[Amphora]()} {
		want := typ.NumField()
		if meta, ok := typ.FieldByName("Meta"); ok {
			want += meta.Type.NumField() - 2 // Meta itself and the provisioning status
		}
		if got := len(columnsOf(typ)); got != want {
			t.Errorf("%s: %d columns, %d fields", typ, got, want)
		}
	}
}
