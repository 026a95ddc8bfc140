package storetest_test

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/store"
	"github.com/octavo-lb/octavo/store/storetest"
)

// withAmphora makes a load balancer with one amphora.
func withAmphora(t *testing.T, s *store.Store) (*lb.Tree, *store.Amphora) {
	t.Helper()
	tree := storetest.Create(t, s, "p", nil)
	a := &store.Amphora{Role: "STANDALONE"}
	write(t, s, tree.LB.ID, func(tx *store.Tx) error { return tx.InsertAmphora(t.Context(), a) })
	return tree, a
}

func report(s *store.Store, t *testing.T, lbID, amphoraID string, r agentapi.Report) error {
	return s.Write(t.Context(), func(tx *store.Tx) error {
		if _, err := tx.Lock(t.Context(), lbID); err != nil {
			return err
		}
		return tx.Report(t.Context(), amphoraID, r)
	})
}

func TestAmphoraKeepsWhatWorkerAndAgentSayApart(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		tree, a := withAmphora(t, s)
		seen, err := s.Amphora(ctx, a.ID)
		if err != nil {
			t.Fatal(err)
		}
		if err := report(s, t, tree.LB.ID, a.ID, agentapi.Report{Boot: "b", Sequence: 3, Applied: 1, Version: "1.2",
			Capabilities: []string{"tls"}, Failure: "bad", FailedGen: 2, VRRPState: "MASTER", Trust: "t1", MaxConnections: 13107}); err != nil {
			t.Fatal(err)
		}
		expiry := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
		if err := s.SetCertificate(ctx, a.ID, store.Given{Serial: "42", Previous: "41", Issuer: "ca-1", Expiration: expiry}); err != nil {
			t.Fatal(err)
		}
		// The worker read the row before all this.
		seen.ComputeID, seen.LBNetworkIP, seen.Role = "server", "198.18.0.9", "MASTER"
		seen.Interfaces = []store.Interface{{Interface: agentapi.Interface{MAC: "fa:16:3e:00:00:01", MTU: 1450, VIP: true}, PortID: "port"}}
		write(t, s, tree.LB.ID, func(tx *store.Tx) error { return tx.UpdateAmphora(ctx, &seen) })
		got, err := s.Amphora(ctx, a.ID)
		if err != nil {
			t.Fatal(err)
		}
		want := seen
		want.Boot, want.Sequence, want.AppliedGeneration, want.Version, want.VRRPState = "b", 3, 1, "1.2", "MASTER"
		want.Failure, want.FailedGeneration, want.Capabilities = "bad", 2, []string{"tls"}
		want.CertSerial, want.CertPrevious, want.CertExpiration, want.LastReportAt = "42", "41", &expiry, got.LastReportAt
		want.CertIssuer, want.Trust, want.MaxConnections = "ca-1", "t1", 13107
		if d := cmp.Diff(want, got, cmp.Comparer(func(a, b agentapi.Interface) bool { return a.MAC == b.MAC && a.MTU == b.MTU })); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		if got.LastReportAt == nil {
			t.Error("the time of the report is missing")
		}
		silent, err := s.SilentSince(ctx, time.Now().Add(time.Second))
		if err != nil || len(silent) != 1 {
			t.Errorf("silent: %v, %v", silent, err)
		}
		if silent, err = s.SilentSince(ctx, time.Now().Add(-time.Minute)); err != nil || len(silent) != 0 {
			t.Errorf("silent a minute ago: %v, %v", silent, err)
		}
		if err := s.SetCertificate(ctx, storetest.ID("gone"), store.Given{Serial: "1", Expiration: expiry}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("certificate of an amphora that is gone: %v", err)
		}
	})
}

func TestStaleReportIsRefused(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		tree, a := withAmphora(t, s)
		send := func(boot string, sequence, applied int64) error {
			return report(s, t, tree.LB.ID, a.ID, agentapi.Report{Boot: boot, Sequence: sequence, Applied: applied})
		}
		if err := send("b", 5, 1); err != nil {
			t.Fatal(err)
		}
		for _, sequence := range []int64{5, 4} {
			if err := send("b", sequence, 0); !errors.Is(err, store.ErrStale) {
				t.Errorf("sequence %d after 5: %v", sequence, err)
			}
		}
		if err := send("after a restart", 1, 1); err != nil {
			t.Error(err)
		}
		if err := report(s, t, tree.LB.ID, storetest.ID("gone"), agentapi.Report{}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("of an amphora that is gone: %v", err)
		}
	})
}

