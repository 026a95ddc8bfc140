package storetest_test

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/store"
)

// metas are all objects of a tree.
func metas(tree *lb.Tree) []*lb.Meta {
	all := []*lb.Meta{&tree.LB.Meta}
	for i := range tree.Listeners {
		all = append(all, &tree.Listeners[i].Meta)
	}
	for i := range tree.Pools {
		all = append(all, &tree.Pools[i].Meta)
	}
	for i := range tree.Members {
		all = append(all, &tree.Members[i].Meta)
	}
	for i := range tree.Monitors {
		all = append(all, &tree.Monitors[i].Meta)
	}
	for i := range tree.Policies {
		all = append(all, &tree.Policies[i].Meta)
	}
	for i := range tree.Rules {
		all = append(all, &tree.Rules[i].Meta)
	}
	return all
}

// sortMembers brings members in the order of a tree that is read: those made in one transaction by id.
func sortMembers(tree *lb.Tree) {
	slices.SortFunc(tree.Members, func(a, b lb.Member) int { return cmp.Compare(a.ID, b.ID) })
}

// write runs fn with the load balancer locked.
func write(t *testing.T, s *store.Store, lbID string, fn func(tx *store.Tx) error) {
	t.Helper()
	err := s.Write(t.Context(), func(tx *store.Tx) error {
		if _, err := tx.Lock(t.Context(), lbID); err != nil {
			return err
		}
		return fn(tx)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// settle brings everything in force: the cloud and, where there are amphorae, these.
func settle(t *testing.T, s *store.Store, lbID string) {
	t.Helper()
	write(t, s, lbID, func(tx *store.Tx) error {
		amphorae, err := tx.Amphorae(t.Context())
		if err != nil {
			return err
		}
		generation := tx.Generation() - 1
		for _, a := range amphorae {
			err := tx.Report(t.Context(), a.ID, agentapi.Report{Boot: "b", Sequence: a.Sequence + 1, Applied: generation})
			if err != nil {
				return err
			}
		}
		return tx.SetCloudGeneration(t.Context(), generation)
	})
}

func tree(t *testing.T, s *store.Store, lbID string) *lb.Tree {
	t.Helper()
	tree, err := s.Tree(t.Context(), lbID)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func get[T store.Resource](t *testing.T, s *store.Store, id string) T {
	t.Helper()
	object, err := store.Get[T](t.Context(), s, id)
	if err != nil {
		t.Fatal(err)
	}
	return object
}

func receive(t *testing.T, ids <-chan string, want string) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		select {
		case id, ok := <-ids:
			if !ok {
				t.Fatal("the subscription ended")
			}
			if id == want {
				return
			}
		case <-deadline:
			t.Fatalf("nothing was heard of %s", want)
		}
	}
}
