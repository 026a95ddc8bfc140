package api_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/octavo-lb/octavo/api"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/lb/attr"
)

// fullSite has one load balancer with one object of every kind on it, and a second of each with other values.
func fullSite(t *testing.T) (s *site, paths map[string]string) {
	s = newSite(t)
	paths = map[string]string{"loadbalancers": "", "listeners": "", "pools": "", "healthmonitors": "", "l7policies": ""}
	for i := range 2 {
		n := fmt.Sprint(i)
		lbID := s.create("loadbalancers", "loadbalancer", object{"name": "lb" + n, "description": "d" + n, "vip_subnet_id": []string{subA, subA2}[i],
			"admin_state_up": i == 0, "tags": []string{"t" + n}})
		listenerID := s.create("listeners", "listener", object{"loadbalancer_id": lbID, "name": "l" + n, "description": "d" + n, "protocol": []string{"HTTP", "TCP"}[i],
			"protocol_port": 80 + i, "connection_limit": 10 + i, "timeout_client_data": 10 + i, "timeout_member_connect": 10 + i,
			"timeout_member_data": 10 + i, "timeout_tcp_inspect": 10 + i, "tags": []string{"t" + n}, "admin_state_up": i == 0})
		poolID := s.create("pools", "pool", object{"listener_id": listenerID, "name": "p" + n, "description": "d" + n, "protocol": []string{"HTTP", "TCP"}[i],
			"lb_algorithm": []string{"ROUND_ROBIN", "SOURCE_IP"}[i], "tls_enabled": i == 0, "tags": []string{"t" + n}, "admin_state_up": i == 0})
		s.create("healthmonitors", "healthmonitor", object{"pool_id": poolID, "name": "h" + n, "type": []string{"HTTP", "TCP"}[i], "delay": 10 + i,
			"timeout": 5 + i, "max_retries": 1 + i, "max_retries_down": 4 + i, "tags": []string{"t" + n}, "admin_state_up": i == 0})
		s.create("pools/"+poolID+"/members", "member", object{"name": "m" + n, "address": "192.0.2." + n, "protocol_port": 80 + i, "weight": 5 + i,
			"backup": i == 0, "tags": []string{"t" + n}, "admin_state_up": i == 0})
		if i == 0 {
			policyID := s.create("l7policies", "l7policy", object{"listener_id": listenerID, "name": "y0", "action": "REJECT", "tags": []string{"t0"}})
			s.create("l7policies", "l7policy", object{"listener_id": listenerID, "name": "y1", "action": "REDIRECT_TO_URL", "redirect_url": "http://x/", "admin_state_up": false})
			s.create("l7policies/"+policyID+"/rules", "rule", object{"type": "PATH", "compare_type": "EQUAL_TO", "value": "/a", "tags": []string{"t0"}})
			s.create("l7policies/"+policyID+"/rules", "rule", object{"type": "HEADER", "key": "X", "compare_type": "REGEX", "value": "b", "invert": true, "admin_state_up": false})
			paths["pools/"+poolID+"/members"], paths["l7policies/"+policyID+"/rules"] = "members", "rules"
		}
	}
	return s, paths
}

// listed are the attributes of what a list's member holds.
var listed = map[string]*attr.Table{"loadbalancers": attr.Of[lb.LoadBalancer](), "listeners": attr.Of[lb.Listener](), "pools": attr.Of[lb.Pool](),
	"healthmonitors": attr.Of[lb.HealthMonitor](), "l7policies": attr.Of[lb.L7Policy](), "members": attr.Of[lb.Member](), "rules": attr.Of[lb.L7Rule]()}

// Whatever an answer shows can be asked for.
func TestEveryAttributeIsAFilterAndASortKey(t *testing.T) {
	s, paths := fullSite(t)
	u := s.as("admin")
	for path, member := range paths {
		if member == "" {
			member = path
		}
		items := u.get("/v2/lbaas/" + path).want(200).in(member).([]any)
		for _, a := range listed[member].Attrs {
			if a.Access&attr.Shown == 0 {
				continue
			}
			text, scalar := asURL(items[0].(map[string]any)[a.Name])
			if !scalar || a.Name == "tags" {
				continue
			}
			found := u.get("/v2/lbaas/" + path + "?" + a.Name + "=" + url.QueryEscape(text)).want(200).in(member).([]any)
			for _, item := range items {
				other, _ := asURL(item.(map[string]any)[a.Name])
				has := slices.ContainsFunc(found, func(o any) bool { return o.(map[string]any)["id"] == item.(map[string]any)["id"] })
				if has != (other == text) {
					t.Errorf("%s?%s=%s: %s with %q found: %v", path, a.Name, text, item.(map[string]any)["name"], other, has)
				}
			}
			u.get("/v2/lbaas/" + path + "?sort_key=" + a.Name + "&sort_dir=desc").want(200)
		}
		u.get("/v2/lbaas/"+path+"?surprise=1").want(400, "One or more arguments are either duplicate or invalid")
		u.get("/v2/lbaas/"+path+"?sort_key=surprise").want(400, "Supplied sort key 'surprise' is not valid.")
	}
}

