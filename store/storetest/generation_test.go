package storetest_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/store"
	"github.com/octavo-lb/octavo/store/storetest"
)

func TestEveryWriteRaisesTheGenerationByOne(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		tree := storetest.Create(t, s, "p", nil)
		for _, m := range metas(tree) {
			if m.Generation != 1 || m.Created != 1 {
				t.Errorf("%s was made at generation %d, %d", m.ID, m.Created, m.Generation)
			}
		}
		write(t, s, tree.LB.ID, func(tx *store.Tx) error {
			tree.Members[0].Weight = 7
			added := lb.Member{Meta: lb.Meta{ProjectID: "p", Tags: []string{}}, PoolID: tree.Pools[0].ID, Address: "198.51.100.9"}
			if err := store.Insert(ctx, tx, &added); err != nil {
				return err
			}
			if added.ID == "" || added.Generation != 2 || added.Created != 2 || tx.Generation() != 2 {
				t.Errorf("added %+v at generation %d", added.Meta, tx.Generation())
			}
			return store.Update(ctx, tx, &tree.Members[0])
		})
		b := get[lb.LoadBalancer](t, s, tree.LB.ID)
		m := get[lb.Member](t, s, tree.Members[0].ID)
		untouched := get[lb.Member](t, s, tree.Members[1].ID)
		if b.Generation != 2 || m.Generation != 2 || m.Created != 1 || m.UpdatedAt == nil || untouched.Generation != 1 {
			t.Errorf("generations %d, %d, %d, %d", b.Generation, m.Generation, m.Created, untouched.Generation)
		}
		write(t, s, tree.LB.ID, func(tx *store.Tx) error { return tx.Touch(ctx, tree.LB.ID) })
		write(t, s, tree.LB.ID, func(tx *store.Tx) error {
			b, err := tx.Lock(ctx, tree.LB.ID)
			if err != nil {
				return err
			}
			b.VipPortID = new(storetest.ID("port"))
			return store.Amend(ctx, tx, b)
		})
		if b = get[lb.LoadBalancer](t, s, tree.LB.ID); b.Generation != 3 || b.VipPortID == nil {
			t.Errorf("generation %d, port %v", b.Generation, b.VipPortID)
		}
	})
}

func TestRefusedWriteChangesNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		tree := storetest.Create(t, s, "p", nil)
		last, err := s.LastChange(ctx)
		if err != nil {
			t.Fatal(err)
		}
		before, _ := s.Tree(ctx, tree.LB.ID)
		refusal := errors.New("refused")
		err = s.Write(ctx, func(tx *store.Tx) error {
			if _, err := tx.LockTree(ctx, tree.LB.ID); err != nil {
				return err
			}
			if err := store.Delete[lb.Pool](ctx, tx, tree.Pools[0].ID); err != nil {
				return err
			}
			return refusal
		})
		if !errors.Is(err, refusal) {
			t.Fatal(err)
		}
		after, _ := s.Tree(ctx, tree.LB.ID)
		if fmt.Sprint(before.LB, before.Pools, before.Members) != fmt.Sprint(after.LB, after.Pools, after.Members) {
			t.Errorf("before %+v\nafter %+v", before, after)
		}
		if now, _ := s.LastChange(ctx); now != last {
			t.Errorf("the change log went from %d to %d", last, now)
		}
	})
}

