package storetest_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/store"
	"github.com/octavo-lb/octavo/store/storetest"
)

// What says nothing of the round trip: ids that refer to other rows, and what the store sets itself.
var setByStore = []string{"ID", "ProvisioningStatus", "CreatedAt", "UpdatedAt", "Generation", "Created", "Deleting", "Told",
	"LoadBalancerID", "PoolID", "ListenerID", "L7PolicyID", "ObservedGeneration", "Failure", "OperatingStatus", "ProjectID"}

func TestEveryAttributeRoundTripsNullEmptyAndValue(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		tree := storetest.Create(t, s, "p", nil)
		roundTrip(t, s, tree.LB.ID, &tree.LB)
		roundTrip(t, s, tree.LB.ID, &tree.Listeners[0])
		roundTrip(t, s, tree.LB.ID, &tree.Pools[0])
		roundTrip(t, s, tree.LB.ID, &tree.Members[0])
		roundTrip(t, s, tree.LB.ID, &tree.Monitors[0])
		roundTrip(t, s, tree.LB.ID, &tree.Policies[0])
		roundTrip(t, s, tree.LB.ID, &tree.Rules[0])
	})
}

// roundTrip updates one field after the other to each of its possible shapes and reads it back.
func roundTrip[T store.Resource](t *testing.T, s *store.Store, lbID string, object *T) {
	for _, f := range fieldsOf(reflect.TypeFor[T]()) {
		for shape, value := range shapesOf(f) {
			v := reflect.ValueOf(object).Elem().FieldByIndex(f.Index)
			v.Set(value)
			err := s.Write(t.Context(), func(tx *store.Tx) error {
				if _, err := tx.Lock(t.Context(), lbID); err != nil {
					return err
				}
				return store.Update(t.Context(), tx, object)
			})
			if err != nil {
				t.Fatalf("%s %s: %v", f.Name, shape, err)
			}
			got, err := store.Get[T](t.Context(), s, idOf(object))
			if err != nil {
				t.Fatal(err)
			}
			want := value
			if notNull(f) && value.IsNil() {
				if f.Type.Kind() == reflect.Slice {
					want = reflect.MakeSlice(f.Type, 0, 0)
				} else {
					want = reflect.MakeMap(f.Type)
				}
			}
			if d := cmp.Diff(want.Interface(), reflect.ValueOf(got).FieldByIndex(f.Index).Interface()); d != "" {
				t.Errorf("%T.%s %s (-want +got):\n%s", *object, f.Name, shape, d)
			}
		}
	}
}

// fieldsOf lists the fields that a user or the service writes.
func fieldsOf(typ reflect.Type) []reflect.StructField {
	var fields []reflect.StructField
	for _, f := range reflect.VisibleFields(typ) {
		if !f.Anonymous && !strings.Contains(","+strings.Join(setByStore, ",")+",", ","+f.Name+",") {
			fields = append(fields, f)
		}
	}
	return fields
}

// notNull tells lists and maps that are never null: nil is stored as empty.
func notNull(f reflect.StructField) bool {
	return (f.Type.Kind() == reflect.Slice || f.Type.Kind() == reflect.Map) &&
		!strings.Contains(","+f.Tag.Get("attr")+",", ",null,")
}

// shapesOf are null where there is such a thing, empty, and a value that quoting and encoding could spoil.
func shapesOf(f reflect.StructField) map[string]reflect.Value {
	const nasty = "it's \"50%\" \\ ? _ ; \u00fc\u4e16\U0001f600 \n\t--"
	value := reflect.New(f.Type).Elem()
	shapes := map[string]reflect.Value{"zero": reflect.Zero(f.Type)}
	switch f.Type.Kind() {
	case reflect.String:
		value.SetString(nasty)
	case reflect.Bool:
		value.SetBool(true)
	case reflect.Int, reflect.Int64:
		value.SetInt(-2147483648)
		large := reflect.New(f.Type).Elem()
		large.SetInt(9007199254740993)
		shapes["large"] = large
	case reflect.Pointer:
		for shape, v := range shapesOf(reflect.StructField{Name: f.Name, Type: f.Type.Elem()}) {
			p := reflect.New(f.Type.Elem())
			p.Elem().Set(v)
			shapes["pointer to "+shape] = p
		}
		return shapes
	case reflect.Float64:
		value.SetFloat(1.1)
	case reflect.Slice:
		shapes["empty"] = reflect.MakeSlice(f.Type, 0, 0)
		value = reflect.MakeSlice(f.Type, 2, 2)
		for i := range 2 {
			for _, v := range shapesOf(reflect.StructField{Type: f.Type.Elem()}) {
				value.Index(i).Set(v)
			}
		}
		if f.Type.Elem().Kind() == reflect.String { // distinct, as tags must be
			value.Index(0).SetString(nasty)
			value.Index(1).SetString("")
		}
	case reflect.Map:
		shapes["empty"] = reflect.MakeMap(f.Type)
		value = reflect.MakeMap(f.Type)
		value.SetMapIndex(reflect.ValueOf(nasty), reflect.ValueOf("a"))
	case reflect.Struct:
		for i := range f.Type.NumField() {
			for _, v := range shapesOf(f.Type.Field(i)) {
				value.Field(i).Set(v)
			}
		}
	default:
		panic(fmt.Sprintf("no value for a %s", f.Type))
	}
	shapes["value"] = value
	return shapes
}

func idOf[T store.Resource](object *T) string {
	return reflect.ValueOf(object).Elem().FieldByName("ID").String()
}

func TestTreeIsReadAsItWasWritten(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		before := time.Now().UTC().Truncate(time.Microsecond)
		want := storetest.Create(t, s, "p", nil)
		storetest.Create(t, s, "p", nil) // another one, to be left out
		got, err := s.Tree(t.Context(), want.LB.ID)
		if err != nil {
			t.Fatal(err)
		}
		if got.LB.CreatedAt.Before(before) || got.LB.CreatedAt.After(time.Now()) || got.LB.CreatedAt.Location() != time.UTC {
			t.Errorf("created at %v", got.LB.CreatedAt)
		}
		status := func(tree *lb.Tree) {
			for _, m := range metas(tree) {
				m.ProvisioningStatus = lb.PendingCreate
			}
		}
		status(want)
		want.LB.VipSgIDs = []string{}
		sortMembers(want)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	})
}
