package storetest_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/lb/attr"
	"github.com/octavo-lb/octavo/store"
	"github.com/octavo-lb/octavo/store/storetest"
)

func list[T store.Resource](t *testing.T, s *store.Store, q store.Query) []string {
	t.Helper()
	page, err := store.List[T](t.Context(), s, q)
	if err != nil {
		t.Fatalf("%+v: %v", q, err)
	}
	ids := []string{}
	for i := range page.Items {
		ids = append(ids, idOf(&page.Items[i]))
	}
	return ids
}

// Eleven load balancers, with few different values of each attribute, so that most sort keys are equal.
func createEqualOnes(t *testing.T, s *store.Store) {
	zones := []*string{nil, new("a"), new("b")}
	for i := range 11 {
		storetest.Create(t, s, "p", func(tree *lb.Tree) {
			tree.LB.Name = fmt.Sprint("name", i%2)
			tree.LB.AvailabilityZone = zones[i%3]
			tree.LB.AdminStateUp = i%2 == 0
			tree.LB.VipAddress = fmt.Sprint("192.0.2.", i)
		})
	}
}

func TestPagesHoldEachItemOnceForEverySortKey(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		createEqualOnes(t, s)
		for _, a := range attr.Of[lb.LoadBalancer]().Attrs {
			if slices.Contains([]attr.Type{attr.Strings, attr.StringMap, attr.Object, attr.Objects}, a.Type) {
				continue
			}
			for _, desc := range []bool{false, true} {
				walk[lb.LoadBalancer](t, s, store.Query{Sort: []store.SortKey{{Name: a.Name, Desc: desc}}})
			}
		}
		for _, sort := range [][]store.SortKey{
			nil,
			{{Name: "name", Desc: true}, {Name: "availability_zone"}, {Name: "id", Desc: true}},
			{{Name: "availability_zone", Desc: true}, {Name: "name"}, {Name: "created_at", Desc: true}},
			{{Name: "provisioning_status", Desc: true}, {Name: "admin_state_up"}},
		} {
			walk[lb.LoadBalancer](t, s, store.Query{Sort: sort, ProjectID: "p"})
		}
	})
}

// walk reads all pages forwards and back, and compares with the whole list.
func walk[T store.Resource](t *testing.T, s *store.Store, q store.Query) {
	t.Helper()
	whole := list[T](t, s, q)
	if len(whole) != 11 {
		t.Fatalf("%+v: %d items", q, len(whole))
	}
	q.Limit = 3
	var forwards, backwards []string
	for {
		page, err := store.List[T](t.Context(), s, q)
		if err != nil {
			t.Fatal(err)
		}
		for i := range page.Items {
			forwards = append(forwards, idOf(&page.Items[i]))
		}
		if !page.More {
			break
		}
		q.Marker = forwards[len(forwards)-1]
	}
	if !slices.Equal(forwards, whole) {
		t.Errorf("%+v: pages give\n%v, the whole list is\n%v", q.Sort, forwards, whole)
	}
	for q.Reverse, q.Marker = true, whole[len(whole)-1]; ; {
		page, err := store.List[T](t.Context(), s, q)
		if err != nil {
			t.Fatal(err)
		}
		ids := []string{}
		for i := range page.Items {
			ids = append(ids, idOf(&page.Items[i]))
		}
		backwards = append(ids, backwards...)
		if !page.More {
			break
		}
		q.Marker = ids[0]
	}
	if !slices.Equal(backwards, whole[:len(whole)-1]) {
		t.Errorf("%+v: pages back give\n%v, the whole list is\n%v", q.Sort, backwards, whole)
	}
}

func TestSortOrderIsThatOfBytesWithNullFirst(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		for _, zone := range []*string{new("b"), nil, new("a"), new("B"), new("ä"), new("a ")} {
			storetest.Create(t, s, "p", func(tree *lb.Tree) { tree.LB.AvailabilityZone = zone })
		}
		page, err := store.List[lb.LoadBalancer](t.Context(), s, store.Query{Sort: []store.SortKey{{Name: "availability_zone"}}})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, b := range page.Items {
			got = append(got, *cmpOr(b.AvailabilityZone, new("null")))
		}
		if want := []string{"null", "B", "a", "a ", "b", "ä"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func cmpOr[T any](p, or *T) *T {
	if p == nil {
		return or
	}
	return p
}

func TestEveryAttributeFilters(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		storetest.Create(t, s, "other", nil)
		tree := storetest.Create(t, s, "p", nil)
		filterByEach(t, s, tree.LB.ID, &tree.LB)
		filterByEach(t, s, tree.LB.ID, &tree.Listeners[0])
		filterByEach(t, s, tree.LB.ID, &tree.Pools[0])
		filterByEach(t, s, tree.LB.ID, &tree.Members[0])
		filterByEach(t, s, tree.LB.ID, &tree.Monitors[0])
		filterByEach(t, s, tree.LB.ID, &tree.Policies[0])
		filterByEach(t, s, tree.LB.ID, &tree.Rules[0])
	})
}

