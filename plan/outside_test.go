package plan

import (
	"strings"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/lb"
)

// TestAProviderIsAwaitedForItsTime tells what is done for a load balancer that a program outside of the service serves.
func TestAProviderIsAwaitedForItsTime(t *testing.T) {
	asked := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for what, c := range map[string]struct {
		generation, observed int64
		told, pool           lb.ProvisioningStatus
		deleting             bool
		failure              string
		after                time.Duration
		want                 string
	}{
		"just written":                              {generation: 2, observed: 1, want: "wait"},
		"long written":                              {generation: 2, observed: 1, after: time.Hour, want: "report"},
		"long written, and told":                    {generation: 2, observed: 1, failure: "as before", after: time.Hour, want: "report"},
		"heard of again":                            {generation: 2, observed: 1, failure: "as before", after: time.Minute, want: "wait, set"},
		"in force":                                  {generation: 2, observed: 2, after: time.Hour},
		"in force, after a failure":                 {generation: 2, observed: 2, failure: "as before", after: time.Hour, want: "set"},
		"just deleted":                              {generation: 3, observed: 2, deleting: true, want: "wait"},
		"long deleted":                              {generation: 3, observed: 2, deleting: true, after: time.Hour, want: "report"},
		"called pending, just now":                  {generation: 2, observed: 1, told: lb.PendingUpdate, want: "wait"},
		"called pending, long ago":                  {generation: 2, observed: 1, told: lb.PendingUpdate, after: time.Hour, want: "forsake, report"},
		"in ERROR by its word":                      {generation: 2, observed: 1, told: lb.ProvError, pool: lb.ProvError, after: time.Hour},
		"ACTIVE, but its pool is called pending":    {generation: 2, observed: 1, told: lb.Active, pool: lb.PendingUpdate, after: time.Hour, want: "forsake, report"},
		"in ERROR by its word, nothing of its pool": {generation: 2, observed: 1, told: lb.ProvError, after: time.Hour, want: "report"},
	} {
		tree := &lb.Tree{LB: lb.LoadBalancer{VipAddress: "192.0.2.1", VipPortID: new("port"), VipSubnetID: new("subnet"), VipNetworkID: new("network"),
			Provider: "acme", ObservedGeneration: c.observed, Failure: c.failure}, Pools: []lb.Pool{{}}}
		tree.LB.Generation, tree.LB.Told, tree.LB.Deleting = c.generation, c.told, c.deleting
		tree.Pools[0].Meta = lb.Meta{ID: "pool", Created: 1, Generation: c.generation, Told: c.pool}
		in := Input{Tree: tree, Outside: true, CloudGeneration: c.observed, Awaited: asked, Now: asked.Add(c.after), Settings: Settings{}.WithDefaults()}
		var got []string
		for _, s := range Next(in) {
			word, _, _ := strings.Cut(s.String(), " ")
			got = append(got, strings.TrimSuffix(word, ":"))
		}
		if got := strings.Join(got, ", "); got != c.want {
			t.Errorf("%s: %q, want %q", what, got, c.want)
		}
	}
}
