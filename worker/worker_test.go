package worker_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/cloud"
	"github.com/octavo-lb/octavo/cloud/cloudfake"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/plan"
	"github.com/octavo-lb/octavo/secrets"
	"github.com/octavo-lb/octavo/store"
	"github.com/octavo-lb/octavo/store/storetest"
	"github.com/octavo-lb/octavo/worker"
)

const project = "22222222222222222222222222222222"

// bench is a worker with a real store and a cloud that a test makes fail, on a clock that the test moves.
type bench struct {
	*testing.T
	worker  *worker.Worker
	options worker.Options
	store   *store.Store
	fake    *cloudfake.Cloud
	now     atomic.Int64
	live    bool // on the machine's clock instead
	refuse  func(call string) error
	network string
	subnet  string
	other   string
}

func newBench(t *testing.T) *bench {
	b := &bench{T: t}
	b.now.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	b.store = storetest.Open(t, store.Options{Clock: b.clock})
	b.fake = cloudfake.New(cloudfake.Options{Clock: b.clock, TokenLifetime: 1000 * time.Hour, Before: func(_ context.Context, call string) error {
		if b.refuse == nil {
			return nil
		}
		return b.refuse(call)
	}})
	network, subnets := b.fake.AddNetwork(cloudfake.Network{Project: project, Subnets: []cloudfake.Subnet{{CIDR: "192.168.21.0/24", Gateway: "192.168.21.1"}}})
	_, others := b.fake.AddNetwork(cloudfake.Network{Project: project, Subnets: []cloudfake.Subnet{{CIDR: "10.5.0.0/16"}}})
	management, _ := b.fake.AddNetwork(cloudfake.Network{Project: cloudfake.ServiceProject, Subnets: []cloudfake.Subnet{{CIDR: "172.16.0.0/22"}}})
	b.network, b.subnet, b.other = network, subnets[0], others[0]
	b.fake.AddImage(cloudfake.ServiceProject, "octavia-amphora")
	b.options = worker.Options{Store: b.store, Cloud: b.fake.Client(), CA: authorities{}, Controllers: []string{"https://controller:9443"}, Clock: b.clock,
		Rand:     func() float64 { return 0.5 },
		Settings: plan.Settings{ManagementNetwork: management, FlavorID: "amphora", Image: plan.Image{Tag: "octavia-amphora"}}.WithDefaults()}
	b.worker = worker.New(b.options)
	return b
}

type authorities struct{}

func (authorities) EnrolToken(id string, expiry time.Time) (secrets.Secret, string) {
	token := fmt.Sprint(id, ".", expiry.Unix())
	sum := sha256.Sum256([]byte(token))
	return secrets.New(token), hex.EncodeToString(sum[:])
}

func (authorities) Trust() agentapi.Trust { return agentapi.Trust{ServerCA: "the CA"} }

func (b *bench) clock() time.Time {
	if b.live {
		return time.Now()
	}
	return time.Unix(0, b.now.Load()).UTC()
}

func (b *bench) pass(d time.Duration) { b.now.Add(int64(d)) }
func (b *bench) ok(err error)         { b.Helper(); b.must(err == nil, "%v", err) }
func (b *bench) must(ok bool, f string, args ...any) {
	b.Helper()
	if !ok {
		b.Fatalf(f, args...)
	}
}

// create stores a load balancer as the API does.
func (b *bench) create() string {
	b.Helper()
	o := &lb.LoadBalancer{Meta: lb.Meta{ID: uuid.NewString(), ProjectID: project, AdminStateUp: true, Tags: []string{}}, Topology: "SINGLE",
		VipNetworkID: &b.network, VipSubnetID: &b.subnet, VipPortOwned: true, VipVnicType: "normal", AdditionalVips: []lb.VIP{}}
	b.write(func(tx *store.Tx) error { return store.Insert(b.Context(), tx, o) })
	return o.ID
}

func (b *bench) write(fn func(tx *store.Tx) error) {
	b.Helper()
	b.ok(b.store.Write(b.Context(), fn))
}

