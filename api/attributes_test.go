package api_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/octavo-lb/octavo/api"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/lb/attr"
)

// trial is how one attribute is tried: a value that it can have, one that it cannot, and what an object says beside.
type trial struct {
	good, bad any
	beside    object
}

// tried is a resource and where requests have it.
type tried struct {
	table  *attr.Table
	base   object // what every one of them says
	trials map[string]trial
	// nested puts an object into a single-call create.
	nested func(o object) object
	at     string // of the object in the answer to that
}

var https = object{"protocol": "TERMINATED_HTTPS", "default_tls_container_ref": barbican + "cert"}

func named(more ...object) object {
	o := object{}
	for _, m := range more {
		maps.Copy(o, m)
	}
	return o
}

var (
	poolBase     = object{"protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN"}
	httpMonitor  = object{"type": "HTTP", "delay": 3, "timeout": 2, "max_retries": 1}
	listenerBase = object{"protocol": "HTTP", "protocol_port": 80}
	inPool       = func(member string, list bool) func(object) object {
		return func(o object) object {
			var v any = o
			if list {
				v = []object{o}
			}
			return object{"pools": []object{named(poolBase, object{"name": "p", member: v})}}
		}
	}
	inListener = func(o object) object { return object{"listeners": []object{o}} }
	policyBase = object{"action": "REJECT"}
)

