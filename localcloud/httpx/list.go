package httpx

import (
	"cmp"
	"encoding/json"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Strictness says what becomes of a filter on an attribute that the objects don't have.
type Strictness bool

// Neutron refuses an unknown filter, which would otherwise select everything; the other services ignore it.
const (
	Strict  Strictness = true
	Lenient Strictness = false
)

// MaxPage is the number of objects that a page has at most. A list that nobody asked to cut into pages is answered whole.
const MaxPage = 1000

// Query is a request's query of which some parameters were taken out.
type Query struct {
	r      *http.Request
	values url.Values
}

// TakeQuery parses the query and leaves the named parameters to the handler: Select will not see them.
func TakeQuery(r *http.Request, names ...string) (q Query, taken url.Values) {
	q, taken = Query{r, r.URL.Query()}, url.Values{}
	for _, name := range names {
		if values, ok := q.values[name]; ok {
			taken[name] = values
			delete(q.values, name)
		}
	}
	return q, taken
}

// Set makes the query have these values for a parameter, as when the client had sent them.
func (q Query) Set(name string, values ...string) { q.values[name] = values }

// Select is TakeQuery without names and then Query.Select.
func Select[T any](r *http.Request, all []T, strict Strictness) (Page[T], error) {
	q, _ := TakeQuery(r)
	return SelectQuery(q, all, strict)
}

// SelectQuery filters, sorts and pages. Objects are compared by the JSON names of their fields; "id" must be one.
func SelectQuery[T any](q Query, all []T, strict Strictness) (Page[T], error) {
	shape := shapeOf[T]()
	list, err := filter(shape, q.values, all, strict)
	if err != nil {
		return Page[T]{}, err
	}
	if err := sortList(shape, q.values, list); err != nil {
		return Page[T]{}, err
	}
	return cut(shape, q, list)
}

// paging are the parameters that are no filters.
var paging = []string{"limit", "marker", "page_reverse", "sort_key", "sort_dir", "fields"}

func filter[T any](s shape, query url.Values, all []T, strict Strictness) ([]T, error) {
	list := slices.Clone(all)
	for name, wanted := range query {
		if slices.Contains(paging, name) {
			continue
		}
		test, known := s.test(name, wanted)
		if !known {
			if strict {
				return nil, BadRequest("HTTPBadRequest", "[%q] is invalid attribute for filtering", name)
			}
			continue
		}
		list = slices.DeleteFunc(list, func(o T) bool { return !test(o) })
	}
	return list, nil
}

func sortList[T any](s shape, query url.Values, list []T) error {
	keys, directions := query["sort_key"], query["sort_dir"]
	for _, key := range keys {
		if !s.has(key) {
			return BadRequest("HTTPBadRequest", "%q is invalid attribute for sort_keys", key)
		}
	}
	slices.SortStableFunc(list, func(a, b T) int {
		for i, key := range keys {
			c := cmp.Compare(s.first(a, key), s.first(b, key))
			if i < len(directions) && strings.EqualFold(directions[i], "desc") {
				c = -c
			}
			if c != 0 {
				return c
			}
		}
		return 0
	})
	return nil
}

func cut[T any](s shape, q Query, list []T) (Page[T], error) {
	page := Page[T]{query: q}
	limit, err := limitOf(q.values.Get("limit"))
	if err != nil {
		return page, err
	}
	reverse, _ := strconv.ParseBool(strings.ToLower(q.values.Get("page_reverse")))
	from, to := 0, len(list)
	if marker := q.values.Get("marker"); marker != "" {
		at := slices.IndexFunc(list, func(o T) bool { return s.first(o, "id") == marker })
		if at < 0 {
			return page, BadRequest("HTTPBadRequest", "The marker %s is not in the list.", marker)
		}
		if reverse {
			to = at
		} else {
			from = at + 1
		}
	}
	if reverse {
		from = to - min(limit, to-from)
	} else {
		to = from + min(limit, to-from)
	}
	page.Items = list[from:to]
	if len(page.Items) > 0 {
		if to < len(list) {
			page.next = s.first(list[to-1], "id")
		}
		if from > 0 {
			page.previous = s.first(list[from], "id")
		}
	}
	return page, nil
}

func limitOf(value string) (int, error) {
	if value == "" {
		return math.MaxInt, nil
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 {
		return 0, BadRequest("HTTPBadRequest", "The limit %q is not a number of zero or more.", value)
	}
	if n == 0 { // no limit, for Neutron; an empty page would be of no use to the others
		n = MaxPage
	}
	return min(n, MaxPage), nil
}

// Page is what a list answers.
type Page[T any] struct {
	Items          []T
	query          Query
	next, previous string // markers
}

// NextMarker is the marker of the following page, empty for the last one.
func (p Page[T]) NextMarker() string { return p.next }

// Link is a page's neighbour.
type Link struct {
	Rel  string `json:"rel"`
	Href string `json:"href"`
}

// Links are the page's neighbours, as the client would ask for them.
func (p Page[T]) Links() []Link {
	var links []Link
	if p.next != "" {
		links = append(links, Link{"next", p.href(p.next, false)})
	}
	if p.previous != "" {
		links = append(links, Link{"previous", p.href(p.previous, true)})
	}
	return links
}

func (p Page[T]) href(marker string, reverse bool) string {
	query := p.query.r.URL.Query()
	query.Set("marker", marker)
	query.Del("page_reverse")
	if reverse {
		query.Set("page_reverse", "True")
	}
	return BaseURL(p.query.r) + p.query.r.URL.Path + "?" + query.Encode()
}

// Write answers with the page under its plural name, with links, and with only the attributes that fields= names.
func (p Page[T]) Write(w http.ResponseWriter, plural string) error {
	body := map[string]any{plural: orEmpty(p.Items)}
	if fields := p.query.values["fields"]; len(fields) > 0 {
		narrow, err := narrowed(p.Items, fields)
		if err != nil {
			return err
		}
		body[plural] = narrow
	}
	if links := p.Links(); len(links) > 0 {
		body[plural+"_links"] = links
	}
	return Write(w, http.StatusOK, body)
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func narrowed[T any](items []T, fields []string) ([]map[string]json.RawMessage, error) {
	narrow := []map[string]json.RawMessage{}
	for _, item := range items {
		body, err := json.Marshal(item)
		if err != nil {
			return nil, err
		}
		var all map[string]json.RawMessage
		if err := json.Unmarshal(body, &all); err != nil {
			return nil, err
		}
		some := map[string]json.RawMessage{}
		for _, f := range fields {
			if v, ok := all[f]; ok {
				some[f] = v
			}
		}
		narrow = append(narrow, some)
	}
	return narrow, nil
}
