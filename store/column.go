package store

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode"

	"github.com/octavo-lb/octavo/lb"
)

// class is how a column's values are written.
type class int

const (
	text class = iota
	integer
	boolean
	float
	timestamp
	document // a list, map or object, as JSON
)

// column is a field of a resource and its column.
type column struct {
	name  string
	index []int
	class class
	list  bool // of strings
	// onWire tells that users know the attribute, by this name.
	onWire bool
	null   bool // nil is stored as NULL; other lists and maps that are nil are stored empty
}

const timeFormat = "2006-01-02 15:04:05.000000"

var (
	timeType   = reflect.TypeFor[time.Time]()
	statusType = reflect.TypeFor[lb.ProvisioningStatus]()
)

// columnsOf lists a struct's fields: the name on the wire is the column's name, and a field that is not on the wire has
// its own in lower case with underscores. The provisioning status on the wire is computed and so no column.
func columnsOf(t reflect.Type) []column {
	var columns []column
	for f := range t.Fields() {
		if f.Anonymous {
			for _, c := range columnsOf(f.Type) {
				c.index = append([]int{f.Index[0]}, c.index...)
				columns = append(columns, c)
			}
			continue
		}
		if f.Type == statusType && f.Tag.Get("json") != "-" {
			continue
		}
		columns = append(columns, columnOf(f))
	}
	return columns
}

func columnOf(f reflect.StructField) column {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	onWire := name != "-" && name != ""
	if !onWire {
		name = underscored(f.Name)
	}
	c := column{name: name, index: f.Index, onWire: onWire, list: isListOfStrings(f.Type)}
	t := f.Type
	if t.Kind() == reflect.Pointer {
		c.null, t = true, t.Elem()
	}
	switch {
	case t == timeType:
		c.class = timestamp
	case t.Kind() == reflect.String:
		c.class = text
	case t.Kind() == reflect.Bool:
		c.class = boolean
	case t.Kind() == reflect.Float64:
		c.class = float
	case t.Kind() == reflect.Int || t.Kind() == reflect.Int64:
		c.class = integer
	case t.Kind() == reflect.Slice || t.Kind() == reflect.Map:
		c.class = document
		c.null = hasWord(f.Tag.Get("attr"), "null")
	case t.Kind() == reflect.Struct:
		c.class = document
	default:
		panic(fmt.Sprintf("store: field %s has type %s, which no column can hold", f.Name, f.Type))
	}
	return c
}

func hasWord(list, word string) bool {
	for w := range strings.SplitSeq(list, ",") {
		if w == word {
			return true
		}
	}
	return false
}

// underscored turns L7PolicyID into l7policy_id.
func underscored(name string) string {
	var b strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		if unicode.IsUpper(r) && i > 0 && unicode.IsLower(runes[i-1]) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// value is what is stored for the field.
func (c *column) value(object reflect.Value) any {
	v := object.FieldByIndex(c.index)
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	switch c.class {
	case text:
		return v.String()
	case integer:
		return v.Int()
	case boolean:
		return v.Bool()
	case float:
		return v.Float()
	case timestamp:
		return formatTime(v.Interface().(time.Time))
	}
	return c.documentValue(v)
}

func (c *column) documentValue(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		if v.IsNil() && c.null {
			return nil
		}
		if v.Len() == 0 {
			return emptyDocument(v.Kind())
		}
	}
	b, err := json.Marshal(v.Interface())
	if err != nil {
		panic(fmt.Sprintf("store: column %s: %v", c.name, err)) // strings, numbers and structs of them can be written
	}
	return string(b)
}

func emptyDocument(k reflect.Kind) string {
	if k == reflect.Slice {
		return "[]"
	}
	return "{}"
}

// destination is where the column is scanned to.
func (c *column) destination(object reflect.Value) any {
	return newCell(c.class, object.FieldByIndex(c.index))
}

// cell scans a value of a class to a field, which may be a pointer. It knows what drivers give for the class, and so goes no
// detours over texts as database/sql does where types are not the same.
type cell struct {
	class class
	field reflect.Value
}

func newCell(c class, field reflect.Value) *cell { return &cell{c, field} }

// Scan implements sql.Scanner.
func (c *cell) Scan(src any) error {
	if c.class == document {
		return c.scanDocument(src)
	}
	v := c.field
	if v.Kind() == reflect.Pointer {
		if src == nil {
			v.SetZero()
			return nil
		}
		fresh := reflect.New(v.Type().Elem())
		if !v.IsNil() {
			fresh.Elem().Set(v.Elem())
		}
		v.Set(fresh)
		v = fresh.Elem()
	}
	switch c.class {
	case text:
		return scanText(v, src)
	case timestamp:
		t, err := parseTime(src)
		if err == nil {
			*v.Addr().Interface().(*time.Time) = t
		}
		return err
	}
	return c.scanNumber(v, src)
}

// scanText keeps the text that is there if it is the same: rows scanned one after the other to the same place often agree,
// and share it then.
func scanText(v reflect.Value, src any) error {
	switch src := src.(type) {
	case []byte:
		if v.String() != string(src) {
			v.SetString(string(src))
		}
	case string:
		v.SetString(src)
	default:
		return fmt.Errorf("a text is stored as %T", src)
	}
	return nil
}

func (c *cell) scanNumber(v reflect.Value, src any) error {
	switch src := src.(type) {
	case int64:
		if c.class == boolean {
			v.SetBool(src != 0)
			return nil
		}
		if c.class == integer {
			v.SetInt(src)
			return nil
		}
	case bool:
		if c.class == boolean {
			v.SetBool(src)
			return nil
		}
	case float64:
		if c.class == float {
			v.SetFloat(src)
			return nil
		}
	}
	return fmt.Errorf("a number or truth value is stored as %T", src)
}

func (c *cell) scanDocument(src any) error {
	var raw []byte
	switch src := src.(type) {
	case nil:
		c.field.SetZero()
		return nil
	case string:
		raw = []byte(src)
	case []byte:
		raw = src
	default:
		return fmt.Errorf("a JSON text is stored as %T", src)
	}
	t := c.field.Type()
	switch {
	case string(raw) == "[]" && t.Kind() == reflect.Slice:
		if c.field.IsNil() || c.field.Len() > 0 {
			c.field.Set(reflect.MakeSlice(t, 0, 0))
		}
		return nil
	case string(raw) == "{}" && t.Kind() == reflect.Map:
		c.field.Set(reflect.MakeMap(t))
		return nil
	}
	fresh := reflect.New(t)
	if err := json.Unmarshal(raw, fresh.Interface()); err != nil {
		return fmt.Errorf("damaged JSON in the database: %w", err)
	}
	c.field.Set(fresh.Elem())
	return nil
}

func formatTime(t time.Time) string { return t.UTC().Format(timeFormat) }

// timeOrNull is nil for the zero time.
func timeOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return formatTime(t)
}

func parseTime(src any) (time.Time, error) {
	switch src := src.(type) {
	case time.Time:
		return src.UTC(), nil
	case string:
		return time.Parse("2006-01-02 15:04:05", src) // takes fractions too
	case []byte:
		return time.Parse("2006-01-02 15:04:05", string(src))
	}
	return time.Time{}, fmt.Errorf("a time is stored as %T", src)
}

// nullTime scans a time that may be missing.
type nullTime struct{ t *time.Time }

func (n *nullTime) Scan(src any) error {
	n.t = nil
	if src == nil {
		return nil
	}
	t, err := parseTime(src)
	n.t = &t
	return err
}
