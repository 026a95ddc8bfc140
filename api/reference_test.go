package api_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/octavo-lb/octavo/api"
)

var update = flag.Bool("update", false, "write the reference documents anew")

// The committed documents are what the declarations say.
func TestTheReferenceIsUpToDate(t *testing.T) {
	s := newSite(t)
	server, err := api.New(s.config)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string][]byte{"../docs/reference/openapi.json": server.OpenAPI(), "../docs/reference/api.md": server.Reference()} {
		if *update {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if have, err := os.ReadFile(path); err != nil || string(have) != string(want) {
			t.Errorf("%s is not what the declarations say (%v): run make generate", path, err)
		}
	}
	s.as("").get("/openapi.json").want(200, `"openapi": "3.1.0"`)
}

// reference checks answers against the OpenAPI document. Every answer of every test of this package passes through it.
type reference struct {
	paths map[string]map[string]struct {
		Responses map[string]struct {
			Content map[string]struct{ Schema map[string]any }
		}
	}
	components map[string]map[string]any
}

func parseReference(t *testing.T, doc []byte) *reference {
	t.Helper()
	r := &reference{}
	var all struct {
		Paths      json.RawMessage
		Components struct{ Schemas map[string]map[string]any }
	}
	if err := json.Unmarshal(doc, &all); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(all.Paths, &r.paths); err != nil {
		t.Fatal(err)
	}
	r.components = all.Components.Schemas
	return r
}

var version = regexp.MustCompile(`^/v2(\.0)?(/lbaas)?/`)

func (r *reference) check(t *testing.T, method, path string, status int, raw []byte) {
	t.Helper()
	path = strings.TrimSuffix(path, "/")
	if path = version.ReplaceAllString(path, "/lbaas/"); !strings.HasPrefix(path, "/lbaas/") || path == "/lbaas/lbaas" {
		return // versions, health
	}
	path = strings.Replace(path, "/lbaas/octavia/", "/octavia/", 1)
	for template, methods := range r.paths {
		pattern := regexp.MustCompile(`\{\w+\}`).ReplaceAllString(template, `[^/]+`)
		if !regexp.MustCompile("^" + pattern + "$").MatchString(path) {
			continue
		}
		answer, ok := methods[strings.ToLower(method)].Responses[fmt.Sprint(status)]
		if !ok {
			t.Errorf("%s %s: the reference knows no answer %d", method, template, status)
		}
		if schema := answer.Content["application/json"].Schema; schema != nil {
			var v any
			if err := json.Unmarshal(raw, &v); err != nil {
				t.Errorf("%s %s: %v", method, path, err)
			}
			if err := r.valid(schema, v); err != nil {
				t.Errorf("%s %s: the reference does not know this answer: %v\n%s", method, path, err, raw)
			}
		} else if len(raw) > 0 {
			t.Errorf("%s %s: the reference knows no body, this is %s", method, path, raw)
		}
		return
	}
	t.Errorf("the reference does not know %s", path)
}

// valid checks a value against the part of JSON Schema that the document uses.
func (r *reference) valid(s map[string]any, v any) error {
	if ref, ok := s["$ref"].(string); ok {
		c, ok := r.components[strings.TrimPrefix(ref, "#/components/schemas/")]
		if !ok {
			return fmt.Errorf("there is no %s", ref)
		}
		return r.valid(c, v)
	}
	if choices, ok := s["anyOf"].([]any); ok {
		var err error
		for _, one := range choices {
			if err = r.valid(one.(map[string]any), v); err == nil {
				return nil
			}
		}
		return err
	}
	if enum, ok := s["enum"].([]any); ok && !slices.Contains(enum, v) {
		return fmt.Errorf("%v is none of %v", v, enum)
	}
	if err := hasType(s["type"], v); err != nil {
		return err
	}
	switch v := v.(type) {
	case string:
		if p, ok := s["pattern"].(string); ok && !regexp.MustCompile(p).MatchString(v) {
			return fmt.Errorf("%q does not match %s", v, p)
		}
	case []any:
		for i, item := range v {
			if items, ok := s["items"].(map[string]any); ok {
				if err := r.valid(items, item); err != nil {
					return fmt.Errorf("%d: %w", i, err)
				}
			}
		}
	case map[string]any:
		return r.validObject(s, v)
	}
	return nil
}

func (r *reference) validObject(s map[string]any, v map[string]any) error {
	properties, _ := s["properties"].(map[string]any)
	required, _ := s["required"].([]any)
	for _, name := range required {
		if _, ok := v[name.(string)]; !ok {
			return fmt.Errorf("%s is missing", name)
		}
	}
	for name, member := range v {
		sub, ok := properties[name].(map[string]any)
		if !ok {
			sub, ok = s["additionalProperties"].(map[string]any)
			if !ok && s["additionalProperties"] == false {
				return fmt.Errorf("%s is unknown", name)
			}
		}
		if ok {
			if err := r.valid(sub, member); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

func hasType(want, v any) error {
	names, ok := want.([]any)
	if !ok && want != nil {
		names = []any{want}
	}
	if names == nil {
		return nil
	}
	is := "object"
	switch v := v.(type) {
	case nil:
		is = "null"
	case string:
		is = "string"
	case bool:
		is = "boolean"
	case []any:
		is = "array"
	case float64:
		if is = "number"; v == float64(int64(v)) && !slices.Contains(names, any("number")) {
			is = "integer"
		}
	}
	if !slices.Contains(names, any(is)) {
		return fmt.Errorf("%v is of type %s, not %v", v, is, names)
	}
	return nil
}
