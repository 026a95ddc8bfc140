// Package storetest opens stores for tests, and holds the suite that every database must pass.
package storetest

import (
	"context"
	"testing"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/store"
	"github.com/octavo-lb/octavo/test/dbtest"
)

// Open opens a new, empty SQLite store that is closed with the test.
func Open(t testing.TB, o store.Options) *store.Store {
	return OpenDSN(t, dbtest.DSN(t, "sqlite"), o)
}

// OpenDSN opens a store that is closed with the test.
func OpenDSN(t testing.TB, dsn string, o store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), dsn, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("cannot close the store: %v", err)
		}
	})
	return s
}

// Each runs a test with a new, empty store in every database.
func Each(t *testing.T, test func(t *testing.T, s *store.Store)) {
	dbtest.Each(t, func(t *testing.T, dsn string) { test(t, OpenDSN(t, dsn, store.Options{})) })
}

// Create stores a load balancer with a listener, a pool, two members, a monitor, a policy and a rule, and returns its
// tree. Shape changes it before that, nil does not.
func Create(t testing.TB, s *store.Store, project string, shape func(*lb.Tree)) *lb.Tree {
	t.Helper()
	tree := Sample(project)
	if shape != nil {
		shape(tree)
	}
	err := s.Write(t.Context(), func(tx *store.Tx) error { return Insert(t.Context(), tx, tree) })
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// Insert inserts a tree's objects, parents first.
func Insert(ctx context.Context, tx *store.Tx, tree *lb.Tree) error {
	for _, insert := range []func() error{
		func() error { return store.Insert(ctx, tx, &tree.LB) },
		func() error { return store.Insert(ctx, tx, pointers(tree.Pools)...) },
		func() error { return store.Insert(ctx, tx, pointers(tree.Listeners)...) },
		func() error { return store.Insert(ctx, tx, pointers(tree.Members)...) },
		func() error { return store.Insert(ctx, tx, pointers(tree.Monitors)...) },
		func() error { return store.Insert(ctx, tx, pointers(tree.Policies)...) },
		func() error { return store.Insert(ctx, tx, pointers(tree.Rules)...) },
	} {
		if err := insert(); err != nil {
			return err
		}
	}
	return nil
}

func pointers[T any](objects []T) []*T {
	p := make([]*T, len(objects))
	for i := range objects {
		p[i] = &objects[i]
	}
	return p
}

// ID makes an id of the right length that shows what it names.
func ID(name string) string {
	const shape = "00000000-0000-4000-8000-000000000000"
	return shape[:len(shape)-min(len(name), len(shape))] + name[max(0, len(name)-len(shape)):]
}
