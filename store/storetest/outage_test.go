package storetest_test

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/store"
	"github.com/octavo-lb/octavo/store/storetest"
	"github.com/octavo-lb/octavo/test/dbtest"
)

func TestOutageIsTemporaryAndOver(t *testing.T) {
	for name, start := range map[string]func() (*dbtest.Server, error){
		"mariadb": dbtest.StartMariaDB, "postgresql": dbtest.StartPostgreSQL,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, err := start()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { server.Close() })
			dsn, err := server.NewDatabase("octavo")
			if err != nil {
				t.Fatal(err)
			}
			s := storetest.OpenDSN(t, dsn, store.Options{Poll: 20 * time.Millisecond})
			id := storetest.Create(t, s, "p", nil).LB.ID
			news := s.Subscribe(t.Context())
			if err := server.Stop(); err != nil {
				t.Fatal(err)
			}
			for what, call := range calls(s, id) {
				for range 3 { // with connections that broke, and without any
					start := time.Now()
					err := call(t.Context())
					if !store.IsTemporary(err) {
						t.Errorf("%s during the outage: %v", what, err)
					}
					if took := time.Since(start); took > 5*time.Second {
						t.Errorf("%s took %v to fail", what, took)
					}
				}
			}
			refuse(t, dsn, "cannot reach", hostOf(t, dsn))
			if err := server.Start(); err != nil {
				t.Fatal(err)
			}
			for what, call := range calls(s, id) {
				if err := call(t.Context()); err != nil {
					t.Errorf("%s after the outage: %v", what, err)
				}
			}
			receive(t, news, id)
		})
	}
}

func calls(s *store.Store, id string) map[string]func(ctx context.Context) error {
	return map[string]func(ctx context.Context) error{
		"a write": func(ctx context.Context) error {
			return s.Write(ctx, func(tx *store.Tx) error { return tx.Touch(ctx, id) })
		},
		"a tree": func(ctx context.Context) error { _, err := s.Tree(ctx, id); return err },
		"a list": func(ctx context.Context) error {
			_, err := store.List[lb.Listener](ctx, s, store.Query{})
			return err
		},
		"a ping": s.Ping,
		"looking for work": func(ctx context.Context) error {
			lease, err := s.Acquire(ctx, "w", time.Minute)
			if err == nil {
				err = lease.Release(ctx, time.Now())
			}
			return err
		},
	}
}

func hostOf(t *testing.T, dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

func TestServersAreReachedBySocket(t *testing.T) {
	for name, c := range map[string]struct {
		start  func() (*dbtest.Server, error)
		option string
		socket func(s *dbtest.Server) string
	}{
		"mariadb":    {dbtest.StartMariaDB, "unix_socket", func(s *dbtest.Server) string { return s.Dir() + "/socket" }},
		"postgresql": {dbtest.StartPostgreSQL, "host", func(s *dbtest.Server) string { return s.Dir() }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, err := c.start()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { server.Close() })
			dsn, err := server.NewDatabase("octavo")
			if err != nil {
				t.Fatal(err)
			}
			u, err := url.Parse(dsn)
			if err != nil {
				t.Fatal(err)
			}
			u.RawQuery = url.Values{c.option: {c.socket(server)}}.Encode()
			u.Host = ":" + u.Port()
			s := storetest.OpenDSN(t, u.String(), store.Options{})
			storetest.Create(t, s, "p", nil)
			refuse(t, strings.Replace(u.String(), "/octavo?", "/absent?", 1), server.Dir(), "absent")
		})
	}
}