func TestHeartbeatsGoOnFromWhatTheCallerKnows(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		tree, a := withAmphora(t, s)
		_, b := withAmphora(t, s)
		listener := tree.Listeners[0].ID
		first := agentapi.Report{Boot: "b", Sequence: 1, Listeners: []agentapi.ListenerHealth{{ID: listener, TotalConnections: 5}}}
		if err := report(s, t, tree.LB.ID, a.ID, first); err != nil {
			t.Fatal(err)
		}
		beat := func(id, boot string, after, sequence, total int64) store.Beat {
			return store.Beat{AmphoraID: id, After: after, Report: agentapi.Report{Boot: boot, Sequence: sequence,
				Listeners: []agentapi.ListenerHealth{{ID: listener, TotalConnections: total, ActiveConnections: 2}}}}
		}
		refused, err := s.Heartbeats(ctx, []store.Beat{
			beat(a.ID, "b", 1, 2, 9),
			beat(b.ID, "b", 0, 1, 1000),                 // no report of this process was taken in before
			beat(storetest.ID("gone"), "b", 1, 2, 1000), // no such row
		})
		slices.Sort(refused)
		want := []string{b.ID, storetest.ID("gone")}
		slices.Sort(want)
		if err != nil || !slices.Equal(refused, want) {
			t.Errorf("refused %v, %v", refused, err)
		}
		for name, late := range map[string]store.Beat{
			"another controller took in more": beat(a.ID, "b", 1, 3, 1000),
			"another process":                 beat(a.ID, "c", 2, 3, 1000),
			"an old one":                      beat(a.ID, "b", 2, 2, 1000),
		} {
			if refused, err := s.Heartbeats(ctx, []store.Beat{late}); err != nil || len(refused) != 1 {
				t.Errorf("%s: refused %v, %v", name, refused, err)
			}
		}
		totals, err := s.StatisticsOfListeners(ctx, listener)
		if err != nil || totals[listener] != (store.Statistics{ActiveConnections: 2, TotalConnections: 9}) {
			t.Errorf("counted %+v, %v", totals[listener], err)
		}
		if refused, err := s.Heartbeats(ctx, nil); err != nil || len(refused) != 0 {
			t.Errorf("none: %v, %v", refused, err)
		}
	})
}

func TestStatisticsOnlyGrow(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		tree, a := withAmphora(t, s)
		id, listener := tree.LB.ID, tree.Listeners[0].ID
		sequence := int64(0)
		send := func(amphora, boot string, total, active int64) {
			t.Helper()
			sequence++
			err := report(s, t, id, amphora, agentapi.Report{Boot: boot, Sequence: sequence, Listeners: []agentapi.ListenerHealth{
				{ID: listener, Status: lb.Online, TotalConnections: total, ActiveConnections: active, RequestErrors: 1, BytesIn: total * 10, BytesOut: total * 1e12},
				{ID: storetest.ID("gone"), TotalConnections: 1e6},
			}})
			if err != nil {
				t.Fatal(err)
			}
		}
		want := func(total, active, errs int64) {
			t.Helper()
			want := store.Statistics{ActiveConnections: active, TotalConnections: total, RequestErrors: errs, BytesIn: total * 10, BytesOut: total * 1e12}
			for _, of := range []struct {
				id   string
				read func() (map[string]store.Statistics, error)
			}{
				{listener, func() (map[string]store.Statistics, error) { return s.StatisticsOfListeners(ctx, listener) }},
				{id, func() (map[string]store.Statistics, error) { return s.StatisticsOfLoadBalancers(ctx, id) }},
			} {
				if got, err := of.read(); err != nil || got[of.id] != want {
					t.Errorf("%s: got %+v, %v, want %+v", of.id, got[of.id], err, want)
				}
			}
		}
		want(0, 0, 0)
		send(a.ID, "boot 1", 100, 4)
		want(100, 4, 1)
		send(a.ID, "boot 1", 150, 3)
		want(150, 3, 1)
		send(a.ID, "boot 1", 140, 3) // a count that was under way
		want(150, 3, 1)
		send(a.ID, "boot 2", 20, 1) // the agent was restarted
		want(170, 1, 2)
		send(a.ID, "boot 2", 30, 1)
		want(180, 1, 2)
		b := &store.Amphora{Role: "STANDALONE"}
		write(t, s, id, func(tx *store.Tx) error { return tx.InsertAmphora(ctx, b) })
		send(b.ID, "boot 3", 5, 2)
		want(185, 3, 3)
		for range 2 { // the amphora dies, and its removal is told twice
			write(t, s, id, func(tx *store.Tx) error { return tx.RemoveAmphora(ctx, a.ID) })
			want(185, 2, 3)
		}
		c := &store.Amphora{Role: "STANDALONE"}
		write(t, s, id, func(tx *store.Tx) error { return tx.InsertAmphora(ctx, c) })
		send(c.ID, "boot 4", 15, 0)
		write(t, s, id, func(tx *store.Tx) error { return tx.RemoveAmphora(ctx, c.ID) })
		want(200, 2, 4)
		mine, err := s.StatisticsOfAmphora(ctx, b.ID)
		if err != nil || len(mine) != 1 || mine[listener].TotalConnections != 5 {
			t.Errorf("of one amphora: %+v, %v", mine, err)
		}
	})
}

