package store

import (
	"fmt"
	"testing"

	"github.com/octavo-lb/octavo/test/dbtest"
)

func TestKeptStatementsAreBoundedAndMayBeNested(t *testing.T) {
	ctx := t.Context()
	s, err := Open(ctx, dbtest.DSN(t, "sqlite"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for n := range 3 {
		if _, err := s.CreateMaterial(ctx, fmt.Sprint(n), nil); err != nil {
			t.Fatal(err)
		}
	}
	// The same text is read on one connection while it is being read already.
	conn, err := s.readDB.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := &reader{dialect: s.dialect, queryer: conn}
	const text = `SELECT "name" FROM "material" ORDER BY "name"`
	var name, inner, seen string
	err = r.each(ctx, text, nil, func() {
		if err := r.each(ctx, text, nil, func() { seen += inner }, &inner); err != nil {
			t.Error(err)
		}
		seen += ";"
	}, &name)
	if err != nil || seen != "012;012;012;" {
		t.Errorf("read %q, %v", seen, err)
	}
	for n := range 3 * keptStatements {
		var got int
		if err := r.row(ctx, fmt.Sprintf(`SELECT ? + %d`, n), []any{1}, &got); err != nil || got != n+1 {
			t.Fatalf("got %d, %v", got, err)
		}
	}
	err = conn.Raw(func(c any) error {
		if kept := len(c.(*preparedConn).kept); kept > keptStatements {
			t.Errorf("%d statements are kept", kept)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
