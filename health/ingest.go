package health

import (
	"context"
	"fmt"
	"time"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/store"
)

// clockError is how much a report's time, which an agent takes from whole seconds, may be wrong.
const clockError = 2 * time.Second

// write brings a report and all that follows from it into the store, in one transaction.
func (in *intake) write(ctx context.Context, amphora store.Amphora, r agentapi.Report) error {
	var now derived
	err := in.Store.Write(ctx, func(tx *store.Tx) error {
		balancer, err := tx.Lock(ctx, amphora.LoadBalancerID)
		if err != nil {
			return err
		}
		before, err := amphoraIn(ctx, tx, amphora.ID)
		if err != nil {
			return err
		}
		if fromEarlierProcess(before, r) {
			return store.ErrStale
		}
		r, err := doubt(ctx, tx, balancer, before, r)
		if err != nil {
			return err
		}
		if err := tx.Report(ctx, amphora.ID, r); err != nil {
			return err
		}
		if err := tx.Settle(ctx); err != nil {
			return err
		}
		if before.Boot != r.Boot || before.AppliedGeneration != r.Applied || before.Failure != r.Failure {
			tx.Wake() // a worker may be waiting for this
		}
		now, err = in.derive(ctx, tx, balancer.ID, agentFailure(before, balancer.Generation))
		return err
	})
	if err != nil {
		return fmt.Errorf("cannot store a report of amphora %s: %w", amphora.ID, err)
	}
	in.remember(amphora.LoadBalancerID, now)
	return nil
}

func amphoraIn(ctx context.Context, tx *store.Tx, id string) (store.Amphora, error) {
	amphorae, err := tx.Amphorae(ctx)
	if err != nil {
		return store.Amphora{}, err
	}
	for _, a := range amphorae {
		if a.ID == id && !a.Deleting {
			return a, nil
		}
	}
	return store.Amphora{}, store.ErrNotFound
}

// fromEarlierProcess tells a report that an agent process sent before the one that replaced it reported: within one
// process the sequence tells, between processes only the time can.
func fromEarlierProcess(known store.Amphora, r agentapi.Report) bool {
	return known.Boot != r.Boot && known.LastReportAt != nil && r.Time.Before(known.LastReportAt.Add(-clockError))
}