// The statuses that SQL computes are those that lb does, in every state that there is.
func TestProvisioningStatusInSQLIsThatOfPackageLB(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		seen := map[lb.ProvisioningStatus]bool{}
		check := func(id string) {
			t.Helper()
			tree := tree(t, s, id)
			if want := tree.LB.Provisioning(); tree.LB.ProvisioningStatus != want {
				t.Errorf("load balancer %+v: %s, want %s", tree.LB.Meta, tree.LB.ProvisioningStatus, want)
			}
			for _, m := range metas(tree)[1:] {
				seen[m.ProvisioningStatus] = true
				if want := m.Provisioning(&tree.LB); m.ProvisioningStatus != want {
					t.Errorf("%+v of %+v: %s, want %s", m, tree.LB.Meta, m.ProvisioningStatus, want)
				}
			}
		}
		for _, deleteAll := range []bool{false, true} {
			made := storetest.Create(t, s, "p", nil)
			id := made.LB.ID
			fail := func() {
				check(id)
				write(t, s, id, func(tx *store.Tx) error { return tx.SetFailure(ctx, "no quota", time.Time{}) })
				check(id)
			}
			fail()
			settle(t, s, id)
			check(id)
			write(t, s, id, func(tx *store.Tx) error {
				if err := store.Update(ctx, tx, &made.Listeners[0]); err != nil {
					return err
				}
				added := lb.Pool{Meta: lb.Meta{ProjectID: "p"}, LoadBalancerID: id}
				return errors.Join(store.Insert(ctx, tx, &added), store.Delete[lb.Member](ctx, tx, made.Members[0].ID))
			})
			fail()
			if deleteAll {
				write(t, s, id, func(tx *store.Tx) error { return store.Delete[lb.LoadBalancer](ctx, tx, id) })
				fail()
			}
		}
		for _, status := range []lb.ProvisioningStatus{lb.Active, lb.PendingCreate, lb.PendingUpdate, lb.PendingDelete, lb.ProvError} {
			if !seen[status] {
				t.Errorf("the test never came by %s", status)
			}
		}
	})
}

func TestObservedGenerationIsTheLeastOfCloudAndAmphorae(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		tree := storetest.Create(t, s, "p", nil)
		id := tree.LB.ID
		one, two := store.Amphora{Role: "MASTER"}, store.Amphora{Role: "BACKUP"}
		observed := func(want int64) {
			t.Helper()
			if got := get[lb.LoadBalancer](t, s, id).ObservedGeneration; got != want {
				t.Errorf("observed %d, want %d", got, want)
			}
		}
		report := func(a *store.Amphora, generation int64) {
			a.Sequence++
			write(t, s, id, func(tx *store.Tx) error {
				return tx.Report(ctx, a.ID, agentapi.Report{Boot: "b", Sequence: a.Sequence, Applied: generation})
			})
		}
		write(t, s, id, func(tx *store.Tx) error {
			return errors.Join(tx.InsertAmphora(ctx, &one), tx.InsertAmphora(ctx, &two))
		})
		report(&one, 1)
		observed(0)
		write(t, s, id, func(tx *store.Tx) error { return tx.SetCloudGeneration(ctx, 1) })
		observed(0) // the other has not applied it
		report(&two, 1)
		observed(1)

		write(t, s, id, func(tx *store.Tx) error { return tx.Touch(ctx, id) })
		write(t, s, id, func(tx *store.Tx) error { return tx.SetCloudGeneration(ctx, 2) })
		report(&one, 2)
		observed(1)
		two.Deleting = true // it is being replaced: what it serves does not count
		write(t, s, id, func(tx *store.Tx) error { return tx.UpdateAmphora(ctx, &two) })
		observed(2)
		report(&one, 0) // an agent that lost its state does not take back what was in force
		observed(2)
	})
}

