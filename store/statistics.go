package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/octavo-lb/octavo/agentapi"
)

// Statistics are counters since the listener was made. All but ActiveConnections only grow, whatever happens to agents
// and amphorae.
type Statistics struct {
	ActiveConnections int64 `json:"active_connections"`
	TotalConnections  int64 `json:"total_connections"`
	RequestErrors     int64 `json:"request_errors"`
	BytesIn           int64 `json:"bytes_in"`
	BytesOut          int64 `json:"bytes_out"`
}

// Add sums up.
func (s *Statistics) Add(o Statistics) {
	s.ActiveConnections += o.ActiveConnections
	s.TotalConnections += o.TotalConnections
	s.RequestErrors += o.RequestErrors
	s.BytesIn += o.BytesIn
	s.BytesOut += o.BytesOut
}

// counters are the columns that only grow. Each has the count of the agent process that reports now, and with the prefix
// base_ the sum of the agent processes before it.
var counters = []string{"total_connections", "request_errors", "bytes_in", "bytes_out"}

func counts(l agentapi.ListenerHealth) []any {
	return []any{l.TotalConnections, l.RequestErrors, l.BytesIn, l.BytesOut}
}

// count takes in the counters of one listener; it tells whether the amphora has reported on it before. A count that went
// back within one agent process is an old one and is passed over.
func (tx *Tx) count(ctx context.Context, amphoraID, boot string, l agentapi.ListenerHealth) (found bool, err error) {
	set := []string{`"status" = ?`, `"at" = ?`, `"active_connections" = ?`}
	args := []any{string(l.Status), formatTime(tx.now), l.ActiveConnections}
	// MySQL assigns from left to right, the others at once: in this order both do the same.
	for _, c := range counters {
		set = append(set, fmt.Sprintf(`"base_%[1]s" = CASE WHEN "boot" = ? THEN "base_%[1]s" ELSE "base_%[1]s" + "%[1]s" END`, c))
		args = append(args, boot)
	}
	for i, c := range counters {
		set = append(set, fmt.Sprintf(`"%[1]s" = CASE WHEN "boot" = ? AND "%[1]s" > ? THEN "%[1]s" ELSE ? END`, c))
		n := counts(l)[i]
		args = append(args, boot, n, n)
	}
	set, args = append(set, `"boot" = ?`), append(args, boot)
	n, err := tx.r.exec(ctx, `UPDATE "listener_statistics" SET `+strings.Join(set, ", ")+
		` WHERE "listener_id" = ? AND "amphora_id" = ?`, append(args, l.ID, amphoraID)...)
	return n > 0, err
}

func (tx *Tx) firstCount(ctx context.Context, lbID, amphoraID, boot string, l agentapi.ListenerHealth) error {
	args := append([]any{l.ID, amphoraID, lbID, string(l.Status), formatTime(tx.now), boot, l.ActiveConnections}, counts(l)...)
	_, err := tx.r.exec(ctx, `INSERT INTO "listener_statistics" ("listener_id", "amphora_id", "loadbalancer_id", "status", "at",`+
		` "boot", "active_connections", "`+strings.Join(counters, `", "`)+`", "base_`+strings.Join(counters, `", "base_`)+`")`+
		` VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0)`, args...)
	return err
}

// keepCounters adds the counts of an amphora to the rows of those that are gone, which have an empty amphora id.
func (tx *Tx) keepCounters(ctx context.Context, amphoraID string) error {
	var bases, sums, set []string
	for _, c := range counters {
		bases = append(bases, quote("base_"+c))
		sums = append(sums, `was."base_`+c+`" + was."`+c+`"`)
		set = append(set, `"base_`+c+`" = "listener_statistics"."base_`+c+`" + `+tx.r.dialect.excluded("base_"+c))
	}
	_, err := tx.r.exec(ctx, `INSERT INTO "listener_statistics" ("listener_id", "amphora_id", "loadbalancer_id", "status", "at",`+
		` "boot", "active_connections", "`+strings.Join(counters, `", "`)+`", `+strings.Join(bases, ", ")+`)`+
		` SELECT was."listener_id", '', was."loadbalancer_id", was."status", was."at", '', 0, 0, 0, 0, 0, `+
		strings.Join(sums, ", ")+` FROM "listener_statistics" was WHERE was."amphora_id" = ?`+
		tx.r.dialect.orElse([]string{"listener_id", "amphora_id"})+strings.Join(set, ", "), amphoraID)
	return err
}

// SetStatistics replaces the counters of listeners of the transaction's load balancer, by id, for a provider that has no
// amphorae and counts by itself. Listeners that are gone are passed over.
func (tx *Tx) SetStatistics(ctx context.Context, counted map[string]Statistics) error {
	b, err := tx.locked()
	if err != nil {
		return err
	}
	known, err := tx.idsOf(ctx, listeners, b.id)
	if err != nil {
		return fmt.Errorf("cannot store statistics of load balancer %s: %w", b.id, err)
	}
	for id, c := range counted {
		if !known[id] {
			continue
		}
		_, err := tx.r.exec(ctx, `DELETE FROM "listener_statistics" WHERE "listener_id" = ? AND "amphora_id" = ''`, id)
		if err == nil {
			err = tx.firstCount(ctx, b.id, "", "", agentapi.ListenerHealth{ID: id, ActiveConnections: c.ActiveConnections,
				TotalConnections: c.TotalConnections, RequestErrors: c.RequestErrors, BytesIn: c.BytesIn, BytesOut: c.BytesOut})
		}
		if err != nil {
			return fmt.Errorf("cannot store the statistics of listener %s: %w", id, err)
		}
	}
	return nil
}

// StatisticsOfListeners reads the counters of listeners, zero for one that was never reported on.
func (s *Store) StatisticsOfListeners(ctx context.Context, ids ...string) (map[string]Statistics, error) {
	return s.statistics(ctx, "listener_id", "listener_id", ids)
}

// StatisticsOfLoadBalancers reads the sums over the listeners of load balancers.
func (s *Store) StatisticsOfLoadBalancers(ctx context.Context, ids ...string) (map[string]Statistics, error) {
	return s.statistics(ctx, "loadbalancer_id", "loadbalancer_id", ids)
}

// StatisticsOfAmphora reads what one amphora contributed, by listener.
func (s *Store) StatisticsOfAmphora(ctx context.Context, amphoraID string) (map[string]Statistics, error) {
	totals, err := s.statistics(ctx, "amphora_id", "listener_id", []string{amphoraID})
	delete(totals, amphoraID)
	return totals, err
}

// statistics sums up the rows that have one of the ids in column, by group.
func (s *Store) statistics(ctx context.Context, column, group string, ids []string) (map[string]Statistics, error) {
	totals := make(map[string]Statistics, len(ids))
	for _, id := range ids {
		totals[id] = Statistics{}
	}
	if len(ids) == 0 {
		return totals, nil
	}
	sums := []string{`SUM("active_connections")`}
	for _, c := range counters {
		sums = append(sums, `SUM("`+c+`" + "base_`+c+`")`)
	}
	condition, args := s.dialect.isIn(quote(column), ids)
	var id string
	var t Statistics
	err := s.read.each(ctx, `SELECT `+quote(group)+`, `+strings.Join(sums, ", ")+` FROM "listener_statistics" WHERE `+
		condition+` GROUP BY `+quote(group), args, func() { totals[id] = t },
		&id, &t.ActiveConnections, &t.TotalConnections, &t.RequestErrors, &t.BytesIn, &t.BytesOut)
	if err != nil {
		return nil, fmt.Errorf("cannot read statistics: %w", err)
	}
	return totals, nil
}
