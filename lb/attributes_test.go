package lb_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/lb/attr"
)

// resource lets one test go over all types.
type resource struct {
	name  string
	table *attr.Table
	make  func() any
}

func resources() []resource {
	return []resource{
		{"loadbalancer", attr.Of[lb.LoadBalancer](), func() any { return new(lb.LoadBalancer) }},
		{"listener", attr.Of[lb.Listener](), func() any { return new(lb.Listener) }},
		{"pool", attr.Of[lb.Pool](), func() any { return new(lb.Pool) }},
		{"session_persistence", attr.Of[lb.SessionPersistence](), func() any { return new(lb.SessionPersistence) }},
		{"vip", attr.Of[lb.VIP](), func() any { return new(lb.VIP) }},
		{"member", attr.Of[lb.Member](), func() any { return new(lb.Member) }},
		{"healthmonitor", attr.Of[lb.HealthMonitor](), func() any { return new(lb.HealthMonitor) }},
		{"l7policy", attr.Of[lb.L7Policy](), func() any { return new(lb.L7Policy) }},
		{"l7rule", attr.Of[lb.L7Rule](), func() any { return new(lb.L7Rule) }},
	}
}

// sample is a value that an attribute takes, and that is not its default.
func sample(a *attr.Attr) string {
	switch a.Type {
	case attr.Boolean:
		return fmt.Sprint(a.Default != true)
	case attr.Integer:
		if a.Enum != nil {
			return a.Enum[0]
		}
		return fmt.Sprint(*a.Min + 7)
	case attr.Float:
		return a.Enum[len(a.Enum)-1]
	case attr.Strings:
		return "[" + sampleString(a) + "]"
	case attr.StringMap:
		return `{"X-Forwarded-For":"true"}`
	case attr.Object:
		return `{"type":"SOURCE_IP","cookie_name":null,"persistence_timeout":7,"persistence_granularity":null}`
	case attr.Objects:
		return `[{"subnet_id":"44c4bb85-37c4-4e2b-a54a-6c94ad38a5e0","ip_address":"192.0.2.1","port_id":null}]`
	}
	return sampleString(a)
}

func sampleString(a *attr.Attr) string {
	if a.Enum != nil {
		return `"` + a.Enum[len(a.Enum)-1] + `"`
	}
	of := map[string]string{
		"uuid": "44c4bb85-37c4-4e2b-a54a-6c94ad38a5e0", "ip": "2001:DB8::7", "cidr": "192.0.2.0/24",
		"url": "http://www.example.com/a?b=c", "url_path": "/healthcheck?full=1", "ciphers": "ECDHE-RSA-AES256:!MD5",
		"cookie_name": "JSESSIONID", "expected_codes": "200, 201", "domain_name": "_srv.example.com",
		"text": "two\nlines", "": "näme",
	}
	b, _ := json.Marshal(of[a.Kind])
	return string(b)
}

// wrong are values that no attribute of its type and range takes.
func wrong(a *attr.Attr) []string {
	switch a.Type {
	case attr.Boolean:
		return []string{`"perhaps"`, `2`, `[]`}
	case attr.Integer:
		out := []string{`"many"`, `1.5`, `[1]`, `{}`, `true`}
		if a.Min != nil {
			out = append(out, fmt.Sprint(*a.Min-1), "-1e99")
		}
		if a.Max != nil {
			out = append(out, fmt.Sprint(*a.Max+1), "1e99")
		}
		return out
	case attr.Float:
		return []string{`"x"`, `0.9`, `[]`}
	case attr.Strings:
		return []string{`"a"`, `{}`, `[1]`, `[null]`, `["a\nb"]`}
	case attr.StringMap:
		return []string{`"a"`, `[]`, `{"a":1}`, `{"a\nb":"c"}`}
	case attr.Object:
		return []string{`"a"`, `[]`, `{}`, `{"surprise":1}`}
	case attr.Objects:
		return []string{`{}`, `[1]`, `[{}]`, `[{"surprise":1}]`}
	}
	out := []string{`7`, `[]`, `"a\u0000b"`}
	if a.Kind != "text" {
		out = append(out, `"a\nb"`, `"a\u2028b"`)
	}
	if a.Max != nil {
		out = append(out, `"`+strings.Repeat("é", int(*a.Max)+1)+`"`)
	}
	if a.Enum != nil || a.Kind != "" && a.Kind != "text" {
		out = append(out, `" no such value "`, `""`)
	}
	return out
}

// required is the smallest object that can be made.
func required(r resource, mode attr.Mode) attr.Body {
	o := attr.Body{}
	for _, a := range r.table.Attrs {
		if a.Required && a.Writable(mode) {
			o[a.Name] = json.RawMessage(sample(a))
		}
	}
	return o
}

