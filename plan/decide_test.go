package plan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/plan"
)

// standing is a load balancer whose one amphora is up and in force.
func standing() plan.Input {
	a := plan.Amphora{ID: "a1", Role: plan.Standalone, ComputeID: "server-a1", VRRPPortID: "vrrp", MgmtPortID: "mgmt", Created: noon.Add(-24 * time.Hour),
		Started: noon.Add(-24 * time.Hour), Reported: noon, Applied: 7}
	vip := plan.InterfaceOf(plan.Port{ID: "vrrp", MAC: "fa:16:3e:00:00:01", NetworkID: "front", FixedIPs: []lb.FixedIP{{SubnetID: "vip", Address: addr("192.168.21.50")}}},
		modelSubnets, []string{"vip"})
	vip.Attached = true
	a.Interfaces = []plan.Interface{vip}
	return plan.Input{
		Tree: &lb.Tree{LB: lb.LoadBalancer{Meta: lb.Meta{ID: "lb", ProjectID: "p", AdminStateUp: true, Generation: 7}, Topology: "SINGLE", VipAddress: "192.168.21.9",
			VipPortID: new("vip-port"), VipSubnetID: new("vip"), VipNetworkID: new("front"), VipPortOwned: true, ObservedGeneration: 7}},
		CloudGeneration: 7, Amphorae: []plan.Amphora{a}, Settings: plan.Settings{ManagementNetwork: "mgmt"}.WithDefaults(),
		Now: noon, Watching: noon.Add(-time.Hour), Since: noon,
		Seen: plan.Seen{GroupID: "group", Subnets: modelSubnets, Servers: map[string]plan.Server{}},
		Done: map[string]bool{}, Held: map[string]bool{},
	}
}

// silentFor is standing with its amphora silent, and its instance running as far as the cloud knows.
func silentFor(d time.Duration) plan.Input {
	in := standing()
	in.Amphorae[0].Reported = noon.Add(-d)
	in.Done[plan.ShowServer{Amphora: "a1", ID: "server-a1"}.String()] = true
	in.Done[plan.CountFleet{}.String()] = true
	in.Seen.Servers["a1"] = plan.Server{State: plan.ServerActive}
	in.Seen.Fleet = &plan.Fleet{Total: 10, Silent: 1}
	return in
}

// steps finds the steps of one kind in a plan.
func steps[S plan.Step](in plan.Input) []S {
	var found []S
	for _, s := range plan.Next(in) {
		if s, ok := s.(S); ok {
			found = append(found, s)
		}
	}
	return found
}

func TestSilentAmphoraIsReplaced(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*plan.Input)
		want   bool
	}{
		{"after a minute", func(*plan.Input) {}, true},
		{"not before", func(in *plan.Input) { in.Amphorae[0].Reported = noon.Add(-59 * time.Second) }, false},
		{"not when nobody could have heard it", func(in *plan.Input) { in.Watching = noon.Add(-30 * time.Second) }, false},
		{"not before the cloud was asked", func(in *plan.Input) { clear(in.Done) }, false},
		{"not twice", func(in *plan.Input) {
			in.Amphorae = append(in.Amphorae, plan.Amphora{ID: "a2", Role: plan.Standalone, Created: noon, Started: noon, ComputeID: "s"})
		}, false},
	} {
		in := silentFor(2 * time.Minute)
		c.change(&in)
		if got := steps[plan.AddAmphora](in); (len(got) == 1) != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
		if got := steps[plan.Retire](in); len(got) > 0 {
			t.Errorf("%s: %v before another one is up", c.name, got)
		}
	}
}

// TestImmunity11_ManySilentAtOnce holds that a broken network between controllers and amphorae replaces none of them.
func TestImmunity11_ManySilentAtOnce(t *testing.T) {
	for _, c := range []struct {
		total, silent int
		server        plan.ServerState
		want          bool
	}{
		{1, 1, plan.ServerActive, true},
		{2, 2, plan.ServerActive, true}, // too few to tell
		{10, 2, plan.ServerActive, true},
		{10, 3, plan.ServerActive, false},
		{100, 20, plan.ServerActive, true},
		{100, 30, plan.ServerActive, false},
		{100, 100, plan.ServerActive, false},
		{100, 100, plan.ServerGone, true}, // this one is dead whatever the network does
		{100, 100, plan.ServerFailed, true},
	} {
		in := silentFor(2 * time.Minute)
		in.Seen.Fleet, in.Seen.Servers["a1"] = &plan.Fleet{Total: c.total, Silent: c.silent}, plan.Server{State: c.server}
		if got := steps[plan.AddAmphora](in); (len(got) == 1) != c.want {
			t.Errorf("%d of %d silent, instance %s: %v", c.silent, c.total, c.server, got)
		}
		if !c.want && len(steps[plan.Wait](in)) == 0 {
			t.Errorf("%d of %d silent: nobody looks again", c.silent, c.total)
		}
	}
}

