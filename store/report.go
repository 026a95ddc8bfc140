package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/lb"
)

// Report takes in; ErrNotFound.
func (s *Store) Heartbeat(ctx context.Context, amphoraID string, r agentapi.Report) error {
	err := s.Write(ctx, func(tx *Tx) error {
		found, err := tx.r.exec(ctx, `UPDATE "amphora" SET "sequence" = ?, "last_report_at" = ? WHERE "id" = ? AND "boot" = ?`+
			` AND "sequence" < ?`, r.Sequence, formatTime(tx.now), amphoraID, r.Boot, r.Sequence)
		if err != nil {
			return err
		}
		if found == 0 {
			var one int
			if err := tx.r.row(ctx, `SELECT 1 FROM "amphora" WHERE "id" = ?`, []any{amphoraID}, &one); err != nil {
				return err
			}
			return ErrStale
		}
		for _, l := range r.Listeners {
			if _, err := tx.count(ctx, amphoraID, r.Boot, l); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("cannot take in the heartbeat of amphora %s: %w", amphoraID, err)
	}
	return nil
}

// Report takes in a report of an amphora of the transaction's load balancer: the amphora's row, member and listener
// health, counters; the observed generation follows, and what was marked as being deleted up to it is dropped.
// Operating statuses are for the caller to roll up (Health) and to store (SetOperatingStatus). ErrStale, ErrNotFound.
func (tx *Tx) Report(ctx context.Context, amphoraID string, r agentapi.Report) error {
	b, err := tx.locked()
	if err != nil {
		return err
	}
	steps := []func(context.Context, *balancer, string, agentapi.Report) error{
		tx.reportAmphora, tx.reportMembers, tx.reportListeners,
	}
	for _, step := range steps {
		if err := step(ctx, b, amphoraID, r); err != nil {
			return fmt.Errorf("cannot take in the report of amphora %s: %w", amphoraID, err)
		}
	}
	return nil
}

func (tx *Tx) reportAmphora(ctx context.Context, b *balancer, amphoraID string, r agentapi.Report) error {
	var boot, failure string
	var sequence, applied int64
	err := tx.r.row(ctx, `SELECT "boot", "sequence", "applied_generation", "failure" FROM "amphora" WHERE "id" = ? AND`+
		` "loadbalancer_id" = ?`+tx.r.dialect.forUpdate, []any{amphoraID, b.id}, &boot, &sequence, &applied, &failure)
	if err != nil {
		return err
	}
	if boot == r.Boot && r.Sequence <= sequence {
		return ErrStale
	}
	capabilities, err := json.Marshal(append([]string{}, r.Capabilities...))
	if err != nil {
		return err
	}
	_, err = tx.r.exec(ctx, `UPDATE "amphora" SET "boot" = ?, "sequence" = ?, "last_report_at" = ?, "applied_generation" = ?,`+
		` "failed_generation" = ?, "failure" = ?, "vrrp_state" = ?, "version" = ?, "capabilities" = ?, "trust" = ?, "program" = ?, "program_refused" = ?,`+
		` "program_failure" = ?, "max_connections" = ? WHERE "id" = ?`,
		r.Boot, r.Sequence, formatTime(tx.now), r.Applied, r.FailedGen, r.Failure, r.VRRPState, r.Version,
		string(capabilities), r.Trust, r.Program, r.ProgramRefused, r.ProgramFailure, r.MaxConnections, amphoraID)
	b.settle = b.settle || r.Applied != applied
	b.news = b.news || r.Failure != failure
	return err
}

// reportMembers replaces the amphora's verdicts. Those on members that are gone are passed over.
func (tx *Tx) reportMembers(ctx context.Context, b *balancer, amphoraID string, r agentapi.Report) error {
	known, err := tx.idsOf(ctx, members, b.id)
	if err != nil {
		return err
	}
	const perRow = 6
	var args []any
	kept := []any{amphoraID}
	for _, m := range r.Members {
		if known[m.ID] {
			known[m.ID] = false // a second verdict on it would be a second row with the same key
			args = append(args, m.ID, amphoraID, b.id, string(m.Status), m.Detail, formatTime(tx.now))
			kept = append(kept, m.ID)
		}
	}
	statement := `DELETE FROM "member_health" WHERE "amphora_id" = ?`
	if len(kept) > 1 {
		statement += ` AND "member_id" NOT IN ` + placeholders(len(kept)-1)
	}
	if _, err := tx.r.exec(ctx, statement, kept...); err != nil {
		return err
	}
	for chunk := range slices.Chunk(args, rowsPerInsert*perRow) {
		_, err := tx.r.exec(ctx, `INSERT INTO "member_health" ("member_id", "amphora_id", "loadbalancer_id", "status", "detail", "at")`+
			` VALUES `+strings.TrimSuffix(strings.Repeat(placeholders(perRow)+", ", len(chunk)/perRow), ", ")+
			tx.r.dialect.onConflict([]string{"member_id", "amphora_id"}, "status", "detail", "at"), chunk...)
		if err != nil {
			return err
		}
	}
	return nil
}

func (tx *Tx) reportListeners(ctx context.Context, b *balancer, amphoraID string, r agentapi.Report) error {
	known, err := tx.idsOf(ctx, listeners, b.id)
	if err != nil {
		return err
	}
	for _, l := range r.Listeners {
		if !known[l.ID] {
			continue
		}
		found, err := tx.count(ctx, amphoraID, r.Boot, l)
		if err == nil && !found {
			err = tx.firstCount(ctx, b.id, amphoraID, r.Boot, l)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (tx *Tx) idsOf(ctx context.Context, t *table, lbID string) (map[string]bool, error) {
	var id string
	ids := map[string]bool{}
	err := tx.r.each(ctx, `SELECT "id" FROM `+quote(t.name)+` WHERE "loadbalancer_id" = ?`, []any{lbID},
		func() { ids[id] = true }, &id)
	return ids, err
}

// Health reads what all amphorae of the transaction's load balancer last said of its members and listeners, without
// those of amphorae being deleted.
func (tx *Tx) Health(ctx context.Context) ([]MemberHealth, []ListenerHealth, error) {
	b, err := tx.locked()
	if err != nil {
		return nil, nil, err
	}
	ms, err := tx.memberHealth(ctx, b.id)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read the health of load balancer %s: %w", b.id, err)
	}
	ls, err := tx.listenerHealth(ctx, b.id)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read the health of load balancer %s: %w", b.id, err)
	}
	return ms, ls, nil
}

// MemberHealth is the verdict of one amphora on one member.
type MemberHealth struct {
	MemberID  string
	AmphoraID string
	Status    lb.OperatingStatus
	Detail    string
	At        time.Time
}

func (tx *Tx) memberHealth(ctx context.Context, lbID string) ([]MemberHealth, error) {
	var h MemberHealth
	var at nullTime
	health := []MemberHealth{}
	err := tx.r.each(ctx, `SELECT h."member_id", h."amphora_id", h."status", h."detail", h."at" FROM "member_health" h`+
		` JOIN "amphora" a ON a."id" = h."amphora_id" WHERE h."loadbalancer_id" = ? AND NOT a."deleting"`+
		` ORDER BY h."member_id", h."amphora_id"`, []any{lbID}, func() {
		h.At = *at.t
		health = append(health, h)
	}, &h.MemberID, &h.AmphoraID, &h.Status, &h.Detail, &at)
	return health, err
}

// ListenerHealth is the verdict of one amphora on one listener.
type ListenerHealth struct {
	ListenerID string
	AmphoraID  string
	Status     lb.OperatingStatus
	At         time.Time
}

func (tx *Tx) listenerHealth(ctx context.Context, lbID string) ([]ListenerHealth, error) {
	var h ListenerHealth
	var at nullTime
	health := []ListenerHealth{}
	err := tx.r.each(ctx, `SELECT h."listener_id", h."amphora_id", h."status", h."at" FROM "listener_statistics" h`+
		` JOIN "amphora" a ON a."id" = h."amphora_id" WHERE h."loadbalancer_id" = ? AND NOT a."deleting"`+
		` ORDER BY h."listener_id", h."amphora_id"`, []any{lbID}, func() {
		h.At = *at.t
		health = append(health, h)
	}, &h.ListenerID, &h.AmphoraID, &h.Status, &at)
	return health, err
}