// triedResources has an entry for each attribute that users may write; the test says which one is missing.
func triedResources() map[string]tried {
	name := trial{good: "näme", bad: 7}
	text := trial{good: "two\nlines", bad: "bell\a"}
	flag := func(v bool) trial { return trial{good: v, bad: "sometimes"} }
	number := func(v int) trial { return trial{good: v, bad: -2} }
	tags := trial{good: []string{"red"}, bad: "red"}
	secret := func(of string, beside object) trial { return trial{barbican + of, 7, beside} }
	return map[string]tried{
		"listener": {attr.Of[lb.Listener](), listenerBase, map[string]trial{
			"name": name, "description": text, "admin_state_up": flag(false), "tags": tags, "protocol": {good: "TCP", bad: "SPX"},
			"protocol_port": {good: 81, bad: 70000}, "connection_limit": number(7), "insert_headers": {good: object{"X-Forwarded-For": "true"}, bad: "X"},
			"default_pool_id":     {good: nil, bad: "a"}, // which one it may be, foreign_test tells
			"timeout_client_data": number(7), "timeout_member_connect": number(7), "timeout_member_data": number(7), "timeout_tcp_inspect": number(7),
			"default_tls_container_ref": secret("cert", object{"protocol": "TERMINATED_HTTPS", "sni_container_refs": []string{barbican + "sni"}}),
			"sni_container_refs":        {[]string{barbican + "sni"}, 7, https}, "client_ca_tls_container_ref": secret("ca", https),
			"client_authentication":    {"OPTIONAL", "PERHAPS", named(https, object{"client_ca_tls_container_ref": barbican + "ca"})},
			"client_crl_container_ref": secret("crl", named(https, object{"client_ca_tls_container_ref": barbican + "ca"})),
			"allowed_cidrs":            {good: []string{"192.0.2.0/24"}, bad: []string{"192.0.2.0/33"}},
			"tls_ciphers":              {"ECDHE-RSA-AES256-GCM-SHA384", "a b", https}, "tls_versions": {[]string{"TLSv1.3"}, []string{"TLSv9"}, https},
			"alpn_protocols": {[]string{"h2"}, []string{"h9"}, https}, "hsts_max_age": {7, -1, https},
			"hsts_include_subdomains": {true, "sometimes", named(https, object{"hsts_max_age": 1})},
			"hsts_preload":            {true, "sometimes", named(https, object{"hsts_max_age": 1})},
		}, inListener, "loadbalancer.listeners.0"},
		"pool": {attr.Of[lb.Pool](), poolBase, map[string]trial{
			"name": name, "description": text, "admin_state_up": flag(false), "tags": tags, "protocol": {good: "TCP", bad: "SPX"},
			"lb_algorithm": {good: "SOURCE_IP", bad: "DICE"}, "session_persistence": {good: object{"type": "SOURCE_IP"}, bad: object{"type": "DICE"}},
			"tls_enabled": flag(true), "tls_container_ref": secret("client", nil), "ca_tls_container_ref": secret("ca", nil),
			"crl_container_ref": secret("crl", object{"ca_tls_container_ref": barbican + "ca"}),
			"tls_ciphers":       {"ECDHE-RSA-AES256-GCM-SHA384", "a b", object{"tls_enabled": true}},
			"tls_versions":      {[]string{"TLSv1.3"}, []string{"TLSv9"}, object{"tls_enabled": true}},
			"alpn_protocols":    {[]string{"h2"}, []string{"h9"}, object{"tls_enabled": true}},
		}, func(o object) object { return object{"pools": []object{named(object{"name": "p"}, o)}} }, "loadbalancer.pools.0"},
		"member": {attr.Of[lb.Member](), object{"address": "198.51.100.9", "protocol_port": 80}, map[string]trial{
			"name": name, "admin_state_up": flag(false), "tags": tags, "address": {good: "198.51.100.10", bad: "198.51.100"},
			"protocol_port": {good: 81, bad: 0}, "weight": {good: 7, bad: 257}, "backup": flag(true), "subnet_id": {good: subA, bad: "a"},
			"monitor_address": {good: "198.51.100.11", bad: "198.51.100"}, "monitor_port": {good: 81, bad: 0}, "request_sriov": flag(false),
		}, inPool("members", true), "loadbalancer.pools.0.members.0"},
		"healthmonitor": {attr.Of[lb.HealthMonitor](), httpMonitor, map[string]trial{
			"name": name, "admin_state_up": flag(false), "tags": tags, "type": {good: "HTTPS", bad: "SMELL"}, "delay": number(7), "timeout": number(1),
			"max_retries": {good: 7, bad: 11}, "max_retries_down": {good: 7, bad: 11}, "http_method": {good: "HEAD", bad: "LOOK"},
			"url_path": {good: "/h?x=1", bad: "h"}, "expected_codes": {good: "200,202", bad: "2xx"}, "http_version": {good: 1.1, bad: 3},
			"domain_name": {"www.example.com", "a b", object{"http_version": 1.1}},
		}, inPool("healthmonitor", false), "loadbalancer.pools.0.healthmonitor"},
		"l7policy": {attr.Of[lb.L7Policy](), policyBase, map[string]trial{
			"name": name, "description": text, "admin_state_up": flag(false), "tags": tags,
			"action":             {"REDIRECT_TO_URL", "SHRUG", object{"redirect_url": "http://a.example/"}},
			"redirect_pool_id":   {good: nil, bad: "a"}, // whose it may be, foreign_test tells
			"redirect_url":       {"http://b.example/", "b", object{"action": "REDIRECT_TO_URL"}},
			"redirect_prefix":    {"http://c.example", "c", object{"action": "REDIRECT_PREFIX"}},
			"redirect_http_code": {308, 200, object{"action": "REDIRECT_TO_URL", "redirect_url": "http://a.example/"}},
			"position":           {good: 1, bad: 0},
		}, func(o object) object { return inListener(named(listenerBase, object{"l7policies": []object{o}})) }, "loadbalancer.listeners.0.l7policies.0"},
		"rule": {attr.Of[lb.L7Rule](), object{"type": "PATH", "compare_type": "STARTS_WITH", "value": "/a"}, map[string]trial{
			"admin_state_up": flag(false), "tags": tags, "type": {"HEADER", "SMELL", object{"key": "X-A"}}, "compare_type": {good: "EQUAL_TO", bad: "FEELS_LIKE"},
			"key": {"X-A", 7, object{"type": "HEADER"}}, "value": {good: "/b", bad: 7}, "invert": flag(true),
		}, func(o object) object {
			return inListener(named(listenerBase, object{"l7policies": []object{named(policyBase, object{"rules": []object{o}})}}))
		}, "loadbalancer.listeners.0.l7policies.0.rules.0"},
	}
}

// Absent, null, default and value of each attribute are four things, which POST and the single-call create tell apart in the same
// way; what PUT leaves is what POST makes of the same, and what is refused changes nothing.
func TestEachAttributeIsTheSameOnEveryPath(t *testing.T) {
	for resource, r := range triedResources() {
		t.Run(resource, func(t *testing.T) {
			t.Parallel()
			s, _ := newTLSSite(t)
			for _, a := range r.table.Attrs {
				parent := a.Access&attr.RootOnly != 0
				if !a.Writable(attr.Create) || parent {
					continue
				}
				c, ok := r.trials[a.Name]
				if !ok {
					t.Errorf("nothing tries %s", a.Name)
					continue
				}
				p := paths{s.as("member-a"), resource, r, a, named(r.base, c.beside)}
				if _, given := c.beside[a.Name]; !given {
					delete(p.base, a.Name)
				}
				p.try(c)
			}
		})
	}
}

