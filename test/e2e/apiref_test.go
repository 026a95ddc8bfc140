package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/store"
)

// example is one of the API reference's, without its words: what is asked, with {names} in place of ids, and of which shape
// the answer is. testdata/apiref.json has all of them (openstack/octavia, api-ref/source/v2/examples), with one change: an additional
// VIP's address is of IPv4, for all subnets are where there is no cloud.
type example struct {
	Name, Method, Path string
	Body               json.RawMessage
	Answer             any // objects and lists as they are, "string", "number", "boolean" or "null" in place of values
}

// apart are where an answer differs from the reference's on purpose: what differs, and why.
var apart = map[string]string{
	"amphora-list.amphorae[].cert_busy is a boolean, not a number":                                           "the reference's mistake: it is a boolean in octavia/api/v2/types/amphora.py",
	"amphora-show.amphora.cert_busy is a boolean, not a number":                                              "as above",
	"amphora-list.amphorae[].load_balancer_id is missing":                                                    "the reference's mistake: it is loadbalancer_id in octavia/api/v2/types/amphora.py",
	"amphora-show.amphora.load_balancer_id is missing":                                                       "as above",
	"l7policy-create.l7policy is map[string]interface {}, not a list":                                        "the reference's mistake: it is an object in octavia/api/v2/types/l7policy.py",
	"loadbalancer-status.statuses.loadbalancer.listeners[].pools[].healthmonitor is missing":                 "the reference's mistake: it is health_monitor in octavia/api/v2/types/pool.py",
	"loadbalancer-status.statuses.loadbalancer.pools[].healthmonitor is missing":                             "as above",
	"loadbalancer-full-create without a flavor.loadbalancer.listeners[].default_pool is missing":             "the reference's mistake: octavia/api/v2/types/listener.py has it in requests only",
	"loadbalancer-full-create without a flavor.loadbalancer.listeners[].default_tls_container_id is missing": "the reference's mistake: nothing in Octavia has that name",
	"loadbalancer-full-create is refused with 400: flavor_id":                                                "the reference's mistake: Octavia takes no empty flavor_id either; the same without it is tried as well",
	"availabilityzoneprofile-create (request) is refused with 501: volume_zone":                              "volumes for amphorae are not served, and what is not served is not accepted",
	"availabilityzoneprofile-update (request) is refused with 501: volume_zone":                              "as above",
}

// refusals are the attributes that a refusal may be explained by.
var refusals = []string{"flavor_id", "volume_zone"}

// TestEveryExampleOfTheAPIReference asks what the reference's examples ask, each of objects of its own, and compares the
// shapes of answers: what the reference has is there, and of the same type unless one of the two is null.
func TestEveryExampleOfTheAPIReference(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/apiref.json")
	if err != nil {
		t.Fatal(err)
	}
	var examples []example
	if err := json.Unmarshal(text, &examples); err != nil {
		t.Fatal(err)
	}
	d := startDesk(t)
	found := map[string]string{}
	for i, e := range examples {
		status, answer := d.try(e, d.objects(e, i))
		if status > 299 {
			i := slices.IndexFunc(refusals, func(name string) bool { return strings.Contains(fmt.Sprint(answer), name) })
			if i < 0 {
				t.Errorf("%s: %d %v", e.Name, status, answer)
				continue
			}
			what := fmt.Sprintf("%s is refused with %d: %s", e.Name, status, refusals[i])
			found[what] = what
			continue
		}
		for _, difference := range compare("", e.Answer, answer) {
			found[e.Name+difference] = difference
		}
	}
	for _, what := range slices.Sorted(maps.Keys(found)) {
		if apart[what] == "" {
			t.Error(what)
		}
	}
	for what := range apart {
		if found[what] == "" {
			t.Errorf("no difference any more: %s", what)
		}
	}
	t.Logf("%d examples, %d differences that are explained", len(examples), len(apart))
}