// change writes below a load balancer.
func (b *bench) change(id string, fn func(tx *store.Tx, t *lb.Tree) error) {
	b.Helper()
	b.write(func(tx *store.Tx) error {
		t, err := tx.LockTree(b.Context(), id)
		if err != nil {
			return err
		}
		return fn(tx, t)
	})
}

// work does what is due, and tells how many runs that took.
func (b *bench) work() int {
	b.Helper()
	for n := 0; ; n++ {
		lease, err := b.store.Acquire(b.Context(), "worker", 2*time.Minute)
		if errors.Is(err, store.ErrNothingDue) {
			return n
		}
		b.ok(err)
		b.must(n < 50, "there is no end to what is due")
		b.worker.Work(b.Context(), lease)
	}
}

// report lets the agents of a load balancer apply what they are told, and report.
func (b *bench) report(id string) {
	b.Helper()
	rows, err := b.store.Amphorae(b.Context(), id)
	b.ok(err)
	for _, a := range rows {
		tree, err := b.store.Tree(b.Context(), id)
		b.ok(err)
		state, ready, err := worker.BuildState(b.options.Settings)(tree, rows, a.ID)
		b.ok(err)
		if a.Deleting || a.ComputeID == "" {
			continue
		}
		r := agentapi.Report{Sequence: a.Sequence + 1, Boot: "boot", Time: b.clock(), Applied: a.AppliedGeneration}
		if ready {
			r.Applied = state.Generation
		}
		b.change(id, func(tx *store.Tx, _ *lb.Tree) error {
			tx.Wake()
			return tx.Report(b.Context(), a.ID, r)
		})
	}
}

// settle works and reports until nothing is due.
func (b *bench) settle(id string) {
	b.Helper()
	for range 10 {
		b.work()
		b.report(id)
	}
	b.work()
}

func (b *bench) balancer(id string) lb.LoadBalancer {
	b.Helper()
	o, err := store.Get[lb.LoadBalancer](b.Context(), b.store, id)
	b.ok(err)
	return o
}

func (b *bench) progress(id string) store.Progress {
	b.Helper()
	p, err := b.store.Progress(b.Context(), id)
	b.ok(err)
	return p
}

func (b *bench) amphora(id string) store.Amphora {
	b.Helper()
	rows, err := b.store.Amphorae(b.Context(), id)
	b.ok(err)
	b.must(len(rows) == 1, "%d amphorae", len(rows))
	return rows[0]
}

func TestLoadBalancerComesAndGoes(t *testing.T) {
	b := newBench(t)
	id := b.create()
	b.work()
	a := b.amphora(id)
	instances := b.fake.Instances()
	b.must(len(instances) == 1 && instances[0].ID == a.ComputeID, "instances %v", instances)
	var boot agentapi.Boot
	b.ok(json.Unmarshal(instances[0].UserData, &boot))
	token, hash := authorities{}.EnrolToken(a.ID, *a.EnrolExpiry)
	want := agentapi.Boot{AmphoraID: a.ID, Controllers: []string{"https://controller:9443"}, ServerName: "octavo-controller", Trust: agentapi.Trust{ServerCA: "the CA"},
		Token: token.Reveal(), TokenExpiry: *a.EnrolExpiry}
	b.must(boot.AmphoraID == want.AmphoraID && slices.Equal(boot.Controllers, want.Controllers) && boot.ServerName == want.ServerName &&
		boot.Token == want.Token && boot.TokenExpiry.Equal(want.TokenExpiry), "boots with %+v, want %+v", boot, want)
	b.must(a.EnrolHash == hash, "the stored hash is not the token's")
	b.must(len(a.Interfaces) == 1 && a.Interfaces[0].VIP && a.VRRPIP != "" && a.LBNetworkIP != "", "amphora %+v", a)

	b.settle(id)
	o := b.balancer(id)
	b.must(o.ProvisioningStatus == lb.Active && o.VipAddress != "", "%s with %q: %s", o.ProvisioningStatus, o.VipAddress, o.Failure)
	b.must(b.work() == 0, "something is due when nothing is to be done")

	b.write(func(tx *store.Tx) error {
		if _, err := tx.Lock(t.Context(), id); err != nil {
			return err
		}
		return store.Delete[lb.LoadBalancer](t.Context(), tx, id)
	})
	b.work()
	_, err := b.store.Progress(t.Context(), id)
	b.must(errors.Is(err, store.ErrNotFound), "after the deletion: %v", err)
	for _, collection := range []string{"ports", "security-groups", "servers"} {
		b.must(len(b.fake.Objects(collection)) == 0, "%s are left: %v", collection, b.fake.Objects(collection))
	}
}

