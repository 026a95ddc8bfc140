package storetest_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/store"
	"github.com/octavo-lb/octavo/store/storetest"
	"github.com/octavo-lb/octavo/test/dbtest"
)

// shortNotice says what it is of and how the load balancer was then.
func shortNotice(event string, tree *lb.Tree, _ time.Time) []byte {
	return []byte(event + " " + tree.LB.Name + " " + string(tree.LB.ProvisioningStatus))
}

func eachWithNotices(t *testing.T, test func(t *testing.T, s *store.Store)) {
	dbtest.Each(t, func(t *testing.T, dsn string) {
		test(t, storetest.OpenDSN(t, dsn, store.Options{Notify: shortNotice}))
	})
}

func notices(t *testing.T, s *store.Store) (texts []string) {
	t.Helper()
	all, err := s.Notifications(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range all {
		texts = append(texts, string(n.Body))
	}
	return texts
}

func rename(t *testing.T, s *store.Store, id, name string) {
	t.Helper()
	write(t, s, id, func(tx *store.Tx) error {
		tree, err := tx.LockTree(t.Context(), id)
		if err != nil {
			return err
		}
		tree.LB.Name = name
		return store.Update(t.Context(), tx, &tree.LB)
	})
}

func TestNotificationsTellWhatCameInForceInOrder(t *testing.T) {
	eachWithNotices(t, func(t *testing.T, s *store.Store) {
		made := storetest.Create(t, s, "p", func(tree *lb.Tree) { tree.LB.Name = "a" })
		id := made.LB.ID
		if got := notices(t, s); len(got) > 0 {
			t.Errorf("told of %q before anything is in force", got)
		}
		settle(t, s, id)
		write(t, s, id, func(tx *store.Tx) error { return tx.Touch(t.Context(), id) })
		settle(t, s, id)
		rename(t, s, id, "b")
		settle(t, s, id)
		rename(t, s, id, "never in force")
		write(t, s, id, func(tx *store.Tx) error { return store.Delete[lb.LoadBalancer](t.Context(), tx, id) })
		settle(t, s, id)
		want := []string{"create a ACTIVE", "update b ACTIVE", "delete never in force PENDING_DELETE"}
		if got := notices(t, s); !slices.Equal(got, want) {
			t.Errorf("told of %q, want %q", got, want)
		}
	})
}

func TestCensusCountsNotificationsThatWait(t *testing.T) {
	eachWithNotices(t, func(t *testing.T, s *store.Store) {
		began := time.Now()
		check := func(want int) {
			t.Helper()
			c, err := s.Census(t.Context(), began)
			if err != nil {
				t.Fatal(err)
			}
			if oldest := c.OldestNotification; c.Notifications != want || oldest.IsZero() != (want == 0) ||
				want > 0 && (oldest.Before(began.Add(-time.Minute)) || oldest.After(time.Now())) {
				t.Errorf("%d wait, the first since %v; want %d", c.Notifications, oldest, want)
			}
		}
		made := []string{storetest.Create(t, s, "p", nil).LB.ID, storetest.Create(t, s, "p", nil).LB.ID}
		check(0) // nothing is in force yet
		for i, id := range made {
			settle(t, s, id)
			check(i + 1)
		}
	})
}

func TestWhatCouldNotBeMadeIsNotToldOf(t *testing.T) {
	eachWithNotices(t, func(t *testing.T, s *store.Store) {
		made := storetest.Create(t, s, "p", nil)
		write(t, s, made.LB.ID, func(tx *store.Tx) error { return tx.Remove(t.Context()) })
		kept := storetest.Create(t, s, "p", func(tree *lb.Tree) { tree.LB.Name = "kept" })
		settle(t, s, kept.LB.ID)
		if got := notices(t, s); !slices.Equal(got, []string{"create kept ACTIVE"}) {
			t.Errorf("told of %q", got)
		}
	})
}

func TestNotificationsThatWereSentAreForgotten(t *testing.T) {
	eachWithNotices(t, func(t *testing.T, s *store.Store) {
		for _, name := range []string{"a", "b", "c"} {
			settle(t, s, storetest.Create(t, s, "p", func(tree *lb.Tree) { tree.LB.Name = name }).LB.ID)
		}
		all, err := s.Notifications(t.Context(), 2)
		if err != nil || len(all) != 2 {
			t.Fatalf("%d of 3, want 2 (%v)", len(all), err)
		}
		if err := s.DropNotifications(t.Context(), all[0].ID, all[1].ID); err != nil {
			t.Fatal(err)
		}
		if got := notices(t, s); !slices.Equal(got, []string{"create c ACTIVE"}) {
			t.Errorf("left are %q", got)
		}
		if n, err := s.TrimNotifications(t.Context(), time.Now().Add(time.Minute)); n != 1 || err != nil {
			t.Errorf("%d dropped, want 1 (%v)", n, err)
		}
	})
}

func TestNothingIsStoredForNobody(t *testing.T) {
	s := storetest.Open(t, store.Options{})
	settle(t, s, storetest.Create(t, s, "p", nil).LB.ID)
	if got := notices(t, s); len(got) > 0 {
		t.Errorf("stored %q", got)
	}
}

func TestDutyHasOneHolder(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, dsn string) {
		now := time.Now()
		s := storetest.OpenDSN(t, dsn, store.Options{Clock: func() time.Time { return now }})
		hold := func(who string, want bool) {
			t.Helper()
			held, err := s.HoldDuty(t.Context(), "notify", who, time.Minute)
			if err != nil || held != want {
				t.Errorf("%s holds it: %v (%v), want %v", who, held, err, want)
			}
		}
		hold("a", true)
		hold("b", false)
		hold("a", true)
		now = now.Add(2 * time.Minute)
		hold("b", true)
		hold("a", false)
		if err := errors.Join(s.LeaveDuty(t.Context(), "notify", "a"), s.LeaveDuty(t.Context(), "notify", "b")); err != nil {
			t.Fatal(err)
		}
		hold("a", true)
	})
}
