package cloudfake

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// wire says how a collection is named in answers.
var wire = map[string]struct{ one, many string }{
	"networks": {"network", "networks"}, "subnets": {"subnet", "subnets"}, "ports": {"port", "ports"},
	"security-groups":      {"security_group", "security_groups"},
	"security-group-rules": {"security_group_rule", "security_group_rules"},
	"policies":             {"policy", "policies"}, "server_groups": {"server_group", "server_groups"},
	"servers": {"server", "servers"}, "images": {"image", "images"},
}

// visible tells whether a caller may see an object: its own project's, shared ones, all for an administrator.
func visible(who caller, o object) bool {
	shared, _ := o["shared"].(bool)
	return who.admin || shared || o.str("project_id") == who.project
}

func (c *Cloud) show(collection string) func(request) (answer, error) {
	return func(r request) (answer, error) {
		_, o := c.find(collection, r.PathValue("id"))
		if o == nil || !visible(r.caller, o) {
			return answer{}, notFound(collection, r.PathValue("id"))
		}
		return answer{http.StatusOK, object{wire[collection].one: o}}, nil
	}
}

func notFound(collection, id string) *Refusal {
	name := strings.ReplaceAll(wire[collection].one, "_", " ")
	return refuse(http.StatusNotFound, camel(name)+"NotFound", "%s %s could not be found.", name, id)
}

func (c *Cloud) list(collection string) func(request) (answer, error) {
	return func(r request) (answer, error) {
		var found []object
		for _, o := range c.objects[collection] {
			if visible(r.caller, o) && matches(o, r.URL.Query()) {
				found = append(found, o)
			}
		}
		return c.page(r, collection, found), nil
	}
}

// matches compares as Neutron does: all parameters must fit, of several values of one parameter any.
func matches(o object, query url.Values) bool {
	for name, values := range query {
		if name == "limit" || name == "marker" || name == "offset" || strings.HasPrefix(name, "sort") {
			continue
		}
		if !slices.Contains(values, fmt.Sprint(o[name])) {
			return false
		}
	}
	return true
}

// page cuts a list, with a link to its next part.
func (c *Cloud) page(r request, collection string, found []object) answer {
	if marker := r.URL.Query().Get("marker"); marker != "" {
		i := slices.IndexFunc(found, func(o object) bool { return o.str("id") == marker })
		found = found[i+1:]
	}
	many := wire[collection].many
	body := object{}
	if n := c.options.PageSize; n > 0 && len(found) > n && collection != "server_groups" {
		found = found[:n]
		query := r.URL.Query()
		query.Set("marker", found[n-1].str("id"))
		next := *r.URL
		next.Scheme, next.Host, next.RawQuery = "http", "cloud.test", query.Encode()
		body[many+"_links"] = []object{{"rel": "next", "href": next.String()}}
		body["next"] = next.RequestURI()
	}
	if found == nil {
		found = []object{}
	}
	body[many] = found
	return answer{http.StatusOK, body}
}

// camel writes "security group" as Neutron's types do: SecurityGroup.
func camel(name string) string {
	var b strings.Builder
	for word := range strings.FieldsSeq(name) {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}
