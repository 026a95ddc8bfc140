package api

import (
	"fmt"
	"strings"

	"github.com/octavo-lb/octavo/lb/attr"
)

//go:generate go test -count=1 -run TestTheReferenceIsUpToDate . -update

// Reference is the API reference for people, from the same declarations as OpenAPI.
func (s *Server) Reference() []byte {
	var b strings.Builder
	b.WriteString("# API reference\n\nOctavo answers OpenStack Octavia's API, version 2.30. This page is generated from the declarations of the attributes in\n" +
		"package `lb` (`make generate`); `GET /openapi.json` serves the same as an OpenAPI 3.1 document.\n\n" +
		"## Calls\n\nPaths are below `/v2.0/lbaas`, also reachable as `/v2/lbaas`, `/v2.0` and `/v2`; those of amphorae below `/v2.0`.\n\n" +
		"| call | |\n|---|---|\n")
	for _, c := range s.calls {
		fmt.Fprintf(&b, "| `%s` | %s |\n", c.pattern, c.summary)
	}
	b.WriteString("\n## Attributes\n\nAccess: r is set by the service, c is given on create only, rw on create and update. An attribute that is not given has its\n" +
		"default; null empties it, or resets it where it cannot be empty.\n")
	for _, name := range []string{"loadbalancer", "listener", "pool", "member", "healthmonitor", "l7policy", "rule", "quota", "amphora", "rollout", "program",
		"flavor", "flavorprofile", "availability_zone", "availability_zone_profile"} {
		writeTable(&b, name, shapes()[name].table)
	}
	return []byte(b.String())
}

func writeTable(b *strings.Builder, name string, t *attr.Table) {
	fmt.Fprintf(b, "\n### %s\n\n| attribute | access | values | default | since | |\n|---|---|---|---|---|---|\n", name)
	for _, a := range t.Attrs {
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s | %s |\n", a.Name, accessOf(a), valuesOf(a), defaultOf(a), a.Since, a.Doc)
	}
	for _, a := range t.Attrs {
		if a.Nested != nil {
			writeTable(b, name+"."+a.Name, a.Nested)
		}
	}
}

func accessOf(a *attr.Attr) string {
	switch {
	case a.Writable(attr.Update):
		return "rw"
	case a.Writable(attr.Create):
		return "c"
	}
	return "r"
}

func valuesOf(a *attr.Attr) string {
	var parts []string
	switch {
	case a.Enum != nil:
		parts = append(parts, strings.Join(a.Enum, ", "))
	case a.Kind != "" && a.Kind != "text":
		parts = append(parts, strings.ReplaceAll(a.Kind, "_", " "))
	}
	unit := ""
	if a.Type == attr.String || a.Type == attr.Strings || a.Type == attr.StringMap {
		unit = " characters"
	}
	switch {
	case a.Min != nil && a.Max != nil:
		parts = append(parts, fmt.Sprintf("%d to %d%s", *a.Min, *a.Max, unit))
	case a.Min != nil:
		parts = append(parts, fmt.Sprintf("from %d%s", *a.Min, unit))
	case a.Max != nil:
		parts = append(parts, fmt.Sprintf("up to %d%s", *a.Max, unit))
	}
	if a.Required {
		parts = append(parts, "required")
	}
	return strings.Join(parts, "; ")
}

func defaultOf(a *attr.Attr) string {
	if a.Default == nil {
		return ""
	}
	return fmt.Sprintf("`%v`", a.Default)
}
