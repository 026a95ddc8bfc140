package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Delete marks objects and everything below them as being deleted. Rows go away when that is in force. ErrNotFound.
func Delete[T Resource](ctx context.Context, tx *Tx, ids ...string) error {
	t := tableOf[T]()
	b, err := tx.raise()
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		return nil
	}
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = id
	}
	found, err := tx.mark(ctx, t, `"id" IN `+placeholders(len(ids)), args)
	if err == nil && found < int64(len(ids)) {
		err = ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("cannot delete %s %s: %w", t.kind, strings.Join(ids, ", "), err)
	}
	for _, id := range ids {
		tx.Log(Change{Kind: t.kind, ObjectID: id, Action: "delete"})
	}
	if t == balancers {
		b.deleting = true
		return tx.markAllBelow(ctx)
	}
	return tx.markBelow(ctx, t, `"id" IN `+placeholders(len(ids)), args)
}

// mark marks the rows that the condition selects.
func (tx *Tx) mark(ctx context.Context, t *table, condition string, args []any) (int64, error) {
	args = append([]any{true, tx.balance.generation, formatTime(tx.now), tx.balance.id}, args...)
	return tx.r.exec(ctx, `UPDATE `+quote(t.name)+` SET "deleting" = ?, "generation" = ?, "updated_at" = ?, "told" = '' WHERE `+quote(t.owner)+
		` = ? AND `+condition, args...)
}

// markBelow marks what is below the rows that the condition selects.
func (tx *Tx) markBelow(ctx context.Context, t *table, condition string, args []any) error {
	for _, c := range t.children {
		below := quote(c.column) + ` IN (SELECT "id" FROM ` + quote(t.name) + ` WHERE ` + condition + `)`
		marked, err := tx.mark(ctx, c.table, below, args)
		if err != nil {
			return fmt.Errorf("cannot delete what is below a %s: %w", t.kind, err)
		}
		if marked == 0 {
			continue
		}
		if err := tx.markBelow(ctx, c.table, below, args); err != nil {
			return err
		}
	}
	return nil
}

func (tx *Tx) markAllBelow(ctx context.Context) error {
	for _, t := range childTables {
		if _, err := tx.mark(ctx, t, `1 = 1`, nil); err != nil {
			return fmt.Errorf("cannot delete what is below load balancer %s: %w", tx.balance.id, err)
		}
	}
	return nil
}

// Remove drops the load balancer with everything below it at once, for one that nothing was ever made of. It fails while
// there are amphorae.
func (tx *Tx) Remove(ctx context.Context) error {
	b, err := tx.locked()
	if err != nil {
		return err
	}
	if err := tx.announceEnd(ctx, b); err != nil {
		return fmt.Errorf("cannot store a notification of load balancer %s: %w", b.id, err)
	}
	if _, err := tx.r.exec(ctx, `DELETE FROM "load_balancer" WHERE "id" = ?`, b.id); err != nil {
		return fmt.Errorf("cannot remove load balancer %s: %w", b.id, err)
	}
	b.gone = true
	tx.Log(Change{Kind: LoadBalancer, ObjectID: b.id, Action: "purge"})
	return nil
}

// Settle brings the observed generation up to date now, for what the transaction still wants to derive from it. The commit
// does so anyway.
func (tx *Tx) Settle(ctx context.Context) error {
	b, err := tx.locked()
	if err != nil || b.gone || !b.settle {
		return err
	}
	b.settle = false
	if err := tx.settle(ctx, b); err != nil {
		return fmt.Errorf("cannot settle load balancer %s: %w", b.id, err)
	}
	return nil
}

// settle computes the observed generation from the cloud's and the amphorae's, and drops what was to be deleted up to it.
// The observed generation never goes back: an amphora that is new gets the newest state anyway.
func (tx *Tx) settle(ctx context.Context, b *balancer) error {
	var all, serving int64
	var applied *int64
	err := tx.r.row(ctx, `SELECT COUNT(*), COUNT(CASE WHEN NOT "deleting" THEN 1 END),`+
		` MIN(CASE WHEN NOT "deleting" THEN "applied_generation" END) FROM "amphora" WHERE "loadbalancer_id" = ?`,
		[]any{b.id}, &all, &serving, &applied)
	if err != nil {
		return err
	}
	observed := b.cloud
	if applied != nil {
		observed = min(observed, *applied)
	}
	observed = min(observed, b.generation)
	advanced := observed > b.observed
	if advanced {
		b.observed, b.news = observed, true
		statement := `UPDATE "load_balancer" SET "observed_generation" = ?`
		if observed == b.generation {
			statement += noFailure
		}
		if _, err := tx.r.exec(ctx, statement+` WHERE "id" = ?`, observed, b.id); err != nil {
			return err
		}
	}
	if b.deleting && b.observed >= b.generation && all == 0 {
		return tx.Remove(ctx)
	}
	if err := tx.purge(ctx, b); err != nil || b.deleting || !advanced {
		return err
	}
	return tx.announce(ctx, b)
}

// purge drops children whose deletion is in force.
func (tx *Tx) purge(ctx context.Context, b *balancer) error {
	var row struct{ kind, id, project string }
	var selects []string
	var args []any
	for _, t := range childTables {
		selects = append(selects, `SELECT '`+string(t.kind)+`', "id", "project_id" FROM `+quote(t.name)+
			` WHERE "loadbalancer_id" = ? AND "deleting" AND "generation" <= ?`)
		args = append(args, b.id, b.observed)
	}
	ids := map[Kind][]any{}
	err := tx.r.each(ctx, strings.Join(selects, " UNION ALL "), args, func() {
		kind := Kind(row.kind)
		ids[kind] = append(ids[kind], row.id)
		tx.Log(Change{Kind: kind, ObjectID: row.id, Action: "purge", ProjectID: row.project})
	}, &row.kind, &row.id, &row.project)
	if err != nil {
		return err
	}
	for _, t := range childTables {
		if err := tx.dropRows(ctx, t, ids[t.kind]); err != nil {
			return err
		}
	}
	return nil
}

// dropRows drops rows of children and what is kept about them elsewhere.
func (tx *Tx) dropRows(ctx context.Context, t *table, ids []any) error {
	about := map[string]string{t.name: "id", "tag": "object_id"}
	switch t {
	case members:
		about["member_health"] = "member_id"
	case listeners:
		about["listener_statistics"] = "listener_id"
	}
	for chunk := range slices.Chunk(ids, 1000) {
		for name, column := range about {
			if _, err := tx.r.exec(ctx, `DELETE FROM `+quote(name)+` WHERE `+quote(column)+` IN `+placeholders(len(chunk)), chunk...); err != nil {
				return err
			}
		}
	}
	return nil
}