// filterByEach gives an object a value of its own in every attribute and then looks for it by each.
func filterByEach[T store.Resource](t *testing.T, s *store.Store, lbID string, object *T) {
	for _, f := range fieldsOf(reflect.TypeFor[T]()) {
		field, shape := reflect.ValueOf(object).Elem().FieldByIndex(f.Index), "value"
		if f.Type.Kind() == reflect.Pointer {
			shape = "pointer to value"
		}
		field.Set(shapesOf(f)[shape])
		if f.Name == "AdminStateUp" { // the others' is true
			field.SetBool(false)
		}
	}
	err := s.Write(t.Context(), func(tx *store.Tx) error {
		if _, err := tx.Lock(t.Context(), lbID); err != nil {
			return err
		}
		return store.Update(t.Context(), tx, object)
	})
	if err != nil {
		t.Fatal(err)
	}
	stored, err := store.Get[T](t.Context(), s, idOf(object))
	if err != nil {
		t.Fatal(err)
	}
	find := func(a *attr.Attr, value string) []string {
		return list[T](t, s, store.Query{Filters: []store.Filter{{Name: a.Name, Values: []string{value}}}})
	}
	for _, a := range attr.Of[T]().Attrs {
		if a.Type == attr.Object || a.Type == attr.Objects || a.Type == attr.StringMap {
			_, err := store.List[T](t.Context(), s, store.Query{Filters: []store.Filter{{Name: a.Name, Values: []string{"x"}}}})
			if wrong, ok := errors.AsType[*store.QueryError](err); !ok || wrong.Part != "filter" || wrong.Name != a.Name {
				t.Errorf("%T: filtering by %s, an object, gives %v", *object, a.Name, err)
			}
			continue
		}
		value := wireValue(attrValue(reflect.ValueOf(stored), a.Name))
		found := find(a, value)
		if !slices.Contains(found, idOf(object)) {
			t.Errorf("%T: filter %s=%s does not find it", *object, a.Name, value)
		}
		if !slices.Contains(shared, a.Name) && len(found) != 1 {
			t.Errorf("%T: filter %s=%s finds %d objects", *object, a.Name, value, len(found))
		}
		if slices.Contains(find(a, other(a, value)), idOf(object)) {
			t.Errorf("%T: filter %s=%s finds what has %s", *object, a.Name, other(a, value), value)
		}
	}
}

// shared are attributes that other objects of the test have the same value of.
var shared = []string{"created_at", "updated_at", "provisioning_status", "operating_status", "project_id", "loadbalancer_id", "pool_id",
	"listener_id"}

func other(a *attr.Attr, value string) string {
	switch a.Type {
	case attr.Boolean:
		return strconv.FormatBool(value != "true")
	case attr.Integer, attr.Float:
		return "17"
	case attr.Time:
		return "2001-01-01T00:00:00"
	}
	return strings.ToUpper(value) + "x"
}

func attrValue(object reflect.Value, name string) reflect.Value {
	for _, f := range reflect.VisibleFields(object.Type()) {
		if tag, _, _ := strings.Cut(f.Tag.Get("json"), ","); tag == name {
			return object.FieldByIndex(f.Index)
		}
	}
	panic("no field for " + name)
}

// wireValue is what a user who saw the attribute would filter by.
func wireValue(v reflect.Value) string {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch x := v.Interface().(type) {
	case time.Time:
		return x.Format("2006-01-02T15:04:05")
	case []string:
		return x[0]
	}
	return fmt.Sprint(v.Interface())
}

