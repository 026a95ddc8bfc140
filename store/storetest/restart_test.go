package storetest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/store"
	"github.com/octavo-lb/octavo/store/storetest"
)

// A worker that was killed and starts again under its name does not wait for its own leases to run out, and leaves those of
// others alone.
func TestRestartedWorkerTakesUpItsOwnLeases(t *testing.T) {
	eachAt(t, func(t *testing.T, s *store.Store, _ *clock) {
		mine := storetest.Create(t, s, "p", nil).LB.ID
		killed := acquire(t, s, "host-1")
		storetest.Create(t, s, "p", nil)
		acquire(t, s, "host-2")
		nothingDue(t, s)

		if err := s.EndLeases(context.Background(), "host-1"); err != nil {
			t.Fatal(err)
		}
		again, err := s.Acquire(t.Context(), "host-1", time.Minute)
		if err != nil || again.LB != mine {
			t.Fatalf("leased %+v: %v", again, err)
		}
		nothingDue(t, s)
		if err := killed.Renew(t.Context(), time.Minute); !errors.Is(err, store.ErrFenced) {
			t.Errorf("the old lease can be renewed: %v", err)
		}
	})
}
