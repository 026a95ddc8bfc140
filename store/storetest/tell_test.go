package storetest_test

import (
	"errors"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/store"
	"github.com/octavo-lb/octavo/store/storetest"
)

func tell(t *testing.T, s *store.Store, id string, words ...store.Word) {
	t.Helper()
	write(t, s, id, func(tx *store.Tx) error { return tx.Tell(t.Context(), words) })
}

// statuses checks what is computed by SQL and by package lb, and that lists find each object by it.
func statuses(t *testing.T, s *store.Store, id string, balancer, listener, pool lb.ProvisioningStatus) {
	t.Helper()
	tr := tree(t, s, id)
	for _, c := range []struct{ what, sql, own, want lb.ProvisioningStatus }{
		{"load balancer", tr.LB.ProvisioningStatus, tr.LB.Provisioning(), balancer},
		{"listener", tr.Listeners[0].ProvisioningStatus, tr.Listeners[0].Meta.Provisioning(&tr.LB), listener},
		{"pool", tr.Pools[0].ProvisioningStatus, tr.Pools[0].Meta.Provisioning(&tr.LB), pool},
	} {
		if c.sql != c.want || c.own != c.want {
			t.Errorf("%s: %s in SQL, %s in package lb, want %s", c.what, c.sql, c.own, c.want)
		}
	}
	found[lb.LoadBalancer](t, s, balancer)
	found[lb.Listener](t, s, listener)
	found[lb.Pool](t, s, pool)
}

func found[T store.Resource](t *testing.T, s *store.Store, want lb.ProvisioningStatus) {
	t.Helper()
	for _, status := range []lb.ProvisioningStatus{lb.Active, lb.PendingCreate, lb.PendingUpdate, lb.PendingDelete, lb.ProvError} {
		page, err := store.List[T](t.Context(), s, store.Query{Filters: []store.Filter{{Name: "provisioning_status", Values: []string{string(status)}}}})
		if err != nil {
			t.Fatal(err)
		}
		if (len(page.Items) == 1) != (status == want) {
			t.Errorf("%T: %d found by %s, which is %s", *new(T), len(page.Items), status, want)
		}
	}
}

// A provider outside of the process says what each object is; what it says counts until the next write, in answers and in
// what lists are filtered by.
func TestWordsOfAProvider(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		made := storetest.Create(t, s, "p", nil)
		id, listener, pool := made.LB.ID, made.Listeners[0].ID, made.Pools[0].ID
		word := func(k store.Kind, id string, p lb.ProvisioningStatus) store.Word {
			return store.Word{Kind: k, ID: id, Provisioning: p}
		}
		balancer := func(p lb.ProvisioningStatus) store.Word { return word(store.LoadBalancer, id, p) }

		statuses(t, s, id, lb.PendingCreate, lb.PendingCreate, lb.PendingCreate)
		tell(t, s, id, word(store.Listener, listener, lb.Active))
		statuses(t, s, id, lb.PendingCreate, lb.Active, lb.PendingCreate)
		tell(t, s, id, word(store.Pool, pool, lb.ProvError), balancer(lb.Active))
		statuses(t, s, id, lb.Active, lb.Active, lb.ProvError)
		tell(t, s, id, word(store.Pool, pool, lb.Active))
		statuses(t, s, id, lb.Active, lb.Active, lb.Active)
		if b := get[lb.LoadBalancer](t, s, id); b.Told != "" || b.ObservedGeneration != b.Generation {
			t.Errorf("the load balancer is ACTIVE by its provider's word only: %+v", b.Meta)
		}
		tell(t, s, id, balancer(lb.ProvError), store.Word{Kind: store.Pool, ID: pool, Operating: lb.Degraded})
		statuses(t, s, id, lb.ProvError, lb.Active, lb.Active)
		if got := get[lb.Pool](t, s, pool).OperatingStatus; got != lb.Degraded {
			t.Errorf("the pool is %s", got)
		}

		// A write makes old words void; ACTIVE about an older generation does not cover it.
		before := get[lb.LoadBalancer](t, s, id).Generation
		write(t, s, id, func(tx *store.Tx) error {
			p, err := store.Get[lb.Pool](t.Context(), tx, pool)
			if err != nil {
				return err
			}
			return store.Update(t.Context(), tx, &p)
		})
		statuses(t, s, id, lb.PendingUpdate, lb.Active, lb.PendingUpdate)
		tell(t, s, id, store.Word{Kind: store.LoadBalancer, ID: id, Provisioning: lb.Active, Generation: before})
		statuses(t, s, id, lb.PendingUpdate, lb.Active, lb.PendingUpdate)
		tell(t, s, id, store.Word{Kind: store.LoadBalancer, ID: id, Provisioning: lb.Active, Generation: before + 1})
		statuses(t, s, id, lb.Active, lb.Active, lb.Active)
	})
}