// TestReplacedAmphoraLetsItsClientsGo holds that one that is replaced although it serves keeps the VIP until it has said that
// its clients are gone, but not for longer than it may take, and that nobody waits for one that cannot answer.
func TestReplacedAmphoraLetsItsClientsGo(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*plan.Input)
		fenced bool
	}{
		{"it has just been told", func(*plan.Input) {}, false},
		{"it has said so", func(in *plan.Input) { in.Amphorae[0].Drained = true }, true},
		{"it takes too long", func(in *plan.Input) { in.Now = noon.Add(plan.StandDownTime) }, true},
		{"it died", func(in *plan.Input) { in.Amphorae[0].Reported = noon.Add(-10 * time.Minute) }, true},
		{"it served nobody", func(in *plan.Input) { in.Amphorae[0].Applied = 0 }, true},
		{"nobody asked for another one", func(in *plan.Input) { in.Amphorae[0].Replacing = false }, true},
		{"the load balancer is deleted", func(in *plan.Input) { in.Tree.LB.Deleting = true }, true},
	} {
		in := standing()
		a := &in.Amphorae[0]
		a.Replacing, a.Deleting, a.Retired = true, true, noon
		c.change(&in)
		if got := steps[plan.Fence](in); (len(got) == 1) != c.fenced {
			t.Errorf("%s: %v", c.name, got)
		}
		if !c.fenced && len(steps[plan.Wait](in)) == 0 {
			t.Errorf("%s: nobody looks again", c.name)
		}
	}
}

// TestImmunity12_ReplacingSlowsDown holds that amphorae that do not last are replaced ever more slowly, up to an hour, and
// that one that lasted ends that.
func TestImmunity12_ReplacingSlowsDown(t *testing.T) {
	added := time.Duration(0)
	for attempt := range 12 {
		in := standing()
		in.Watching = noon.Add(-1000 * time.Hour)
		a := &in.Amphorae[0]
		a.Attempt, a.Created, a.Reported = attempt, noon.Add(-2*time.Minute), noon.Add(-time.Minute)
		in.Done[plan.ShowServer{Amphora: "a1", ID: "server-a1"}.String()] = true
		in.Seen.Servers["a1"] = plan.Server{State: plan.ServerGone}
		wait := time.Duration(0)
		for ; wait < 100*time.Hour; wait += 10 * time.Second {
			in.Now = noon.Add(wait)
			if got := steps[plan.AddAmphora](in); len(got) > 0 {
				if got[0].Attempt != attempt+1 {
					t.Errorf("attempt %d follows %d", got[0].Attempt, attempt)
				}
				break
			}
		}
		if wait < added || attempt > 0 && wait > 80*time.Minute {
			t.Errorf("attempt %d comes after %s, the one before after %s", attempt+1, wait, added)
		}
		added = wait
	}
	if added < 50*time.Minute {
		t.Errorf("the twelfth comes after %s", added)
	}
	in := silentFor(2 * time.Minute)
	in.Amphorae[0].Attempt = 9
	if got := steps[plan.AddAmphora](in); len(got) != 1 || got[0].Attempt != 0 {
		t.Errorf("after one that lasted a day: %+v", got)
	}
}