func TestChangedWeightCostsTheCloudNothing(t *testing.T) {
	b := newBench(t)
	id := b.create()
	b.settle(id)
	pool := lb.Pool{Meta: lb.Meta{ID: uuid.NewString(), ProjectID: project, AdminStateUp: true}, LoadBalancerID: id, Protocol: "HTTP", LBAlgorithm: "ROUND_ROBIN"}
	before := b.fake.Calls()
	b.change(id, func(tx *store.Tx, _ *lb.Tree) error { return store.Insert(t.Context(), tx, &pool) })
	b.settle(id)
	b.must(b.balancer(id).ProvisioningStatus == lb.Active, "%+v", b.progress(id))
	for call, n := range b.fake.Calls() {
		b.must(n == before[call], "%d more of %s", n-before[call], call)
	}
	// Somebody else was at work in between: all is looked at again.
	b.write(func(tx *store.Tx) error {
		_, err := tx.Lock(t.Context(), id)
		tx.Wake()
		return err
	})
	lease, err := b.store.Acquire(t.Context(), "another", time.Minute)
	b.ok(err)
	b.ok(lease.Release(t.Context(), b.clock()))
	b.work()
	b.must(b.fake.Calls()["GET ports"] > before["GET ports"], "nothing was looked at after another worker had the lease")
}

func TestMembersElsewhere(t *testing.T) {
	b := newBench(t)
	id := b.create()
	b.settle(id)
	pool := lb.Pool{Meta: lb.Meta{ID: uuid.NewString(), ProjectID: project, AdminStateUp: true}, LoadBalancerID: id, Protocol: "HTTP", LBAlgorithm: "ROUND_ROBIN"}
	member := lb.Member{Meta: lb.Meta{ID: uuid.NewString(), ProjectID: project, AdminStateUp: true}, PoolID: pool.ID, Address: "10.5.0.9", ProtocolPort: 80, SubnetID: &b.other}
	b.change(id, func(tx *store.Tx, _ *lb.Tree) error {
		if err := store.Insert(t.Context(), tx, &pool); err != nil {
			return err
		}
		return store.Insert(t.Context(), tx, &member)
	})
	b.settle(id)
	a := b.amphora(id)
	b.must(len(a.Interfaces) == 2 && a.Interfaces[1].Attached && len(a.Interfaces[1].Addresses) == 1, "interfaces %+v", a.Interfaces)
	b.must(b.balancer(id).ProvisioningStatus == lb.Active, "%+v", b.progress(id))

	b.change(id, func(tx *store.Tx, _ *lb.Tree) error { return store.Delete[lb.Member](t.Context(), tx, member.ID) })
	b.work()
	b.must(len(b.amphora(id).Interfaces) == 2, "unplugged before the agent let go of it")
	b.settle(id)
	b.must(len(b.amphora(id).Interfaces) == 2 && b.balancer(id).ProvisioningStatus == lb.PendingUpdate, "unplugged at once, or in force before")
	b.pass(6 * time.Second)
	b.settle(id)
	b.must(len(b.amphora(id).Interfaces) == 1, "not unplugged")
	b.must(len(b.fake.Objects("ports")) == 3, "ports %v", b.fake.Objects("ports"))
	b.must(b.balancer(id).ProvisioningStatus == lb.Active, "%+v", b.progress(id))
}

