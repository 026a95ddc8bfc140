package httpx

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// shape finds a struct's fields by their JSON names.
type shape map[string][]int

func shapeOf[T any]() shape {
	s := shape{}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[T]()) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "" && name != "-" && f.IsExported() {
			s[name] = f.Index
		}
	}
	return s
}

func (s shape) has(name string) bool { return s[name] != nil }

// values are an attribute's values as a query would write them: one for a scalar, any number for a list, "" for null.
func (s shape) values(o any, name string) []string {
	return texts(reflect.ValueOf(o).FieldByIndex(s[name]))
}

// first is the attribute as sorting sees it; numbers are padded so that they sort as such.
func (s shape) first(o any, name string) string {
	v := reflect.ValueOf(o).FieldByIndex(s[name])
	if v.CanInt() {
		return fmt.Sprintf("%020d", v.Int())
	}
	if values := texts(v); len(values) > 0 {
		return values[0]
	}
	return ""
}

func texts(v reflect.Value) []string {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return []string{""}
		}
		return texts(v.Elem())
	case reflect.Slice, reflect.Array:
		var all []string
		for i := range v.Len() {
			all = append(all, texts(v.Index(i))...)
		}
		return all
	case reflect.Bool:
		return []string{strconv.FormatBool(v.Bool())}
	}
	if m, ok := v.Interface().(encoding.TextMarshaler); ok { // times and addresses
		if text, err := m.MarshalText(); err == nil {
			return []string{string(text)}
		}
	}
	return []string{fmt.Sprint(v.Interface())}
}

// test answers the predicate that a parameter of the query stands for: any of the wanted values, except for tags, of
// which all, any, not all or not any are wanted.
func (s shape) test(name string, wanted []string) (matches func(o any) bool, known bool) {
	if s.has("tags") {
		if match := tagMatch(name); match != nil {
			list := strings.Split(strings.Join(wanted, ","), ",")
			return func(o any) bool { return match(s.values(o, "tags"), list) }, true
		}
	}
	if !s.has(name) {
		return nil, false
	}
	return func(o any) bool {
		return slices.ContainsFunc(s.values(o, name), func(have string) bool {
			return slices.ContainsFunc(wanted, func(want string) bool { return same(have, want) })
		})
	}, true
}

// same lets True, TRUE and 1 mean true, and None and null mean null, as clients write them.
func same(have, want string) bool {
	switch have {
	case want:
		return true
	case "true":
		return strings.EqualFold(want, "true") || want == "1"
	case "false":
		return strings.EqualFold(want, "false") || want == "0"
	case "":
		return want == "None" || want == "null"
	}
	return false
}

func tagMatch(parameter string) func(have, wanted []string) bool {
	all := func(have, wanted []string) bool {
		return !slices.ContainsFunc(wanted, func(t string) bool { return !slices.Contains(have, t) })
	}
	anyOf := func(have, wanted []string) bool {
		return slices.ContainsFunc(wanted, func(t string) bool { return slices.Contains(have, t) })
	}
	switch parameter {
	case "tags":
		return all
	case "tags-any":
		return anyOf
	case "not-tags":
		return func(have, wanted []string) bool { return !all(have, wanted) }
	case "not-tags-any":
		return func(have, wanted []string) bool { return !anyOf(have, wanted) }
	}
	return nil
}