// Every column puts lists in order, one way and the other, and pages along it, forward and back, have each object once.
func TestEveryColumnSortsAndPages(t *testing.T) {
	s, paths := fullSite(t)
	u := s.as("admin")
	for path, member := range paths {
		member = cmp.Or(member, path)
		for _, a := range listed[member].Attrs {
			if a.Access&attr.Shown == 0 || a.Type >= attr.Strings {
				continue // lists and objects have no order
			}
			name := a.Name
			query := "/v2/lbaas/" + path + "?sort_key=" + name
			up, down := u.get(query+"&sort_dir=asc").want(200), u.get(query+"&sort_dir=desc").want(200)
			first, last := column(up, member, name), column(down, member, name)
			slices.Reverse(last)
			if !slices.IsSorted(first) || !slices.Equal(first, last) {
				t.Errorf("%s by %s: %v up, %v down, from behind", path, name, first, last)
			}
			for dir, all := range map[string]answer{"asc": up, "desc": down} {
				want := all.ids(member)
				page := u.get(query + "&limit=1&sort_dir=" + dir).want(200)
				forward := page.ids(member)
				for next := page.link(member, "next"); next != ""; next = page.link(member, "next") {
					page = u.get(next).want(200)
					forward = append(forward, page.ids(member)...)
				}
				back := page.ids(member)
				for previous := page.link(member, "previous"); previous != ""; previous = page.link(member, "previous") {
					page = u.get(previous).want(200)
					back = append(page.ids(member), back...)
				}
				if !slices.Equal(forward, want) || !slices.Equal(back, want) {
					t.Errorf("%s by %s %s: pages have %v, back %v, the list %v", path, name, dir, forward, back, want)
				}
			}
		}
	}
}

// column are the values of one attribute, as text that has their order.
func column(a answer, member, name string) (values []string) {
	a.t.Helper()
	for _, item := range a.in(member).([]any) {
		v := item.(map[string]any)[name]
		if n, ok := v.(float64); ok {
			v = fmt.Sprintf("%012.3f", n+1) // -1 is the least
		} else if v == nil {
			v = ""
		}
		values = append(values, fmt.Sprint(v))
	}
	return values
}

// link is the path of a page's neighbour, empty for none.
func (a answer) link(list, rel string) string {
	a.t.Helper()
	for _, l := range a.in(list + "_links").([]any) {
		if l := l.(map[string]any); l["rel"] == rel {
			u, _ := url.Parse(l["href"].(string))
			return u.RequestURI()
		}
	}
	return ""
}

// asURL is a JSON value as a query writes it; lists and objects have no such form, and null has none that is told from "".
func asURL(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return fmt.Sprint(v), true
	case float64:
		b, _ := json.Marshal(v)
		return string(b), true
	}
	return "", false
}

func TestPagesFollowEachOther(t *testing.T) {
	s := newSite(t)
	u := s.as("member-a")
	for _, name := range []string{"c", "a", "e", "b", "d"} {
		s.create("loadbalancers", "loadbalancer", object{"name": name, "vip_subnet_id": subA, "description": "same"})
	}
	names := func(a answer) (out string) {
		for _, o := range a.in("loadbalancers").([]any) {
			out += o.(map[string]any)["name"].(string)
		}
		return out
	}
	for sort, want := range map[string]string{"sort_key=name": "abcde", "sort=name:desc": "edcba", "sort=description:asc,name:desc": "edcba",
		"sort_key=description,name&sort_dir=desc": "abcde", "": "caebd"} {
		for _, limit := range []string{"2", "5", "1", "4"} {
			a := u.get(lbs + "?description=same&limit=" + limit + "&" + sort).want(200)
			forward := names(a)
			var before []string
			for next := a.link("loadbalancers", "next"); next != ""; next = a.link("loadbalancers", "next") {
				before = append(before, names(a))
				a = u.get(next).want(200)
				forward += names(a)
			}
			if forward != want {
				t.Errorf("%s by %s: %s, want %s", sort, limit, forward, want)
			}
			for i := len(before) - 1; i >= 0; i-- {
				a = u.get(a.link("loadbalancers", "previous")).want(200)
				if got := names(a); got != before[i] {
					t.Errorf("%s by %s, back: %s, want %s", sort, limit, got, before[i])
				}
			}
			if got := a.link("loadbalancers", "previous"); got != "" {
				t.Errorf("%s by %s: there is a page before the first: %s", sort, limit, got)
			}
		}
	}
	if a := u.get(lbs + "?limit=2").want(200); !strings.Contains(a.link("loadbalancers", "next"), "limit=2") || !strings.HasPrefix(a.link("loadbalancers", "next"), "/v2/lbaas/loadbalancers?") {
		t.Error(a.raw)
	}
	u.get(lbs+"?limit=x").want(400, "Supplied pagination limit 'x' is not valid.")
	u.get(lbs+"?sort=name:up").want(400, "Supplied sort direction 'up' is not valid.")
	u.get(lbs+"?marker="+absent).want(400, "Supplied pagination marker '"+absent+"' is not valid.")
	for _, limit := range []string{"0", "-1", "infinite", ""} {
		if got := names(u.get(lbs + "?limit=" + limit).want(200)); len(got) != 5 {
			t.Errorf("limit=%s: %s", limit, got)
		}
	}
}