// paths are the ways on which an attribute comes.
type paths struct {
	client
	resource string
	tried
	attr *attr.Attr
	base object
}

// outcome is what became of a value: the attribute as it is shown, or the refusal.
type outcome struct {
	status int
	shown  string
}

func (p paths) try(c trial) {
	p.t.Helper()
	absent, null := p.made("absent"), p.made("null", nil)
	good, bad := p.made("value", c.good), p.made("wrong", c.bad)
	if p.attr.Required {
		for _, o := range []outcome{absent, null} {
			if o.status != 400 || !strings.Contains(o.shown, p.attr.Name) && !strings.Contains(o.shown, "parsing L7Rule") {
				p.t.Errorf("%s.%s: without it %v", p.resource, p.attr.Name, o)
			}
		}
	} else if p.attr.Null == nil && absent != null {
		p.t.Errorf("%s.%s: null makes %v, nothing makes %v", p.resource, p.attr.Name, null, absent)
	}
	want, _ := json.Marshal(c.good)
	if hidden := p.attr.Access&attr.Shown == 0; good.status != 201 || !hidden && !contains(good.shown, string(want)) {
		p.t.Errorf("%s.%s: %s made %v", p.resource, p.attr.Name, want, good)
	}
	if bad.status != 400 || !strings.Contains(bad.shown, p.attr.Name) && !strings.Contains(bad.shown, "type") {
		p.t.Errorf("%s.%s: %v got %v", p.resource, p.attr.Name, c.bad, bad)
	}
	p.update(c, good, null)
}

// contains lets answers have more members in an object than were asked for.
func contains(shown, want string) bool {
	var have, asked map[string]any
	if json.Unmarshal([]byte(shown), &have) != nil || json.Unmarshal([]byte(want), &asked) != nil {
		return shown == want
	}
	for k, v := range asked {
		if fmt.Sprint(have[k]) != fmt.Sprint(v) {
			return false
		}
	}
	return true
}

// made makes an object by POST, and one inside a load balancer, and says what came out, which must be the same.
func (p paths) made(what string, value ...any) outcome {
	p.t.Helper()
	o := maps.Clone(p.base)
	if value != nil {
		o[p.attr.Name] = value[0]
	}
	alone, _ := p.postOne(o)
	inside := p.do("POST", lbs, object{"loadbalancer": named(object{"vip_subnet_id": subA}, p.nested(o))})
	within := outcome{inside.status, fault(inside)}
	if inside.status == 201 {
		within.shown = p.shown(inside.in(p.at).(map[string]any))
	}
	if alone != within && !(p.attr.Name == "name" && p.resource == "pool") { // inside it needs one
		p.t.Errorf("%s.%s %s: POST answers %v, a single-call create %v", p.resource, p.attr.Name, what, alone, within)
	}
	if p.resource == "member" {
		p.batch(what, o, alone)
	}
	return alone
}

// postOne makes the object on a load balancer of its own, and returns its path, too.
func (p paths) postOne(o object) (outcome, string) {
	p.t.Helper()
	path, o := p.place(), maps.Clone(o)
	switch p.resource {
	case "listener", "pool":
		o["loadbalancer_id"] = p.loadBalancer()
	case "healthmonitor":
		o["pool_id"] = p.pool()
	case "l7policy":
		o["listener_id"] = p.listener()
	}
	a := p.do("POST", path, object{p.resource: o})
	if a.status != 201 {
		return outcome{a.status, fault(a)}, ""
	}
	return outcome{201, p.shown(a.in(p.resource).(map[string]any))}, path + "/" + a.id()
}

func (p paths) place() string {
	switch p.resource {
	case "member":
		return "/v2/lbaas/pools/" + p.pool() + "/members"
	case "rule":
		return "/v2/lbaas/l7policies/" + p.create("l7policies", "l7policy", named(policyBase, object{"listener_id": p.listener()})) + "/rules"
	case "l7policy":
		return "/v2/lbaas/l7policies"
	}
	return "/v2/lbaas/" + p.resource + "s"
}

