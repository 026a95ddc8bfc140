package api

import (
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/lb/attr"
	"github.com/octavo-lb/octavo/policy"
	"github.com/octavo-lb/octavo/store"
)

// controls are the query's members that are no filters.
var controls = []string{"limit", "marker", "sort", "sort_key", "sort_dir", "fields", "page_reverse"}

// fieldsOf picks the members of an answer, nil for all.
func (s *Server) fieldsOf(c *call) func(string) bool {
	fields, given := c.URL.Query()["fields"]
	if !given || s.NoFields {
		return nil
	}
	return func(name string) bool { return slices.Contains(fields, name) }
}

// projectToList is the project of which the caller may list what there is: the one asked for, empty for all projects
// where the policy allows that, or else the caller's own.
func (s *Server) projectToList(c *call, resource string) (string, error) {
	projectID := c.URL.Query().Get("project_id")
	if projectID == "" {
		projectID = c.URL.Query().Get("tenant_id")
	}
	if s.may(c, resource, policy.ListAll, projectID) {
		return projectID, nil
	}
	if projectID == "" {
		projectID = c.who.ProjectID
	}
	if projectID == "" || !s.may(c, resource, policy.List, projectID) {
		return "", forbidden
	}
	return projectID, nil
}

// listAll answers GET of a project's objects, or of all projects' for those who may.
func listAll[T store.Resource](s *Server, k *kind[T]) handler {
	return func(c *call) error {
		projectID, err := s.projectToList(c, k.name)
		if err != nil {
			return err
		}
		return s.list(c, func(q store.Query) error {
			q.ProjectID = projectID
			return page(s, c, k, q)
		}, "project_id", "tenant_id")
	}
}

// list parses the query. scope names members of it that the caller has used already.
func (s *Server) list(c *call, read func(store.Query) error, scope ...string) error {
	q, err := s.query(c.URL.Query(), scope)
	if err != nil {
		return err
	}
	err = read(q)
	var bad *store.QueryError
	if !errors.As(err, &bad) {
		return err
	}
	switch bad.Part {
	case "sort_key":
		return lb.Refuse(lb.InvalidOption, "Supplied sort key '%s' is not valid.", bad.Name)
	case "marker":
		return lb.Refuse(lb.InvalidOption, "Supplied pagination marker '%s' is not valid.", bad.Name)
	}
	return lb.Refuse(lb.InvalidOption, "One or more arguments are either duplicate or invalid: %s", bad.Name)
}

// query reads what a list is asked for. What is wrong with limit or sort is refused also where it would have no effect; the
// rest is passed over there, all as in Octavia.
func (s *Server) query(v url.Values, scope []string) (q store.Query, err error) {
	if q.Limit, err = s.limit(v.Get("limit")); err != nil {
		return q, err
	}
	if q.Sort, err = sortKeys(v); err != nil {
		return q, err
	}
	if s.NoSorting {
		q.Sort = nil
	}
	if s.NoPages {
		q.Limit = 0
	} else {
		q.Marker, q.Reverse = v.Get("marker"), strings.EqualFold(v.Get("page_reverse"), "true")
	}
	if s.NoFilters {
		return q, nil
	}
	q.Tags, q.AnyTags, q.NotTags, q.NotAnyTags = tags(v["tags"]), tags(v["tags-any"]), tags(v["not-tags"]), tags(v["not-tags-any"])
	for name, values := range v {
		switch {
		case slices.Contains(controls, name), slices.Contains(scope, name):
		case name == "tags", name == "tags-any", name == "not-tags", name == "not-tags-any":
		case name == "tenant_id": // the name that LBaaS v2 had for it
			q.Filters = append(q.Filters, store.Filter{Name: "project_id", Values: values})
		default:
			q.Filters = append(q.Filters, store.Filter{Name: name, Values: values})
		}
	}
	return q, nil
}

func tags(values []string) []string {
	var out []string
	for _, v := range values {
		out = append(out, strings.Split(v, ",")...)
	}
	return out
}