// TestSubnetThatIsLeftInANetworkThatIsKept removes the last member of one subnet while another subnet of the same network keeps
// one: the port keeps its address in the first as long as requests may be under way from it.
func TestSubnetThatIsLeftInANetworkThatIsKept(t *testing.T) {
	b := newBench(t)
	_, subnets := b.fake.AddNetwork(cloudfake.Network{Project: project, Subnets: []cloudfake.Subnet{{CIDR: "10.7.0.0/24"}, {CIDR: "fd00:7::/64"}}})
	first, second := subnets[0], subnets[1]
	id := b.create()
	b.settle(id)
	pool := lb.Pool{Meta: lb.Meta{ID: uuid.NewString(), ProjectID: project, AdminStateUp: true}, LoadBalancerID: id, Protocol: "HTTP", LBAlgorithm: "ROUND_ROBIN"}
	members := []lb.Member{
		{Meta: lb.Meta{ID: uuid.NewString(), ProjectID: project, AdminStateUp: true}, PoolID: pool.ID, Address: "10.7.0.9", ProtocolPort: 80, SubnetID: &first},
		{Meta: lb.Meta{ID: uuid.NewString(), ProjectID: project, AdminStateUp: true}, PoolID: pool.ID, Address: "fd00:7::9", ProtocolPort: 80, SubnetID: &second},
	}
	b.change(id, func(tx *store.Tx, _ *lb.Tree) error {
		return errors.Join(store.Insert(t.Context(), tx, &pool), store.Insert(t.Context(), tx, &members[0]), store.Insert(t.Context(), tx, &members[1]))
	})
	b.settle(id)
	addresses := func() int { return len(b.amphora(id).Interfaces[1].Addresses) }
	b.must(addresses() == 2, "interfaces %+v", b.amphora(id).Interfaces)

	b.change(id, func(tx *store.Tx, _ *lb.Tree) error { return store.Delete[lb.Member](t.Context(), tx, members[0].ID) })
	b.work()
	b.must(addresses() == 2, "the address is gone before the agent let go of it: %+v", b.amphora(id).Interfaces)
	b.settle(id)
	b.must(addresses() == 2 && b.balancer(id).ProvisioningStatus == lb.PendingUpdate, "the address is gone at once: %+v", b.amphora(id).Interfaces)
	b.pass(6 * time.Second)
	b.settle(id)
	b.must(addresses() == 1 && b.balancer(id).ProvisioningStatus == lb.Active, "it was not given up: %+v", b.amphora(id).Interfaces)
}

// TestFailuresAreShown says which failures users see, when, and that they are gone when they are over.
func TestFailuresAreShown(t *testing.T) {
	for _, c := range []struct {
		name    string
		refusal error
		at      time.Duration // from when on it is shown
		text    string
	}{
		{"a quota, at once", &cloudfake.Refusal{Status: 409, Type: "OverQuota", Message: "Quota exceeded for resources: ['port']."}, 0, "Quota exceeded"},
		{"an address in use, at once", &cloudfake.Refusal{Status: 409, Type: "IpAddressAlreadyAllocated", Message: "IP address already allocated"}, 0, "already allocated"},
		{"what Neutron calls invalid, at once", &cloudfake.Refusal{Status: 400, Type: "InvalidInput", Message: "Invalid input"}, 0, "Invalid input"},
		{"an outage, after a minute", errors.New("connection refused"), time.Minute, "connection refused"},
		{"an error of the server, after a minute", &cloudfake.Refusal{Status: 500, Message: "Unexpected API Error."}, time.Minute, "Unexpected API Error"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			b.refuse = func(call string) error {
				if call == "POST /network/v2.0/ports" {
					return c.refusal
				}
				return nil
			}
			id := b.create()
			began := b.clock()
			for b.clock().Sub(began) < 3*time.Minute {
				b.work()
				o, after := b.balancer(id), b.clock().Sub(began)
				shown := o.ProvisioningStatus == lb.ProvError
				b.must(shown == strings.Contains(o.Failure, c.text), "status %s with %q", o.ProvisioningStatus, o.Failure)
				if after < c.at && shown || after > c.at+40*time.Second && !shown {
					t.Errorf("after %s the status is %s", after, o.ProvisioningStatus)
				}
				p := b.progress(id)
				b.must(p.DueAt != nil && p.DueAt.After(b.clock()), "when it is tried again: %v", p.DueAt)
				b.pass(time.Second)
			}
			p := b.progress(id)
			b.must(p.NextTryAt != nil && p.NextTryAt.After(b.clock()), "the time of the next try that is shown: %v", p.NextTryAt)
			b.refuse = nil
			b.pass(20 * time.Minute)
			b.settle(id)
			o := b.balancer(id)
			b.must(o.ProvisioningStatus == lb.Active && o.Failure == "", "when it is over: %s, %q", o.ProvisioningStatus, o.Failure)
		})
	}
}

