package network

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/octavo-lb/octavo/localcloud/httpx"
)

// mode says what a body is for: its letter in the tag api.
type mode string

const (
	create mode = "c"
	update mode = "u"
)

// given are the attributes of a body.
type given map[string]json.RawMessage

func (g given) has(name string) bool { _, ok := g[name]; return ok }

// isNull tells whether the attribute is given as null.
func (g given) isNull(name string) bool { return string(g[name]) == "null" }

// parse answers the attributes of the body {singular: {...}}.
func parse(w http.ResponseWriter, r *http.Request, singular string) (given, error) {
	var body map[string]json.RawMessage
	if err := httpx.Read(w, r, &body); err != nil {
		return nil, err
	}
	if body[singular] == nil {
		return nil, httpx.BadRequest("HTTPBadRequest", "Body contains invalid data: resource '%s' is missing", singular)
	}
	var attributes given
	if err := json.Unmarshal(body[singular], &attributes); err != nil || attributes == nil {
		return nil, httpx.BadRequest("HTTPBadRequest", "Body contains invalid data: '%s' is not an object", singular)
	}
	return attributes, nil
}

// read is parse and then onto, for a new object that holds the defaults.
func read(w http.ResponseWriter, r *http.Request, who httpx.Caller, singular string, into resource) (given, error) {
	g, err := parse(w, r, singular)
	if err != nil {
		return nil, err
	}
	return g, g.onto(who, singular, create, into)
}

// onto writes the attributes onto the object. Only those that may be written then are taken, and from who may write them.
func (g given) onto(who httpx.Caller, singular string, m mode, into resource) error {
	for _, name := range slices.Sorted(maps.Keys(g)) {
		if err := g.take(name, who, singular, m, into); err != nil {
			return err
		}
	}
	return validateCommon(into.meta())
}

func (g given) take(name string, who httpx.Caller, singular string, m mode, into resource) error {
	field, ok := fieldOf(reflect.TypeOf(into).Elem(), name)
	if !ok {
		return httpx.BadRequest("HTTPBadRequest", "Unrecognized attribute(s) '%s'", name)
	}
	access, admin, _ := strings.Cut(field.Tag.Get("api"), ",")
	if !strings.Contains(access, string(m)) {
		if m == create {
			return httpx.BadRequest("HTTPBadRequest", "Attribute '%s' not allowed in POST", name)
		}
		return httpx.BadRequest("HTTPBadRequest", "Cannot update read-only attribute %s", name)
	}
	if admin != "" && !who.IsAdmin && !g.harmless(name) {
		return denied(map[mode]string{create: "create_", update: "update_"}[m] + singular + ":" + name)
	}
	target := reflect.ValueOf(into).Elem().FieldByIndex(field.Index)
	switch target.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		target.SetZero() // or the decoder would write into what others may still look at
	}
	if err := json.Unmarshal(unquoted(g[name], field.Type), target.Addr().Interface()); err != nil {
		return invalid(name, "'%s' is not valid: %s", strings.Trim(string(g[name]), `"`), reasonOf(err))
	}
	return nil
}

// harmless lets ordinary users give the value that they would get anyway, as some clients always do.
func (g given) harmless(name string) bool {
	return slices.Contains([]string{"false", "null", `""`}, string(g[name]))
}

func reasonOf(err error) string {
	var wrongType *json.UnmarshalTypeError
	if errors.As(err, &wrongType) {
		return "a " + wrongType.Value + " is not of the right type"
	}
	return err.Error()
}

// unquoted lets numbers and truth values come as strings, which Neutron converts and some clients rely on.
func unquoted(value json.RawMessage, t reflect.Type) json.RawMessage {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	var text string
	if json.Unmarshal(value, &text) != nil {
		return value
	}
	switch t.Kind() {
	case reflect.Int:
		if _, err := strconv.Atoi(text); err == nil {
			return json.RawMessage(text)
		}
	case reflect.Bool:
		if b, err := strconv.ParseBool(strings.ToLower(text)); err == nil {
			return json.RawMessage(strconv.FormatBool(b))
		}
	}
	return value
}

func fieldOf(t reflect.Type, name string) (reflect.StructField, bool) {
	for _, f := range reflect.VisibleFields(t) {
		if tag, _, _ := strings.Cut(f.Tag.Get("json"), ","); tag == name {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

func validateCommon(c *common) error {
	for name, value := range map[string]string{"name": c.Name, "description": c.Description} {
		if len([]rune(value)) > 255 {
			return invalid(name, "'%s' exceeds maximum length of 255", value)
		}
	}
	return nil
}

func invalid(attribute, format string, args ...any) error {
	e := httpx.BadRequest("HTTPBadRequest", format, args...)
	e.Message = "Invalid input for " + attribute + ". Reason: " + e.Message + "."
	return e
}

// denied is what oslo.policy says.
func denied(rule string) error {
	return httpx.Forbidden("PolicyNotAuthorized", "rule:%s is disallowed by policy", rule)
}