// limit reads a page's length: nothing, zero and less mean as much as there may be.
func (s *Server) limit(text string) (int, error) {
	n, err := strconv.Atoi(text)
	switch {
	case text == "" || text == "infinite":
		return s.MaxPage, nil
	case err != nil:
		return 0, lb.Refuse(lb.InvalidOption, "Supplied pagination limit '%s' is not valid.", text)
	case n < 1 || n > s.MaxPage:
		return s.MaxPage, nil
	}
	return n, nil
}

// sortKeys reads sort=a:asc,b:desc, or sort_key=a,b with sort_dir=asc,desc.
func sortKeys(v url.Values) ([]store.SortKey, error) {
	var keys []store.SortKey
	add := func(name, dir string) error {
		dir = strings.ToLower(dir)
		if dir != "" && dir != "asc" && dir != "desc" {
			return lb.Refuse(lb.InvalidOption, "Supplied sort direction '%s' is not valid.", dir)
		}
		keys = append(keys, store.SortKey{Name: name, Desc: dir == "desc"})
		return nil
	}
	if sort := v.Get("sort"); sort != "" {
		for key := range strings.SplitSeq(sort, ",") {
			name, dir, _ := strings.Cut(key, ":")
			if err := add(name, dir); err != nil {
				return nil, err
			}
		}
		return keys, nil
	}
	if v.Get("sort_key") == "" {
		return nil, nil
	}
	dirs := strings.Split(v.Get("sort_dir"), ",")
	for i, name := range strings.Split(v.Get("sort_key"), ",") {
		dir := ""
		if i < len(dirs) {
			dir = dirs[i]
		}
		if err := add(name, dir); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// page answers with a part of a list and the links to the parts beside it.
func page[T store.Resource](s *Server, c *call, k *kind[T], q store.Query) error {
	p, err := store.List[T](c.Context(), s.Store, q)
	if err != nil {
		return err
	}
	ids := make([]string, len(p.Items))
	for i := range p.Items {
		ids[i] = k.meta(&p.Items[i]).ID
	}
	below := noRefs
	if len(ids) > 0 {
		if below, err = k.load(c.Context(), s.Store, ids); err != nil {
			return err
		}
	}
	only := s.fieldsOf(c)
	b := make([]byte, 0, 256+1024*len(ids))
	b = append(attr.AppendName(append(b, '{'), k.plural), '[')
	for i := range p.Items {
		b = append(k.appendOne(b, &p.Items[i], below(ids[i]), only), ',')
	}
	b = append(attr.Close(b, ']'), ',')
	b = s.appendLinks(b, c, k.plural+"_links", q, ids, p.More)
	return c.write(200, append(b, '}'))
}

// appendLinks repeats the query for the pages before and after. Where there are no pages, the member is null, as in Octavia.
func (s *Server) appendLinks(b []byte, c *call, member string, q store.Query, ids []string, more bool) []byte {
	b = attr.AppendName(b, member)
	if s.NoPages {
		return append(b, "null"...)
	}
	b = append(b, '[')
	if len(ids) == 0 {
		return append(b, ']')
	}
	if q.Marker != "" && (!q.Reverse || more) {
		b = c.appendLink(b, "previous", ids[0], q.Limit, true)
	}
	if more && !q.Reverse || q.Reverse {
		b = c.appendLink(b, "next", ids[len(ids)-1], q.Limit, false)
	}
	return attr.Close(b, ']')
}

func (c *call) appendLink(b []byte, rel, marker string, limit int, reverse bool) []byte {
	v := c.URL.Query()
	v.Set("limit", strconv.Itoa(limit))
	v.Set("marker", marker)
	v.Del("page_reverse")
	if reverse {
		v.Set("page_reverse", "True")
	}
	href := strings.TrimSuffix(c.base, "/") + c.path + "?" + v.Encode()
	b = append(append(append(b, `{"rel":"`...), rel...), `","href":`...)
	return append(attr.AppendString(b, href), '}', ',')
}
