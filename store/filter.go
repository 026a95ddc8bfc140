package store

import (
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/octavo-lb/octavo/lb"
)

// conditions is the WHERE of a list.
type conditions struct {
	parts []string
	args  []any
	found bool // the marker was
}

func (c *conditions) add(condition string, args []any) {
	c.parts = append(c.parts, "("+condition+")")
	c.args = append(c.args, args...)
}

func (c *conditions) where() string {
	if len(c.parts) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(c.parts, " AND ")
}

func (t *table) conditions(q Query) (*conditions, error) {
	c := &conditions{}
	if q.ProjectID != "" {
		c.add(`o."project_id" = ?`, []any{q.ProjectID})
	}
	if q.Parent != "" {
		c.add(`o.`+quote(t.parent)+` = ?`, []any{q.Parent})
	}
	for _, f := range q.Filters {
		condition, args, err := t.filter(f)
		if err != nil {
			return nil, err
		}
		c.add(condition, args)
	}
	c.tags(q)
	return c, nil
}

// attribute finds a column by the name that users know. What an object belongs to is one, also where only paths name it: the
// SDK says it in the query, too.
func (t *table) attribute(name string) *column {
	c := t.column(name)
	if c == nil || !c.onWire && name != t.parent {
		return nil
	}
	return c
}

func (t *table) filter(f Filter) (string, []any, error) {
	if f.Name == "provisioning_status" && t.status != "" {
		return t.filterStatus(f.Values)
	}
	if t == pools && f.Name == "healthmonitor_id" {
		return filterByMonitor(f.Values)
	}
	c := t.attribute(f.Name)
	if c == nil {
		return "", nil, &QueryError{Part: "filter", Name: f.Name, Reason: "is no attribute of a " + string(t.kind)}
	}
	expression := "o." + quote(c.name)
	if len(f.Values) == 0 {
		return expression + " IS NULL", nil, nil
	}
	if c.class == text {
		return in(expression, f.Values)
	}
	var parts []string
	var args []any
	for _, value := range f.Values {
		part, arg, err := c.equals(expression, value)
		if err != nil {
			return "", nil, err
		}
		parts, args = append(parts, part), append(args, arg...)
	}
	return strings.Join(parts, " OR "), args, nil
}

// filterByMonitor selects pools by what refers to them: that reference is shown with the pool.
func filterByMonitor(ids []string) (string, []any, error) {
	checked := `SELECT m."pool_id" FROM ` + quote(monitors.name) + ` AS m`
	if len(ids) == 0 {
		return `o."id" NOT IN (` + checked + `)`, nil, nil
	}
	condition, args, err := in(`m."id"`, ids)
	return `o."id" IN (` + checked + ` WHERE ` + condition + `)`, args, err
}

// filterStatus says beside the status what keeps reading short. Most load balancers are ACTIVE: the others are found by an
// index. That most are is said in words whose share the planners do not take for small.
func (t *table) filterStatus(values []string) (string, []any, error) {
	condition, args, err := in(t.status, values)
	balancer, observed := "b", `b."observed_generation"`
	if t == balancers {
		balancer, observed = "o", `o."observed_generation"`
	}
	switch {
	case !slices.Contains(values, string(lb.Active)):
		condition, args = condition+" AND "+balancer+`."converged" = ?`, append(args, false)
	case len(values) == 1:
		condition, args = `o."told" = 'ACTIVE' OR o."told" = '' AND `+observed+` >= o."generation" AND NOT o."deleting"`, nil
	}
	return condition, args, err
}

func in(expression string, values []string) (string, []any, error) {
	args := make([]any, len(values))
	for i, v := range values {
		args[i] = v
	}
	if len(values) == 0 {
		return "1 = 0", nil, nil
	}
	if len(values) == 1 {
		return expression + " = ?", args, nil
	}
	return expression + " IN " + placeholders(len(values)), args, nil
}

// equals compares a column with a value as a URL writes it.
func (c *column) equals(expression, value string) (string, []any, error) {
	var parsed any
	var err error
	switch c.class {
	case integer:
		parsed, err = strconv.ParseInt(value, 10, 64)
	case float:
		parsed, err = strconv.ParseFloat(value, 64)
	case boolean:
		// As oslo's strutils.bool_from_string reads it: what does not say yes says no.
		parsed = slices.Contains([]string{"1", "t", "true", "on", "y", "yes"}, strings.ToLower(strings.TrimSpace(value)))
	case timestamp:
		return c.equalsTime(expression, value)
	default:
		return c.contains(expression, value)
	}
	if err != nil {
		return "", nil, &QueryError{Part: "filter", Name: c.name, Reason: strconv.Quote(value) + " is no number"}
	}
	return expression + " = ?", []any{parsed}, nil
}

func (c *column) equalsTime(expression, value string) (string, []any, error) {
	value = strings.TrimSuffix(strings.Replace(value, "T", " ", 1), "Z")
	t, err := time.Parse("2006-01-02 15:04:05", value)
	if err != nil {
		return "", nil, &QueryError{Part: "filter", Name: c.name, Reason: strconv.Quote(value) + " is no time like 2006-01-02T15:04:05"}
	}
	end := t.Add(time.Microsecond)
	if !strings.Contains(value, ".") {
		end = t.Add(time.Second)
	}
	return expression + " >= ? AND " + expression + " < ?", []any{formatTime(t), formatTime(end)}, nil
}

// contains looks for an element in a list of strings: for its JSON, quotes and all.
func (c *column) contains(expression, value string) (string, []any, error) {
	if !c.list {
		return "", nil, &QueryError{Part: "filter", Name: c.name, Reason: "is no attribute that lists can be filtered by"}
	}
	element, err := json.Marshal(value)
	if err != nil {
		return "", nil, err
	}
	// What can be taken out is in it: the one such test that all databases write alike and do with regard to case.
	return "REPLACE(" + expression + ", ?, '') <> " + expression, []any{string(element)}, nil
}

func isListOfStrings(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.String
}

func (c *conditions) tags(q Query) {
	// Each tag is looked up in an index of its own; the subqueries do not depend on the row.
	const having = `SELECT "object_id" FROM "tag" WHERE "tag" IN `
	for _, tag := range q.Tags {
		c.add(`o."id" IN (`+having+`(?))`, []any{tag})
	}
	if len(q.AnyTags) > 0 {
		c.add(`o."id" IN (`+having+placeholders(len(q.AnyTags))+`)`, anys(q.AnyTags))
	}
	if len(q.NotTags) > 0 {
		var parts []string
		for range q.NotTags {
			parts = append(parts, `o."id" NOT IN (`+having+`(?))`)
		}
		c.add(strings.Join(parts, " OR "), anys(q.NotTags))
	}
	if len(q.NotAnyTags) > 0 {
		c.add(`o."id" NOT IN (`+having+placeholders(len(q.NotAnyTags))+`)`, anys(q.NotAnyTags))
	}
}

func anys(values []string) []any {
	args := make([]any, len(values))
	for i, v := range values {
		args[i] = v
	}
	return args
}

// asParameter makes what a driver gave usable as a parameter.
func asParameter(v any) any {
	switch v := v.(type) {
	case []byte:
		return string(v)
	case time.Time:
		return formatTime(v)
	}
	return v
}