func TestHealthIsTheLastWordOfEachAmphora(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		tree, a := withAmphora(t, s)
		id := tree.LB.ID
		one, two, listener := tree.Members[0].ID, tree.Members[1].ID, tree.Listeners[0].ID
		send := func(sequence int64, members ...agentapi.MemberHealth) {
			t.Helper()
			if err := report(s, t, id, a.ID, agentapi.Report{Boot: "b", Sequence: sequence, Members: members,
				Listeners: []agentapi.ListenerHealth{{ID: listener, Status: lb.Online}}}); err != nil {
				t.Fatal(err)
			}
		}
		want := func(verdicts map[string]lb.OperatingStatus) {
			t.Helper()
			write(t, s, id, func(tx *store.Tx) error {
				members, listeners, err := tx.Health(ctx)
				got := map[string]lb.OperatingStatus{}
				for _, m := range members {
					got[m.MemberID] = m.Status
				}
				if d := cmp.Diff(verdicts, got); d != "" || (len(listeners) == 1) != (len(verdicts) > 0) {
					t.Errorf("%d listeners, members (-want +got):\n%s", len(listeners), d)
				}
				return err
			})
		}
		send(1, agentapi.MemberHealth{ID: one, Status: lb.Online}, agentapi.MemberHealth{ID: two, Status: lb.OperError, Detail: "503"},
			agentapi.MemberHealth{ID: storetest.ID("gone"), Status: lb.Online}, agentapi.MemberHealth{ID: one, Status: lb.OperError})
		want(map[string]lb.OperatingStatus{one: lb.Online, two: lb.OperError})
		send(2, agentapi.MemberHealth{ID: two, Status: lb.Online})
		want(map[string]lb.OperatingStatus{two: lb.Online})
		write(t, s, id, func(tx *store.Tx) error {
			return tx.SetOperatingStatus(ctx, store.Member, map[string]lb.OperatingStatus{two: lb.Online, one: lb.NoMonitor, "gone": lb.Online})
		})
		if got := get[lb.Member](t, s, two); got.OperatingStatus != lb.Online || got.Generation != 1 {
			t.Errorf("%+v", got.Meta)
		}
		a.Deleting = true
		write(t, s, id, func(tx *store.Tx) error { return tx.UpdateAmphora(ctx, a) })
		want(map[string]lb.OperatingStatus{})
	})
}

func TestQuietWritesWakeNobody(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		tree, a := withAmphora(t, s)
		status := map[string]lb.OperatingStatus{tree.Members[0].ID: lb.Online}
		set := func(tx *store.Tx) error { return tx.SetOperatingStatus(ctx, store.Member, status) }
		write(t, s, tree.LB.ID, set)
		if err := report(s, t, tree.LB.ID, a.ID, agentapi.Report{Boot: "b", Sequence: 1}); err != nil {
			t.Fatal(err)
		}
		last, _ := s.LastChange(ctx)
		write(t, s, tree.LB.ID, set)
		if err := report(s, t, tree.LB.ID, a.ID, agentapi.Report{Boot: "b", Sequence: 2}); err != nil {
			t.Fatal(err)
		}
		if now, err := s.LastChange(ctx); err != nil || now != last {
			t.Errorf("the change log went from %d to %d, %v", last, now, err)
		}
	})
}

