package attr

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
)

// Mode is the kind of request that an object comes with.
type Mode uint8

const (
	// Create makes an object that is the whole request.
	Create Mode = iota
	// Nested makes an object inside a larger one.
	Nested
	// Update changes an object.
	Update
)

// Body is a JSON object whose values are not read yet.
type Body map[string]json.RawMessage

// ParseBody reads the outermost level of a JSON object. path names it in errors.
func ParseBody(path string, raw []byte) (Body, error) {
	var o Body
	if err := json.Unmarshal(raw, &o); err != nil || o == nil {
		if json.Valid(raw) {
			return nil, Invalid(path, show(raw), "Value should be a JSON object")
		}
		return nil, &Error{Attr: path, text: "Request is not in valid JSON format"}
	}
	return o, nil
}

// Take removes a member and returns it; ok is false where it is absent. A null is ok and nil.
func (o Body) Take(name string) (raw json.RawMessage, ok bool) {
	raw, ok = o[name]
	delete(o, name)
	if isNull(raw) {
		raw = nil
	}
	return raw, ok
}

// Empty returns an error that names what is left in the object, nil for nothing.
func (o Body) Empty(path string) error {
	if len(o) == 0 {
		return nil
	}
	return unknown(path, slices.Sorted(maps.Keys(o)))
}

// Given is the names of the attributes that a request gave, null or not.
type Given map[string]bool

// Decode reads a JSON object into the struct that dst points to. Three things are told apart: an absent attribute gets
// its default on create and keeps its value on update; null empties it, or resets it to its default where it cannot be
// empty; a value is checked and stored. path names the object in errors, which are of type *Error.
//
// After an error dst is half written: callers decode into a copy.
func (t *Table) Decode(path string, o Body, dst any, mode Mode) (Given, error) {
	given := make(Given, len(o))
	var strange []string
	for name := range o {
		a := t.byName[name]
		if a == nil || !a.Writable(mode) {
			strange = append(strange, name)
			continue
		}
		given[a.Name] = true
	}
	if strange != nil {
		slices.Sort(strange)
		return nil, unknown(path, strange)
	}
	v := reflect.ValueOf(dst).Elem()
	for _, a := range t.Attrs {
		raw, ok := o[a.Name]
		if !ok && a.Alias != "" {
			raw, ok = o[a.Alias]
		}
		if err := a.decode(path, raw, ok, v.FieldByIndex(a.index), mode); err != nil {
			return nil, err
		}
	}
	return given, nil
}

func (a *Attr) decode(path string, raw json.RawMessage, given bool, v reflect.Value, mode Mode) error {
	switch {
	case !given && mode == Update:
		return nil
	case !given && a.Required && a.Writable(mode):
		return Invalid(a.Name, "None", "Mandatory field missing.")
	case !given:
		if a.Writable(mode) || a.Default != nil {
			a.reset(v, a.Default)
		}
		return nil
	case isNull(raw):
		return a.decodeNull(v)
	}
	return a.decodeValue(path, raw, v, mode)
}

func (a *Attr) decodeNull(v reflect.Value) error {
	switch {
	case a.Required && a.Access&RootOnly != 0:
		v.SetZero() // a parent that is none: callers do not find it
	case a.Required:
		// The text of Octavia's InvalidOption.
		return &Error{Attr: a.Name, text: fmt.Sprintf("None is not a valid option for %s", a.Name)}
	case a.Null != nil:
		a.reset(v, a.Null)
	case a.Nullable:
		v.SetZero()
	default:
		a.reset(v, a.Default)
	}
	return nil
}