func TestAmphoraThatNeverComesUp(t *testing.T) {
	booting := func(state plan.ServerState, age time.Duration) plan.Input {
		in := standing()
		a := &in.Amphorae[0]
		a.Reported, a.Applied, a.Created, a.Started = time.Time{}, 0, noon.Add(-age), noon.Add(-age)
		in.Seen.Servers["a1"] = plan.Server{State: state, Fault: "No valid host was found."}
		in.Done[plan.ShowServer{Amphora: "a1", ID: "server-a1"}.String()] = true
		return in
	}
	for _, c := range []struct {
		state plan.ServerState
		age   time.Duration
		want  string // part of the reason, empty when it may still come
	}{
		{plan.ServerBuilding, time.Minute, ""},
		{plan.ServerActive, 4 * time.Minute, ""},
		{plan.ServerActive, 6 * time.Minute, "did not report within 5m0s"},
		{plan.ServerFailed, time.Second, "No valid host was found."},
		{plan.ServerGone, time.Second, "deleted"},
	} {
		in := booting(c.state, c.age)
		retired, reported := steps[plan.Retire](in), steps[plan.Report](in)
		if (len(retired) == 1) != (c.want != "") {
			t.Errorf("%s for %s: %v", c.state, c.age, retired)
		}
		if c.want != "" && (len(reported) != 1 || !strings.Contains(reported[0].Reason, c.want)) {
			t.Errorf("%s for %s: %v", c.state, c.age, reported)
		}
	}
	// It is remembered until the next one is there, which comes in its time.
	in := booting(plan.ServerGone, time.Minute)
	a := &in.Amphorae[0]
	a.Deleting, a.Attempt = true, 3
	for _, s := range []plan.Step{plan.Fence{Amphora: "a1"}, plan.DeleteServer{Amphora: "a1", Server: plan.Server{Name: plan.ServerName("a1")}}, plan.DeletePorts{Amphora: "a1"}} {
		in.Done[s.String()] = true
	}
	if got := steps[plan.ForgetAmphora](in); len(got) > 0 {
		t.Errorf("%v, with nobody in its place", got)
	}
	in.Now = noon.Add(10 * time.Minute)
	if got := steps[plan.AddAmphora](in); len(got) != 1 || got[0].Attempt != 4 {
		t.Errorf("after its time: %+v", got)
	}
	in.Amphorae = append(in.Amphorae, plan.Amphora{ID: "a2", Role: plan.Standalone, Attempt: 4, Created: in.Now})
	if got := steps[plan.ForgetAmphora](in); len(got) != 1 {
		t.Error("it is not forgotten when another one has its place")
	}
}

// TestImmunity16_VIPOutlivesEverything holds that nothing but the user's deletion releases the VIP: whatever is wrong, no
// plan for a load balancer that is wanted has a step that does.
func TestImmunity16_VIPOutlivesEverything(t *testing.T) {
	in := standing()
	in.Tree.LB.Failure = "the cloud is on fire"
	in.Amphorae = nil
	for range 10 {
		for _, s := range plan.Next(in) {
			switch s.(type) {
			case plan.ReleaseVIP, plan.DeleteGroup, plan.ForgetLoadBalancer:
				t.Fatalf("%s, of a load balancer that is wanted", s)
			}
			in.Done[s.String()] = true
		}
	}
	in = standing()
	in.Tree.LB.Deleting, in.Amphorae, in.Tree.LB.VipPortOwned = true, nil, false
	got := steps[plan.ReleaseVIP](in)
	if len(got) != 1 || got[0].Owned {
		t.Errorf("the port that the user brought: %+v", got)
	}
}

func TestChangesThatCostTheCloudNothing(t *testing.T) {
	in := standing()
	before := plan.Digest(in)
	for _, c := range []struct {
		name   string
		change func(*lb.Tree)
		same   bool
	}{
		{"a member's weight", func(t *lb.Tree) {
			t.Members = append(t.Members, lb.Member{Address: "192.168.21.100", Weight: 7})
		}, true},
		{"a pool", func(t *lb.Tree) { t.Pools = append(t.Pools, lb.Pool{}) }, true},
		{"administrative state", func(t *lb.Tree) { t.LB.AdminStateUp = false }, true},
		{"a new generation", func(t *lb.Tree) { t.LB.Generation++ }, true},
		{"a listener", func(t *lb.Tree) { t.Listeners = append(t.Listeners, listener("TCP", 81)) }, false},
		{"a member elsewhere", func(t *lb.Tree) { t.Members = append(t.Members, lb.Member{SubnetID: new("one")}) }, false},
		{"the user's security groups", func(t *lb.Tree) { t.LB.VipSgIDs = []string{"g"} }, false},
		{"the QoS policy", func(t *lb.Tree) { t.LB.VipQosPolicyID = new("q") }, false},
	} {
		in := standing()
		c.change(in.Tree)
		if same := plan.Digest(in) == before; same != c.same {
			t.Errorf("%s leaves the digest the same: %t", c.name, same)
		}
		in.Settled = before
		for _, s := range plan.Next(in) {
			switch s.(type) {
			case plan.SetInForce, plan.Wait:
			default:
				if c.same {
					t.Errorf("%s leads to: %s", c.name, s)
				}
			}
		}
	}
}

