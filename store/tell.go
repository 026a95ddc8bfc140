package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/octavo-lb/octavo/lb"
)

// Word is what a provider outside of the process says of one object.
type Word struct {
	Kind Kind
	ID   string
	// Provisioning and Operating are the statuses, empty for nothing.
	Provisioning lb.ProvisioningStatus
	Operating    lb.OperatingStatus
	// Generation is the newest that a load balancer's ACTIVE is about; 0 for the newest there is.
	Generation int64
}

// WantedError refuses a provider's DELETED for what its user has not deleted.
type WantedError struct {
	Kind Kind
	ID   string
}

func (e *WantedError) Error() string {
	return fmt.Sprintf("%s %s was not deleted by its user", e.Kind, e.ID)
}

// Tell takes in what the provider of the transaction's load balancer says. Words about what is gone say nothing, and so do
// ACTIVE and PENDING ones about what was deleted meanwhile. ACTIVE of the load balancer brings everything in force that its
// generation covers; DELETED drops what its user has deleted, a load balancer with the help of a worker. All other words
// are shown as they are until the next write of the object.
// A *WantedError refuses DELETED for anything else.
func (tx *Tx) Tell(ctx context.Context, words []Word) error {
	b, err := tx.locked()
	if err != nil {
		return err
	}
	operating := map[Kind]map[string]lb.OperatingStatus{}
	for _, w := range words {
		tell := tx.tellChild
		if w.Kind == LoadBalancer {
			tell = tx.tellBalancer
		}
		if err := tell(ctx, b, w); err != nil {
			return fmt.Errorf("cannot take in %s of %s %s: %w", w.Provisioning, w.Kind, w.ID, err)
		}
		if w.Operating != "" {
			if operating[w.Kind] == nil {
				operating[w.Kind] = map[string]lb.OperatingStatus{}
			}
			operating[w.Kind][w.ID] = w.Operating
		}
	}
	for kind, statuses := range operating {
		if err := tx.SetOperatingStatus(ctx, kind, statuses); err != nil {
			return err
		}
	}
	if err := tx.heard(ctx, b, words); err != nil {
		return err
	}
	return tx.reconcileWords(ctx, b)
}

// heard notes that the provider is there, by which it has time again for what it has not said yet. A worker looks when that
// is over.
func (tx *Tx) heard(ctx context.Context, b *balancer, words []Word) error {
	_, err := tx.r.exec(ctx, `UPDATE "load_balancer" SET "awaited_since" = ? WHERE "id" = ?`, formatTime(tx.now), b.id)
	if err != nil {
		return err
	}
	var failure string
	if err := tx.r.row(ctx, `SELECT "failure" FROM "load_balancer" WHERE "id" = ?`, []any{b.id}, &failure); err != nil {
		return err
	}
	if failure != "" {
		tx.Wake()
		return tx.ClearFailure(ctx)
	}
	if slices.ContainsFunc(words, func(w Word) bool { return w.Provisioning.Pending() }) {
		tx.Wake()
	}
	return nil
}

// Forsake makes ERROR of what the provider has called pending and then not spoken of any more: of objects below the load
// balancer, until it speaks of them again; a load balancer's word becomes void.
func (tx *Tx) Forsake(ctx context.Context) error {
	b, err := tx.locked()
	if err != nil {
		return err
	}
	for _, t := range append([]*table{balancers}, childTables...) {
		instead := lb.ProvError
		if t == balancers {
			instead = ""
		}
		_, err := tx.r.exec(ctx, `UPDATE `+quote(t.name)+` SET "told" = ? WHERE `+quote(t.owner)+` = ? AND "told" LIKE 'PENDING%'`, string(instead), b.id)
		if err != nil {
			return fmt.Errorf("cannot forsake the words of the provider of load balancer %s: %w", b.id, err)
		}
	}
	b.news = true
	return nil
}

func (tx *Tx) tellChild(ctx context.Context, b *balancer, w Word) error {
	t := tableOfKind(w.Kind)
	var deleting bool
	err := tx.r.row(ctx, `SELECT "deleting" FROM `+quote(t.name)+` WHERE "id" = ? AND `+quote(t.owner)+` = ?`, []any{w.ID, b.id}, &deleting)
	switch {
	case errors.Is(err, ErrNotFound) || err == nil && w.Provisioning == "":
		return nil
	case err != nil:
		return err
	case w.Provisioning == lb.Deleted && !deleting:
		return &WantedError{w.Kind, w.ID}
	case w.Provisioning == lb.Deleted:
		return tx.drop(ctx, t, w.ID)
	case deleting && w.Provisioning != lb.ProvError:
		return nil
	}
	return tx.setTold(ctx, b, t, w.ID, w.Provisioning)
}

