package worker

import (
	"context"
	"sync"
	"time"

	"github.com/octavo-lb/octavo/plan"
	"github.com/octavo-lb/octavo/store"
)

// fleet counts amphorae, and knows the answer for a while: when many are silent at once, many ask at once.
type fleet struct {
	mu    sync.Mutex
	known plan.Fleet
	at    time.Time
}

const fleetLife = 5 * time.Second

func (f *fleet) count(ctx context.Context, s *store.Store, now time.Time, deadAfter time.Duration) (plan.Fleet, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.at.IsZero() && now.Sub(f.at) < fleetLife {
		return f.known, nil
	}
	all, err := s.AllAmphorae(ctx)
	if err != nil {
		return plan.Fleet{}, err
	}
	counted := plan.Fleet{}
	for _, a := range all {
		if a.Deleting || a.LastReportAt == nil {
			continue
		}
		counted.Total++
		if a.LastReportAt.Before(now.Add(-deadAfter)) {
			counted.Silent++
		}
	}
	f.known, f.at = counted, now
	return counted, nil
}