func TestRetriesSlowDownAndAChangeIsTriedAtOnce(t *testing.T) {
	b := newBench(t)
	tries := 0
	b.refuse = func(call string) error {
		if call == "POST /network/v2.0/ports" {
			tries++
			return &cloudfake.Refusal{Status: 400, Type: "InvalidInput", Message: "no"}
		}
		return nil
	}
	id := b.create()
	for range 3600 {
		b.work()
		b.pass(time.Second)
	}
	b.must(tries > 5 && tries < 40, "%d tries in an hour", tries)
	before := tries
	b.change(id, func(tx *store.Tx, t *lb.Tree) error { return store.Update(b.Context(), tx, &t.LB) })
	b.work()
	b.must(tries > before, "a change waits for the next try")
}

// TestImmunity06_WorkerThatLostItsLease stands still in the middle of a run until another worker has done the job; what it
// then writes is refused, and it stops.
func TestImmunity06_WorkerThatLostItsLease(t *testing.T) {
	b := newBench(t)
	id := b.create()
	slow, err := b.store.Acquire(t.Context(), "slow", time.Minute)
	b.ok(err)
	stopped := false
	b.refuse = func(call string) error {
		if stopped || call != "POST /compute/v2.1/servers" {
			return nil
		}
		stopped = true
		b.pass(5 * time.Minute)
		b.work() // the other worker
		return nil
	}
	worker.New(b.options).Work(t.Context(), slow)
	b.must(stopped, "no instance was asked for")
	b.settle(id)
	b.must(b.balancer(id).ProvisioningStatus == lb.Active, "%+v", b.progress(id))
	b.must(len(b.fake.Objects("servers")) == 1, "instances %v", b.fake.Objects("servers"))
	err = slow.Write(t.Context(), func(*store.Tx) error { return nil })
	b.must(errors.Is(err, store.ErrFenced), "a write with the lost lease: %v", err)
}

// TestImmunity14_DeletionWithEverythingMissing deletes load balancers of which something was taken away before.
func TestImmunity14_DeletionWithEverythingMissing(t *testing.T) {
	for _, c := range []struct{ collection, name string }{
		{"ports", plan.VIPPortName("LB")}, {"ports", plan.VRRPPortName("AMPHORA")}, {"ports", plan.ManagementPortName("AMPHORA")},
		{"security-groups", plan.GroupName("LB")}, {"servers", plan.ServerName("AMPHORA")}, {"subnets", "SUBNET"}, {"networks", "NETWORK"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			id := b.create()
			b.settle(id)
			name := strings.NewReplacer("LB", id, "AMPHORA", b.amphora(id).ID, "SUBNET", b.subnet, "NETWORK", b.network).Replace(c.name)
			b.fake.Drop(c.collection, name)
			b.change(id, func(tx *store.Tx, _ *lb.Tree) error { return store.Delete[lb.LoadBalancer](t.Context(), tx, id) })
			for range 3 {
				b.work()
				b.pass(5 * time.Second)
			}
			_, err := b.store.Progress(t.Context(), id)
			b.must(errors.Is(err, store.ErrNotFound), "it is still there: %v", err)
			for _, collection := range []string{"ports", "security-groups", "servers"} {
				b.must(len(b.fake.Objects(collection)) == 0, "%s are left: %v", collection, b.fake.Objects(collection))
			}
		})
	}
}