func TestAgentStateSaysWhatIsWanted(t *testing.T) {
	in := standing()
	deleted := lb.Meta{ID: "deleted", Deleting: true}
	in.Tree.Listeners = []lb.Listener{listener("TCP", 80), {Meta: deleted}}
	in.Tree.Listeners[0].DefaultPoolID, in.Tree.Listeners[0].OperatingStatus = new("deleted"), lb.Online
	in.Tree.Listeners[0].AllowedCidrs = []string{"10.1.2.3/8", "2001:DB8:0::/32"}
	in.Tree.Pools = []lb.Pool{{Meta: lb.Meta{ID: "pool"}}, {Meta: deleted}}
	in.Tree.Members = []lb.Member{{Meta: lb.Meta{ID: "m"}, PoolID: "pool", Address: "2001:DB8:0::0001"}, {Meta: lb.Meta{ID: "x"}, PoolID: "deleted"}, {Meta: deleted, PoolID: "pool"}}
	got, ready := plan.AgentState(in.Tree, in.Amphorae, "a1", in.Settings)
	if !ready {
		t.Fatal("not ready")
	}
	want := agentapi.State{
		Version: plan.StateVersion, Generation: 7, AmphoraID: "a1", LB: "lb", ProjectID: "p",
		Interfaces: []agentapi.Interface{{MAC: "fa:16:3e:00:00:01", MTU: 1500, VIP: true, Addresses: prefixes("192.168.21.50/24"), Gateway: addrs("192.168.21.1")}},
		VIPs:       []agentapi.VIP{{Address: prefix("192.168.21.9/24")}},
		Listeners:  []lb.Listener{listener("TCP", 80, "10.0.0.0/8", "2001:db8::/32")},
		Pools:      []lb.Pool{{Meta: lb.Meta{ID: "pool"}}},
		Members:    []agentapi.Member{{Member: lb.Member{Meta: lb.Meta{ID: "m"}, PoolID: "pool", Address: "2001:db8::1"}, PoolID: "pool"}},
	}
	if diff := cmp.Diff(want, got, comparable); diff != "" {
		t.Error(diff)
	}
}

func TestAgentIsToldNothingTooEarly(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*plan.Input)
		want   bool
	}{
		{"as it stands", func(*plan.Input) {}, true},
		{"before its port is known", func(in *plan.Input) { in.Amphorae[0].Interfaces = nil }, false},
		{"before the VIP is known", func(in *plan.Input) { in.Tree.LB.VipAddress = "" }, false},
		{"before it is in a network that members are in", func(in *plan.Input) {
			in.Tree.Members = []lb.Member{{SubnetID: new("one")}}
		}, false},
		{"if that network keeps everything else waiting", func(in *plan.Input) {
			in.Tree.Members = []lb.Member{{SubnetID: new("one")}}
			in.Tree.LB.Failure = "no more addresses in subnet one"
		}, true},
		{"when the load balancer goes", func(in *plan.Input) { in.Tree.LB.Deleting = true }, false},
		{"when it goes itself", func(in *plan.Input) { in.Amphorae[0].Deleting = true }, false},
		{"while the one before it may have the VIP", func(in *plan.Input) {
			old := plan.Amphora{ID: "old", Role: plan.Standalone, VRRPPortID: "old-vrrp", Applied: 6, Deleting: true}
			in.Amphorae = append([]plan.Amphora{old}, in.Amphorae...)
			in.Amphorae[1].Applied = 0
		}, false},
		{"when the one before it is fenced", func(in *plan.Input) {
			in.Amphorae = append([]plan.Amphora{{ID: "old", Role: plan.Standalone, Applied: 6, Deleting: true}}, in.Amphorae...)
		}, true},
	} {
		in := standing()
		c.change(&in)
		if _, ready := plan.AgentState(in.Tree, in.Amphorae, "a1", in.Settings); ready != c.want {
			t.Errorf("%s: ready is %t", c.name, ready)
		}
	}
}