func (tx *Tx) tellBalancer(ctx context.Context, b *balancer, w Word) error {
	switch {
	case w.Provisioning == "":
		return nil
	case w.Provisioning == lb.Deleted && !b.deleting:
		return &WantedError{w.Kind, w.ID}
	case w.Provisioning == lb.Deleted:
		tx.Wake() // a worker releases the VIP, and then the row
	case b.deleting && w.Provisioning != lb.ProvError:
		return nil
	case w.Provisioning == lb.Active:
		reached := b.generation
		if w.Generation > 0 {
			reached = min(reached, w.Generation)
		}
		if reached > b.cloud {
			if err := tx.SetCloudGeneration(ctx, reached); err != nil {
				return err
			}
		}
		if reached < b.generation {
			return nil
		}
	}
	return tx.setTold(ctx, b, balancers, w.ID, w.Provisioning)
}

func (tx *Tx) setTold(ctx context.Context, b *balancer, t *table, id string, status lb.ProvisioningStatus) error {
	_, err := tx.r.exec(ctx, `UPDATE `+quote(t.name)+` SET "told" = ? WHERE "id" = ? AND `+quote(t.owner)+` = ?`, string(status), id, b.id)
	b.news = true
	return err
}

// reconcileWords keeps the promise that lists are found by: a load balancer has converged exactly if it and everything below
// it is ACTIVE. Where a word says otherwise of one of them, the load balancer has a generation more than is in force, and
// if it is ACTIVE all the same, that is its own word.
func (tx *Tx) reconcileWords(ctx context.Context, b *balancer) error {
	if err := tx.Settle(ctx); err != nil || b.gone || b.deleting {
		return err
	}
	var told string
	if err := tx.r.row(ctx, `SELECT "told" FROM "load_balancer" WHERE "id" = ?`, []any{b.id}, &told); err != nil {
		return err
	}
	other, err := tx.otherwise(ctx, b.id)
	if err != nil {
		return err
	}
	switch own := lb.ProvisioningStatus(told); {
	case own != "" && own != lb.Active || other:
		if b.observed < b.generation {
			return nil
		}
		b.generation++
		if _, err := tx.r.exec(ctx, `UPDATE "load_balancer" SET "generation" = ? WHERE "id" = ?`, b.generation, b.id); err != nil || own != "" {
			return err
		}
		return tx.setTold(ctx, b, balancers, b.id, lb.Active)
	case own == lb.Active:
		// Nothing says otherwise any more: what is computed is the same again.
		if err := tx.SetCloudGeneration(ctx, b.generation); err != nil {
			return err
		}
		return tx.setTold(ctx, b, balancers, b.id, "")
	}
	return nil
}

// otherwise tells whether anything below a load balancer is, by the provider's word, not ACTIVE.
func (tx *Tx) otherwise(ctx context.Context, lbID string) (bool, error) {
	var selects []string
	var args []any
	for _, t := range childTables {
		selects = append(selects, `SELECT "id" FROM `+quote(t.name)+` WHERE `+quote(t.owner)+` = ? AND "told" NOT IN ('', 'ACTIVE')`)
		args = append(args, lbID)
	}
	found := false
	var id string
	err := tx.r.each(ctx, strings.Join(selects, " UNION ALL "), args, func() { found = true }, &id)
	return found, err
}

// drop drops a child and what is below it.
func (tx *Tx) drop(ctx context.Context, t *table, ids ...any) error {
	if len(ids) == 0 {
		return nil
	}
	for _, c := range t.children {
		var id string
		var below []any
		for chunk := range slices.Chunk(ids, 1000) {
			err := tx.r.each(ctx, `SELECT "id" FROM `+quote(c.table.name)+` WHERE `+quote(c.column)+` IN `+placeholders(len(chunk)), chunk,
				func() { below = append(below, id) }, &id)
			if err != nil {
				return err
			}
		}
		if err := tx.drop(ctx, c.table, below...); err != nil {
			return err
		}
	}
	for _, id := range ids {
		tx.Log(Change{Kind: t.kind, ObjectID: id.(string), Action: "purge"})
	}
	return tx.dropRows(ctx, t, ids)
}

// OwnersOf tells which load balancers objects of one kind belong to, by id; those that are gone are left out.
func (s *Store) OwnersOf(ctx context.Context, k Kind, ids ...string) (map[string]string, error) {
	t := tableOfKind(k)
	if t == nil {
		return nil, fmt.Errorf("no %s belongs to a load balancer", k)
	}
	owners := make(map[string]string, len(ids))
	if len(ids) == 0 {
		return owners, nil
	}
	var id, owner string
	condition, args := s.dialect.isIn(quote("id"), ids)
	err := s.read.each(ctx, `SELECT "id", `+quote(t.owner)+` FROM `+quote(t.name)+` WHERE `+condition, args,
		func() { owners[id] = owner }, &id, &owner)
	if err != nil {
		return nil, fmt.Errorf("cannot look for the owners of %d %ss: %w", len(ids), k, err)
	}
	return owners, nil
}