func TestDeletedChildrenAreDroppedWhenThatIsInForce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		made := storetest.Create(t, s, "p", func(tree *lb.Tree) { tree.Members[0].Tags = []string{"x"} })
		id := made.LB.ID
		settle(t, s, id)
		write(t, s, id, func(tx *store.Tx) error { return store.Delete[lb.Pool](ctx, tx, made.Pools[0].ID) })
		tree1 := tree(t, s, id)
		if !tree1.Pools[0].Deleting || !tree1.Members[0].Deleting || !tree1.Members[1].Deleting || !tree1.Monitors[0].Deleting {
			t.Errorf("not everything below the pool is being deleted: %+v", tree1)
		}
		if tree1.Listeners[0].Deleting || tree1.Policies[0].Deleting {
			t.Errorf("what is not below the pool is being deleted: %+v", tree1)
		}
		write(t, s, id, func(tx *store.Tx) error { return tx.SetCloudGeneration(ctx, 1) })
		if got := tree(t, s, id); len(got.Members) != 2 {
			t.Errorf("members were dropped before their deletion was in force: %+v", got.Members)
		}
		settle(t, s, id)
		if got := tree(t, s, id); len(got.Pools)+len(got.Members)+len(got.Monitors) != 0 || len(got.Rules) != 1 {
			t.Errorf("left: %+v", got)
		}
		if got := list[lb.Member](t, s, store.Query{Tags: []string{"x"}}); len(got) != 0 {
			t.Errorf("tags of what is gone: %v", got)
		}
		write(t, s, id, func(tx *store.Tx) error { return store.Delete[lb.Listener](ctx, tx, made.Listeners[0].ID) })
		settle(t, s, id)
		if got := tree(t, s, id); len(got.Listeners)+len(got.Policies)+len(got.Rules) != 0 {
			t.Errorf("left: %+v", got)
		}
		err := s.Write(ctx, func(tx *store.Tx) error {
			if _, err := tx.Lock(ctx, id); err != nil {
				return err
			}
			return store.Delete[lb.Listener](ctx, tx, made.Listeners[0].ID)
		})
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("deleting what is gone: %v", err)
		}
	})
}

func TestDeletedLoadBalancerIsDroppedWithItsLastAmphora(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		made := storetest.Create(t, s, "p", nil)
		id := made.LB.ID
		a := store.Amphora{Role: "STANDALONE"}
		write(t, s, id, func(tx *store.Tx) error { return tx.InsertAmphora(ctx, &a) })
		settle(t, s, id)
		write(t, s, id, func(tx *store.Tx) error { return store.Delete[lb.LoadBalancer](ctx, tx, id) })
		if got := get[lb.LoadBalancer](t, s, id).ProvisioningStatus; got != lb.PendingDelete {
			t.Errorf("status %s", got)
		}
		settle(t, s, id) // the agent and the cloud are done, but the instance is there
		if got := tree(t, s, id); len(got.Listeners)+len(got.Pools)+len(got.Members) != 0 {
			t.Errorf("left: %+v", got)
		}
		write(t, s, id, func(tx *store.Tx) error { return tx.RemoveAmphora(ctx, a.ID) })
		if _, err := s.Tree(ctx, id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("after its last amphora: %v", err)
		}
		var actions []string
		changes, err := s.Changes(ctx, 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range changes {
			if c.ObjectID == id {
				actions = append(actions, c.Action)
			}
		}
		if len(actions) == 0 || actions[0] != "create" || !slices.Contains(actions, "delete") || !slices.Contains(actions, "purge") {
			t.Errorf("logged %v", actions)
		}
	})
}

func TestFailureIsShownUntilTheNextWriteOrSuccess(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		id := storetest.Create(t, s, "p", nil).LB.ID
		next := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
		fail := func() {
			write(t, s, id, func(tx *store.Tx) error { return tx.SetFailure(ctx, "no flavor called x", next) })
		}
		fail()
		fail()
		p, err := s.Progress(ctx, id)
		if err != nil || p.Failure != "no flavor called x" || p.Failures != 2 || !p.NextTryAt.Equal(next) || p.FailureAt == nil {
			t.Errorf("progress %+v, %v", p, err)
		}
		write(t, s, id, func(tx *store.Tx) error { return tx.Touch(ctx, id) })
		if p, err = s.Progress(ctx, id); err != nil || p.Failure != "" || p.Failures != 0 || p.NextTryAt != nil {
			t.Errorf("after a write: %+v, %v", p, err)
		}
		fail()
		settle(t, s, id)
		if p, err = s.Progress(ctx, id); err != nil || p.Failure != "" || get[lb.LoadBalancer](t, s, id).ProvisioningStatus != lb.Active {
			t.Errorf("after success: %+v, %v", p, err)
		}
	})
}