func TestPairIsToldOfEachOther(t *testing.T) {
	in := standing()
	in.Tree.LB.Topology = "ACTIVE_STANDBY"
	backup := in.Amphorae[0]
	in.Amphorae[0].Role, in.Amphorae[0].Priority = plan.Master, 100
	backup.ID, backup.Role, backup.Priority = "a2", plan.Backup, 90
	vip := backup.Interfaces[0]
	vip.Addresses = prefixes("192.168.21.51/24")
	backup.Interfaces = []plan.Interface{vip}
	before := in.Amphorae
	in.Amphorae = append(before[:1:1], backup)
	got, _ := plan.AgentState(in.Tree, in.Amphorae, "a1", in.Settings)
	want := &agentapi.VRRP{RouterID: 1, Priority: 100, Interval: 1000, Join: 1000, Address: addr("192.168.21.50"), Peers: addrs("192.168.21.51"), PeerNames: []string{"a2"}}
	if diff := cmp.Diff(want, got.VRRP, comparable); diff != "" {
		t.Error(diff)
	}
	in.Amphorae[1].Applied = 0
	if got, _ := plan.AgentState(in.Tree, in.Amphorae, "a1", in.Settings); got.VRRP.Join != 0 {
		t.Error("the first one of a pair waits for one that does not serve yet")
	}
	if !plan.StateChanged(in.Tree, before, in.Amphorae, "a1", in.Settings) {
		t.Error("a new peer changes nothing for the master")
	}
	leaving := slices.Clone(in.Amphorae)
	leaving[1].Deleting = true
	if plan.StateChanged(in.Tree, in.Amphorae, leaving, "a1", in.Settings) {
		t.Error("the master does not listen any more to a backup that stands down")
	}
	fenced := slices.Clone(leaving)
	fenced[1].VRRPPortID, fenced[1].Interfaces = "", nil
	if !plan.StateChanged(in.Tree, leaving, fenced, "a1", in.Settings) {
		t.Error("a backup that is off the network is still the master's peer")
	}
	if plan.Unheard(in.Tree, in.Amphorae, "a2") {
		t.Error("the backup waits for a master that knows it")
	}
	in.Tree.LB.Generation++ // as it does with the new peer
	if !plan.Unheard(in.Tree, in.Amphorae, "a2") {
		t.Error("the backup begins before the master knows it")
	}
	if plan.Unheard(in.Tree, in.Amphorae, "a1") {
		t.Error("the one that serves waits for the one that does not")
	}
	in.Amphorae[0].Applied = 0
	if plan.Unheard(in.Tree, in.Amphorae, "a1") || plan.Unheard(in.Tree, in.Amphorae, "a2") {
		t.Error("two that begin together wait for each other")
	}
	if plan.StateChanged(in.Tree, in.Amphorae, in.Amphorae, "a1", in.Settings) {
		t.Error("nothing changed, and yet")
	}
}

func TestAgentThatRefusesIsTheReason(t *testing.T) {
	in := standing()
	a := &in.Amphorae[0]
	a.Applied, a.FailedGen, a.Failure = 6, 7, "haproxy says no"
	reported := steps[plan.Report](in)
	if len(reported) != 0 {
		t.Errorf("before the cloud is right: %v", reported)
	}
	in.Settled = plan.Digest(in)
	reported = steps[plan.Report](in)
	if len(reported) != 1 || !reported[0].User || reported[0].Reason != "amphora a1 cannot apply generation 7: haproxy says no" {
		t.Errorf("%+v", reported)
	}
	if added := steps[plan.AddAmphora](in); len(added) > 0 {
		t.Errorf("what the configuration causes is not cured by another amphora: %v", added)
	}
}

func TestAgentThatNeverAppliesIsReported(t *testing.T) {
	in := standing()
	in.Amphorae[0].Applied = 6
	for after, want := range map[time.Duration]bool{time.Minute: false, 3 * time.Minute: true} {
		in.Now = noon.Add(after)
		in.Amphorae[0].Reported = in.Now
		if got := steps[plan.Report](in); (len(got) == 1) != want {
			t.Errorf("after %s: %v", after, got)
		}
		if len(steps[plan.Wait](in)) == 0 {
			t.Errorf("after %s nobody looks again", after)
		}
	}
}

func ExampleNext() {
	in := standing()
	in.Tree.Listeners = append(in.Tree.Listeners, listener("HTTP", 80))
	in.Tree.LB.Generation++
	in.Seen = plan.Seen{Servers: map[string]plan.Server{}, Subnets: map[string]plan.Subnet{}}
	for _, step := range plan.Next(in) {
		fmt.Println(step)
	}
	// Output:
	// ensure security group lb-lb
	// read subnet vip
	// wait for amphora a1 to apply what is wanted
}
