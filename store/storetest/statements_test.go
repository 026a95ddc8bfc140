package storetest_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/store"
	"github.com/octavo-lb/octavo/store/storetest"
	"github.com/octavo-lb/octavo/test/dbtest"
)

// A request's number of statements depends on what it asks, never on how much there is.
func TestNumberOfStatementsIsConstant(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, dsn string) {
		var statements atomic.Int64
		s := storetest.OpenDSN(t, dsn, store.Options{
			Trace: func(context.Context, string, time.Duration, error) { statements.Add(1) },
		})
		ctx := t.Context()
		var trees []*lb.Tree
		for range 25 {
			trees = append(trees, storetest.Create(t, s, "p", nil))
		}
		var ids []string
		for _, tree := range trees {
			ids = append(ids, tree.LB.ID)
		}
		for _, c := range []struct {
			what string
			want int64
			do   func() error
		}{
			{"show", 2, func() error {
				_, err := store.Get[lb.LoadBalancer](ctx, s, ids[0])
				if err == nil {
					_, err = store.RefsOfLoadBalancers(ctx, s, ids[0])
				}
				return err
			}},
			{"page", 1, func() error { _, err := store.List[lb.Pool](ctx, s, store.Query{Limit: 20}); return err }},
			{"page after a marker", 2, func() error {
				_, err := store.List[lb.Pool](ctx, s, store.Query{Limit: 20, Marker: trees[3].Pools[0].ID, Tags: []string{"x"}})
				return err
			}},
			{"references of load balancers", 1, func() error { _, err := store.RefsOfLoadBalancers(ctx, s, ids...); return err }},
			{"references of pools", 1, func() error {
				_, err := store.RefsOfPools(ctx, s, trees[0].Pools[0].ID, trees[1].Pools[0].ID)
				return err
			}},
			{"tree", 7, func() error { _, err := s.Tree(ctx, ids[0]); return err }},
			{"statistics", 1, func() error { _, err := s.StatisticsOfLoadBalancers(ctx, ids...); return err }},
			// The row and the change log.
			{"creation to be completed", 2, func() error {
				return s.Write(ctx, func(tx *store.Tx) error {
					tx.Defer(tx.Now().Add(time.Hour))
					return store.Insert(ctx, tx, &lb.LoadBalancer{Provider: "octavia", Topology: "SINGLE"})
				})
			}},
			// Lock, the row, and the change log.
			{"its completion", 3, func() error {
				return s.Write(ctx, func(tx *store.Tx) error {
					b, err := tx.Lock(ctx, ids[0])
					if err != nil {
						return err
					}
					tx.Wake()
					return store.Amend(ctx, tx, b)
				})
			}},
			// Lock and tree, the member, generation and schedule, change log.
			{"update of a member", 7 + 3, func() error {
				return s.Write(ctx, func(tx *store.Tx) error {
					tree, err := tx.LockTree(ctx, ids[0])
					if err != nil {
						return err
					}
					return store.Update(ctx, tx, &tree.Members[0])
				})
			}},
		} {
			statements.Store(0)
			if err := c.do(); err != nil {
				t.Fatal(err)
			}
			if got := statements.Load(); got != c.want {
				t.Errorf("%s: %d statements, want %d", c.what, got, c.want)
			}
		}
	})
}

func TestThousandMembersInOneTransaction(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		made := storetest.Create(t, s, "p", nil)
		var members []*lb.Member
		for range 1000 {
			m := made.Members[0]
			m.ID, m.Tags = "", []string{"batch"}
			members = append(members, &m)
		}
		start := time.Now()
		write(t, s, made.LB.ID, func(tx *store.Tx) error { return store.Insert(ctx, tx, members...) })
		inserted := time.Since(start)
		write(t, s, made.LB.ID, func(tx *store.Tx) error {
			tree, err := tx.LockTree(ctx, made.LB.ID)
			if err != nil {
				return err
			}
			for i := range tree.Members {
				tree.Members[i].Weight = 9
				if err := store.Update(ctx, tx, &tree.Members[i]); err != nil {
					return err
				}
			}
			return nil
		})
		t.Logf("inserted in %v, updated in %v", inserted, time.Since(start)-inserted)
		if got := list[lb.Member](t, s, store.Query{Parent: made.Pools[0].ID, Tags: []string{"batch"},
			Filters: []store.Filter{{Name: "weight", Values: []string{"9"}}}}); len(got) != 1000 {
			t.Errorf("%d members", len(got))
		}
	})
}

func TestReferencesOfManyLoadBalancers(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		made := map[string]*lb.Tree{}
		var ids []string
		for range 30 {
			tree := storetest.Create(t, s, "p", nil)
			made[tree.LB.ID], ids = tree, append(ids, tree.LB.ID)
		}
		ids = append(ids, "none", `"]`)
		refs, err := store.RefsOfLoadBalancers(ctx, s, ids...)
		if err != nil {
			t.Fatal(err)
		}
		if len(refs) != len(made) {
			t.Errorf("references of %d load balancers, want %d", len(refs), len(made))
		}
		for id, tree := range made {
			var want store.LoadBalancerRefs
			for _, l := range tree.Listeners {
				want.Listeners = append(want.Listeners, l.ID)
			}
			for _, p := range tree.Pools {
				want.Pools = append(want.Pools, p.ID)
			}
			if got := refs[id]; !slices.Equal(got.Listeners, want.Listeners) || !slices.Equal(got.Pools, want.Pools) {
				t.Errorf("load balancer %s: %v, want %v", id, got, want)
			}
		}
	})
}