// try asks what an example asks.
func (d *desk) try(e example, names *strings.Replacer) (status int, answer any) {
	d.t.Helper()
	q, err := http.NewRequestWithContext(d.t.Context(), e.Method, d.url+names.Replace(e.Path), strings.NewReader(names.Replace(string(e.Body))))
	if err != nil {
		d.t.Fatal(err)
	}
	q.Header = http.Header{"Content-Type": {"application/json"}, "X-Project-Id": {someProject}}
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	if len(b) > 0 {
		if err := json.Unmarshal(b, &answer); err != nil {
			d.t.Errorf("%s: %v in %s", e.Name, err, b)
		}
	}
	return resp.StatusCode, answer
}

// objects makes what an example is about.
func (d *desk) objects(e example, n int) *strings.Replacer {
	d.t.Helper()
	unique := fmt.Sprint("n", n)
	if strings.HasPrefix(e.Name, "quota") {
		d.call("PUT", "quotas/"+someProject, `{"quota": {"loadbalancer": -1}}`, 202)
	}
	made := d.call("POST", "loadbalancers", fmt.Sprintf(`{"loadbalancer": {"name": "lb", "provider": "octavia", "vip_network_id": %q, "vip_subnet_id": %q,
		"pools": [{"name": "bare", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN"}],
		"listeners": [{"protocol": "TERMINATED_HTTPS", "protocol_port": 8443, "default_tls_container_ref": "http://keys/1", "name": "l",
		"insert_headers": {"X-Forwarded-For": "true", "X-Forwarded-Port": "true"}, "l7policies": [{"action": "REJECT", "name": "y", "rules": [{"type": "PATH", "compare_type": "EQUAL_TO", "value": "/x"}]}],
		"default_pool": {"name": "p", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "members": [{"name": "m", "address": "192.0.2.4", "protocol_port": 80}],
		"healthmonitor": {"name": "h", "type": "HTTP", "delay": 5, "timeout": 3, "max_retries": 2}}},
		{"protocol": "HTTP", "protocol_port": 8080, "name": "bare", "insert_headers": {"X-Forwarded-For": "true", "X-Forwarded-Port": "true"}}]}}`, someNetwork, someSubnet), 201)
	id := func(path string) string {
		return first(d.call("GET", path, "", 200)[strings.Split(path, "?")[0]])["id"].(string)
	}
	lbID := made["id"].(string)
	of := "&project_id=" + someProject + "&loadbalancer_id=" + lbID
	listener, pool := id("listeners?name=l"+of), id("pools?name=p"+of)
	policy := id("l7policies?name=y&listener_id=" + listener)
	monitor := id("healthmonitors?name=h&pool_id=" + pool)
	member := first(d.call("GET", "pools/"+pool+"/members", "", 200)["members"])["id"].(string)
	rule := first(d.call("GET", "l7policies/"+policy+"/rules", "", 200)["rules"])["id"].(string)
	amphora := ""
	switch {
	case e.Name == "loadbalancer-delete":
		lbID = d.call("POST", "loadbalancers", fmt.Sprintf(`{"loadbalancer": {"vip_network_id": %q, "vip_subnet_id": %q}}`, someNetwork, someSubnet), 201)["id"].(string)
	case strings.HasPrefix(e.Name, "amphora-"):
		amphora = d.amphoraOf(lbID, listener, e.Method == "DELETE")
	case strings.HasPrefix(e.Name, "pool-create"):
		listener = id("listeners?name=bare" + of)
	case strings.HasPrefix(e.Name, "healthmonitor-create"):
		pool = id("pools?name=bare" + of)
	}
	profile := func(kind, member, data string) string {
		return d.call("POST", kind+"profiles", fmt.Sprintf(`{%q: {"name": "p%d%s", "provider_name": "octavia", %q: "{}"}}`, member, n, unique, data), 201)["id"].(string)
	}
	flavorProfile := profile("flavor", "flavorprofile", "flavor_data")
	zoneProfile := profile("availabilityzone", "availability_zone_profile", "availability_zone_data")
	flavor := d.call("POST", "flavors", fmt.Sprintf(`{"flavor": {"name": "f%d", "flavor_profile_id": %q}}`, n, flavorProfile), 201)["id"].(string)
	unique += "x"
	flavorProfile = profile("flavor", "flavorprofile", "flavor_data")
	zone := "zone" + fmt.Sprint(n)
	d.call("POST", "availabilityzones", fmt.Sprintf(`{"availability_zone": {"name": %q, "availability_zone_profile_id": %q}}`, zone, zoneProfile), 201)
	zoneProfile = profile("availabilityzone", "availability_zone_profile", "availability_zone_data")
	return strings.NewReplacer("{loadbalancer}", lbID, "{listener}", listener, "{pool}", pool, "{member}", member, "{healthmonitor}", monitor,
		"{l7policy}", policy, "{rule}", rule, "{flavor}", flavor, "{flavorprofile}", flavorProfile, "{zoneprofile}", zoneProfile, "{amphora}", amphora,
		"{project}", someProject, "{subnet}", someSubnet, "{network}", someNetwork, "{other}", someNetwork, "my_az", zone,
		`"name": "n"`, fmt.Sprintf(`"name": "example%d"`, n))
}

