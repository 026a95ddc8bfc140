package storetest_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/store"
	"github.com/octavo-lb/octavo/store/storetest"
	"github.com/octavo-lb/octavo/test/dbtest"
)

func TestFiftyWritersOnOneLoadBalancerLoseNoUpdate(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		const writers, writes = 50, 4
		tree := storetest.Create(t, s, "p", nil)
		member := tree.Members[0].ID
		ctx := t.Context()
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() {
				for range writes {
					err := s.Write(ctx, func(tx *store.Tx) error {
						// What is read after the lock is as new as the lock, also when something was read before it.
						if _, err := store.Get[lb.Member](ctx, tx, member); err != nil {
							return err
						}
						tree, err := tx.LockTree(ctx, tree.LB.ID)
						if err != nil {
							return err
						}
						m := tree.Member(member)
						m.ProtocolPort++
						added := lb.Pool{Meta: lb.Meta{ProjectID: "p"}, LoadBalancerID: tree.LB.ID, Name: fmt.Sprint(len(tree.Pools))}
						return errors.Join(store.Update(ctx, tx, m), store.Insert(ctx, tx, &added))
					})
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		after, err := s.Tree(ctx, tree.LB.ID)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := after.Member(member).ProtocolPort, tree.Members[0].ProtocolPort+writers*writes; got != want {
			t.Errorf("the member counted to %d, want %d", got, want)
		}
		if got, want := after.LB.Generation, int64(1+writers*writes); got != want {
			t.Errorf("generation %d, want %d", got, want)
		}
		names := map[string]bool{}
		for _, p := range after.Pools {
			names[p.Name] = true
		}
		if want := 1 + writers*writes; len(names) != want {
			t.Errorf("%d different pools, want %d: two writers saw the same tree", len(names), want)
		}
	})
}

