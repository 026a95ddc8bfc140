package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/octavo-lb/octavo/agentapi"
)

// Beat is a report that says nothing new but that the agent lives: its sequence, the time and the counters.
type Beat struct {
	AmphoraID string
	After     int64 // the sequence, in the same boot, of the report that the caller took in last
	Report    agentapi.Report
}

// Heartbeats takes in many at once, in one transaction that locks no load balancer. Those whose row is gone, or has another
// boot or sequence than the caller took in last (then another controller was told something else meanwhile), are named and
// not written.
func (s *Store) Heartbeats(ctx context.Context, beats []Beat) (refused []string, err error) {
	// In the order of ids, so that two of these cannot wait for each other.
	beats = slices.SortedFunc(slices.Values(beats), func(a, b Beat) int { return cmp.Compare(a.AmphoraID, b.AmphoraID) })
	err = s.Write(ctx, func(tx *Tx) error {
		refused = nil
		for chunk := range slices.Chunk(beats, 500) {
			no, err := tx.heartbeats(ctx, chunk)
			if err != nil {
				return err
			}
			refused = append(refused, no...)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cannot take in %d heartbeats: %w", len(beats), err)
	}
	return refused, nil
}

func (tx *Tx) heartbeats(ctx context.Context, beats []Beat) (refused []string, err error) {
	accepted, refused, err := tx.lockBeating(ctx, beats)
	if err != nil || len(accepted) == 0 {
		return refused, err
	}
	var cases strings.Builder
	args, ids := []any{formatTime(tx.now)}, make([]string, 0, len(accepted))
	for _, b := range accepted {
		fmt.Fprintf(&cases, " WHEN ? THEN %d", b.Report.Sequence)
		args, ids = append(args, b.AmphoraID), append(ids, b.AmphoraID)
	}
	condition, in := tx.r.dialect.isIn(quote("id"), ids)
	_, err = tx.r.exec(ctx, `UPDATE "amphora" SET "last_report_at" = ?, "sequence" = CASE "id"`+cases.String()+
		` END WHERE `+condition, append(args, in...)...)
	if err != nil {
		return nil, err
	}
	return refused, tx.countBeating(ctx, accepted, ids)
}

// lockBeating locks the rows of the amphorae and tells which beats go on from where they are.
func (tx *Tx) lockBeating(ctx context.Context, beats []Beat) (accepted []Beat, refused []string, err error) {
	type place struct {
		boot     string
		sequence int64
	}
	places := make(map[string]place, len(beats))
	ids := make([]string, len(beats))
	for i, b := range beats {
		ids[i] = b.AmphoraID
	}
	var id string
	var at place
	condition, args := tx.r.dialect.isIn(quote("id"), ids)
	err = tx.r.each(ctx, `SELECT "id", "boot", "sequence" FROM "amphora" WHERE `+condition+
		` ORDER BY "id"`+tx.r.dialect.forUpdate, args, func() { places[id] = at }, &id, &at.boot, &at.sequence)
	if err != nil {
		return nil, nil, err
	}
	for _, b := range beats {
		at, known := places[b.AmphoraID]
		if !known || at.boot != b.Report.Boot || at.sequence != b.After || b.Report.Sequence <= b.After {
			refused = append(refused, b.AmphoraID)
			continue
		}
		accepted = append(accepted, b)
		places[b.AmphoraID] = place{at.boot, b.Report.Sequence}
	}
	return accepted, refused, nil
}

// countBeating takes in the counters that changed; those of idle listeners cost nothing.
func (tx *Tx) countBeating(ctx context.Context, beats []Beat, ids []string) error {
	type key struct{ listener, amphora string }
	var k key
	type count struct {
		boot string
		agentapi.ListenerHealth
	}
	var c count
	stored := map[key]count{}
	condition, args := tx.r.dialect.isIn(quote("amphora_id"), ids)
	err := tx.r.each(ctx, `SELECT "listener_id", "amphora_id", "boot", "status", "active_connections", "`+strings.Join(counters, `", "`)+
		`" FROM "listener_statistics" WHERE `+condition, args, func() { stored[k] = c },
		&k.listener, &k.amphora, &c.boot, &c.Status, &c.ActiveConnections, &c.TotalConnections, &c.RequestErrors, &c.BytesIn, &c.BytesOut)
	if err != nil {
		return err
	}
	for _, b := range beats {
		for _, l := range b.Report.Listeners {
			old, known := stored[key{l.ID, b.AmphoraID}]
			old.ID = l.ID
			if !known || old == (count{b.Report.Boot, l}) {
				continue
			}
			if _, err := tx.count(ctx, b.AmphoraID, b.Report.Boot, l); err != nil {
				return err
			}
		}
	}
	return nil
}
