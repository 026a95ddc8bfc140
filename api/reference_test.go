package api_test

import (
	"flag"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/santhosh-tekuri/jsonschema/v6"

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

// What the other tests' checks rest on can say no.
func TestTheReferenceRefusesWhatItDoesNotKnow(t *testing.T) {
	s := newSite(t)
	call := []string{"paths", "/lbaas/listeners", "post", "requestBody", "content", "application/json", "schema"}
	ask := func(more string) string {
		return `{"listener":{"loadbalancer_id":"` + absent + `","protocol":"HTTP","protocol_port":80` + more + `}}`
	}
	if err := s.reference.body(call, ask("")); err != nil {
		t.Error(err)
	}
	for _, wrong := range []string{ask(`,"surprise":1`), ask(`,"name":7`), ask(`,"connection_limit":-2`), ask(`,"default_pool_id":"p"`), `{"listener":{}}`, `{}`} {
		if s.reference.body(call, wrong) == nil {
			t.Errorf("the reference takes %s", wrong)
		}
	}
}

// reference checks requests and answers against the OpenAPI document. Those of every test of this package pass through it.
type reference struct {
	router  routers.Router
	doc     *jsonschema.Compiler
	mu      sync.Mutex
	schemas map[string]*jsonschema.Schema
}

// referenceOf reads a document once: it is the same for all configurations.
var referenceOf = func() func(string) (*reference, error) {
	var mu sync.Mutex
	known := map[string]*reference{}
	return func(doc string) (*reference, error) {
		mu.Lock()
		defer mu.Unlock()
		if known[doc] == nil {
			r, err := parseReference(doc)
			if err != nil {
				return nil, err
			}
			known[doc] = r
		}
		return known[doc], nil
	}
}()

func parseReference(doc string) (*reference, error) {
	l := openapi3.NewLoader()
	d, err := l.LoadFromData([]byte(doc))
	if err != nil {
		return nil, err
	}
	if err := d.Validate(l.Context); err != nil {
		return nil, err
	}
	r := &reference{doc: jsonschema.NewCompiler(), schemas: map[string]*jsonschema.Schema{}}
	if r.router, err = gorillamux.NewRouter(d); err != nil {
		return nil, err
	}
	raw, err := jsonschema.UnmarshalJSON(strings.NewReader(doc))
	if err != nil {
		return nil, err
	}
	r.doc.AssertFormat()
	return r, r.doc.AddResource("openapi.json", raw)
}

// body checks a body against the schema at a place in the document.
func (r *reference) body(place []string, raw string) error {
	where := "openapi.json#"
	for _, part := range place {
		where += "/" + url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(part))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	schema := r.schemas[where]
	if schema == nil {
		var err error
		if schema, err = r.doc.Compile(where); err != nil {
			return err
		}
		r.schemas[where] = schema
	}
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(raw))
	if err != nil {
		return err
	}
	return schema.Validate(v)
}

var (
	version = regexp.MustCompile(`^/v2(\.0)?(/lbaas)?/`)
	root    = regexp.MustCompile(`^/v2(\.0)?(/lbaas)?/?$`)
)

// check finds the call and looks at the answer, and at the request if it was taken.
func (r *reference) check(t testing.TB, q *http.Request, sent string, a answer) {
	t.Helper()
	path := version.ReplaceAllString(strings.TrimSuffix(q.URL.Path, "/"), "/v2.0/lbaas/")
	if root.MatchString(q.URL.Path) || !strings.HasPrefix(path, "/v2.0/lbaas/") {
		return // versions, health
	}
	path = strings.Replace(path, "/lbaas/octavia/", "/octavia/", 1)
	route, _, err := r.router.FindRoute(&http.Request{Method: q.Method, URL: &url.URL{Scheme: "http", Host: "api", Path: path}})
	if err != nil {
		if a.status != http.StatusNotFound && a.status != http.StatusMethodNotAllowed {
			t.Errorf("%s: the reference does not know this: %v", a.what, err)
		}
		return
	}
	call := []string{"paths", route.Path, strings.ToLower(q.Method)}
	if takes := route.Operation.RequestBody != nil; takes && a.status < 300 {
		if err := r.body(append(slices.Clone(call), "requestBody", "content", "application/json", "schema"), sent); err != nil {
			t.Errorf("%s was taken, and the reference knows no such request: %v\n%s", a.what, err, sent)
		}
	}
	if a.status == http.StatusUnauthorized || q.URL.Query().Has("fields") {
		return // Keystone's own words; a part of an object
	}
	r.answer(t, route, call, a)
}

func (r *reference) answer(t testing.TB, route *routers.Route, call []string, a answer) {
	t.Helper()
	status := strconv.Itoa(a.status)
	if a.status >= 400 {
		status = status[:1] + "XX"
	}
	known := route.Operation.Responses.Value(status)
	switch {
	case known == nil:
		t.Errorf("%s: the reference knows no answer %d", a.what, a.status)
	case known.Value.Content == nil && a.raw != "":
		t.Errorf("%s: the reference knows no body, this is %s", a.what, a.raw)
	case known.Value.Content != nil:
		if err := r.body(append(call, "responses", status, "content", "application/json", "schema"), a.raw); err != nil {
			t.Errorf("%s: the reference knows no such answer: %v\n%d %s", a.what, err, a.status, a.raw)
		}
	}
}
