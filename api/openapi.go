package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/octavo-lb/octavo/lb/attr"
)

// describedCall is a route with what the reference says of it. speaks is "takes -> STATUS answers", either of which may be
// missing: NAME is a resource as answers show it, NAME! with its conditions, NAME[] a page of them, NAME+ what a POST takes
// and NAME= what a PUT takes; graph and others are written out in components.
type describedCall struct{ pattern, summary, speaks string }

// OpenAPI describes all calls and their bodies as an OpenAPI 3.1 document, from the declarations of the attributes.
func (s *Server) OpenAPI() []byte {
	components := schema{}
	paths := schema{}
	for _, c := range s.calls {
		method, path, _ := strings.Cut(c.pattern, " ")
		if !strings.HasPrefix(path, "/octavia") {
			path = "/lbaas" + path
		}
		if paths[path] == nil {
			paths[path] = schema{}
		}
		paths[path].(schema)[strings.ToLower(method)] = c.operation(path, components)
	}
	addFixed(components)
	doc := schema{
		"openapi": "3.1.0",
		"info": schema{"title": "Octavo", "version": "2.30", "license": schema{"name": "Apache-2.0", "identifier": "Apache-2.0"},
			"description": "The load balancing API of OpenStack Octavia, version 2.30. Calls that are Octavo's own say so."},
		"servers":  []any{schema{"url": "/v2.0"}, schema{"url": "/load-balancer/v2.0"}},
		"security": []any{schema{"token": []any{}}},
		"paths":    paths,
		"components": schema{"schemas": components,
			"securitySchemes": schema{"token": schema{"type": "apiKey", "in": "header", "name": "X-Auth-Token"}}},
	}
	b, err := json.MarshalIndent(doc, "", " ")
	if err != nil {
		panic(fmt.Sprintf("api: the OpenAPI document cannot be written: %v", err)) // it holds strings, numbers, lists and objects
	}
	return append(b, '\n')
}

func (c describedCall) operation(path string, components schema) schema {
	takes, answers, _ := strings.Cut(c.speaks, "->")
	status, answer, _ := strings.Cut(strings.TrimSpace(answers), " ")
	op := schema{"summary": c.summary}
	if parameters := parametersOf(path, answer); parameters != nil {
		op["parameters"] = parameters
	}
	if takes = strings.TrimSpace(takes); takes != "" {
		op["requestBody"] = schema{"required": true, "content": content(component(takes, components))}
	}
	success := schema{"description": "Done"}
	if answer != "" {
		success["content"] = content(component(answer, components))
	}
	op["responses"] = schema{status: success, "4XX": fault("The request is refused: nothing was changed"),
		"5XX": fault("The service cannot do this, or not now")}
	return op
}

func fault(description string) schema {
	return schema{"description": description, "content": content(reference("Fault"))}
}

func content(s schema) schema { return schema{"application/json": schema{"schema": s}} }

func parametersOf(path, answer string) []any {
	var list []any
	for part := range strings.SplitSeq(path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			list = append(list, schema{"name": strings.TrimSuffix(name, "}"), "in": "path", "required": true, "schema": schema{"type": "string"}})
		}
	}
	name, ok := strings.CutSuffix(answer, "[]")
	if !ok {
		return list
	}
	query := func(name, description string, s schema) {
		list = append(list, schema{"name": name, "in": "query", "description": description, "schema": s})
	}
	query("limit", "Longest length of the page.", schema{"type": "integer"})
	query("marker", "The id of the last item of the page before.", schema{"type": "string"})
	query("page_reverse", "Whether the marker is the first item of the page after.", schema{"type": "boolean"})
	query("sort", "Attributes to sort by, as name:asc,created_at:desc.", schema{"type": "string"})
	query("fields", "Attributes to show.", schema{"type": "array", "items": schema{"type": "string"}})
	for _, a := range shapes()[name].table.Attrs {
		if a.Access&attr.Shown != 0 {
			query(a.Name, "Only those with this value. "+a.Doc, schema{"type": "string"})
		}
	}
	for _, id := range shapes()[name].ids {
		query(id, "Only those with this one.", schema{"type": "string"})
	}
	return list
}