func TestFilterByNullAndByStatus(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		plain := storetest.Create(t, s, "p", nil)
		zoned := storetest.Create(t, s, "p", func(tree *lb.Tree) { tree.LB.AvailabilityZone = new("az") })
		settle(t, s, zoned.LB.ID)
		filter := func(name string, values ...string) []string {
			return list[lb.LoadBalancer](t, s, store.Query{Filters: []store.Filter{{Name: name, Values: values}}})
		}
		if got := filter("availability_zone"); !slices.Equal(got, []string{plain.LB.ID}) {
			t.Errorf("null: %v", got)
		}
		if got := filter("provisioning_status", "ACTIVE"); !slices.Equal(got, []string{zoned.LB.ID}) {
			t.Errorf("ACTIVE: %v", got)
		}
		if got := filter("provisioning_status", "PENDING_CREATE", "ERROR"); !slices.Equal(got, []string{plain.LB.ID}) {
			t.Errorf("PENDING_CREATE: %v", got)
		}
		members := list[lb.Member](t, s, store.Query{Parent: plain.Pools[0].ID,
			Filters: []store.Filter{{Name: "provisioning_status", Values: []string{"PENDING_CREATE"}}}})
		if len(members) != 2 {
			t.Errorf("members that are PENDING_CREATE: %v", members)
		}
		for name, q := range map[string]store.Query{
			"filter":   {Filters: []store.Filter{{Name: "generation", Values: []string{"1"}}}},
			"sort_key": {Sort: []store.SortKey{{Name: "tags"}}},
			"marker":   {Marker: storetest.ID("gone")},
		} {
			_, err := store.List[lb.LoadBalancer](t.Context(), s, q)
			if wrong, ok := errors.AsType[*store.QueryError](err); !ok || wrong.Part != name {
				t.Errorf("%s: %v", name, err)
			}
		}
		_, err := store.List[lb.LoadBalancer](t.Context(), s, store.Query{ProjectID: "another", Marker: plain.LB.ID})
		if _, ok := errors.AsType[*store.QueryError](err); !ok {
			t.Errorf("another project's object as marker: %v", err)
		}
	})
}

func TestTagFilters(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		byName := map[string]string{}
		for name, tags := range map[string][]string{"none": {}, "a": {"a"}, "ab": {"a", "b"}, "bc": {"b", "c", "b"}, "A": {"A"}} {
			tree := storetest.Create(t, s, "p", func(tree *lb.Tree) { tree.LB.Name, tree.LB.Tags = name, tags })
			byName[tree.LB.ID] = name
		}
		for _, c := range []struct {
			query store.Query
			want  string
		}{
			{store.Query{Tags: []string{"a"}}, "a ab"},
			{store.Query{Tags: []string{"a", "b"}}, "ab"},
			{store.Query{AnyTags: []string{"a", "c"}}, "a ab bc"},
			{store.Query{NotTags: []string{"a", "b"}}, "A a bc none"},
			{store.Query{NotAnyTags: []string{"a", "c"}}, "A none"},
			{store.Query{Tags: []string{"b"}, NotAnyTags: []string{"c"}}, "ab"},
		} {
			var got []string
			for _, id := range list[lb.LoadBalancer](t, s, c.query) {
				got = append(got, byName[id])
			}
			slices.Sort(got)
			if strings.Join(got, " ") != c.want {
				t.Errorf("%+v: got %v, want %s", c.query, got, c.want)
			}
		}
		for id, name := range byName {
			if name != "ab" {
				continue
			}
			write(t, s, id, func(tx *store.Tx) error {
				b, err := tx.Lock(t.Context(), id)
				if err != nil {
					return err
				}
				b.Tags = []string{"z"}
				return store.Update(t.Context(), tx, b)
			})
		}
		if got := list[lb.LoadBalancer](t, s, store.Query{Tags: []string{"a", "b"}}); len(got) != 0 {
			t.Errorf("tags that were taken off still find %v", got)
		}
		if got := list[lb.LoadBalancer](t, s, store.Query{Tags: []string{"z"}}); len(got) != 1 {
			t.Errorf("a tag that was put on finds %v", got)
		}
	})
}

func TestReferencesOfAPage(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		tree, bare := storetest.Create(t, s, "p", nil), storetest.Create(t, s, "p", func(tree *lb.Tree) {
			*tree = lb.Tree{LB: tree.LB}
		})
		sortMembers(tree)
		pool, listener, policy := tree.Pools[0].ID, tree.Listeners[0].ID, tree.Policies[0].ID
		balancers, err := store.RefsOfLoadBalancers(ctx, s, tree.LB.ID, bare.LB.ID)
		if err != nil || !slices.Equal(balancers[tree.LB.ID].Listeners, []string{listener}) ||
			!slices.Equal(balancers[tree.LB.ID].Pools, []string{pool}) || balancers[bare.LB.ID].Pools != nil {
			t.Errorf("load balancers: %+v, %v", balancers, err)
		}
		listeners, err := store.RefsOfListeners(ctx, s, listener)
		if err != nil || !slices.Equal(listeners[listener].Policies, []string{policy}) {
			t.Errorf("listeners: %+v, %v", listeners, err)
		}
		pools, err := store.RefsOfPools(ctx, s, pool)
		if err != nil || !slices.Equal(pools[pool].Listeners, []string{listener}) || pools[pool].Monitor != tree.Monitors[0].ID ||
			!slices.Equal(pools[pool].Members, []string{tree.Members[0].ID, tree.Members[1].ID}) {
			t.Errorf("pools: %+v, %v", pools, err)
		}
		policies, err := store.RefsOfPolicies(ctx, s, policy)
		if err != nil || !slices.Equal(policies[policy].Rules, []string{tree.Rules[0].ID}) {
			t.Errorf("policies: %+v, %v", policies, err)
		}
	})
}