// What a provider has called pending and does not speak of any more can be ended, and its next word counts again.
func TestAProviderThatStaysAway(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		made := storetest.Create(t, s, "p", nil)
		id, pool := made.LB.ID, made.Pools[0].ID
		since := func() time.Time {
			t.Helper()
			p, err := s.Progress(ctx, id)
			if err != nil || p.AwaitedSince == nil {
				t.Fatalf("awaited since %v (%v)", p.AwaitedSince, err)
			}
			return *p.AwaitedSince
		}
		word := func(k store.Kind, id string, p lb.ProvisioningStatus) store.Word {
			return store.Word{Kind: k, ID: id, Provisioning: p}
		}
		later := func(what string, before time.Time) time.Time {
			t.Helper()
			now := since()
			if !now.After(before) {
				t.Errorf("%s does not give the provider more time: %v, %v before", what, now, before)
			}
			return now
		}
		created := since()
		tell(t, s, id, word(store.LoadBalancer, id, lb.Active))
		told := later("a word", created)
		write(t, s, id, func(tx *store.Tx) error { return tx.Touch(ctx, id) })
		later("a write", told)
		tell(t, s, id, word(store.LoadBalancer, id, lb.PendingUpdate), word(store.Pool, pool, lb.PendingUpdate))
		statuses(t, s, id, lb.PendingUpdate, lb.Active, lb.PendingUpdate)

		write(t, s, id, func(tx *store.Tx) error {
			return errors.Join(tx.Forsake(ctx), tx.SetFailure(ctx, "nobody is there", time.Now().Add(time.Hour)))
		})
		statuses(t, s, id, lb.ProvError, lb.Active, lb.ProvError)
		tell(t, s, id, word(store.Listener, made.Listeners[0].ID, lb.Active))
		statuses(t, s, id, lb.PendingUpdate, lb.Active, lb.ProvError)
		if due, some, err := s.NextDue(ctx); err != nil || !some || due.After(time.Now().Add(time.Minute)) {
			t.Errorf("no worker is called to await the rest: %v %v %v", due, some, err)
		}
		tell(t, s, id, word(store.Pool, pool, lb.Active), word(store.LoadBalancer, id, lb.Active))
		statuses(t, s, id, lb.Active, lb.Active, lb.Active)
		if p, err := s.Progress(ctx, id); err != nil || p.Failure != "" {
			t.Errorf("the failure is still %q (%v)", p.Failure, err)
		}
	})
}

func TestAProvidersDELETED(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		made := storetest.Create(t, s, "p", nil)
		id, pool := made.LB.ID, made.Pools[0].ID
		gone := store.Word{Kind: store.Pool, ID: pool, Provisioning: lb.Deleted}
		refused := s.Write(ctx, func(tx *store.Tx) error {
			if _, err := tx.Lock(ctx, id); err != nil {
				return err
			}
			return tx.Tell(ctx, []store.Word{gone})
		})
		if wanted, ok := errors.AsType[*store.WantedError](refused); !ok || wanted.ID != pool {
			t.Errorf("a pool that its user has not deleted: %v", refused)
		}
		write(t, s, id, func(tx *store.Tx) error { return store.Delete[lb.Pool](ctx, tx, pool) })
		tell(t, s, id, store.Word{Kind: store.Pool, ID: pool, Provisioning: lb.Active})
		if got := get[lb.Pool](t, s, pool).ProvisioningStatus; got != lb.PendingDelete {
			t.Errorf("after ACTIVE of what was deleted meanwhile: %s", got)
		}
		tell(t, s, id, gone)
		if tr := tree(t, s, id); len(tr.Pools)+len(tr.Members)+len(tr.Monitors) != 0 || len(tr.Listeners) != 1 {
			t.Errorf("%d pools, %d members, %d monitors, %d listeners are left", len(tr.Pools), len(tr.Members), len(tr.Monitors), len(tr.Listeners))
		}
		tell(t, s, id, gone, store.Word{Kind: store.Member, ID: storetest.ID("nobody"), Provisioning: lb.ProvError})

		write(t, s, id, func(tx *store.Tx) error { return store.Delete[lb.LoadBalancer](ctx, tx, id) })
		tell(t, s, id, store.Word{Kind: store.LoadBalancer, ID: id, Provisioning: lb.Active})
		tell(t, s, id, store.Word{Kind: store.LoadBalancer, ID: id, Provisioning: lb.Deleted})
		if b := get[lb.LoadBalancer](t, s, id); b.ProvisioningStatus != lb.PendingDelete || b.Told != lb.Deleted {
			t.Errorf("until a worker has released its VIP: %s, told %s", b.ProvisioningStatus, b.Told)
		}
		if due, some, err := s.NextDue(ctx); err != nil || !some {
			t.Errorf("no worker is called: %v %v", due, err)
		}
	})
}

func TestStatisticsOfAProviderReplaceThoseBefore(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		made := storetest.Create(t, s, "p", nil)
		listener := made.Listeners[0].ID
		for _, want := range []store.Statistics{{ActiveConnections: 3, TotalConnections: 10, BytesIn: 5}, {TotalConnections: 4, BytesOut: 1 << 40}} {
			write(t, s, made.LB.ID, func(tx *store.Tx) error {
				return tx.SetStatistics(t.Context(), map[string]store.Statistics{listener: want, storetest.ID("nobody"): want})
			})
			got, err := s.StatisticsOfLoadBalancers(t.Context(), made.LB.ID)
			if err != nil || got[made.LB.ID] != want {
				t.Errorf("%+v (%v), want %+v", got[made.LB.ID], err, want)
			}
		}
	})
}