// component finds or adds the schema that a name in describedCall.speaks stands for.
func component(name string, components schema) schema {
	base := strings.TrimRight(name, "+=![]")
	sh, isShape := shapes()[base]
	if !isShape {
		return reference(title(base, map[string]string{"+": "Create", "=": "Update"}[name[len(base):]]))
	}
	var s schema
	suffix := ""
	switch name[len(base):] {
	case "+":
		suffix, s = "Create", describe(schema{"type": "object"}, sh.table, false, attr.Create)
		maps.Copy(s["properties"].(schema), below(base, "GraphCreate"))
	case "=":
		suffix, s = "Update", describe(schema{"type": "object"}, sh.table, false, attr.Update)
	case "!":
		suffix, s = "Detail", sh.show()
		addMember(s, conditionsMember, reference("Conditions"))
	default:
		s = sh.show()
	}
	components[title(base, suffix)] = s
	if strings.HasSuffix(name, "[]") {
		page := wrap(sh.plural, schema{"type": "array", "items": reference(title(base, ""))})
		addMember(page, sh.links, schema{"type": []string{"array", "null"}, "items": reference("Link"), "description": "null where lists have no pages."})
		return page
	}
	return wrap(sh.member, reference(title(base, suffix)))
}

// below is what a request may say of objects below the one that it makes.
func below(name, suffix string) schema {
	list := func(of string) schema {
		return schema{"type": []string{"array", "null"}, "items": reference(of + suffix)}
	}
	orNull := func(s ...any) schema { return schema{"anyOf": append(s, schema{"type": "null"})} }
	// A pool that is described elsewhere in the request is named only.
	named := schema{"type": "object", "required": []string{"name"}, "properties": schema{"name": schema{"type": "string"}}, "additionalProperties": false}
	switch name {
	case "listener":
		return schema{"l7policies": list("L7policy"), "default_pool": orNull(reference("Pool"+suffix), named)}
	case "l7policy":
		return schema{"rules": list("Rule"), "redirect_pool": orNull(reference("Pool"+suffix), named)}
	case "pool":
		return schema{"members": list("Member"), "healthmonitor": orNull(reference("Healthmonitor" + suffix)),
			"listener_id": schema{"type": []string{"string", "null"}, "format": "uuid", "description": "The listener that the pool becomes the default pool of."}}
	case "loadbalancer":
		return schema{"listeners": list("Listener"), "pools": list("Pool")}
	}
	return schema{}
}

// addFixed adds the schemas that are not one resource's.
func addFixed(components schema) {
	text := schema{"type": "string"}
	maybe := schema{"type": []string{"string", "null"}}
	object := func(properties schema) schema {
		return schema{"type": "object", "properties": properties, "required": slices.Sorted(maps.Keys(properties)), "additionalProperties": false}
	}
	list := func(items schema) schema { return schema{"type": "array", "items": items} }
	components["Fault"] = schema{"type": "object", "required": []string{"faultcode", "faultstring", "debuginfo"}, "properties": schema{
		"faultcode": schema{"enum": []any{"Client", "Server"}}, "faultstring": text, "debuginfo": schema{"type": "null"}}}
	components["Link"] = object(schema{"rel": schema{"enum": []any{"next", "previous"}}, "href": text})
	components["Conditions"] = list(object(schema{"type": text, "status": schema{"enum": []any{"True", "False"}}, "reason": text,
		"message": text, "since": maybe, "next_try_at": maybe}))
	counters := schema{}
	for _, name := range []string{"bytes_in", "bytes_out", "active_connections", "total_connections", "request_errors"} {
		counters[name] = schema{"type": "integer"}
	}
	components["Stats"] = wrap("stats", object(counters))
	each := maps.Clone(counters)
	each["id"], each["loadbalancer_id"], each["listener_id"] = text, text, text
	components["AmphoraStats"] = wrap("amphora_stats", list(object(each)))
	named := list(object(schema{"name": text, "description": text}))
	for _, name := range []string{"providers", "flavor_capabilities", "availability_zone_capabilities"} {
		components[title(name, "")] = wrap(name, named)
	}
	event := object(schema{"id": schema{"type": "integer"}, "type": text, "action": text, "object_id": text, "loadbalancer_id": text,
		"project_id": text, "at": text, "generation": schema{"type": "integer"}, "loadbalancer": schema{"type": []string{"object", "null"}}})
	components["Events"] = object(schema{"events": list(event), "last": schema{"type": "integer"}})
	components["MembersUpdate"] = wrap("members", list(reference("MemberCreate")))
	addStatuses(components)
	addGraphs(components)
}

