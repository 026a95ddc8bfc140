package storetest_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/store"
	"github.com/octavo-lb/octavo/store/storetest"
	"github.com/octavo-lb/octavo/test/dbtest"
)

// clock is moved by hand.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(1e9, 0).Add(time.Duration(c.offset.Load())) }
func (c *clock) advance(d time.Duration) { c.offset.Add(int64(d)) }

// eachAt is storetest.Each with a clock that stands still.
func eachAt(t *testing.T, test func(t *testing.T, s *store.Store, c *clock)) {
	dbtest.Each(t, func(t *testing.T, dsn string) {
		c := &clock{}
		test(t, storetest.OpenDSN(t, dsn, store.Options{Clock: c.now}), c)
	})
}

func acquire(t *testing.T, s *store.Store, owner string) *store.Lease {
	t.Helper()
	lease, err := s.Acquire(t.Context(), owner, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return lease
}

func nothingDue(t *testing.T, s *store.Store) {
	t.Helper()
	if lease, err := s.Acquire(t.Context(), "w", time.Minute); !errors.Is(err, store.ErrNothingDue) {
		t.Errorf("acquired %+v, %v", lease, err)
	}
}

func TestLeaseHasExactlyOneOwner(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		const balancers, workers = 20, 30
		for range balancers {
			storetest.Create(t, s, "p", func(tree *lb.Tree) { *tree = lb.Tree{LB: tree.LB} })
		}
		var mu sync.Mutex
		owners := map[string]int{}
		var wg sync.WaitGroup
		for range workers {
			wg.Go(func() {
				for {
					lease, err := s.Acquire(t.Context(), "w", time.Hour)
					if errors.Is(err, store.ErrNothingDue) {
						return
					}
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					owners[lease.LB]++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		// A worker that lost all its races may go home early; what is left is taken by the next one that looks.
		for {
			lease, err := s.Acquire(t.Context(), "w", time.Hour)
			if err != nil {
				break
			}
			owners[lease.LB]++
		}
		if len(owners) != balancers {
			t.Errorf("%d of %d load balancers were leased", len(owners), balancers)
		}
		for id, n := range owners {
			if n != 1 {
				t.Errorf("%s was leased %d times", id, n)
			}
		}
	})
}

func TestFencedWriteIsRefusedAfterTakeover(t *testing.T) {
	eachAt(t, func(t *testing.T, s *store.Store, c *clock) {
		ctx := t.Context()
		id := storetest.Create(t, s, "p", nil).LB.ID
		slow := acquire(t, s, "slow")
		nothingDue(t, s)
		c.advance(2 * time.Minute)
		// Its time is over, but nobody took over: it may go on.
		if err := slow.Write(ctx, func(tx *store.Tx) error { return tx.SetCloudGeneration(ctx, 1) }); err != nil {
			t.Fatal(err)
		}
		quick := acquire(t, s, "quick")
		if quick.Token <= slow.Token {
			t.Errorf("token %d after %d", quick.Token, slow.Token)
		}
		ran := false
		err := slow.Write(ctx, func(tx *store.Tx) error { ran = true; return tx.Touch(ctx, id) })
		if !errors.Is(err, store.ErrFenced) || ran {
			t.Errorf("a write with the old lease: %v, ran: %v", err, ran)
		}
		if err := slow.Renew(ctx, time.Minute); !errors.Is(err, store.ErrFenced) {
			t.Errorf("renewing the old lease: %v", err)
		}
		if err := slow.Release(ctx, time.Time{}); !errors.Is(err, store.ErrFenced) {
			t.Errorf("releasing the old lease: %v", err)
		}
		if err := quick.Release(ctx, time.Time{}); err != nil {
			t.Error(err)
		}
		if err := quick.Write(ctx, func(*store.Tx) error { return nil }); !errors.Is(err, store.ErrFenced) {
			t.Errorf("a write after the release: %v", err)
		}
		if got := get[lb.LoadBalancer](t, s, id).Generation; got != 1 {
			t.Errorf("generation %d", got)
		}
	})
}

func TestWakeDuringARunLeadsToAnother(t *testing.T) {
	eachAt(t, func(t *testing.T, s *store.Store, c *clock) {
		ctx := t.Context()
		id := storetest.Create(t, s, "p", nil).LB.ID
		for name, wake := range map[string]func() error{
			"a user's write": func() error {
				return s.Write(ctx, func(tx *store.Tx) error { return tx.Touch(ctx, id) })
			},
			"a wake": func() error { return s.Wake(ctx, id) },
			"a wake in a transaction": func() error {
				return s.Write(ctx, func(tx *store.Tx) error {
					_, err := tx.Lock(ctx, id)
					tx.Wake()
					return err
				})
			},
		} {
			lease := acquire(t, s, "w")
			c.advance(time.Second)
			if err := wake(); err != nil {
				t.Fatal(err)
			}
			nothingDue(t, s)
			if err := lease.Release(ctx, c.now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
			again := acquire(t, s, "w") // at once, and not in an hour
			if err := again.Release(ctx, time.Time{}); err != nil {
				t.Fatal(err)
			}
			nothingDue(t, s)
			if err := s.Wake(ctx, id); err != nil {
				t.Fatal(err)
			}
			t.Log(name)
		}
	})
}

func TestReleaseSetsTheNextTime(t *testing.T) {
	eachAt(t, func(t *testing.T, s *store.Store, c *clock) {
		ctx := t.Context()
		if _, due, err := s.NextDue(ctx); due || err != nil {
			t.Errorf("something is due in an empty database: %v", err)
		}
		storetest.Create(t, s, "p", nil)
		lease := acquire(t, s, "w")
		if next, due, err := s.NextDue(ctx); err != nil || !due || !next.Equal(lease.Until) {
			t.Errorf("next %v, %v, %v", next, due, err)
		}
		next := c.now().Add(10 * time.Second)
		if err := lease.Release(ctx, next); err != nil {
			t.Fatal(err)
		}
		if got, due, err := s.NextDue(ctx); err != nil || !due || !got.Equal(next) {
			t.Errorf("next %v, %v, %v, want %v", got, due, err, next)
		}
		nothingDue(t, s)
		c.advance(10 * time.Second)
		lease = acquire(t, s, "w")
		c.advance(50 * time.Second)
		if err := lease.Renew(ctx, time.Minute); err != nil {
			t.Fatal(err)
		}
		c.advance(50 * time.Second)
		nothingDue(t, s)
		if err := lease.Release(ctx, time.Time{}); err != nil {
			t.Fatal(err)
		}
		if _, due, err := s.NextDue(ctx); due || err != nil {
			t.Errorf("due again without a wake: %v", err)
		}
	})
}

func TestCreationThatIsCompletedLaterIsNotDueBefore(t *testing.T) {
	eachAt(t, func(t *testing.T, s *store.Store, c *clock) {
		ctx := t.Context()
		var tree *lb.Tree
		for _, before := range []bool{false, true} {
			tree = storetest.Sample("p")
			err := s.Write(ctx, func(tx *store.Tx) error {
				if before {
					tx.Defer(tx.Now().Add(time.Minute))
				}
				err := storetest.Insert(ctx, tx, tree)
				if !before {
					tx.Defer(tx.Now().Add(time.Minute))
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		nothingDue(t, s)
		write(t, s, tree.LB.ID, func(tx *store.Tx) error {
			tree.LB.VipPortID = new(storetest.ID("port"))
			tx.Wake()
			return store.Amend(ctx, tx, &tree.LB)
		})
		lease := acquire(t, s, "w")
		if got := get[lb.LoadBalancer](t, s, lease.LB); got.Generation != 1 || got.VipPortID == nil {
			t.Errorf("%+v", got)
		}
	})
}

func TestReleaseOfALoadBalancerThatIsGone(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		id := storetest.Create(t, s, "p", nil).LB.ID
		write(t, s, id, func(tx *store.Tx) error { return store.Delete[lb.LoadBalancer](ctx, tx, id) })
		lease := acquire(t, s, "w")
		if err := lease.Write(ctx, func(tx *store.Tx) error { return tx.SetCloudGeneration(ctx, 2) }); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Tree(ctx, id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the load balancer is still there: %v", err)
		}
		if err := lease.Release(ctx, time.Time{}); err != nil {
			t.Error(err)
		}
	})
}
