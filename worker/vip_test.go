package worker_test

import (
	"testing"
	"time"

	"github.com/octavo-lb/octavo/cloud"
	"github.com/octavo-lb/octavo/housekeeping"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/plan"
	"github.com/octavo-lb/octavo/worker"
)

// TestVIPPortThatOthersTakeIsTakenBack plugs the VIP port into an instance of its owner's, which the compute service refuses
// as long as the port is the service's device. The owner may change that; the next sweep finds it out, and the worker takes
// the port back.
func TestVIPPortThatOthersTakeIsTakenBack(t *testing.T) {
	b := newBench(t)
	b.options.VerifyAfter = time.Second
	b.worker = worker.New(b.options)
	id := b.create()
	b.settle(id)
	client := b.fake.Client()
	keeper := housekeeping.New(housekeeping.Options{Store: b.store, Cloud: client, Clock: b.clock})
	name, vip := plan.VIPPortName(id), *b.balancer(id).VipPortID
	theirs, err := client.CreateServer(t.Context(), plan.Server{Name: "theirs", FlavorID: "m1", Image: b.options.Settings.Image,
		PortIDs: []string{b.port("theirs").ID}}, nil)
	b.ok(err)
	protected := func() {
		t.Helper()
		p, err := client.Port(t.Context(), vip)
		b.ok(err)
		b.must(p.DeviceOwner == plan.Owner && p.DeviceID == plan.VIPDeviceID(id) && p.Down, "the VIP port is that of %s %s", p.DeviceOwner, p.DeviceID)
		err = client.AttachPort(t.Context(), theirs.ID, vip)
		b.must(cloud.KindOf(err) == cloud.Invalid, "the VIP port can be plugged into another instance: %v", err)
	}
	protected()
	for what, change := range map[string]map[string]any{
		"belongs to nothing":        {"device_id": "", "device_owner": ""},
		"is in an instance":         {"device_id": theirs.ID, "device_owner": "compute:nova", "admin_state_up": true},
		"has another kind of owner": {"device_owner": "network:dhcp"},
	} {
		b.fake.SetPort(name, change)
		b.pass(2 * b.options.VerifyAfter)
		b.ok(keeper.SweepCloud(t.Context()))
		b.must(b.work() > 0, "nobody looks after a VIP port that %s", what)
		protected()
	}
	b.must(b.balancer(id).ProvisioningStatus == lb.Active, "the load balancer is %s", b.balancer(id).ProvisioningStatus)
}

// port is one of the project's own.
func (b *bench) port(name string) plan.Port {
	b.Helper()
	p, err := b.fake.Client().EnsurePort(b.Context(), plan.Port{Name: name, ProjectID: project, NetworkID: b.network})
	b.ok(err)
	return p
}