func addStatuses(components schema) {
	node := func(more schema, optional ...string) schema {
		properties := schema{"id": schema{"type": "string"}, "name": schema{"type": "string"},
			"provisioning_status": schema{"type": "string"}, "operating_status": schema{"type": "string"}}
		maps.Copy(properties, more)
		required := slices.DeleteFunc(slices.Sorted(maps.Keys(properties)), func(n string) bool { return slices.Contains(optional, n) })
		return schema{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
	}
	list := func(items schema) schema { return schema{"type": "array", "items": items} }
	member := node(schema{"address": schema{"type": "string"}, "protocol_port": schema{"type": "integer"}})
	monitor := node(schema{"type": schema{"type": "string"}})
	components["PoolStatus"] = node(schema{"members": list(member), "health_monitor": monitor}, "health_monitor")
	rule := node(schema{"type": schema{"type": "string"}})
	l7policy := node(schema{"action": schema{"type": "string"}, "rules": list(rule)})
	listener := node(schema{"pools": list(reference("PoolStatus")), "l7policies": list(l7policy)})
	components["Statuses"] = wrap("statuses", wrap("loadbalancer", node(schema{"listeners": list(listener), "pools": list(reference("PoolStatus"))})))
}

// addGraphs adds a load balancer with everything on it: as it is made and set, and as it is shown.
func addGraphs(components schema) {
	list := func(name string) schema { return schema{"type": "array", "items": reference(name)} }
	shown := map[string]schema{
		"loadbalancer": {"listeners": list("ListenerGraph"), "pools": list("PoolGraph")},
		"listener":     {"l7policies": list("L7policyGraph")},
		"l7policy":     {"rules": list("RuleGraph")},
		"pool": {"members": list("MemberGraph"), "listeners": schema{"type": "array", "items": schema{"type": "object"}},
			"healthmonitor": schema{"anyOf": []any{reference("HealthmonitorGraph"), schema{"type": "null"}}}},
	}
	for _, name := range []string{"loadbalancer", "listener", "pool", "member", "healthmonitor", "l7policy", "rule"} {
		t, mode := shapes()[name].table, attr.Nested
		if name == "loadbalancer" {
			mode = attr.Create
		}
		for _, suffix := range []string{"GraphCreate", "GraphUpdate"} {
			made := describe(schema{"type": "object"}, t, false, mode)
			properties := made["properties"].(schema)
			maps.Copy(properties, below(name, suffix))
			delete(properties, "listener_id")
			if suffix == "GraphUpdate" {
				addIgnored(properties, t)
			}
			components[title(name, suffix)] = made
		}
		s := describe(schema{"type": "object"}, t, true, mode)
		for member, sub := range shown[name] {
			addMember(s, member, sub.(schema))
		}
		slices.Sort(s["required"].([]string))
		components[title(name, "Graph")] = s
	}
	components["GraphCreate"] = wrap("loadbalancer", reference("LoadbalancerGraphCreate"))
	components["GraphUpdate"] = wrap("loadbalancer", reference("LoadbalancerGraphUpdate"))
	answer := wrap("loadbalancer", reference("LoadbalancerGraph"))
	answer["properties"].(schema)["changes"] = schema{"type": "array", "items": schema{"type": "object"}, "description": "What a PUT did, or would do."}
	components["Graph"] = answer
}

// addIgnored adds what answers show of an object and a request may repeat: its id, which finds it, and what users do not set.
func addIgnored(properties schema, t *attr.Table) {
	for _, a := range t.Attrs {
		for _, name := range []string{a.Name, a.Alias} {
			if name != "" && properties[name] == nil && a.Access&attr.Shown != 0 {
				properties[name] = schemaOf(a, true, attr.Create)
			}
		}
	}
	for _, name := range shownRefs {
		if properties[name] == nil {
			properties[name] = schema{"description": "Shown in answers, and ignored."}
		}
	}
}

func numberOf(s string) any {
	if n, err := strconv.Atoi(s); err == nil {
		return n
	}
	f, _ := strconv.ParseFloat(s, 64)
	return f
}