// amphoraOf gives a load balancer an amphora that has reported, in the database: noop providers have none.
func (d *desk) amphoraOf(lbID, listenerID string, failed bool) string {
	d.t.Helper()
	s, err := store.Open(d.t.Context(), "sqlite:"+filepath.Join(d.dir, "octavo.db"), store.Options{})
	if err != nil {
		d.t.Fatal(err)
	}
	defer s.Close()
	a := store.Amphora{Role: "STANDALONE", ComputeID: someNetwork, LBNetworkIP: "198.18.0.7", VRRPIP: "192.0.2.8", VRRPPortID: someNetwork, ImageID: someNetwork}
	report := agentapi.Report{Boot: "b", Sequence: 1, Applied: 100, Listeners: []agentapi.ListenerHealth{{ID: listenerID, Status: lb.Online}}}
	if failed {
		report.Applied, report.FailedGen, report.Failure = 0, 1, "it is broken"
	}
	ctx := context.WithoutCancel(d.t.Context())
	err = s.Write(ctx, func(tx *store.Tx) error {
		if _, err := tx.Lock(ctx, lbID); err != nil {
			return err
		}
		if err := tx.InsertAmphora(ctx, &a); err != nil {
			return err
		}
		return tx.Report(ctx, a.ID, report)
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return a.ID
}

// compare tells what of a shape an answer lacks, or has of another type.
func compare(at string, want, got any) (differences []string) {
	switch want := want.(type) {
	case map[string]any:
		o, ok := got.(map[string]any)
		if !ok {
			return []string{fmt.Sprintf("%s is %T, not an object", at, got)}
		}
		for _, name := range slices.Sorted(maps.Keys(want)) {
			value, ok := o[name]
			if !ok {
				differences = append(differences, at+"."+name+" is missing")
				continue
			}
			if value != nil {
				differences = append(differences, compare(at+"."+name, want[name], value)...)
			}
		}
	case []any:
		list, ok := got.([]any)
		if !ok {
			return []string{fmt.Sprintf("%s is %T, not a list", at, got)}
		}
		for i := range list {
			if len(want) > 0 {
				differences = append(differences, compare(at+"[]", want[0], list[i])...)
			}
		}
	case string:
		if is := typeOf(got); want != "null" && is != want {
			return []string{at + " is a " + is + ", not a " + want}
		}
	}
	return differences
}

func typeOf(v any) string {
	switch v.(type) {
	case string:
		return "string"
	case float64:
		return "number"
	case bool:
		return "boolean"
	case nil:
		return "null"
	}
	return fmt.Sprintf("%T", v)
}
