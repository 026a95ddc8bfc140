package api

import (
	"strings"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/lb/attr"
)

// schema is a JSON Schema, or any other part of an OpenAPI document.
type schema = map[string]any

// schemaOf describes an attribute. shown is for answers, where what a value may be is known, not what may be asked for.
func schemaOf(a *attr.Attr, shown bool, mode attr.Mode) schema {
	s := schema{"description": a.Doc}
	kind := map[attr.Type]string{attr.String: "string", attr.Integer: "integer", attr.Float: "number", attr.Boolean: "boolean",
		attr.Time: "string", attr.Strings: "array", attr.StringMap: "object", attr.Object: "object", attr.Objects: "array"}[a.Type]
	s["type"] = kind
	one := s // what ranges and kinds are about
	switch a.Type {
	case attr.Time:
		s["pattern"] = `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$`
	case attr.Strings:
		one = schema{"type": "string"}
		s["items"] = one
	case attr.StringMap:
		one = schema{"type": "string"}
		s["additionalProperties"] = one
	case attr.Object:
		inner := attr.Nested
		if mode == attr.Update { // what is required of the object keeps its value
			inner = attr.Update
		}
		describe(s, a.Nested, shown, inner)
	case attr.Objects:
		s["items"] = describe(schema{"type": "object"}, a.Nested, shown, attr.Nested)
	}
	constrain(one, a)
	// An id or address that is not known yet is null, and so is an empty list where null means the same.
	if a.Nullable || shown && (a.Kind == "uuid" || a.Kind == "ip") && a.Type == attr.String || !shown && !a.Required {
		s["type"] = []string{kind, "null"}
		if list, ok := s["enum"].([]any); ok {
			s["enum"] = append(list, nil)
		}
	}
	if a.Default != nil && !shown {
		s["default"] = a.Default
	}
	if a.Since != "" {
		s["x-since"] = a.Since
	}
	return s
}

// constrain adds what the declaration says of values.
func constrain(s schema, a *attr.Attr) {
	limits := [2]string{"minimum", "maximum"}
	if s["type"] == "string" {
		limits = [2]string{"minLength", "maxLength"}
	}
	if a.Min != nil {
		s[limits[0]] = *a.Min
	}
	if a.Max != nil {
		s[limits[1]] = *a.Max
	}
	if a.Kind == "uuid" {
		s["format"] = "uuid"
	}
	if a.Enum != nil {
		s["enum"] = enumOf(a)
	}
}

func enumOf(a *attr.Attr) []any {
	var list []any
	for _, v := range a.Enum {
		switch a.Type {
		case attr.Integer, attr.Float:
			list = append(list, numberOf(v))
		default:
			list = append(list, v)
		}
	}
	return list
}

// describe adds the properties of an object: those that are shown, or those that a request of that mode may give.
func describe(s schema, t *attr.Table, shown bool, mode attr.Mode) schema {
	properties, _ := s["properties"].(schema)
	if properties == nil {
		properties = schema{}
	}
	var required []string
	for _, a := range t.Attrs {
		if shown && a.Access&attr.Shown == 0 || !shown && !a.Writable(mode) {
			continue
		}
		for _, name := range []string{a.Name, a.Alias} {
			if name == "" {
				continue
			}
			properties[name] = schemaOf(a, shown, mode)
			if shown || a.Required && mode != attr.Update && name == a.Name {
				required = append(required, name)
			}
		}
	}
	s["properties"], s["additionalProperties"] = properties, false
	if required != nil {
		s["required"] = required
	}
	return s
}

// shape is a resource as requests and answers have it.
type shape struct {
	member, plural, links string
	table                 *attr.Table
	lists                 []string // references in answers that are lists of ids
	ids                   []string // references in answers that are one id
}

func shapes() map[string]shape {
	return map[string]shape{
		"loadbalancer":      {"loadbalancer", "loadbalancers", "loadbalancers_links", attr.Of[lb.LoadBalancer](), []string{"listeners", "pools"}, nil},
		"listener":          {"listener", "listeners", "listeners_links", attr.Of[lb.Listener](), []string{"loadbalancers", "l7policies"}, nil},
		"pool":              {"pool", "pools", "pools_links", attr.Of[lb.Pool](), []string{"loadbalancers", "listeners", "members"}, []string{"healthmonitor_id"}},
		"member":            {"member", "members", "members_links", attr.Of[lb.Member](), nil, nil},
		"healthmonitor":     {"healthmonitor", "healthmonitors", "healthmonitors_links", attr.Of[lb.HealthMonitor](), []string{"pools"}, nil},
		"l7policy":          {"l7policy", "l7policies", "l7policies_links", attr.Of[lb.L7Policy](), []string{"rules"}, nil},
		"rule":              {"rule", "rules", "rules_links", attr.Of[lb.L7Rule](), nil, nil},
		"quota":             {"quota", "quotas", "quotas_links", attr.Of[quota](), nil, nil},
		"amphora":           {"amphora", "amphorae", "amphorae_links", attr.Of[amphora](), nil, nil},
		"program":           {"program", "programs", "programs_links", attr.Of[program](), nil, nil},
		"rollout":           {"rollout", "rollouts", "rollouts_links", attr.Of[rollout](), nil, nil},
		"flavor":            {"flavor", "flavors", "flavors_links", attr.Of[lb.Flavor](), nil, nil},
		"flavorprofile":     {"flavorprofile", "flavorprofiles", "flavorprofile_links", attr.Of[lb.FlavorProfile](), nil, nil},
		"availability_zone": {"availability_zone", "availability_zones", "availability_zones_links", attr.Of[lb.AvailabilityZone](), nil, nil},
		"availability_zone_profile": {"availability_zone_profile", "availability_zone_profiles", "availability_zone_profile_links",
			attr.Of[lb.AvailabilityZoneProfile](), nil, nil},
	}
}

// show is the shape of one object in an answer.
func (s shape) show() schema {
	o := describe(schema{"type": "object"}, s.table, true, attr.Create)
	for _, name := range s.lists {
		addMember(o, name, schema{"type": "array", "items": schema{"type": "object", "required": []string{"id"},
			"properties": schema{"id": schema{"type": "string", "format": "uuid"}}, "additionalProperties": false}})
	}
	for _, name := range s.ids {
		addMember(o, name, schema{"type": []string{"string", "null"}, "format": "uuid"})
	}
	return o
}

func addMember(o schema, name string, s schema) {
	o["properties"].(schema)[name] = s
	required, _ := o["required"].([]string)
	o["required"] = append(required, name)
}

// wrap puts a schema into the one member that bodies have.
func wrap(member string, s schema) schema {
	return schema{"type": "object", "properties": schema{member: s}, "required": []string{member}, "additionalProperties": false}
}

func reference(name string) schema { return schema{"$ref": "#/components/schemas/" + name} }

// title is the name of a component: LoadbalancerCreate.
func title(name, suffix string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(name, "_") {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String() + suffix
}