func TestAPageHasALongestLength(t *testing.T) {
	s := newSite(t, func(c *api.Config) { c.MaxPage = 2 })
	for range 3 {
		s.loadBalancer()
	}
	for _, query := range []string{"", "?limit=0", "?limit=1000"} {
		a := s.as("member-a").get(lbs + query).want(200)
		if len(a.ids("loadbalancers")) != 2 || !strings.Contains(a.raw, `"rel":"next"`) {
			t.Errorf("%s: %s", query, a.raw)
		}
	}
}

// [api_settings] allow_pagination, allow_sorting, allow_filtering and allow_field_selection.
func TestListsCanBeGivenAsTheyAreOnly(t *testing.T) {
	three := func(change func(*api.Config)) (client, []string) {
		s := newSite(t, change)
		var ids []string
		for _, name := range []string{"c", "a", "b"} {
			ids = append(ids, s.create("loadbalancers", "loadbalancer", object{"vip_subnet_id": subA, "name": name, "tags": []string{name}}))
		}
		return s.as("member-a"), ids
	}
	all := func(a answer, ids []string) {
		t.Helper()
		if got := a.want(200).ids("loadbalancers"); !slices.Equal(got, ids) {
			t.Errorf("%s: %v, want %v", a.what, got, ids)
		}
	}
	u, ids := three(func(c *api.Config) { c.NoPages, c.MaxPage = true, 2 })
	all(u.get(lbs), ids)
	all(u.get(lbs+"?limit=1&marker="+ids[1]).want(200, `"loadbalancers_links":null`), ids)
	u.get(lbs+"?limit=x").want(400, "Supplied pagination limit 'x' is not valid.")

	u, ids = three(func(c *api.Config) { c.NoSorting = true })
	all(u.get(lbs+"?sort=name:asc"), ids)
	u.get(lbs+"?sort=name:up").want(400, "Supplied sort direction 'up' is not valid.")

	u, ids = three(func(c *api.Config) { c.NoFilters = true })
	all(u.get(lbs+"?name=a&surprise=1&tags=b&not-tags=a"), ids)
	u.get(lbs + "?project_id=" + projectB).want(403) // that is no filter

	u, ids = three(func(c *api.Config) { c.NoFields = true })
	u.get(lbs+"?fields=id").want(200, `"name":"a"`)
	u.get(lbs+"/"+ids[0]+"?fields=id").want(200, `"name":"c"`)
	u.get(lbs+"?name=a").want(200, ids[1])
}

func TestPoolsAreFoundByTheirHealthMonitor(t *testing.T) {
	s := newSite(t)
	u, lbID := s.as("member-a"), s.loadBalancer()
	pool := func() string {
		return s.create("pools", "pool", object{"loadbalancer_id": lbID, "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN"})
	}
	with, without := pool(), pool()
	monitor := s.create("healthmonitors", "healthmonitor", object{"pool_id": with, "type": "HTTP", "delay": 3, "timeout": 2, "max_retries": 1})
	if got := u.get("/v2/lbaas/pools?healthmonitor_id=" + monitor).want(200).ids("pools"); !slices.Equal(got, []string{with}) {
		t.Errorf("%v, want %s and not %s", got, with, without)
	}
	if got := u.get("/v2/lbaas/pools?healthmonitor_id=" + absent).want(200).ids("pools"); len(got) != 0 {
		t.Errorf("a monitor that does not exist finds %v", got)
	}
}

func TestFieldsPickWhatIsShown(t *testing.T) {
	s := newSite(t)
	id := s.loadBalancer()
	for _, a := range []answer{s.as("member-a").get(lbs + "/" + id + "?fields=id&fields=listeners"), s.as("member-a").get(lbs + "?fields=id&fields=listeners")} {
		a.want(200, `{"id":"`+id+`","listeners":[]}`)
	}
}

func TestTagsSelect(t *testing.T) {
	s := newSite(t)
	for name, tags := range map[string][]string{"none": {}, "red": {"red"}, "blue": {"blue"}, "both": {"red", "blue"}} {
		s.create("loadbalancers", "loadbalancer", object{"name": name, "vip_subnet_id": subA, "tags": tags})
	}
	for query, want := range map[string]string{
		"tags=red": "both red", "tags=red,blue": "both", "tags=red&tags=blue": "both", "tags-any=red,blue": "blue both red",
		"not-tags=red,blue": "blue none red", "not-tags-any=red,blue": "none", "tags=red&not-tags=blue": "red", "tags=green": "",
	} {
		var names []string
		for _, o := range s.as("member-a").get(lbs + "?" + query).want(200).in("loadbalancers").([]any) {
			names = append(names, o.(map[string]any)["name"].(string))
		}
		slices.Sort(names)
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}
