package health

import (
	"context"
	"fmt"
	"time"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/store"
)

// clockError is how much a report's time, which an agent takes from whole seconds, may be wrong.
const clockError = 2 * time.Second

// write brings a report and all that follows from it into the store, in one transaction.
func (in *intake) write(ctx context.Context, amphora store.Amphora, r agentapi.Report) error {
	var observed int64
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
		if err := tx.Report(ctx, amphora.ID, r); err != nil {
			return err
		}
		if err := in.explain(ctx, tx, balancer, before, r); err != nil {
			return err
		}
		if before.Boot != r.Boot || before.AppliedGeneration != r.Applied || before.Failure != r.Failure {
			tx.Wake() // a worker may be waiting for this
		}
		observed, err = rollUp(ctx, tx, amphora.LoadBalancerID)
		return err
	})
	if err != nil {
		return fmt.Errorf("cannot store a report of amphora %s: %w", amphora.ID, err)
	}
	in.rolledUp(amphora.LoadBalancerID, observed)
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

// explain makes an agent's failure to apply a generation the load balancer's failure, and takes it back when it is over.
func (in *intake) explain(ctx context.Context, tx *store.Tx, balancer *lb.LoadBalancer, before store.Amphora, r agentapi.Report) error {
	was, is := agentFailure(before.ID, before.AppliedGeneration, before.FailedGeneration, before.Failure), agentFailure(before.ID, r.Applied, r.FailedGen, r.Failure)
	switch {
	case is != "" && is != balancer.Failure:
		in.Logger.Warn("an agent cannot apply what is wanted", "lb", balancer.ID, "amphora", before.ID, "generation", r.FailedGen, "err", r.Failure)
		return tx.SetFailure(ctx, is, in.Clock().Add(time.Minute))
	case is == "" && was != "" && balancer.Failure == was:
		return tx.SetFailure(ctx, "", time.Time{})
	}
	return nil
}

func agentFailure(amphoraID string, applied, failed int64, reason string) string {
	if reason == "" || failed <= applied {
		return ""
	}
	return fmt.Sprintf("amphora %s cannot apply generation %d: %s", amphoraID, failed, reason)
}
