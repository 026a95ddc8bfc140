package store

import (
	"slices"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/test/dbtest"
)

func openEach(t *testing.T, test func(t *testing.T, s *Store)) {
	dbtest.Each(t, func(t *testing.T, dsn string) {
		s, err := Open(t.Context(), dsn, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		test(t, s)
	})
}

// A transaction appends its entry, is overtaken by another one that commits first, and commits after a reader came by: the
// entry's key is then smaller than one that was read already.
func TestChangeLogSkipsNothingThatCommitsLate(t *testing.T) {
	openEach(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		appendEntry := func(lbID string, meanwhile func()) error {
			return s.Write(ctx, func(tx *Tx) error {
				tx.Log(Change{LB: lbID, Kind: LoadBalancer, ObjectID: lbID, Action: "update"})
				err := tx.insertChanges(ctx)
				tx.changes = nil
				meanwhile()
				return err
			})
		}
		appended, commit := make(chan struct{}), make(chan struct{})
		slow, quick := make(chan error, 1), make(chan error, 1)
		go func() {
			slow <- appendEntry("slow", func() { close(appended); <-commit })
		}()
		<-appended
		go func() { quick <- appendEntry("quick", func() {}) }()
		if !s.dialect.serial { // one writer at a time has no late commits
			if err := <-quick; err != nil {
				t.Fatal(err)
			}
		}
		var last int64
		var seen []string
		read := func() {
			changes, err := s.Changes(ctx, last, 100)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range changes {
				if c.Seq <= last {
					t.Errorf("sequence %d after %d", c.Seq, last)
				}
				last, seen = c.Seq, append(seen, c.LB)
			}
		}
		read()
		if want := []string{"quick"}; !s.dialect.serial && !slices.Equal(seen, want) {
			t.Fatalf("before the late commit: %v", seen)
		}
		close(commit)
		if err := <-slow; err != nil {
			t.Fatal(err)
		}
		if s.dialect.serial {
			if err := <-quick; err != nil {
				t.Fatal(err)
			}
		}
		read()
		slices.Sort(seen)
		if want := []string{"quick", "slow"}; !slices.Equal(seen, want) {
			t.Errorf("the reader saw %v, want %v", seen, want)
		}
	})
}

func TestTransactionWritesToOneLoadBalancerOnly(t *testing.T) {
	openEach(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		one, two := lb.LoadBalancer{}, lb.LoadBalancer{}
		if err := s.Write(ctx, func(tx *Tx) error { return Insert(ctx, tx, &one) }); err != nil {
			t.Fatal(err)
		}
		for name, second := range map[string]func(tx *Tx) error{
			"insert":  func(tx *Tx) error { return Insert(ctx, tx, &two) },
			"no lock": func(tx *Tx) error { tx.balance = nil; return Insert(ctx, tx, &lb.Pool{}) },
			"lock":    func(tx *Tx) error { _, err := tx.Lock(ctx, "another"); return err },
		} {
			err := s.Write(ctx, func(tx *Tx) error {
				if _, err := tx.Lock(ctx, one.ID); err != nil {
					return err
				}
				return second(tx)
			})
			if err == nil {
				t.Errorf("%s: no error", name)
			}
		}
	})
}

// An id whose transaction is rolled back and run again must not reach the change log twice.
func TestRetriedTransactionIsWrittenOnce(t *testing.T) {
	openEach(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		runs := 0
		var object lb.LoadBalancer
		err := s.Write(ctx, func(tx *Tx) error {
			runs++
			object = lb.LoadBalancer{}
			if err := Insert(ctx, tx, &object); err != nil {
				return err
			}
			if runs < 3 {
				return retryableErrors(s)[0]
			}
			return nil
		})
		if err != nil || runs != 3 {
			t.Fatalf("%d runs, %v", runs, err)
		}
		changes, err := s.Changes(ctx, 0, 10)
		if err != nil || len(changes) != 1 || changes[0].ObjectID != object.ID || time.Since(changes[0].At) > time.Minute {
			t.Errorf("%+v, %v", changes, err)
		}
	})
}
