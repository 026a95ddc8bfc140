package storetest

import (
	"errors"
	"slices"
	"testing"

	"github.com/octavo-lb/octavo/store"
)

// TestRolloutIsRemembered holds what an operator may rely on: there is one rollout at a time, and it is found as it was left.
func TestRolloutIsRemembered(t *testing.T) {
	Each(t, func(t *testing.T, s *store.Store) {
		if _, err := s.Rollout(t.Context(), store.ImageRollout); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("before the first: %v", err)
		}
		first, err := s.StartRollout(t.Context(), store.ImageRollout, 1)
		if err != nil {
			t.Fatal(err)
		}
		err = s.Write(t.Context(), func(tx *store.Tx) error {
			r, err := tx.LockRollout(t.Context(), store.ImageRollout)
			if err != nil {
				return err
			}
			r.UnderWay, r.Done = []string{"a", "b"}, 7
			return tx.SaveRollout(t.Context(), &r)
		})
		if err != nil {
			t.Fatal(err)
		}
		again, err := s.StartRollout(t.Context(), store.ImageRollout, 3)
		if err != nil || again.ID != first.ID || again.Parallel != 3 || again.Done != 7 || !slices.Equal(again.UnderWay, []string{"a", "b"}) {
			t.Errorf("one that runs is joined: %+v, %v", again, err)
		}
		again.State, again.Reason = store.RolloutFailed, "why"
		if err := s.Write(t.Context(), func(tx *store.Tx) error { return tx.SaveRollout(t.Context(), &again) }); err != nil {
			t.Fatal(err)
		}
		if found, err := s.Rollout(t.Context(), store.ImageRollout); err != nil || found.State != store.RolloutFailed || found.Reason != "why" {
			t.Errorf("%+v, %v", found, err)
		}
		if fresh, err := s.StartRollout(t.Context(), store.ImageRollout, 2); err != nil || fresh.ID == first.ID || fresh.Done != 0 {
			t.Errorf("after one that failed: %+v, %v", fresh, err)
		}
	})
}