func (p paths) pool() string {
	return p.create("pools", "pool", named(poolBase, object{"loadbalancer_id": p.loadBalancer()}))
}

func (p paths) listener() string {
	return p.create("listeners", "listener", named(listenerBase, object{"loadbalancer_id": p.loadBalancer()}))
}

func (p paths) shown(o map[string]any) string {
	b, _ := json.Marshal(o[p.attr.Name])
	return string(b)
}

// fault is what is told, without the place in the body, which differs.
func fault(a answer) string {
	if a.status < 400 {
		return ""
	}
	return a.body["faultstring"].(string)
}

// batch makes the same member in a list.
func (p paths) batch(what string, o object, alone outcome) {
	p.t.Helper()
	path := "/v2/lbaas/pools/" + p.pool() + "/members"
	a := p.do("PUT", path, object{"members": []object{o}})
	got := outcome{a.status, fault(a)}
	if a.status == 202 {
		got = outcome{201, p.shown(p.get(path).want(200).in("members.0").(map[string]any))}
	}
	if got != alone {
		p.t.Errorf("member.%s %s: POST answers %v, a batch %v", p.attr.Name, what, alone, got)
	}
}

// update takes an object through the same values.
func (p paths) update(c trial, good, null outcome) {
	p.t.Helper()
	o := maps.Clone(p.base)
	o[p.attr.Name] = c.good
	_, path := p.postOne(o)
	put := func(o object) outcome {
		a := p.do("PUT", path, object{p.resource: o})
		if a.status != 200 {
			return outcome{a.status, fault(a)}
		}
		return outcome{201, p.shown(a.in(p.resource).(map[string]any))}
	}
	name := p.attr.Name
	if !p.attr.Writable(attr.Update) {
		if got := put(object{name: c.good}); got.status != 400 || !strings.Contains(got.shown, "Unknown attribute") {
			p.t.Errorf("%s.%s cannot be updated, and PUT answers %v", p.resource, name, got)
		}
		return
	}
	check := func(what string, got, want outcome) {
		p.t.Helper()
		if got != want {
			p.t.Errorf("%s.%s: PUT of %s answers %v, want %v", p.resource, name, what, got, want)
		}
	}
	check("nothing", put(object{}), good)
	if got := put(object{name: c.bad}); got.status != 400 {
		p.t.Errorf("%s.%s: PUT of %v answers %v", p.resource, name, c.bad, got)
	}
	check("nothing after a refusal", put(object{}), good)
	switch {
	case name == "redirect_http_code":
		null.shown = "null" // a POST asks for a redirection, and so for a code
	case name == "position":
		null.shown = "1" // the last one of one
	}
	check("null", put(object{name: nil}), null)
	if null.status == 201 {
		check("the value", put(object{name: c.good}), good)
	}
}

// A configured default is what null and nothing mean, on every path.
func TestAConfiguredDefaultHoldsOnEveryPath(t *testing.T) {
	s := newSite(t, func(c *api.Config) { c.ListenerDefaults = map[string]any{"timeout_client_data": 1234} })
	r := triedResources()["listener"]
	p := paths{s.as("member-a"), "listener", r, r.table.Find("timeout_client_data"), listenerBase}
	for what, got := range map[string]outcome{"nothing": p.made("absent"), "null": p.made("null", nil)} {
		if got != (outcome{201, "1234"}) {
			t.Errorf("%s makes %v", what, got)
		}
	}
	p.update(trial{good: 7, bad: -1}, outcome{201, "7"}, outcome{201, "1234"})
}

// What is required of a nested object keeps its value in an update that does not say it.
func TestAnUpdateKeepsTheTypeOfSessionPersistence(t *testing.T) {
	s := newSite(t)
	udp := object{"loadbalancer_id": s.loadBalancer(), "protocol": "UDP", "lb_algorithm": "ROUND_ROBIN"}
	pool := "/v2/lbaas/pools/" + s.create("pools", "pool", named(udp, object{"session_persistence": object{"type": "SOURCE_IP", "persistence_timeout": 3}}))
	change := object{"pool": object{"session_persistence": object{"persistence_timeout": 4}}}
	s.as("member-a").put(pool, change).want(200, `"type":"SOURCE_IP"`, `"persistence_timeout":4`)
	without := "/v2/lbaas/pools/" + s.create("pools", "pool", udp)
	s.as("member-a").put(without, change).want(400, "attribute type. Value: 'None'. Mandatory field missing.")
}
