package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/listeners"
	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/loadbalancers"
	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/pools"
)

// TestKilledControllerLosesNothing kills the service while requests run and a load balancer is half made.
func TestKilledControllerLosesNothing(t *testing.T) {
	o := start(t)
	n := o.tenant(t)
	n.server("web1", "192.168.21.100")
	n.server("web2", "192.168.21.101")
	lb := n.full("serving", "192.168.21.100", "192.168.21.101")
	url := n.floatingIP(lb.VipPortID)
	n.active(lb.ID)
	client := &http.Client{Timeout: 5 * time.Second}
	eventually(t, 20*time.Second, "both answer", func() error { return served(client, url, "web1", "web2") })

	tr := send(t, url, 4)
	var half []string
	for i := range 5 {
		half = append(half, n.full(fmt.Sprint("half", i), "192.168.21.100").ID)
		time.Sleep(time.Duration(i) * 30 * time.Millisecond)
	}
	o.stop(t, syscall.SIGKILL)
	sentAtKill := tr.sent.Load()
	time.Sleep(2 * time.Second)
	if tr.sent.Load()-sentAtKill < 100 {
		t.Errorf("only %d requests were served while no controller ran", tr.sent.Load()-sentAtKill)
	}
	o.run(t)
	n = o.tenant(t)
	for _, id := range half {
		n.active(id)
	}
	n.active(lb.ID)
	_, err := pools.CreateMember(n.cx, n.c.lb, n.poolOf(lb.ID), pools.CreateMemberOpts{Address: "192.168.21.102", ProtocolPort: 80}).Extract()
	n.ok(err)
	n.active(lb.ID)
	tr.mustNotHaveFailed(t, 2000)
	for _, id := range append(half, lb.ID) {
		n.ok(loadbalancers.Delete(n.cx, n.c.lb, id, loadbalancers.DeleteOpts{Cascade: true}).ExtractErr())
	}
	for _, id := range append(half, lb.ID) {
		n.gone(id)
	}
}

func (n *tenant) poolOf(lbID string) string {
	n.t.Helper()
	lb, err := loadbalancers.Get(n.cx, n.c.lb, lbID).Extract()
	n.ok(err)
	return lb.Pools[0].ID
}

// TestChangesUnderLoadFailNoRequest adds and removes members and listeners and changes weights while requests run.
func TestChangesUnderLoadFailNoRequest(t *testing.T) {
	o := start(t)
	n := o.tenant(t)
	for i := range 3 {
		n.server(fmt.Sprint("web", i), fmt.Sprint("192.168.21.10", i))
	}
	lb := n.full("busy", "192.168.21.100", "192.168.21.101")
	url := n.floatingIP(lb.VipPortID)
	n.active(lb.ID)
	client := &http.Client{Timeout: 5 * time.Second}
	eventually(t, 20*time.Second, "both answer", func() error { return served(client, url, "web0", "web1") })

	pool := n.poolOf(lb.ID)
	tr := send(t, url, 8)
	for i := range 10 {
		m, err := pools.CreateMember(n.cx, n.c.lb, pool, pools.CreateMemberOpts{Address: "192.168.21.102", ProtocolPort: 80}).Extract()
		n.ok(err)
		n.active(lb.ID)
		l, err := listeners.Create(n.cx, n.c.lb, listeners.CreateOpts{LoadbalancerID: lb.ID, Protocol: listeners.ProtocolTCP, ProtocolPort: 1000 + i}).Extract()
		n.ok(err)
		weight := i
		_, err = pools.UpdateMember(n.cx, n.c.lb, pool, m.ID, pools.UpdateMemberOpts{Weight: &weight}).Extract()
		n.ok(err)
		n.active(lb.ID)
		n.ok(pools.DeleteMember(n.cx, n.c.lb, pool, m.ID).ExtractErr())
		n.ok(listeners.Delete(n.cx, n.c.lb, l.ID).ExtractErr())
		n.active(lb.ID)
	}
	tr.mustNotHaveFailed(t, 20000)
}

// TestHundredAtOnce creates a hundred load balancers from twenty clients at the same time.
func TestHundredAtOnce(t *testing.T) {
	o := start(t)
	n := o.tenant(t)
	began := time.Now()
	var mu sync.Mutex
	var ids []string
	var wg sync.WaitGroup
	for c := range 20 {
		wg.Go(func() {
			for i := range 5 {
				lb, err := loadbalancers.Create(n.cx, n.c.lb, n.fullOpts(fmt.Sprintf("lb-%d-%d", c, i), "192.168.21.100")).Extract()
				if err != nil {
					t.Errorf("create: %v", err)
					return
				}
				mu.Lock()
				ids = append(ids, lb.ID)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	t.Logf("%d created after %v", len(ids), time.Since(began).Round(time.Millisecond))
	eventually(t, 3*time.Minute, "all are ACTIVE", func() error { return n.allActive(ids) })
	t.Logf("all ACTIVE after %v", time.Since(began).Round(time.Millisecond))
}

func (n *tenant) allActive(ids []string) error {
	pages, err := loadbalancers.List(n.c.lb, loadbalancers.ListOpts{}).AllPages(n.cx)
	if err != nil {
		return err
	}
	all, err := loadbalancers.ExtractLoadBalancers(pages)
	if err != nil {
		return err
	}
	active := 0
	for _, lb := range all {
		if lb.ProvisioningStatus == "ERROR" {
			n.t.Fatalf("load balancer %s is in ERROR", lb.ID)
		}
		if lb.ProvisioningStatus == "ACTIVE" && slices.Contains(ids, lb.ID) {
			active++
		}
	}
	if active != len(ids) {
		return fmt.Errorf("%d of %d are", active, len(ids))
	}
	return nil
}

// TestKeepLeavesTrafficRunning ends the service with --keep and finds everything as it was at the next start.
func TestKeepLeavesTrafficRunning(t *testing.T) {
	o := start(t, "--keep")
	n := o.tenant(t)
	n.server("web1", "192.168.21.100")
	lb := n.full("kept", "192.168.21.100")
	url := n.floatingIP(lb.VipPortID)
	n.active(lb.ID)
	client := &http.Client{Timeout: 5 * time.Second}
	eventually(t, 20*time.Second, "web1 answers", func() error { return served(client, url, "web1") })
	tr := send(t, url, 2)
	o.stop(t, syscall.SIGTERM)
	o.run(t)
	n = o.tenant(t)
	n.active(lb.ID)
	tr.mustNotHaveFailed(t, 500)
	o.shell(t, "openstack server list -f value -c Name -c Status | grep 'web1 ACTIVE'")
}