// A tree that is read while it is written is of one moment: its members all have the generation of its pool.
func TestTreeIsOfOneMoment(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		made := storetest.Create(t, s, "p", nil)
		id, ctx := made.LB.ID, t.Context()
		done := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			defer close(done)
			for range 100 {
				err := s.Write(ctx, func(tx *store.Tx) error {
					tree, err := tx.LockTree(ctx, id)
					if err != nil {
						return err
					}
					return errors.Join(store.Update(ctx, tx, &tree.Rules[0]), store.Update(ctx, tx, &tree.Listeners[0]))
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
		defer wg.Wait()
		for running := true; running; {
			select {
			case <-done:
				running = false
			default:
			}
			tree, err := s.Tree(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			if g := tree.LB.Generation; tree.Rules[0].Generation != g || tree.Listeners[0].Generation != g {
				t.Fatalf("load balancer at %d, listener at %d, rule at %d", g, tree.Listeners[0].Generation, tree.Rules[0].Generation)
			}
		}
	})
}

func TestQuotaIsNotOverrunByConcurrentCreators(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		const creators, limit = 50, 12
		ctx := t.Context()
		full := errors.New("quota")
		var mu sync.Mutex
		var made []string
		var wg sync.WaitGroup
		for range creators {
			wg.Go(func() {
				sample := storetest.Sample("p")
				err := s.Write(ctx, func(tx *store.Tx) error {
					usage, err := tx.Usage(ctx, "p", store.LoadBalancer, store.Member)
					if err != nil {
						return err
					}
					if usage[store.LoadBalancer] >= limit {
						return full
					}
					return storetest.Insert(ctx, tx, sample)
				})
				switch {
				case err == nil:
					mu.Lock()
					made = append(made, sample.LB.ID)
					mu.Unlock()
				case !errors.Is(err, full):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if len(made) != limit {
			t.Errorf("%d were made, %d allowed", len(made), limit)
		}
		usage, err := s.Usage(ctx, "p", store.LoadBalancer, store.Member, store.L7Rule)
		if err != nil || usage[store.LoadBalancer] != limit || usage[store.Member] != 2*limit || usage[store.L7Rule] != limit {
			t.Errorf("usage %v, %v", usage, err)
		}
		// What is being deleted is not counted: its owner may make another at once.
		write(t, s, made[0], func(tx *store.Tx) error { return store.Delete[lb.LoadBalancer](ctx, tx, made[0]) })
		if usage, err = s.Usage(ctx, "p", store.LoadBalancer, store.Member); err != nil || usage[store.LoadBalancer] != limit-1 ||
			usage[store.Member] != 2*limit-2 {
			t.Errorf("usage %v, %v", usage, err)
		}
	})
}

// Creators and deleters of children in one project, each locking its load balancer and then the project.
func TestQuotaCountsWithoutDeadlock(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		var ids []string
		for range 10 {
			ids = append(ids, storetest.Create(t, s, "p", nil).LB.ID)
		}
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				id := ids[i%len(ids)]
				err := s.Write(ctx, func(tx *store.Tx) error {
					tree, err := tx.LockTree(ctx, id)
					if err != nil {
						return err
					}
					if _, err := tx.Usage(ctx, "p", store.Member); err != nil {
						return err
					}
					if i%2 == 0 {
						return store.Delete[lb.Member](ctx, tx, tree.Members[0].ID)
					}
					return store.Insert(ctx, tx, &lb.Member{Meta: lb.Meta{ProjectID: "p"}, PoolID: tree.Pools[0].ID})
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestChangeLogReadersAgreeAndMissNothing(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, dsn string) {
		const nodes, writes = 3, 30
		var stores []*store.Store
		for range nodes {
			stores = append(stores, storetest.OpenDSN(t, dsn, store.Options{}))
		}
		ctx := t.Context()
		id := storetest.Create(t, stores[0], "p", nil).LB.ID
		start, err := stores[0].LastChange(ctx)
		if err != nil {
			t.Fatal(err)
		}
		seen := make([][]store.Change, nodes)
		var wg sync.WaitGroup
		for n, s := range stores {
			wg.Go(func() {
				for range writes {
					if err := s.Write(ctx, func(tx *store.Tx) error { return tx.Touch(ctx, id) }); err != nil {
						t.Error(err)
						return
					}
				}
			})
			wg.Go(func() {
				last := start
				for deadline := time.Now().Add(30 * time.Second); len(seen[n]) < nodes*writes && time.Now().Before(deadline); {
					changes, err := s.Changes(ctx, last, 7)
					if err != nil {
						t.Error(err)
						return
					}
					for _, c := range changes {
						last = c.Seq
					}
					seen[n] = append(seen[n], changes...)
				}
			})
		}
		wg.Wait()
		generation := int64(1)
		for i, c := range seen[0] {
			for n := 1; n < nodes; n++ {
				if len(seen[n]) != len(seen[0]) || seen[n][i] != c {
					t.Fatalf("node 0 and %d read different logs", n)
				}
			}
			// Writers of one load balancer take turns, and so do their entries.
			if generation++; c.Generation != generation {
				t.Errorf("entry %d is of generation %d, want %d", i, c.Generation, generation)
			}
		}
		if len(seen[0]) != nodes*writes {
			t.Errorf("%d entries, want %d", len(seen[0]), nodes*writes)
		}
	})
}

func TestTrimmedChangeLogGoesOnCounting(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		id := storetest.Create(t, s, "p", nil).LB.ID
		last, err := s.LastChange(ctx)
		if err != nil || last == 0 {
			t.Fatal(last, err)
		}
		if n, err := s.TrimChanges(ctx, time.Now().Add(time.Second)); err != nil || n != last {
			t.Errorf("trimmed %d of %d: %v", n, last, err)
		}
		write(t, s, id, func(tx *store.Tx) error { return tx.Touch(ctx, id) })
		changes, err := s.Changes(ctx, last, 10)
		if err != nil || len(changes) != 1 || changes[0].Seq != last+1 {
			t.Errorf("after trimming up to %d: %+v, %v", last, changes, err)
		}
	})
}

func TestSubscribersHearAtOnceAndFromOtherNodes(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, dsn string) {
		ctx, cancel := context.WithCancel(t.Context())
		here := storetest.OpenDSN(t, dsn, store.Options{Poll: time.Hour})
		there := storetest.OpenDSN(t, dsn, store.Options{Poll: 20 * time.Millisecond})
		local, remote := here.Subscribe(ctx), there.Subscribe(ctx)
		storetest.Create(t, there, "p", nil) // until it reads on from a known place
		receive(t, remote, firstLB(t, there))
		time.Sleep(100 * time.Millisecond)
		id := storetest.Create(t, here, "p", nil).LB.ID
		receive(t, local, id)
		receive(t, remote, id)

		// Nobody takes these: they wait, each once, and hinder no writer.
		for range 20 {
			write(t, here, id, func(tx *store.Tx) error { return tx.Touch(ctx, id) })
		}
		receive(t, local, id)
		cancel()
		for range local {
		}
		for range remote {
		}
	})
}

func firstLB(t *testing.T, s *store.Store) string {
	ids, err := s.LoadBalancerIDs(t.Context(), "")
	if err != nil || len(ids) == 0 {
		t.Fatal(ids, err)
	}
	return ids[0]
}
