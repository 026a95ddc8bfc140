package api

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/octavo-lb/octavo/lb/attr"
	"github.com/octavo-lb/octavo/store"
)

// memoryList is how a list is shown whose items were all read: there are few of them.
type memoryList[T any] struct {
	table  *attr.Table
	key    func(*T) *string
	plural string
	links  string // the member with links between pages
}

// writePicked answers with the part of a list that a query asks for.
func writePicked[T any](s *Server, c *call, list []T, l memoryList[T], q store.Query) error {
	page, err := pick(list, l.table, l.key, q)
	if err != nil {
		return err
	}
	only := s.fieldsOf(c)
	ids := make([]string, len(page.items))
	b := append(attr.AppendName([]byte{'{'}, l.plural), '[')
	for i := range page.items {
		ids[i] = *l.key(&page.items[i])
		b = append(attr.Close(l.table.AppendMembers(append(b, '{'), &page.items[i], only), '}'), ',')
	}
	b = s.appendLinks(append(attr.Close(b, ']'), ','), c, l.links, q, ids, page.more)
	return c.write(200, append(b, '}'))
}

// picked is a part of a list.
type picked[T any] struct {
	items []T
	more  bool // items follow, or precede in a page that goes backwards
}

// pick applies a query to a list that is in memory, as store.List does in the database.
func pick[T any](list []T, table *attr.Table, key func(*T) *string, q store.Query) (p picked[T], err error) {
	if list, err = filtered(list, table, q.Filters); err != nil {
		return p, err
	}
	if err := sorted(list, table, q.Sort); err != nil {
		return p, err
	}
	if q.Marker != "" {
		at := slices.IndexFunc(list, func(o T) bool { return *key(&o) == q.Marker })
		switch {
		case at < 0:
			return p, &store.QueryError{Part: "marker", Name: q.Marker}
		case q.Reverse:
			list = list[:at]
		default:
			list = list[at+1:]
		}
	}
	switch {
	case q.Limit == 0 || len(list) <= q.Limit:
		return picked[T]{list, false}, nil
	case q.Reverse:
		return picked[T]{list[len(list)-q.Limit:], true}, nil
	}
	return picked[T]{list[:q.Limit], true}, nil
}

func filtered[T any](list []T, table *attr.Table, filters []store.Filter) ([]T, error) {
	for _, f := range filters {
		a := table.Find(f.Name)
		if a == nil || a.Access&attr.Shown == 0 {
			return nil, &store.QueryError{Part: "filter", Name: f.Name}
		}
		list = slices.DeleteFunc(list, func(o T) bool {
			have := fmt.Sprint(a.Get(&o))
			return !slices.ContainsFunc(f.Values, func(v string) bool {
				return strings.EqualFold(v, have) && (v == have || a.Type == attr.Boolean)
			})
		})
	}
	return list, nil
}

// sorted puts null before everything else.
func sorted[T any](list []T, table *attr.Table, keys []store.SortKey) error {
	for _, k := range slices.Backward(keys) {
		a := table.Find(k.Name)
		if a == nil || a.Type > attr.Time {
			return &store.QueryError{Part: "sort_key", Name: k.Name}
		}
		slices.SortStableFunc(list, func(x, y T) int {
			order := compareValues(a.Get(&x), a.Get(&y))
			if k.Desc {
				return -order
			}
			return order
		})
	}
	return nil
}

func compareValues(x, y any) int {
	switch x := x.(type) {
	case int:
		if y, ok := y.(int); ok {
			return cmp.Compare(x, y)
		}
	case time.Time:
		if y, ok := y.(time.Time); ok {
			return x.Compare(y)
		}
	}
	switch {
	case x == nil && y == nil:
		return 0
	case x == nil:
		return -1
	case y == nil:
		return 1
	}
	return cmp.Compare(fmt.Sprint(x), fmt.Sprint(y))
}
