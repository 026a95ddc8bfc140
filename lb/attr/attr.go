// Package attr reads the declaration of a resource's attributes from its struct tags, so that one line in package lb
// says everything about an attribute: its name on the wire (which is its column and its name in errors), who may write
// it, its default, its range and its documentation. One decoder and one encoder work from the resulting Table, on every
// path on which the attribute can arrive or leave.
//
// A field is declared as
//
//	ConnectionLimit int `json:"connection_limit" attr:"rw,default=-1,min=-1" doc:"Connections allowed at once, -1 for no limit."`
//
// The attr tag is a comma separated list. Access comes first: "r" (set by the service), "c" (by the user, on create
// only), "rw" (on create and update). Then, in any order:
//
//	hidden       never shown
//	root         writable only where the object is the whole request, not inside a larger one that says it already
//	required     must be given on create and may not be null
//	null         may be null; the field is a pointer, slice or map
//	null=V       null stands for V (without it null resets to the default)
//	default=V    what it is when it is not given
//	min=N max=N  range of a number, or of a string's length in characters (of each string, in a list or map)
//	enum=A|B|C   the values there are
//	kind=KIND    a named check: uuid, ip, cidr, url, url_path, text, ... (see kinds)
//	ref=RESOURCE the id of another object, resolved with the caller's rights
//	alias=NAME   an older name, accepted and shown beside the attribute's own
//	since=2.N    the API version that brought it
package attr

import (
	"fmt"
	"reflect"
	"slices"
	"sync"
)

// Access says on which way an attribute may travel.
type Access uint8

const (
	// OnCreate attributes may be given when the object is made.
	OnCreate Access = 1 << iota
	// OnUpdate attributes may be changed later.
	OnUpdate
	// Shown attributes are in answers.
	Shown
	// RootOnly attributes may be given only where the object is the whole request.
	RootOnly
)

// Type is how an attribute's value looks in JSON.
type Type uint8

const (
	String Type = iota
	Integer
	Float
	Boolean
	Time
	Strings   // list of strings
	StringMap // object of strings
	Object    // one nested object, see Attr.Nested
	Objects   // list of nested objects, see Attr.Nested
)

// Attr is what one line of package lb says about an attribute.
type Attr struct {
	Name     string
	Alias    string
	Doc      string
	Since    string // the API version, empty for 2.0
	Type     Type
	Access   Access
	Required bool
	Nullable bool
	Default  any // nil where there is none
	Null     any // what null stands for; nil where it has no such meaning
	Min, Max *int64
	Enum     []string
	Kind     string
	Ref      string
	Nested   *Table // of Object and Objects

	index []int
	check check
}

// Writable tells whether the attribute may be given in a request of that mode.
func (a *Attr) Writable(m Mode) bool {
	switch m {
	case Update:
		return a.Access&OnUpdate != 0
	case Nested:
		return a.Access&OnCreate != 0 && a.Access&RootOnly == 0
	default:
		return a.Access&OnCreate != 0
	}
}

// Get returns the attribute's value in the struct that object points to: a plain value, nil for null.
func (a *Attr) Get(object any) any {
	v := a.field(object)
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	return v.Interface()
}

// Set stores a value of the attribute's Go type (or nil for null) into the struct that object points to. It checks
// nothing: that is the decoder's work.
func (a *Attr) Set(object any, value any) {
	v := a.field(object)
	switch {
	case value == nil:
		v.SetZero()
	case v.Kind() == reflect.Pointer:
		p := reflect.New(v.Type().Elem())
		p.Elem().Set(reflect.ValueOf(value).Convert(p.Elem().Type()))
		v.Set(p)
	default:
		v.Set(reflect.ValueOf(value).Convert(v.Type()))
	}
}

func (a *Attr) field(object any) reflect.Value {
	return reflect.ValueOf(object).Elem().FieldByIndex(a.index)
}

// Table is the attributes of one resource, in the order of their declaration.
type Table struct {
	Attrs  []*Attr
	byName map[string]*Attr
}

// Find returns the attribute of that name or alias, nil if there is none.
func (t *Table) Find(name string) *Attr { return t.byName[name] }

// WithDefaults returns a copy of the table with other defaults: those that an operator configures. It panics on a name
// that is not declared, which is an error of the program.
func (t *Table) WithDefaults(defaults map[string]any) *Table {
	c := &Table{Attrs: slices.Clone(t.Attrs)}
	for i, a := range c.Attrs {
		if d, ok := defaults[a.Name]; ok {
			b := *a
			b.Default = d
			c.Attrs[i] = &b
		}
	}
	for name := range defaults {
		if t.byName[name] == nil {
			panic(fmt.Sprintf("attr: no attribute %q to give a default", name))
		}
	}
	c.reindex()
	return c
}

func (t *Table) reindex() {
	t.byName = make(map[string]*Attr, len(t.Attrs))
	for _, a := range t.Attrs {
		t.byName[a.Name] = a
		if a.Alias != "" {
			t.byName[a.Alias] = a
		}
	}
}

// tables holds what was parsed already; a type's tags cannot change while the program runs.
var tables sync.Map // reflect.Type → *Table

// Of returns the table of a struct type. It panics on a tag that does not follow the language: a test of the
// declaring package calls it once for each of its types.
func Of[T any]() *Table { return tableOf(reflect.TypeFor[T]()) }

func tableOf(t reflect.Type) *Table {
	if known, ok := tables.Load(t); ok {
		return known.(*Table)
	}
	table, err := parse(t)
	if err != nil {
		panic("attr: " + err.Error())
	}
	known, _ := tables.LoadOrStore(t, table)
	return known.(*Table)
}

// Becomes tells whether one object can be updated to be the other: they are equal in everything that is given on create
// and stays.
func (t *Table) Becomes(a, b any) bool {
	for _, at := range t.Attrs {
		if at.Writable(Nested) && !at.Writable(Update) && string(at.Append(nil, a)) != string(at.Append(nil, b)) {
			return false
		}
	}
	return true
}
