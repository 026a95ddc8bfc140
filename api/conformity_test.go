package api_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/octavo-lb/octavo/api"
)

// conformityCase is a line of testdata/conformity.txt, which says what it means.
type conformityCase struct {
	line                 int
	text, resource, verb string
	parent, self, ask    object
	status               int
	words                string
}

// conformityLines are the lines that are cases, by number.
func conformityLines(t *testing.T) map[int]string {
	t.Helper()
	raw, err := os.ReadFile("testdata/conformity.txt")
	if err != nil {
		t.Fatal(err)
	}
	lines := map[int]string{}
	for i, text := range strings.Split(string(raw), "\n") {
		if text != "" && text[0] != '#' {
			lines[i+1] = text
		}
	}
	return lines
}

func parseConformity(t *testing.T, line int, text string) *conformityCase {
	t.Helper()
	c := &conformityCase{line: line, text: text}
	asked, want, _ := strings.Cut(text, " -> ")
	words := strings.Fields(asked)
	c.resource, c.verb = words[0], words[1]
	rest := strings.TrimSpace(strings.TrimPrefix(asked, c.resource+" "+c.verb))
	for rest != "" {
		into := &c.ask
		for name, o := range map[string]*object{"parent=": &c.parent, "self=": &c.self} {
			if r, ok := strings.CutPrefix(rest, name); ok {
				rest, into = r, o
			}
		}
		d := json.NewDecoder(strings.NewReader(rest))
		if err := d.Decode(into); err != nil {
			t.Fatalf("line %d: %s: %v", c.line, rest, err)
		}
		rest = strings.TrimSpace(rest[d.InputOffset():])
	}
	if _, err := fmt.Sscan(want, &c.status); err != nil || c.ask == nil {
		t.Fatalf("line %d: no case: %s", c.line, text)
	}
	_, c.words, _ = strings.Cut(want, " ")
	return c
}

// conformitySite has what the cases name, and providers of upstream's tests, which take everything.
func conformitySite(t testing.TB) (*site, []string) {
	k := &keys{owner: map[string]string{}, strays: barbican + "stray"}
	names := []string{}
	for _, name := range []string{"cert", "sni", "ca", "crl", "stray", "theirs"} {
		k.owner[barbican+name] = "member-a"
		names = append(names, "{"+name+"}", barbican+name)
	}
	k.owner[barbican+"theirs"] = "member-b"
	s := newSite(t, func(c *api.Config) {
		c.Secrets = k
		c.Providers = []api.Provider{{Name: "noop_driver", AnySetting: true}, {Name: "noop_driver-alt", AnySetting: true}}
	})
	admin := s.as("admin")
	flavor := func(name, data string, enabled bool) {
		profile := admin.post("/v2/lbaas/flavorprofiles", object{"flavorprofile": object{"name": name, "provider_name": "noop_driver", "flavor_data": data}}).want(201)
		f := admin.post("/v2/lbaas/flavors", object{"flavor": object{"name": name, "enabled": enabled, "flavor_profile_id": profile.in("flavorprofile.id")}}).want(201)
		names = append(names, "{"+name+"}", f.in("flavor.id").(string))
	}
	flavor("flavor", `{}`, true)
	flavor("disabled", `{}`, false)
	flavor("sriov", `{"sriov_vip":true}`, true)
	flavor("members", `{"allow_member_sriov":true}`, true)
	zones := admin.post("/v2/lbaas/availabilityzoneprofiles", object{"availability_zone_profile": object{"name": "z", "provider_name": "noop_driver",
		"availability_zone_data": `{}`}}).want(201).in("availability_zone_profile.id")
	for name, open := range map[string]bool{"zone": true, "closed": false} {
		admin.post("/v2/lbaas/availabilityzones", object{"availability_zone": object{"name": name, "enabled": open, "availability_zone_profile_id": zones}}).want(201)
	}
	return s, append(names, "{subnet}", subA, "{subnet6}", subA6, "{network}", netA, "{elsewhere}", subB, "{port}", portA, "{qos}", qosA, "{group}", sgA,
		"{project}", projectA, "{uuid}", absent, "{long}", strings.Repeat("n", 256))
}

// The cases of upstream's functional tests that a client can tell apart; docs/reference/conformity.md tells of the others.
func TestConformity(t *testing.T) {
	t.Parallel()
	s, names := conformitySite(t)
	for line, text := range conformityLines(t) {
		c := parseConformity(t, line, text)
		w := &conformityWorld{client: s.as("member-a"), names: slices.Clone(names)}
		w.name("lb", w.loadBalancer())
		w.name("pool", w.create("pools", "pool", w.base("pool")))
		a := w.try(c)
		if words := w.fill(c.words); a.status != c.status || !strings.Contains(told(a), words) {
			t.Errorf("line %d: %s\n\tanswers %d %s", c.line, c.text, a.status, told(a))
		}
	}
}

// told is what a client reads: of a refusal the sentence.
func told(a answer) string {
	if f := fault(a); f != "" {
		return f
	}
	return a.raw
}

type conformityWorld struct {
	client
	names []string
	ids   map[string]string
}

func (w *conformityWorld) name(name, id string) {
	if w.ids == nil {
		w.ids = map[string]string{}
	}
	w.ids[name] = id
	w.names = append(w.names, "{"+name+"}", id)
}

func (w *conformityWorld) fill(text string) string {
	return strings.NewReplacer(w.names...).Replace(text)
}

