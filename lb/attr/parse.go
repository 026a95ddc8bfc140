package attr

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// parse builds the table of a struct type from its tags, embedded structs included.
func parse(t reflect.Type) (*Table, error) {
	table := &Table{}
	for _, f := range reflect.VisibleFields(t) {
		name := f.Tag.Get("json")
		tag, declared := f.Tag.Lookup("attr")
		if f.Anonymous || !declared || name == "-" {
			continue
		}
		a := &Attr{Name: name, Doc: f.Tag.Get("doc"), index: f.Index}
		if err := a.readType(f.Type); err != nil {
			return nil, fmt.Errorf("%s.%s: %w", t.Name(), f.Name, err)
		}
		if err := a.readTag(tag); err != nil {
			return nil, fmt.Errorf("%s.%s: %w", t.Name(), f.Name, err)
		}
		table.Attrs = append(table.Attrs, a)
	}
	table.reindex()
	return table, nil
}

func (a *Attr) readType(t reflect.Type) error {
	elem := t
	if t.Kind() == reflect.Pointer {
		elem = t.Elem()
	}
	switch {
	case elem == reflect.TypeFor[time.Time]():
		a.Type = Time
	case elem.Kind() == reflect.String:
		a.Type = String
	case elem.Kind() == reflect.Int:
		a.Type = Integer
	case elem.Kind() == reflect.Float64:
		a.Type = Float
	case elem.Kind() == reflect.Bool:
		a.Type = Boolean
	case elem == reflect.TypeFor[[]string]():
		a.Type = Strings
	case elem == reflect.TypeFor[map[string]string]():
		a.Type = StringMap
	case elem.Kind() == reflect.Struct && t.Kind() == reflect.Pointer:
		a.Type, a.Nested = Object, tableOf(elem)
	case elem.Kind() == reflect.Slice && elem.Elem().Kind() == reflect.Struct:
		a.Type, a.Nested = Objects, tableOf(elem.Elem())
	default:
		return fmt.Errorf("no attribute can be of type %s", t)
	}
	return nil
}

func (a *Attr) readTag(tag string) error {
	access, options, _ := strings.Cut(tag, ",")
	switch access {
	case "r":
		a.Access = Shown
	case "c":
		a.Access = Shown | OnCreate
	case "rw":
		a.Access = Shown | OnCreate | OnUpdate
	default:
		return fmt.Errorf("access %q is none of r, c, rw", access)
	}
	for option := range strings.SplitSeq(options, ",") {
		if option == "" {
			continue
		}
		if err := a.readOption(option); err != nil {
			return fmt.Errorf("option %q: %w", option, err)
		}
	}
	a.check = kinds[a.Kind]
	return nil
}

func (a *Attr) readOption(option string) (err error) {
	key, value, hasValue := strings.Cut(option, "=")
	switch key {
	case "hidden":
		a.Access &^= Shown
	case "root":
		a.Access |= RootOnly
	case "required":
		a.Required = true
	case "null":
		a.Nullable = !hasValue
		if hasValue {
			a.Null, err = a.literal(value)
		}
	case "default":
		a.Default, err = a.literal(value)
	case "min":
		a.Min, err = limit(value)
	case "max":
		a.Max, err = limit(value)
	case "enum":
		a.Enum = strings.Split(value, "|")
	case "kind":
		a.Kind = value
		if _, known := kinds[value]; !known {
			err = fmt.Errorf("no such kind")
		}
	case "ref":
		a.Ref = value
	case "alias":
		a.Alias = value
	case "since":
		a.Since = value
	default:
		err = fmt.Errorf("unknown option")
	}
	return err
}

func limit(s string) (*int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	return &n, err
}

// literal reads a value written in a tag.
func (a *Attr) literal(s string) (any, error) {
	switch a.Type {
	case Integer:
		return strconv.Atoi(s)
	case Boolean:
		return strconv.ParseBool(s)
	case String:
		return s, nil
	}
	return nil, fmt.Errorf("a tag can hold no value of this type")
}
