package store

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/octavo-lb/octavo/lb"
)

// rowsPerInsert bounds the rows of one statement: enough to make round trips cheap, few enough for every database's limit
// on parameters.
const rowsPerInsert = 100

// Insert adds new objects below the load balancer that the transaction has locked, parents first, or the load balancer
// itself, which counts as locked then. It sets Generation, Created and CreatedAt, and ID when empty. ErrConflict.
func Insert[T Resource](ctx context.Context, tx *Tx, objects ...*T) error {
	t := tableOf[T]()
	for _, object := range objects {
		if err := tx.stampNew(MetaOf(object), t); err != nil {
			return err
		}
	}
	for chunk := range slices.Chunk(objects, rowsPerInsert) {
		if err := insertRows(ctx, tx, t, chunk); err != nil {
			return fmt.Errorf("cannot insert %s %s: %w", t.kind, MetaOf(chunk[0]).ID, err)
		}
	}
	if t == balancers && len(objects) > 0 {
		return tx.expect(ctx, Created)
	}
	return nil
}

func (tx *Tx) stampNew(m *lb.Meta, t *table) error {
	if m.ID == "" {
		m.ID = uuid.NewString()
	}
	if t == balancers {
		if tx.balance != nil {
			return errors.New("store: the transaction writes to a load balancer already")
		}
		tx.balance = &balancer{id: m.ID, projectID: m.ProjectID, inserted: true, due: tx.dueAt()}
	}
	b, err := tx.raise()
	if err != nil {
		return err
	}
	m.Generation, m.Created, m.CreatedAt, m.UpdatedAt, m.Told = b.generation, b.generation, tx.now, nil, ""
	tx.Log(Change{Kind: t.kind, ObjectID: m.ID, Action: "create", ProjectID: m.ProjectID})
	return nil
}

func insertRows[T Resource](ctx context.Context, tx *Tx, t *table, objects []*T) error {
	extra, values := tx.extraColumns(t)
	names := make([]string, 0, len(t.columns)+len(extra))
	for _, c := range t.columns {
		names = append(names, quote(c.name))
	}
	for _, name := range extra {
		names = append(names, quote(name))
	}
	var args, tags []any
	for _, object := range objects {
		v := reflect.ValueOf(object).Elem()
		for i := range t.columns {
			args = append(args, t.columns[i].value(v))
		}
		args = append(args, values...)
		tags = append(tags, tx.tagRows(MetaOf(object))...)
	}
	row := placeholders(len(names))
	statement := `INSERT INTO ` + quote(t.name) + ` (` + strings.Join(names, ", ") + `) VALUES ` +
		strings.TrimSuffix(strings.Repeat(row+", ", len(objects)), ", ")
	if _, err := tx.r.exec(ctx, statement, args...); err != nil {
		return err
	}
	return tx.insertTags(ctx, tags)
}

// extraColumns are those of a new row that the resource has no field for.
func (tx *Tx) extraColumns(t *table) (names []string, values []any) {
	switch {
	case t == balancers:
		return []string{"cloud_generation", "failures", "due_at", "wake_seq", "lease_owner", "lease_token", "awaited_since"},
			[]any{0, 0, formatTime(tx.balance.due), 1, "", 0, formatTime(tx.now)}
	case t.extra:
		return []string{t.owner}, []any{tx.balance.id}
	}
	return nil, nil
}

// keptColumns are not changed by Update: they say what something is, or are maintained by the store and observations.
var keptColumns = []string{"id", "loadbalancer_id", "project_id", "created_at", "created", "deleting", "operating_status",
	"observed_generation", "failure"}

// Update writes the attributes of existing objects and sets Generation and UpdatedAt. What the service observes
// (operating status, failure, observed generation) is not written. ErrNotFound.
func Update[T Resource](ctx context.Context, tx *Tx, objects ...*T) error {
	for _, object := range objects {
		b, err := tx.raise()
		if err != nil {
			return err
		}
		now := tx.now
		m := MetaOf(object)
		m.Generation, m.UpdatedAt, m.Told = b.generation, &now, ""
		if err := updateRow(ctx, tx, object); err != nil {
			return err
		}
		tx.Log(Change{Kind: tableOf[T]().kind, ObjectID: m.ID, Action: "update", ProjectID: m.ProjectID})
		if tableOf[T]() == balancers {
			if err := tx.expect(ctx, Updated); err != nil {
				return err
			}
		}
	}
	return nil
}

