package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/amphorae"
	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/loadbalancers"
)

// pair waits until two amphorae serve, one in each role.
func (o *octavo) pair(t testing.TB, lbID string, without ...string) (pair []amphorae.Amphora) {
	t.Helper()
	eventually(t, 60*time.Second, "the load balancer has a pair of amphorae", func() error {
		pair = o.amphorae(t, lbID)
		var roles []string
		for _, a := range pair {
			if a.Status != "ALLOCATED" || slices.Contains(without, a.ID) {
				return fmt.Errorf("amphora %s is %s", a.ID, a.Status)
			}
			roles = append(roles, a.Role)
		}
		if slices.Sort(roles); !slices.Equal(roles, []string{"BACKUP", "MASTER"}) {
			return fmt.Errorf("the roles are %v", roles)
		}
		return nil
	})
	return pair
}

// holds tells whether an amphora has the VIP.
func (o *octavo) holds(t testing.TB, a amphorae.Amphora, vip string) bool {
	t.Helper()
	return strings.Contains(o.within(t, a.ComputeID, "ip -n amphora-haproxy -o addr"), " "+vip+"/")
}

// holder is the one of a pair that has the VIP, and the other one.
func (o *octavo) holder(t testing.TB, pair []amphorae.Amphora, vip string) (active, standby amphorae.Amphora) {
	t.Helper()
	eventually(t, 10*time.Second, "one of the pair has the VIP", func() error {
		first, second := o.holds(t, pair[0], vip), o.holds(t, pair[1], vip)
		switch active, standby = pair[0], pair[1]; {
		case first && second:
			return errors.New("both have it")
		case second:
			active, standby = pair[1], pair[0]
		case !first:
			return errors.New("none has it")
		}
		return nil
	})
	return active, standby
}

// TestPairOfAmphorae kills the amphora that has the VIP while requests run: the other one has it within a second, and a new
// one takes the place of the dead one.
func TestPairOfAmphorae(t *testing.T) {
	o := start(t, "--topology", "ACTIVE_STANDBY")
	n := o.tenant(t)
	lb, url := n.serving("lb")
	pair := o.pair(t, lb.ID)
	active, standby := o.holder(t, pair, lb.VipAddress)
	client := &http.Client{Timeout: 200 * time.Millisecond, Transport: &http.Transport{DisableKeepAlives: true}}

	t.Run("the active one is killed", func(t *testing.T) {
		if err := syscall.Kill(o.init(t, active.ComputeID), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		down := outage(t, client, url, 5*time.Second)
		t.Logf("requests failed for %v", down.Round(time.Millisecond))
		if down > time.Second {
			t.Errorf("requests failed for %v", down)
		}
		if !o.holds(t, standby, lb.VipAddress) {
			t.Error("the other amphora does not have the VIP")
		}
	})
	t.Run("the dead one is replaced", func(t *testing.T) {
		n.t = t
		tr := send(t, url, 4)
		began := time.Now()
		again := o.pair(t, lb.ID, active.ID)
		n.active(lb.ID)
		t.Logf("a pair again after %v", time.Since(began).Round(time.Millisecond))
		if now, _ := o.holder(t, again, lb.VipAddress); now.ID != standby.ID {
			t.Errorf("the VIP moved to %s", now.ID)
		}
		eventually(t, 10*time.Second, "it is ONLINE", func() error {
			now, err := loadbalancers.Get(n.cx, n.c.lb, lb.ID).Extract()
			if err == nil && now.OperatingStatus != "ONLINE" {
				err = errors.New(now.OperatingStatus)
			}
			return err
		})
		tr.mustNotHaveFailed(t, 200)
	})
	t.Run("failover", func(t *testing.T) {
		n.t = t
		before := o.pair(t, lb.ID)
		tr := send(t, url, 4)
		began := time.Now()
		o.shell(t, "OS_CLOUD=octavo-admin openstack loadbalancer failover "+lb.ID)
		after := o.pair(t, lb.ID, before[0].ID, before[1].ID)
		n.active(lb.ID)
		took := time.Since(began)
		o.holder(t, after, lb.VipAddress)
		for now := tr.sent.Load(); tr.sent.Load() < now+200; {
			time.Sleep(10 * time.Millisecond)
		}
		sent, failed := tr.stop()
		t.Logf("failover of both took %v; %d of %d requests failed: %s", took.Round(time.Millisecond), len(failed), sent, strings.Join(failed, "\n"))
		if len(failed) > 12 {
			t.Errorf("%d requests failed, more than three of each client", len(failed))
		}
	})
	t.Run("nothing stays", func(t *testing.T) {
		n.t = t
		n.ok(loadbalancers.Delete(n.cx, n.c.lb, lb.ID, loadbalancers.DeleteOpts{Cascade: true}).ExtractErr())
		n.gone(lb.ID)
		if names := o.portsOn(t, n.networkID); len(names) > 0 {
			t.Errorf("ports are left: %v", names)
		}
	})
}
