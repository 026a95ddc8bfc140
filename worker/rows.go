package worker

import (
	"context"
	"reflect"
	"slices"

	"github.com/octavo-lb/octavo/plan"
	"github.com/octavo-lb/octavo/store"
)

// update changes the row of one amphora, unless it is as it shall be already.
func (r *run) update(ctx context.Context, id string, change func(*store.Amphora)) error {
	return r.rows(ctx, func(tx *store.Tx, rows []store.Amphora) error {
		i := slices.IndexFunc(rows, func(a store.Amphora) bool { return a.ID == id })
		if i < 0 {
			return nil // forgotten by whoever had the lease before; the next plan knows
		}
		changed := rows[i]
		changed.Interfaces = slices.Clone(changed.Interfaces)
		change(&changed)
		if reflect.DeepEqual(changed, rows[i]) {
			return nil
		}
		return tx.UpdateAmphora(ctx, &changed)
	})
}

// rows changes rows of amphorae under the lease. If that changes what an agent is to do in a generation that it may have
// got already, the generation is raised with it, so that the agent asks again.
func (r *run) rows(ctx context.Context, change func(tx *store.Tx, rows []store.Amphora) error) error {
	var after []store.Amphora
	return r.write(ctx, func(tx *store.Tx) error {
		rows, err := tx.Amphorae(ctx)
		if err != nil {
			return err
		}
		if err := change(tx, rows); err != nil {
			return err
		}
		if after, err = tx.Amphorae(ctx); err != nil || reflect.DeepEqual(rows, after) {
			return err
		}
		tree, err := tx.LockTree(ctx, r.lease.LB)
		if err != nil {
			return err
		}
		before, now := planned(rows, r.EnrolLifetime), planned(after, r.EnrolLifetime)
		for _, a := range now {
			if plan.StateChanged(tree, before, now, a.ID, r.Settings) {
				return tx.Touch(ctx, r.lease.LB)
			}
		}
		return nil
	}, func() { r.in.Amphorae = planned(after, r.EnrolLifetime) })
}