// Amend writes attributes like Update does, without it being a change of desired state: for what the service found out,
// such as the address of a VIP port it made. After Wake, a load balancer is made due by the same statement.
func Amend[T Resource](ctx context.Context, tx *Tx, objects ...*T) error {
	b, err := tx.locked()
	if err != nil {
		return err
	}
	for _, object := range objects {
		if err := updateRow(ctx, tx, object); err != nil {
			return err
		}
		b.news = true
	}
	return nil
}

func updateRow[T Resource](ctx context.Context, tx *Tx, object *T) error {
	t, m, v := tableOf[T](), MetaOf(object), reflect.ValueOf(object).Elem()
	var set []string
	var args []any
	for i := range t.columns {
		c := &t.columns[i]
		// Amend leaves the generation alone; the load balancer's own is written when the transaction ends.
		if slices.Contains(keptColumns, c.name) || c.name == "generation" && (t == balancers || !tx.balance.desired) {
			continue
		}
		set = append(set, quote(c.name)+" = ?")
		args = append(args, c.value(v))
	}
	if b := tx.balance; t == balancers && b.wake && !b.desired {
		set = append(set, `"due_at" = ?`, `"wake_seq" = "wake_seq" + 1`)
		args = append(args, formatTime(tx.dueAt()))
		b.wake = false
	}
	args = append(args, m.ID, tx.balance.id)
	found, err := tx.r.exec(ctx, `UPDATE `+quote(t.name)+` SET `+strings.Join(set, ", ")+
		` WHERE "id" = ? AND `+quote(t.owner)+` = ?`, args...)
	if err == nil && found == 0 {
		err = ErrNotFound
	}
	if err == nil {
		err = tx.replaceTags(ctx, m)
	}
	if err != nil {
		return fmt.Errorf("cannot update %s %s: %w", t.kind, m.ID, err)
	}
	return nil
}

// Tags are in their object's row, to be read with it, and in a table of their own, to be found by.

func (tx *Tx) tagRows(m *lb.Meta) (args []any) {
	seen := make(map[string]bool, len(m.Tags))
	for _, tag := range m.Tags {
		if !seen[tag] {
			seen[tag] = true
			args = append(args, m.ID, tag, tx.balance.id)
		}
	}
	return args
}

func (tx *Tx) insertTags(ctx context.Context, args []any) error {
	const perRow = 3
	for chunk := range slices.Chunk(args, rowsPerInsert*perRow) {
		_, err := tx.r.exec(ctx, `INSERT INTO "tag" ("object_id", "tag", "loadbalancer_id") VALUES `+
			strings.TrimSuffix(strings.Repeat("(?, ?, ?), ", len(chunk)/perRow), ", "), chunk...)
		if err != nil {
			return err
		}
	}
	return nil
}

func (tx *Tx) replaceTags(ctx context.Context, m *lb.Meta) error {
	if old, known := tx.balance.tags[m.ID]; known && slices.Equal(old, m.Tags) {
		return nil
	}
	delete(tx.balance.tags, m.ID)
	if _, err := tx.r.exec(ctx, `DELETE FROM "tag" WHERE "object_id" = ?`, m.ID); err != nil {
		return err
	}
	return tx.insertTags(ctx, tx.tagRows(m))
}

// tagsOf lists the tags of each object of a tree.
func tagsOf(tree *lb.Tree) map[string][]string {
	tags := map[string][]string{tree.LB.ID: slices.Clone(tree.LB.Tags)}
	collectTags(tags, tree.Listeners)
	collectTags(tags, tree.Pools)
	collectTags(tags, tree.Members)
	collectTags(tags, tree.Monitors)
	collectTags(tags, tree.Policies)
	collectTags(tags, tree.Rules)
	return tags
}

func collectTags[T Resource](tags map[string][]string, objects []T) {
	for i := range objects {
		m := MetaOf(&objects[i])
		tags[m.ID] = slices.Clone(m.Tags)
	}
}
