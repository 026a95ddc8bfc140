package worker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/cloud/noop"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/plan"
	"github.com/octavo-lb/octavo/store"
	"github.com/octavo-lb/octavo/store/storetest"
	"github.com/octavo-lb/octavo/worker"
)

// eventually waits until what is true.
func eventually(t *testing.T, what string, is func() error) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		err := is()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
	}
}

func work(t *testing.T, s *store.Store, delay time.Duration) {
	w := worker.New(worker.Options{Store: s, Cloud: noop.Cloud{}, Settings: plan.Settings{PretendDelay: delay},
		Pretends: func(provider string) bool { return provider == "noop_driver" }})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func noopBalancer(t *testing.T, s *store.Store) *lb.Tree {
	return storetest.Create(t, s, "p", func(tree *lb.Tree) {
		tree.LB.Provider, tree.LB.VipPortOwned = "noop_driver", true
		tree.LB.VipNetworkID = new(storetest.ID("network"))
		tree.LB.VipSubnetID, tree.LB.VipPortID = new(storetest.ID("subnet")), new(storetest.ID("port"))
	})
}

func TestWithoutADataPlaneEverythingSettles(t *testing.T) {
	s := storetest.Open(t, store.Options{})
	work(t, s, 0)
	id := noopBalancer(t, s).LB.ID
	eventually(t, "everything is ONLINE", func() error {
		tree, err := s.Tree(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if tree.LB.ProvisioningStatus != lb.Active || tree.LB.OperatingStatus != lb.Online || tree.Listeners[0].OperatingStatus != lb.Online ||
			tree.Members[0].OperatingStatus != lb.Online || tree.Monitors[0].OperatingStatus != lb.Online {
			return fmt.Errorf("%s %s", tree.LB.ProvisioningStatus, tree.LB.OperatingStatus)
		}
		return nil
	})
	if rows, err := s.Amphorae(t.Context(), id); err != nil || len(rows) > 0 {
		t.Errorf("%d amphorae (%v)", len(rows), err)
	}
	if err := s.Write(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Lock(t.Context(), id)
		return errors.Join(err, store.Delete[lb.LoadBalancer](t.Context(), tx, id))
	}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is gone", func() error {
		if _, err := s.Tree(t.Context(), id); !errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("it is there (%v)", err)
		}
		return nil
	})
}

func TestSettlingTakesAsLongAsTold(t *testing.T) {
	s := storetest.Open(t, store.Options{})
	const delay = 300 * time.Millisecond
	began := time.Now()
	work(t, s, delay)
	id := noopBalancer(t, s).LB.ID
	eventually(t, "it is ACTIVE", func() error {
		b, err := store.Get[lb.LoadBalancer](t.Context(), s, id)
		if err == nil && b.ProvisioningStatus != lb.Active {
			err = errors.New(string(b.ProvisioningStatus))
		}
		return err
	})
	if took := time.Since(began); took < delay {
		t.Errorf("ACTIVE after %v, before %v have passed", took, delay)
	}
}

// What somebody said over the status socket is not overruled by a worker that comes by; the next write begins anew.
func TestWhatWasSaidStandsUntilTheNextWrite(t *testing.T) {
	s := storetest.Open(t, store.Options{})
	work(t, s, 0)
	id := noopBalancer(t, s).LB.ID
	is := func(want lb.ProvisioningStatus) {
		t.Helper()
		eventually(t, string(want), func() error {
			b, err := store.Get[lb.LoadBalancer](t.Context(), s, id)
			if err == nil && b.ProvisioningStatus != want {
				err = errors.New(string(b.ProvisioningStatus))
			}
			return err
		})
	}
	write := func(fn func(tx *store.Tx, b *lb.LoadBalancer) error) {
		t.Helper()
		if err := s.Write(t.Context(), func(tx *store.Tx) error {
			b, err := tx.Lock(t.Context(), id)
			if err != nil {
				return err
			}
			return fn(tx, b)
		}); err != nil {
			t.Fatal(err)
		}
	}
	is(lb.Active)
	before, err := s.Progress(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	write(func(tx *store.Tx, _ *lb.LoadBalancer) error {
		tx.Wake()
		return tx.Tell(t.Context(), []store.Word{{Kind: store.LoadBalancer, ID: id, Provisioning: lb.ProvError}})
	})
	eventually(t, "a worker has come by", func() error {
		p, err := s.Progress(t.Context(), id)
		if err == nil && (p.LeaseToken < before.LeaseToken+2 || p.LeaseUntil != nil || p.DueAt != nil) {
			err = fmt.Errorf("%+v", p)
		}
		return err
	})
	is(lb.ProvError)
	page, err := store.List[lb.LoadBalancer](t.Context(), s, store.Query{Filters: []store.Filter{{Name: "provisioning_status", Values: []string{"ERROR"}}}})
	if err != nil || len(page.Items) != 1 {
		t.Errorf("%d load balancers in ERROR (%v)", len(page.Items), err)
	}
	write(func(tx *store.Tx, b *lb.LoadBalancer) error { return store.Update(t.Context(), tx, b) })
	is(lb.Active)
}
