package plan_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/plan"
)

// decisions are the steps of a plan that make and retire amphorae.
func decisions(topology string, amphorae ...plan.Amphora) string {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	tree := &lb.Tree{LB: lb.LoadBalancer{Meta: lb.Meta{ID: "lb", AdminStateUp: true, Generation: 7}, Topology: topology, VipAddress: "192.0.2.1",
		VipPortID: new("port"), VipSubnetID: new("subnet"), VipNetworkID: new("network"), VipPortOwned: true}}
	for i := range amphorae {
		a := &amphorae[i]
		a.Created = now.Add(-time.Hour)
		if a.Applied > 0 {
			a.Reported, a.ComputeID, a.Started = now, "server-"+a.ID, now.Add(-time.Hour)
		}
	}
	in := plan.Input{Tree: tree, CloudGeneration: 7, Amphorae: amphorae, Settings: plan.Settings{}.WithDefaults(), Now: now, Watching: now.Add(-time.Hour),
		Seen: plan.Seen{GroupID: "group", Servers: map[string]plan.Server{}, Subnets: map[string]plan.Subnet{
			"subnet": {ID: "subnet", NetworkID: "network", CIDR: netip.MustParsePrefix("192.0.2.0/24"), Routes: []agentapi.Route{}}}},
		Done: map[string]bool{}, Held: map[string]bool{}}
	var out []string
	for _, step := range plan.Next(in) {
		switch s := step.(type) {
		case plan.AddAmphora:
			out = append(out, "add "+s.Role)
		case plan.Retire:
			out = append(out, "retire "+s.Amphora)
		}
	}
	return strings.Join(out, ", ")
}

func TestWhoIsToBeReplacedServesUntilTheOtherIsUp(t *testing.T) {
	old := plan.Amphora{ID: "old", Role: plan.Standalone, Applied: 7, Replacing: true}
	coming := plan.Amphora{ID: "new", Role: plan.Standalone}
	up := coming
	up.Applied = 1 // it has reported; what it applied matters not
	for _, c := range []struct {
		amphorae []plan.Amphora
		want     string
	}{
		{[]plan.Amphora{{ID: "old", Role: plan.Standalone, Applied: 7}}, ""},
		{[]plan.Amphora{old}, "add STANDALONE"},
		{[]plan.Amphora{old, coming}, ""},
		{[]plan.Amphora{old, up}, "retire old"},
		{[]plan.Amphora{up}, ""},
	} {
		if got := decisions("SINGLE", c.amphorae...); got != c.want {
			t.Errorf("%s: %q, want %q", names(c.amphorae), got, c.want)
		}
	}
}

func TestOfAPairTheBackupIsReplacedFirst(t *testing.T) {
	master := plan.Amphora{ID: "m", Role: plan.Master, Applied: 7, Replacing: true}
	backup := plan.Amphora{ID: "b", Role: plan.Backup, Applied: 7, Replacing: true}
	coming := plan.Amphora{ID: "b2", Role: plan.Backup}
	behind, ready := coming, coming
	behind.Applied, ready.Applied = 6, 7
	for _, c := range []struct {
		amphorae []plan.Amphora
		want     string
	}{
		{[]plan.Amphora{master, backup}, "add BACKUP"},
		{[]plan.Amphora{master, backup, coming}, ""},
		{[]plan.Amphora{master, backup, ready}, "add MASTER, retire b"},
		{[]plan.Amphora{master, behind}, ""},
		{[]plan.Amphora{master, ready}, "add MASTER"},
		{[]plan.Amphora{master, ready, {ID: "m2", Role: plan.Master}}, ""},
		{[]plan.Amphora{master, ready, {ID: "m2", Role: plan.Master, Applied: 1}}, "retire m"},
	} {
		if got := decisions("ACTIVE_STANDBY", c.amphorae...); got != c.want {
			t.Errorf("%s: %q, want %q", names(c.amphorae), got, c.want)
		}
	}
}

func names(amphorae []plan.Amphora) string {
	var out []string
	for _, a := range amphorae {
		out = append(out, fmt.Sprintf("%s@%d", a.ID, a.Applied))
	}
	return strings.Join(out, " ")
}
