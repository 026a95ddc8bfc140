package housekeeping_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/cloud"
	"github.com/octavo-lb/octavo/housekeeping"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/plan"
	"github.com/octavo-lb/octavo/store"
	"github.com/octavo-lb/octavo/store/storetest"
)

// house is a store and a cloud that lists what it is told to, on a clock that the test moves.
type house struct {
	*testing.T
	store   *store.Store
	now     time.Time
	objects []cloud.Object
	deleted []string
}

func newHouse(t *testing.T) *house {
	h := &house{T: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	h.store = storetest.Open(t, store.Options{Clock: func() time.Time { return h.now }})
	return h
}

func (h *house) keeper(change func(*housekeeping.Options)) *housekeeping.Keeper {
	o := housekeeping.Options{Store: h.store, Cloud: h, DeleteOrphans: true, Clock: func() time.Time { return h.now }}
	if change != nil {
		change(&o)
	}
	return housekeeping.New(o)
}

func (h *house) Owned(_ context.Context, kind plan.Kind) ([]cloud.Object, error) {
	return slices.DeleteFunc(slices.Clone(h.objects), func(o cloud.Object) bool { return o.Kind != kind }), nil
}

func (h *house) Delete(_ context.Context, o cloud.Object) error {
	h.deleted = append(h.deleted, o.ID)
	h.objects = slices.DeleteFunc(h.objects, func(other cloud.Object) bool { return other.ID == o.ID })
	return nil
}

func (h *house) put(kind plan.Kind, id, name string) {
	lbID, amphoraID := plan.Belongs(kind, name)
	h.objects = append(h.objects, cloud.Object{Kind: kind, ID: id, Name: name, LB: lbID, AmphoraID: amphoraID})
}

func (h *house) ok(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// balancer stores a load balancer with an amphora, and puts their objects into the cloud. Nothing is due afterwards.
func (h *house) balancer() (lbID, amphoraID string) {
	h.Helper()
	b := &lb.LoadBalancer{Meta: lb.Meta{ID: uuid.NewString(), Tags: []string{}}, VipPortID: new("vip-" + uuid.NewString()), VipPortOwned: true,
		VipVnicType: "normal", AdditionalVips: []lb.VIP{}, Topology: "SINGLE"}
	a := store.Amphora{ID: uuid.NewString(), Role: plan.Standalone, ComputeID: "server-" + b.ID, VRRPPortID: "vrrp-" + b.ID, MgmtPortID: "mgmt-" + b.ID}
	h.ok(h.store.Write(h.Context(), func(tx *store.Tx) error {
		if err := store.Insert(h.Context(), tx, b); err != nil {
			return err
		}
		return tx.InsertAmphora(h.Context(), &a)
	}))
	h.put(plan.PortKind, *b.VipPortID, plan.VIPPortName(b.ID))
	h.put(plan.SecurityGroupKind, "sg-"+b.ID, plan.GroupName(b.ID))
	h.put(plan.ServerKind, a.ComputeID, plan.ServerName(a.ID))
	h.put(plan.PortKind, a.VRRPPortID, plan.VRRPPortName(a.ID))
	h.put(plan.PortKind, a.MgmtPortID, plan.ManagementPortName(a.ID))
	h.rest()
	return b.ID, a.ID
}

// rest does what is due, which is nothing.
func (h *house) rest() []string {
	h.Helper()
	var due []string
	for {
		lease, err := h.store.Acquire(h.Context(), "test", time.Minute)
		if err != nil {
			return due
		}
		due = append(due, lease.LB)
		h.ok(lease.Release(h.Context(), time.Time{}))
	}
}

func (h *house) report(lbID, amphoraID string, sequence int64) {
	h.Helper()
	h.ok(h.store.Write(h.Context(), func(tx *store.Tx) error {
		if _, err := tx.Lock(h.Context(), lbID); err != nil {
			return err
		}
		return tx.Report(h.Context(), amphoraID, agentapi.Report{Sequence: sequence, Boot: "boot", Time: h.now})
	}))
}

func TestSilenceWakesTheWorkerOnce(t *testing.T) {
	h := newHouse(t)
	keeper := h.keeper(nil)
	quiet, amphora := h.balancer()
	other, talks := h.balancer()
	h.report(quiet, amphora, 1)
	for i := range 4 {
		h.report(other, talks, int64(i+1))
		h.ok(keeper.WakeSilent(t.Context()))
		want := []string(nil)
		if i == 3 { // 90 s
			want = []string{quiet}
		}
		if due := h.rest(); !slices.Equal(due, want) {
			t.Errorf("after %d s %v are due, want %v", i*30, due, want)
		}
		h.now = h.now.Add(30 * time.Second)
	}
	h.report(other, talks, 9)
	h.ok(keeper.WakeSilent(t.Context()))
	if due := h.rest(); len(due) > 0 {
		t.Errorf("%v is due again", due)
	}
	h.now = h.now.Add(6 * time.Minute)
	h.report(other, talks, 10)
	h.ok(keeper.WakeSilent(t.Context()))
	if due := h.rest(); !slices.Equal(due, []string{quiet}) {
		t.Errorf("after a long time %v are due", due)
	}
}

// TestImmunity15_OrphansAreFoundBothWays looks for objects without a row and for rows without their objects.
func TestImmunity15_OrphansAreFoundBothWays(t *testing.T) {
	h := newHouse(t)
	keeper := h.keeper(nil)
	id, amphora := h.balancer()
	h.put(plan.ServerKind, "lost-server", plan.ServerName(uuid.NewString()))
	h.put(plan.PortKind, "lost-vip", plan.VIPPortName(uuid.NewString()))
	h.put(plan.PortKind, "twin", plan.VRRPPortName(amphora))
	h.put(plan.SecurityGroupKind, "lost-group", plan.GroupName(uuid.NewString()))
	h.ok(keeper.SweepCloud(t.Context()))
	if len(h.deleted) > 0 {
		t.Errorf("%v are deleted by the first sweep", h.deleted)
	}
	h.ok(keeper.SweepCloud(t.Context()))
	if slices.Sort(h.deleted); !slices.Equal(h.deleted, []string{"lost-group", "lost-server", "lost-vip", "twin"}) {
		t.Errorf("deleted %v", h.deleted)
	}
	if due := h.rest(); len(due) > 0 {
		t.Errorf("%v are due though nothing is missing", due)
	}
	for _, missing := range []string{plan.VIPPortName(id), plan.ServerName(amphora), plan.VRRPPortName(amphora)} {
		all := h.objects
		h.objects = slices.DeleteFunc(slices.Clone(all), func(o cloud.Object) bool { return o.Name == missing })
		h.ok(keeper.SweepCloud(t.Context()))
		if due := h.rest(); !slices.Equal(due, []string{id}) {
			t.Errorf("without %s %v are due", missing, due)
		}
		h.objects = all
	}
}

func TestNothingIsDeletedWhenTheRowsAreSuspicious(t *testing.T) {
	for name, change := range map[string]func(*housekeeping.Options){
		"a database that was lost":            nil,
		"another service in the same project": func(o *housekeeping.Options) { o.DeleteOrphans = false },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			n := 30
			if change != nil {
				n = 1
			}
			for i := range n {
				h.put(plan.ServerKind, fmt.Sprint("server", i), plan.ServerName(uuid.NewString()))
			}
			keeper := h.keeper(change)
			for range 3 {
				h.ok(keeper.SweepCloud(t.Context()))
			}
			if len(h.deleted) > 0 {
				t.Errorf("deleted %v", h.deleted)
			}
		})
	}
}
