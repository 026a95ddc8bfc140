package storetest_test

import (
	"bytes"
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/octavo-lb/octavo/store"
	"github.com/octavo-lb/octavo/store/storetest"
	"github.com/octavo-lb/octavo/test/dbtest"
)

// refuse opens what cannot be opened and checks the sentence.
func refuse(t *testing.T, dsn string, parts ...string) {
	t.Helper()
	s, err := store.Open(t.Context(), dsn, store.Options{})
	if err == nil {
		s.Close()
		t.Fatalf("%s was opened", dsn)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not say %q: %v", part, err)
		}
	}
	for _, secret := range []string{dbtest.Password, url.QueryEscape(dbtest.Password), "s3cret"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the error shows the password: %v", err)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("more than a sentence: %v", err)
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage.db")
	if err := os.WriteFile(garbage, bytes.Repeat([]byte("no database "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	refuse(t, "sqlite:"+garbage, garbage, "damaged", "backup")
	refuse(t, "sqlite:"+filepath.Join(dir, "missing", "octavo.db"), filepath.Join(dir, "missing"), "no such file")
	refuse(t, "sqlite:"+dir, dir, "is a directory")
	refuse(t, "sqlite://", "no file")
	refuse(t, "/var/lib/octavo.db", "sqlite:FILE")
	refuse(t, "oracle://u:s3cret@h/db", "oracle", "postgresql://")
	refuse(t, "mysql+pymysql://u:s3cret%zz@h/db", "%XX")
	for _, kind := range []string{"mariadb", "postgresql"} {
		good := dbtest.DSN(t, kind)
		u, err := url.Parse(good)
		if err != nil {
			t.Fatal(err)
		}
		change := func(f func(u *url.URL)) string { c := *u; f(&c); return c.String() }
		refuse(t, change(func(u *url.URL) { u.User = url.UserPassword("octavo", "s3cret") }), u.Host, `"octavo"`, "password")
		refuse(t, change(func(u *url.URL) { u.Path = "/absent" }), u.Host, `"absent"`)
		refuse(t, change(func(u *url.URL) { u.Host = "127.0.0.1:1" }), "127.0.0.1:1", "cannot reach")
		refuse(t, change(func(u *url.URL) { u.Path = "" }), "names no database")
	}
}

func TestDamagedFileIsNoticed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "octavo.db")
	s, err := store.Open(t.Context(), "sqlite:"+file, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		storetest.Create(t, s, "p", nil)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := len(content) / 2; i < len(content)/2+3*4096; i++ {
		content[i] ^= 0x5a
	}
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	refuse(t, "sqlite:"+file, file, "damaged")
}

func TestDatabaseFileIsTheOwnersOnly(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a b?c%20d#.db")
	storetest.OpenDSN(t, "sqlite:///"+strings.Replace(file, "?", "", 1), store.Options{})
	info, err := os.Stat(strings.Replace(file, "?", "", 1))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestDatabaseOfANewerVersionIsLeftAlone(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, dsn string) {
		s, err := store.Open(t.Context(), dsn, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		execute(t, dsn, "INSERT INTO schema_version (version_id, is_applied) VALUES (9999, "+
			map[bool]string{true: "true", false: "1"}[strings.HasPrefix(dsn, "postgresql")]+")")
		refuse(t, dsn, "newer version", "9999")
	})
}

// MariaDB cannot roll back changes of the schema: a step that was cut short is run again.
func TestMigrationThatWasCutShortGoesOn(t *testing.T) {
	dsn := dbtest.DSN(t, "mariadb")
	s, err := store.Open(t.Context(), dsn, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	execute(t, dsn, "DELETE FROM schema_version WHERE version_id > 0")
	execute(t, dsn, "DROP TABLE material")
	s = storetest.OpenDSN(t, dsn, store.Options{})
	if _, err := s.CreateMaterial(t.Context(), "x", nil); err != nil {
		t.Error(err)
	}
}

func execute(t *testing.T, dsn, statement string) {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	driver, source := "pgx", dsn
	switch {
	case strings.HasPrefix(dsn, "sqlite:"):
		driver, source = "sqlite", strings.TrimPrefix(dsn, "sqlite:")
	case strings.HasPrefix(dsn, "mysql"):
		driver, source = "mysql", u.User.Username()+":"+password+"@tcp("+u.Host+")"+u.Path
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func TestNodesThatStartAtOnceMigrateOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, dsn string) {
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				s, err := store.Open(t.Context(), dsn, store.Options{})
				if err != nil {
					t.Error(err)
					return
				}
				if err := s.Ping(t.Context()); err != nil {
					t.Error(err)
				}
				s.Close()
			})
		}
		wg.Wait()
	})
}