func TestTokenIsUsedOnceForOneKey(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		tree, a := withAmphora(t, s)
		expiry := time.Now().Add(time.Hour)
		a.EnrolHash, a.EnrolExpiry = "hash", &expiry
		update := func() { write(t, s, tree.LB.ID, func(tx *store.Tx) error { return tx.UpdateAmphora(ctx, a) }) }
		update()
		var winners atomic.Int64
		var key atomic.Value
		var wg sync.WaitGroup
		for _, k := range []string{"a", "b", "c", "d", "e", "f"} {
			wg.Go(func() {
				got, err := s.UseToken(ctx, "hash", k)
				if err == nil {
					winners.Add(1)
					key.Store(k)
					if got.ID != a.ID || got.EnrolUsedAt == nil {
						t.Errorf("%+v", got)
					}
				} else if !errors.Is(err, store.ErrNotFound) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if winners.Load() != 1 {
			t.Fatalf("%d keys won", winners.Load())
		}
		if _, err := s.UseToken(ctx, "hash", key.Load().(string)); err != nil {
			t.Errorf("the same key again: %v", err)
		}
		update() // a worker that has read the row before does not make the token good again
		for hash, reason := range map[string]string{"hash": "used", "another": "unknown", "": "empty"} {
			if _, err := s.UseToken(ctx, hash, "z"); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s token: %v", reason, err)
			}
		}
		past := time.Now().Add(-time.Second)
		a.EnrolHash, a.EnrolExpiry = "next", &past
		update()
		if _, err := s.UseToken(ctx, "next", "a"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("expired token: %v", err)
		}
		a.EnrolHash, a.EnrolExpiry = "last", &expiry
		update()
		if _, err := s.UseToken(ctx, "last", "z"); err != nil {
			t.Errorf("a new token: %v", err)
		}
	})
}

func TestFirstStartsAgreeOnMaterial(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		if _, err := s.Material(ctx, "ca"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("before: %v", err)
		}
		var mu sync.Mutex
		results := map[string]bool{}
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				got, err := s.CreateMaterial(ctx, "ca", []byte{0, 255, byte(i)})
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				results[string(got)] = true
				mu.Unlock()
			})
		}
		wg.Wait()
		stored, err := s.Material(ctx, "ca")
		if err != nil || len(results) != 1 || !results[string(stored)] {
			t.Errorf("%q is stored, %v were answered, %v", stored, results, err)
		}
		if swapped, err := s.SwapMaterial(ctx, "ca", []byte("another"), []byte("lost")); swapped || err != nil {
			t.Errorf("swapped what was not there: %v, %v", swapped, err)
		}
		if swapped, err := s.SwapMaterial(ctx, "nothing", nil, []byte("new")); swapped || err != nil {
			t.Errorf("swapped nothing: %v, %v", swapped, err)
		}
		if swapped, err := s.SwapMaterial(ctx, "ca", stored, []byte("new")); !swapped || err != nil {
			t.Fatal(swapped, err)
		}
		if stored, err = s.Material(ctx, "ca"); string(stored) != "new" || err != nil {
			t.Errorf("%q, %v", stored, err)
		}
	})
}

func TestQuotasAreStoredListedAndReset(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		if q, err := s.Quota(ctx, "none"); err != nil || q != (store.Quota{ProjectID: "none"}) {
			t.Errorf("%+v, %v", q, err)
		}
		want := store.Quota{ProjectID: "b", LoadBalancer: new(3), Member: new(-1)}
		for _, q := range []store.Quota{{ProjectID: "a"}, {ProjectID: "b", Pool: new(1)}, want, {ProjectID: "c"}} {
			if err := s.SetQuota(ctx, q); err != nil {
				t.Fatal(err)
			}
		}
		page, err := s.Quotas(ctx, "a", 1)
		if d := cmp.Diff([]store.Quota{want}, page); d != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, d)
		}
		if err := s.ResetQuota(ctx, "b"); err != nil {
			t.Error(err)
		}
		if err := s.ResetQuota(ctx, "b"); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
	})
}