// reset stores a value of the declaration, which is shared between objects, and so never handed out by reference.
func (a *Attr) reset(v reflect.Value, value any) {
	if value == nil {
		v.SetZero()
		return
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	if list, ok := value.([]string); ok {
		value = slices.Clone(list)
	}
	v.Set(reflect.ValueOf(value).Convert(v.Type()))
}

func (a *Attr) decodeValue(path string, raw json.RawMessage, v reflect.Value, mode Mode) error {
	target := v
	if v.Kind() == reflect.Pointer && a.Type != Object {
		target = reflect.New(v.Type().Elem()).Elem()
	}
	if err := a.decodeInto(path, raw, target, mode); err != nil {
		return err
	}
	if target != v {
		v.Set(target.Addr())
	}
	return nil
}

func (a *Attr) decodeInto(path string, raw json.RawMessage, v reflect.Value, mode Mode) error {
	switch a.Type {
	case String:
		s, err := a.str(raw)
		v.SetString(s)
		return err
	case Integer:
		n, err := a.integer(raw)
		v.SetInt(n)
		return err
	case Float:
		f, err := a.float(raw)
		v.SetFloat(f)
		return err
	case Boolean:
		b, err := a.boolean(raw)
		v.SetBool(b)
		return err
	case Strings:
		list, err := a.list(raw)
		v.Set(reflect.ValueOf(list))
		return err
	case StringMap:
		m, err := a.stringMap(raw)
		v.Set(reflect.ValueOf(m))
		return err
	case Object:
		return a.object(path, raw, v, mode)
	case Objects:
		return a.objects(path, raw, v, mode)
	}
	return Invalid(a.Name, show(raw), "Cannot set read only field.")
}

func (a *Attr) list(raw json.RawMessage) ([]string, error) {
	items, err := a.items(raw)
	if err != nil {
		return nil, err
	}
	list := make([]string, len(items))
	for i, item := range items {
		if list[i], err = a.str(item); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (a *Attr) items(raw json.RawMessage) ([]json.RawMessage, error) {
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil {
		return nil, Invalid(a.Name, show(raw), "Value not a valid list")
	}
	return items, nil
}

func (a *Attr) stringMap(raw json.RawMessage) (map[string]string, error) {
	var entries map[string]json.RawMessage
	if err := json.Unmarshal(raw, &entries); err != nil {
		return nil, Invalid(a.Name, show(raw), "Value not a valid dict")
	}
	m := make(map[string]string, len(entries))
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		if _, reason := oneLine(key); reason != "" {
			return nil, Invalid(a.Name, key, reason)
		}
		s, err := a.str(entries[key])
		if err != nil {
			return nil, err
		}
		m[key] = s
	}
	return m, nil
}

// object replaces a nested object as a whole. On update what is required may be left out and keeps its value.
func (a *Attr) object(path string, raw json.RawMessage, v reflect.Value, mode Mode) error {
	path += "." + a.Name
	o, err := ParseBody(path, raw)
	if err != nil {
		return err
	}
	fresh := reflect.New(v.Type().Elem())
	for _, inner := range a.Nested.Attrs {
		if _, given := o[inner.Name]; mode == Update && inner.Required && !given && !v.IsNil() {
			fresh.Elem().FieldByIndex(inner.index).Set(v.Elem().FieldByIndex(inner.index))
			o[inner.Name], _ = json.Marshal(inner.Get(fresh.Interface()))
		}
	}
	if _, err := a.Nested.Decode(path, o, fresh.Interface(), Nested); err != nil {
		return err
	}
	v.Set(fresh)
	return nil
}

func (a *Attr) objects(path string, raw json.RawMessage, v reflect.Value, mode Mode) error {
	items, err := a.items(raw)
	if err != nil {
		return err
	}
	list := reflect.MakeSlice(v.Type(), len(items), len(items))
	for i, item := range items {
		o, err := ParseBody(path+"."+a.Name, item)
		if err != nil {
			return err
		}
		if _, err := a.Nested.Decode(path+"."+a.Name, o, list.Index(i).Addr().Interface(), Nested); err != nil {
			return err
		}
	}
	v.Set(list)
	return nil
}

func isNull(raw json.RawMessage) bool { return bytes.Equal(bytes.TrimSpace(raw), []byte("null")) }

// show is a JSON value as error messages quote it: strings without quotes, literals as Python writes them.
func show(raw json.RawMessage) string {
	raw = bytes.TrimSpace(raw)
	switch string(raw) {
	case "null":
		return "None"
	case "true":
		return "True"
	case "false":
		return "False"
	}
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	if len(raw) > maxShown {
		return string(raw[:maxShown]) + "..."
	}
	return string(raw)
}

const maxShown = 1000

func quoteFloat(f float64) string {
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !bytes.ContainsRune([]byte(s), '.') {
		s += ".0"
	}
	return s
}