// asJSON is one attribute of an object as an answer shows it, or would if it were not hidden.
func value(t *testing.T, a *attr.Attr, object any) any {
	t.Helper()
	v := a.Get(object)
	if v != nil && reflect.ValueOf(v).Kind() == reflect.Slice && reflect.ValueOf(v).Len() == 0 {
		return nil
	}
	if v != nil && reflect.ValueOf(v).Kind() == reflect.Map && reflect.ValueOf(v).Len() == 0 {
		return nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func parsed(t *testing.T, raw string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(raw), &v); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return v
}

func TestEveryAttributeTellsAbsentNullAndValueApart(t *testing.T) {
	for _, r := range resources() {
		for _, a := range r.table.Attrs {
			t.Run(r.name+"/"+a.Name, func(t *testing.T) {
				if a.Doc == "" {
					t.Error("it has no documentation")
				}
				for _, mode := range []attr.Mode{attr.Create, attr.Nested, attr.Update} {
					if a.Writable(mode) {
						testWritable(t, r, a, mode)
					} else {
						testNotWritable(t, r, a, mode)
					}
				}
			})
		}
	}
}

func testWritable(t *testing.T, r resource, a *attr.Attr, mode attr.Mode) {
	base := attr.Body{}
	before := r.make()
	if mode == attr.Update {
		// An existing object, in which this attribute has a value of its own.
		a.Set(before, setOf(t, r, a))
	} else {
		base = required(r, mode)
		delete(base, a.Name)
	}
	decode := func(raw string) (any, error) {
		o := attr.Body{}
		for k, v := range base {
			o[k] = v
		}
		if raw != "" {
			o[a.Name] = json.RawMessage(raw)
		}
		dst := r.make()
		reflect.ValueOf(dst).Elem().Set(reflect.ValueOf(before).Elem())
		_, err := r.table.Decode(r.name, o, dst, mode)
		return dst, err
	}

	got, err := decode("")
	switch {
	case a.Required && mode != attr.Update:
		wantFault(t, err, a.Name, "Mandatory")
	case err != nil:
		t.Errorf("mode %d, absent: %v", mode, err)
	case mode == attr.Update:
		wantValue(t, "absent keeps", value(t, a, got), value(t, a, before))
	default:
		wantValue(t, "absent on create", value(t, a, got), zeroOr(t, r, a, a.Default))
	}

	got, err = decode("null")
	switch {
	case a.Required && a.Access&attr.RootOnly != 0 && err == nil:
		wantValue(t, "null is a parent that is not found", value(t, a, got), "")
	case a.Required:
		wantFault(t, err, a.Name, "None")
	case err != nil:
		t.Errorf("mode %d, null: %v", mode, err)
	case a.Null != nil:
		wantValue(t, "null stands for", value(t, a, got), zeroOr(t, r, a, a.Null))
	default:
		wantValue(t, "null resets", value(t, a, got), zeroOr(t, r, a, a.Default))
	}

	got, err = decode(sample(a))
	if err != nil {
		t.Errorf("mode %d, %s: %v", mode, sample(a), err)
	} else {
		wantValue(t, "value", value(t, a, got), parsed(t, sample(a)))
	}

	for _, raw := range wrong(a) {
		if a.Type == attr.Object && raw == "{}" && mode == attr.Update {
			continue // what is required in it stays
		}
		if _, err := decode(raw); err == nil {
			t.Errorf("mode %d: %s was taken", mode, raw)
		} else if !strings.Contains(err.Error(), a.Name) && a.Nested == nil {
			t.Errorf("mode %d, %s: the error does not name the attribute: %v", mode, raw, err)
		}
	}
}

func testNotWritable(t *testing.T, r resource, a *attr.Attr, mode attr.Mode) {
	o := attr.Body{}
	if mode != attr.Update {
		o = required(r, mode)
	}
	o[a.Name] = json.RawMessage(`"x"`)
	_, err := r.table.Decode("where", o, r.make(), mode)
	wantFault(t, err, a.Name, "Unknown attribute for argument where: "+a.Name)
}

// setOf is a sample as a Go value, got by the one way there is.
func setOf(t *testing.T, r resource, a *attr.Attr) any {
	t.Helper()
	o := required(r, attr.Create)
	o[a.Name] = json.RawMessage(sample(a))
	dst := r.make()
	if _, err := r.table.Decode(r.name, o, dst, attr.Create); err != nil {
		t.Fatal(err)
	}
	return a.Get(dst)
}

func zeroOr(t *testing.T, r resource, a *attr.Attr, v any) any {
	o := r.make()
	if v != nil {
		a.Set(o, v)
	}
	return value(t, a, o)
}

func wantValue(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func wantFault(t *testing.T, err error, parts ...string) {
	t.Helper()
	f := lb.AsFault(err)
	if f == nil {
		t.Errorf("got %v, want a fault", err)
		return
	}
	if f.Code.Status() != 400 {
		t.Errorf("status %d of %q", f.Code.Status(), f.Message)
	}
	for _, p := range parts {
		if !strings.Contains(f.Message, p) {
			t.Errorf("%q does not say %q", f.Message, p)
		}
	}
}

func TestWhatWasDecodedIsShownAgain(t *testing.T) {
	for _, r := range resources() {
		o := attr.Body{}
		for _, a := range r.table.Attrs {
			if a.Writable(attr.Create) {
				o[a.Name] = json.RawMessage(sample(a))
			}
		}
		dst := r.make()
		if _, err := r.table.Decode(r.name, o, dst, attr.Create); err != nil {
			t.Fatalf("%s: %v", r.name, err)
		}
		raw := r.table.AppendObject(nil, dst)
		shown, err := attr.ParseBody(r.name, raw)
		if err != nil {
			t.Fatalf("%s: %v in %s", r.name, err, raw)
		}
		for _, a := range r.table.Attrs {
			got, isShown := shown[a.Name]
			if isShown != (a.Access&attr.Shown != 0) {
				t.Errorf("%s.%s shown: %v", r.name, a.Name, isShown)
			}
			if isShown && a.Writable(attr.Create) {
				wantValue(t, r.name+"."+a.Name, parsed(t, string(got)), parsed(t, sample(a)))
			}
		}
	}
}
