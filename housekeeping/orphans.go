package housekeeping

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/octavo-lb/octavo/cloud"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/plan"
	"github.com/octavo-lb/octavo/store"
)

// kinds in the order in which they can be deleted: what uses something before what it uses.
var kinds = []plan.Kind{plan.ServerKind, plan.PortKind, plan.SecurityGroupKind, plan.ServerGroupKind}

// SweepCloud compares the cloud's objects that have names of this service's with the rows, both ways: load balancers whose
// objects are missing are woken, objects without a row are orphans. A row is always there before its objects, and goes
// after them, so an orphan stays one; it is deleted when it was found by two sweeps.
func (k *Keeper) SweepCloud(ctx context.Context) error {
	if k.Cloud == nil {
		return nil
	}
	var objects []cloud.Object
	for _, kind := range kinds {
		found, err := k.Cloud.Owned(ctx, kind)
		if err != nil {
			return err
		}
		objects = append(objects, found...)
	}
	// The rows are read after the objects: what was made in between is not missed among the rows.
	rows, err := k.readRows(ctx)
	if err != nil {
		return err
	}
	return errors.Join(k.missing(ctx, rows, objects), k.dropOrphans(ctx, rows, objects))
}

// rows are ids of all that may have objects in the cloud.
type rows struct {
	balancers map[string]lb.LoadBalancer
	amphorae  map[string]store.Amphora
}

func (k *Keeper) readRows(ctx context.Context) (rows, error) {
	r := rows{balancers: map[string]lb.LoadBalancer{}, amphorae: map[string]store.Amphora{}}
	page, err := store.List[lb.LoadBalancer](ctx, k.Store, store.Query{})
	if err != nil {
		return rows{}, err
	}
	for _, b := range page.Items {
		r.balancers[b.ID] = b
	}
	all, err := k.Store.AllAmphorae(ctx)
	if err != nil {
		return rows{}, err
	}
	for _, a := range all {
		r.amphorae[a.ID] = a
	}
	return r, nil
}

// missing wakes the worker about load balancers that should have objects that are not there.
func (k *Keeper) missing(ctx context.Context, r rows, objects []cloud.Object) error {
	names := make(map[string]bool, len(objects))
	for _, o := range objects {
		names[o.Name] = true
	}
	lost := map[string]string{}
	for id, b := range r.balancers {
		if b.VipPortOwned && b.VipPortID != nil && !b.Deleting && !names[plan.VIPPortName(id)] {
			lost[id] = plan.VIPPortName(id)
		}
	}
	for _, a := range r.amphorae {
		switch {
		case a.Deleting:
		case a.ComputeID != "" && !names[plan.ServerName(a.ID)]:
			lost[a.LoadBalancerID] = plan.ServerName(a.ID)
		case a.VRRPPortID != "" && !names[plan.VRRPPortName(a.ID)]:
			lost[a.LoadBalancerID] = plan.VRRPPortName(a.ID)
		}
	}
	var failed error
	for id, name := range lost {
		k.Logger.Warn("an object in the cloud is missing, or is somebody else's now", "lb", id, "object", name)
		if err := k.Store.Wake(ctx, id); err != nil && !errors.Is(err, store.ErrNotFound) {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

// has tells whether an object is what a row says it is. One of the right name but another id was made by somebody who did
// not see the first one.
func (r rows) has(o cloud.Object) bool {
	same := func(id string) bool { return id == "" || id == o.ID }
	if b, ok := r.balancers[o.LB]; ok {
		return o.Kind != plan.PortKind || b.VipPortID == nil || !b.VipPortOwned || same(*b.VipPortID)
	}
	a, ok := r.amphorae[o.AmphoraID]
	switch {
	case !ok:
		return false
	case o.Kind == plan.ServerKind:
		return same(a.ComputeID)
	case o.Name == plan.VRRPPortName(a.ID):
		return same(a.VRRPPortID)
	case o.Name == plan.ManagementPortName(a.ID):
		return same(a.MgmtPortID)
	}
	return true
}

// What looks like more orphans than this is rather a database that was lost or put back.
const (
	manyOrphans = 5
	orphanShare = 0.3
)

func (k *Keeper) dropOrphans(ctx context.Context, r rows, objects []cloud.Object) error {
	now := k.Clock()
	found := map[string]time.Time{}
	var old []cloud.Object
	for _, o := range objects {
		if r.has(o) {
			continue
		}
		since, known := k.orphans[o.ID]
		if !known {
			since = now
		} else {
			old = append(old, o)
		}
		found[o.ID] = since
	}
	k.orphans = found
	if len(old) == 0 {
		return nil
	}
	if !k.DeleteOrphans || len(found) > manyOrphans && float64(len(found)) > orphanShare*float64(len(objects)) {
		for _, o := range old {
			k.Logger.Warn("an object in the cloud belongs to nothing", "kind", o.Kind, "id", o.ID, "name", o.Name)
		}
		return nil
	}
	var failed error
	for _, o := range old {
		k.Logger.Info("deleting an object in the cloud that belongs to nothing", "kind", o.Kind, "id", o.ID, "name", o.Name)
		if err := k.Cloud.Delete(ctx, o); err != nil {
			failed = errors.Join(failed, fmt.Errorf("orphan %s: %w", o.Name, err))
		}
	}
	return failed
}