// TestImmunity08_OneBadNetworkHarmsNothingElse keeps a member's network from being plugged, and changes something else.
func TestImmunity08_OneBadNetworkHarmsNothingElse(t *testing.T) {
	b := newBench(t)
	id := b.create()
	b.settle(id)
	b.fake.Drop("subnets", b.other)
	pool := lb.Pool{Meta: lb.Meta{ID: uuid.NewString(), ProjectID: project, AdminStateUp: true}, LoadBalancerID: id, Protocol: "HTTP", LBAlgorithm: "ROUND_ROBIN"}
	member := lb.Member{Meta: lb.Meta{ID: uuid.NewString(), ProjectID: project, AdminStateUp: true}, PoolID: pool.ID, Address: "10.5.0.9", ProtocolPort: 80, SubnetID: &b.other}
	b.change(id, func(tx *store.Tx, _ *lb.Tree) error {
		if err := store.Insert(t.Context(), tx, &pool); err != nil {
			return err
		}
		return store.Insert(t.Context(), tx, &member)
	})
	b.settle(id)
	o := b.balancer(id)
	b.must(o.ProvisioningStatus == lb.ProvError && strings.Contains(o.Failure, "subnet "+b.other), "%s: %q", o.ProvisioningStatus, o.Failure)
	b.must(b.amphora(id).AppliedGeneration == o.Generation, "the agent is at %d of %d", b.amphora(id).AppliedGeneration, o.Generation)
	b.change(id, func(tx *store.Tx, _ *lb.Tree) error { return store.Delete[lb.Member](t.Context(), tx, member.ID) })
	b.settle(id)
	b.must(b.balancer(id).ProvisioningStatus == lb.Active, "without the member: %+v", b.progress(id))
}

// TestImmunity15_LostAnswerOfCreate loses the answer to the making of the instance; it is found and used.
func TestImmunity15_LostAnswerOfCreate(t *testing.T) {
	b := newBench(t)
	lost := false
	b.fake = cloudfakeWithAfter(b, func(call string) error {
		if !lost && call == "POST /compute/v2.1/servers" {
			lost = true
			return errors.New("connection reset by peer")
		}
		return nil
	})
	id := b.create()
	b.work()
	b.must(lost, "no instance was asked for")
	hash := b.amphora(id).EnrolHash
	b.pass(3 * time.Second)
	b.settle(id)
	b.must(b.balancer(id).ProvisioningStatus == lb.Active, "%+v", b.progress(id))
	b.must(len(b.fake.Objects("servers")) == 1 && b.amphora(id).EnrolHash == hash, "the instance that was made cannot enrol")
}

// cloudfakeWithAfter is the bench's cloud anew, with an After.
func cloudfakeWithAfter(b *bench, after func(string) error) *cloudfake.Cloud {
	fake := cloudfake.New(cloudfake.Options{Clock: b.clock, TokenLifetime: 1000 * time.Hour, After: after})
	network, subnets := fake.AddNetwork(cloudfake.Network{Project: project, Subnets: []cloudfake.Subnet{{CIDR: "192.168.21.0/24"}}})
	management, _ := fake.AddNetwork(cloudfake.Network{Project: cloudfake.ServiceProject, Subnets: []cloudfake.Subnet{{CIDR: "172.16.0.0/22"}}})
	fake.AddImage(cloudfake.ServiceProject, "octavia-amphora")
	b.network, b.subnet = network, subnets[0]
	b.options.Cloud, b.options.Settings.ManagementNetwork = fake.Client(), management
	b.worker = worker.New(b.options)
	return fake
}

// swamp swallows what is asked about one subnet.
type swamp struct {
	http.RoundTripper
	subnet  string
	drowned *atomic.Int64
}

func (s swamp) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.Contains(r.URL.Path, s.subnet) {
		s.drowned.Add(1)
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return s.RoundTripper.RoundTrip(r)
}

