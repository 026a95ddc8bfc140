package storetest_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/store"
	"github.com/octavo-lb/octavo/store/storetest"
)

func TestCensusCountsStatusesQueueAndAgents(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		began := time.Now()
		census := func(since time.Time) store.Census {
			t.Helper()
			c, err := s.Census(t.Context(), since)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		if c := census(began); len(c.LoadBalancers) != 0 || c.Due != 0 || !c.OldestDue.IsZero() || c.Amphorae != 0 {
			t.Errorf("of nothing: %+v", c)
		}
		tree, a := withAmphora(t, s)
		withAmphora(t, s)
		if err := report(s, t, tree.LB.ID, a.ID, agentapi.Report{Boot: "b", Sequence: 1, Applied: 1}); err != nil {
			t.Fatal(err)
		}
		c := census(began.Add(-time.Minute))
		if c.Due != 2 || c.OldestDue.Before(began.Add(-time.Minute)) || c.OldestDue.After(time.Now()) {
			t.Errorf("due: %+v", c)
		}
		if c.Amphorae != 2 || c.Silent != 0 || c.Starting != 1 {
			t.Errorf("agents: %+v", c)
		}
		want := map[store.Standing]int{{Provisioning: "PENDING_CREATE", Operating: "OFFLINE"}: 2}
		if d := cmp.Diff(want, c.LoadBalancers); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		if c := census(time.Now().Add(time.Minute)); c.Silent != 1 {
			t.Errorf("a minute later: %+v", c)
		}
	})
}
