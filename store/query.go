package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Query selects, orders and pages a list. The zero value is everything, oldest first.
type Query struct {
	// ProjectID limits the list to one project; empty is all.
	ProjectID string
	// Parent limits members to a pool, rules and policies to what they are below.
	Parent string
	// Filters must all hold.
	Filters []Filter
	// Tags must all be present; one of AnyTags must be; of NotTags one must be absent, of NotAnyTags all.
	Tags, AnyTags, NotTags, NotAnyTags []string
	// Sort keys in order; created_at and id follow by themselves.
	Sort []SortKey
	// Marker is the id of the last item of the page before, or with Reverse the first item of the page after.
	Marker  string
	Reverse bool
	// Limit bounds the page; 0 is no bound.
	Limit int
}

// Filter asks for an attribute, by its wire name, to have one of the values as a URL writes them. Of a list one element
// must be equal; an empty Values matches null. A time without a fraction matches the whole second.
type Filter struct {
	Name   string
	Values []string
}

// SortKey orders by an attribute that is not a list or object. Null comes before everything else.
type SortKey struct {
	Name string
	Desc bool
}

// Page is a part of a list, in the order asked for.
type Page[T Resource] struct {
	Items []T
	// More tells that items follow (with Reverse: precede) those of the page.
	More bool
}

// List reads one page in a constant number of statements. What of the query cannot be used is told by a *QueryError.
func List[T Resource](ctx context.Context, r Reader, q Query) (Page[T], error) {
	t := tableOf[T]()
	c, err := t.conditions(q)
	if err != nil {
		return Page[T]{}, err
	}
	keys, err := t.sortKeys(q)
	if err != nil {
		return Page[T]{}, err
	}
	if q.Marker != "" {
		if err := c.after(ctx, r.reader(), t, keys, q); err != nil {
			return Page[T]{}, err
		}
	}
	tail := c.where() + orderBy(keys, r.reader().dialect)
	if q.Limit > 0 {
		tail += ` LIMIT ?`
		c.args = append(c.args, q.Limit+1)
	}
	items, err := selectAll[T](ctx, r.reader(), t, tail, c.args...)
	if err != nil {
		return Page[T]{}, err
	}
	page := Page[T]{Items: items}
	if q.Limit > 0 && len(items) > q.Limit {
		page.Items, page.More = items[:q.Limit], true
	}
	if q.Reverse {
		slices.Reverse(page.Items)
	}
	return page, nil
}

// sortKey is a key as SQL: an expression and its direction, with Query.Reverse taken in.
type sortKey struct {
	expression string
	null       bool
	desc       bool
}

func (t *table) sortKeys(q Query) ([]sortKey, error) {
	wanted := slices.Clone(q.Sort)
	for _, name := range []string{"created_at", "id"} {
		if !slices.ContainsFunc(wanted, func(k SortKey) bool { return k.Name == name }) {
			wanted = append(wanted, SortKey{Name: name})
		}
	}
	var keys []sortKey
	for _, k := range wanted {
		key := sortKey{desc: k.Desc != q.Reverse}
		c := t.attribute(k.Name)
		switch {
		case k.Name == "provisioning_status":
			key.expression = t.status
		case c == nil || c.class == document:
			return nil, &QueryError{Part: "sort_key", Name: k.Name, Reason: "is no attribute that lists can be sorted by"}
		default:
			key.expression, key.null = "o."+quote(c.name), c.null
		}
		keys = append(keys, key)
		if k.Name == "id" {
			break // ids differ: what follows decides nothing
		}
	}
	return keys, nil
}

func orderBy(keys []sortKey, d *dialect) string {
	parts := make([]string, len(keys))
	for i, k := range keys {
		parts[i] = k.expression
		if k.desc {
			parts[i] += " DESC"
		}
		if k.null && d.nullsLast && k.desc {
			parts[i] += " NULLS LAST"
		} else if k.null && d.nullsLast {
			parts[i] += " NULLS FIRST"
		}
	}
	return " ORDER BY " + strings.Join(parts, ", ")
}

// after adds the condition that rows come after the marker in the order of keys.
func (c *conditions) after(ctx context.Context, r *reader, t *table, keys []sortKey, q Query) error {
	values := make([]any, len(keys))
	destinations := make([]any, len(keys))
	expressions := make([]string, len(keys))
	for i, k := range keys {
		destinations[i], expressions[i] = &values[i], k.expression
	}
	statement, args := `SELECT `+strings.Join(expressions, ", ")+t.from+` WHERE o."id" = ?`, []any{q.Marker}
	if q.ProjectID != "" {
		statement, args = statement+` AND o."project_id" = ?`, append(args, q.ProjectID)
	}
	err := r.each(ctx, statement, args, func() {
		for i := range values {
			values[i] = asParameter(values[i])
		}
		c.add(keyset(keys, values))
		c.found = true
	}, destinations...)
	if err != nil {
		return fmt.Errorf("cannot look for the marker %s: %w", q.Marker, err)
	}
	if !c.found {
		return &QueryError{Part: "marker", Name: q.Marker, Reason: "is no object of this list"}
	}
	return nil
}

// keyset is k1 >= v1 AND (k1 > v1 OR (k2 >= v2 AND (k2 > v2 OR ...))): the first part alone lets every database begin
// reading an index at the marker.
func keyset(keys []sortKey, values []any) (string, []any) {
	beyond, beyondArgs := keys[0].beyond(values[0])
	if len(keys) == 1 {
		return beyond, beyondArgs
	}
	rest, restArgs := keyset(keys[1:], values[1:])
	same, sameArgs := keys[0].from(values[0])
	return same + ` AND (` + beyond + ` OR (` + rest + `))`, slices.Concat(sameArgs, beyondArgs, restArgs)
}

// beyond is that the key comes after v.
func (k sortKey) beyond(v any) (string, []any) {
	switch {
	case v == nil && k.desc:
		return "1 = 0", nil
	case v == nil:
		return k.expression + " IS NOT NULL", nil
	case k.desc && k.null:
		return "(" + k.expression + " < ? OR " + k.expression + " IS NULL)", []any{v}
	case k.desc:
		return k.expression + " < ?", []any{v}
	}
	return k.expression + " > ?", []any{v}
}

// from is that the key comes after v or is equal to it.
func (k sortKey) from(v any) (string, []any) {
	switch {
	case v == nil && k.desc:
		return k.expression + " IS NULL", nil
	case v == nil:
		return "1 = 1", nil
	case k.desc && k.null:
		return "(" + k.expression + " <= ? OR " + k.expression + " IS NULL)", []any{v}
	case k.desc:
		return k.expression + " <= ?", []any{v}
	}
	return k.expression + " >= ?", []any{v}
}