// TestImmunity09_OthersAreServedBesideAnOutage keeps three times as many load balancers as there are workers waiting for
// a part of the cloud that never answers. One that does not need that part is made without delay.
func TestImmunity09_OthersAreServedBesideAnOutage(t *testing.T) {
	b := newBench(t)
	b.live = true
	o := b.fake.ClientOptions()
	var drowned atomic.Int64
	o.Transport, o.Timeout = swamp{o.Transport, b.other, &drowned}, 2*time.Second
	b.options.Cloud, b.options.Workers = cloud.New(o), 4
	go worker.New(b.options).Run(t.Context())
	good := b.subnet
	b.subnet = b.other
	other, err := b.options.Cloud.Subnet(t.Context(), good)
	b.ok(err)
	for range 12 {
		b.network = b.fake.NetworkOf(b.other)
		b.create()
	}
	for drowned.Load() < 14 { // all have failed once
		time.Sleep(10 * time.Millisecond)
	}
	b.subnet, b.network = good, other.NetworkID
	for range 3 {
		began, before := time.Now(), len(b.fake.Instances())
		b.create()
		for len(b.fake.Instances()) == before {
			b.must(time.Since(began) < 10*time.Second, "no instance")
			time.Sleep(5 * time.Millisecond)
		}
		b.must(time.Since(began) < 1500*time.Millisecond, "an instance after %s", time.Since(began))
	}
}

// TestRunWakesForEveryChange starts a worker as the product does, with the machine's clock.
func TestRunWakesForEveryChange(t *testing.T) {
	b := newBench(t)
	b.live = true
	start := time.Now()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- worker.New(b.options).Run(ctx) }()
	var ids []string
	for range 20 {
		ids = append(ids, b.create())
	}
	for _, id := range ids {
		for b.balancer(id).ProvisioningStatus != lb.Active {
			b.must(time.Since(start) < 20*time.Second, "%s is %+v", id, b.progress(id))
			b.report(id)
			time.Sleep(5 * time.Millisecond)
		}
	}
	t.Logf("20 load balancers after %s", time.Since(start))
	stop()
	b.ok(<-done)
}

// TestNoMoreAreBuiltAtOnceThanMayBe makes more load balancers than may be built at once, one of which cannot be.
func TestNoMoreAreBuiltAtOnceThanMayBe(t *testing.T) {
	b := newBench(t)
	b.options.Builds = 2
	b.worker = worker.New(b.options)
	var ids []string
	for range 5 {
		ids = append(ids, b.create())
	}
	started := func() (on []string) {
		for _, id := range ids {
			rows, err := b.store.Amphorae(t.Context(), id)
			b.ok(err)
			for _, a := range rows {
				if a.ComputeID != "" && a.LastReportAt == nil {
					on = append(on, id)
				}
			}
		}
		return on
	}
	active := 0
	for round := 0; active < len(ids); round++ {
		b.must(round < 10, "%d of %d are ACTIVE after %d rounds", active, len(ids), round)
		b.work()
		on := started()
		b.must(len(on) == min(2, len(ids)-active), "%d are being built after %d came up", len(on), active)
		for _, id := range ids {
			if failure := b.balancer(id).Failure; failure != "" {
				t.Errorf("waiting for others is shown as a failure: %s", failure)
			}
		}
		for _, id := range on {
			b.report(id)
			active++
		}
		b.pass(3 * time.Second)
	}
	for _, id := range ids {
		b.settle(id)
	}

	// What the cloud refuses holds no place.
	b.refuse = func(call string) error {
		if call == "POST /compute/v2.1/servers" {
			return &cloudfake.Refusal{Status: 400, Type: "badRequest", Message: "no"}
		}
		return nil
	}
	for range 3 {
		ids = append(ids, b.create())
	}
	b.work()
	b.refuse = nil
	b.pass(10 * time.Second)
	b.work()
	b.must(len(started()) == 2, "after the cloud refused some, %d are being built", len(started()))
}