// filled is an object with ids in place of names.
func (w *conformityWorld) filled(o object) (filled object) {
	raw, _ := json.Marshal(o)
	if err := json.Unmarshal([]byte(w.fill(string(raw))), &filled); err != nil {
		w.t.Fatal(err)
	}
	return filled
}

// base is what an object says that says nothing else.
func (w *conformityWorld) base(resource string) object {
	switch resource {
	case "listener":
		return named(listenerBase, object{"loadbalancer_id": w.ids["lb"]})
	case "pool":
		return named(poolBase, object{"loadbalancer_id": w.ids["lb"]})
	case "member":
		return object{"address": "10.0.0.1", "protocol_port": 80}
	case "healthmonitor":
		return named(httpMonitor, object{"delay": 1, "timeout": 1, "pool_id": w.ids["parent"]})
	case "l7policy":
		return named(policyBase, object{"listener_id": w.ids["parent"]})
	case "rule":
		return object{"type": "PATH", "compare_type": "STARTS_WITH", "value": "/a"}
	}
	return object{}
}

// above makes the object that those of the resource are below, and returns the path for new ones.
func (w *conformityWorld) above(c *conformityCase) string {
	switch c.resource {
	case "member", "healthmonitor":
		w.name("parent", w.create("pools", "pool", named(w.base("pool"), w.filled(c.parent))))
		if c.resource == "member" {
			return "/v2/lbaas/pools/" + w.ids["parent"] + "/members"
		}
	case "l7policy", "pool":
		w.name("parent", w.create("listeners", "listener", named(w.base("listener"), w.filled(c.parent))))
		w.name("listener", w.ids["parent"])
		if c.resource == "l7policy" {
			return "/v2/lbaas/l7policies"
		}
	case "rule":
		w.name("parent", w.create("listeners", "listener", w.base("listener")))
		return "/v2/lbaas/l7policies/" + w.create("l7policies", "l7policy", w.base("l7policy")) + "/rules"
	}
	return "/v2/lbaas/" + c.resource + "s"
}

func (w *conformityWorld) try(c *conformityCase) answer {
	w.t.Helper()
	path := w.above(c)
	if c.verb == "POST" {
		ask := w.base(c.resource)
		maps.Copy(ask, w.filled(c.ask))
		return w.post(path, object{c.resource: ask})
	}
	self := named(w.base(c.resource), w.filled(c.self))
	if c.resource == "loadbalancer" {
		self = named(object{"vip_subnet_id": subA}, w.filled(c.self))
	}
	a := w.post(path, object{c.resource: self}).want(201)
	return w.put(path+"/"+a.id(), object{c.resource: w.filled(c.ask)})
}

// What every object answers to: whoever may not is refused, what is not there is not found, and where writes have to wait they are
// refused until the load balancer has settled.
func TestConformityOfEveryObject(t *testing.T) {
	s := newSite(t, func(c *api.Config) { c.ImmutableWhilePending = true })
	w := &conformityWorld{client: s.as("member-a")}
	w.name("lb", w.loadBalancer())
	titles := map[string]string{"loadbalancer": "Load Balancer", "listener": "Listener", "pool": "Pool", "member": "Member",
		"healthmonitor": "Health Monitor", "l7policy": "L7 Policy", "rule": "L7 Rule"}
	made := map[string]string{"loadbalancer": lbs + "/" + w.ids["lb"]}
	create := func(resource, place, name string) {
		t.Helper()
		a := w.post(place, object{resource: w.base(resource)}).want(201)
		s.converge(w.ids["lb"])
		made[resource] = place + "/" + a.id()
		w.name(name, a.id())
	}
	create("listener", "/v2/lbaas/listeners", "parent")
	create("l7policy", "/v2/lbaas/l7policies", "policy")
	create("rule", made["l7policy"]+"/rules", "rule")
	create("pool", "/v2/lbaas/pools", "parent")
	create("healthmonitor", "/v2/lbaas/healthmonitors", "monitor")
	create("member", made["pool"]+"/members", "member")
	for resource, path := range made {
		place := path[:strings.LastIndex(path, "/")]
		nowhere, change := place+"/"+absent, object{resource: object{}}
		for _, method := range []string{"GET", "PUT", "DELETE"} {
			var body any
			if method == "PUT" {
				body = change
			}
			w.do(method, nowhere, body).want(404, titles[resource]+" "+absent+" not found.")
			s.as("nobody-a").do(method, path, body).want(403, "Policy does not allow this request to be performed.")
			s.as("member-b").do(method, path, body).want(403)
		}
		s.as("observer-a").get(path).want(200)
		s.as("observer-a").put(path, change).want(403)
		s.as("observer-a").delete(path).want(403)
		s.as("admin").get(path).want(200)
	}
	w.put(made["pool"], object{"pool": object{"name": "under way"}}).want(200)
	busy := "Load Balancer " + w.ids["lb"] + " is immutable and cannot be updated."
	for resource, path := range made {
		w.put(path, object{resource: object{}}).want(409, busy)
		w.delete(path).want(409, busy)
	}
	w.post("/v2/lbaas/listeners", object{"listener": named(w.base("listener"), object{"protocol_port": 81})}).want(409, busy)
	w.post(made["pool"]+"/members", object{"member": object{"address": "10.0.0.2", "protocol_port": 80}}).want(409, busy)
	w.post(made["l7policy"]+"/rules", object{"rule": w.base("rule")}).want(409, busy)
}
