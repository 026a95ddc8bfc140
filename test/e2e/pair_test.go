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
	t.Run("it boots again, and is the other one's standby", func(t *testing.T) {
		if now, other := o.holder(t, o.pair(t, lb.ID), lb.VipAddress); now.ID != standby.ID || other.ID != active.ID {
			t.Errorf("%s has the VIP, %s stands by", now.ID, other.ID)
		}
	})
	t.Run("one that stays dead is replaced", func(t *testing.T) {
		o.shell(t, "OS_CLOUD=octavo-admin openstack server stop "+active.ComputeID)
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
	t.Run("its keepalived is killed", func(t *testing.T) {
		active, _ := o.holder(t, o.pair(t, lb.ID), lb.VipAddress)
		for _, which := range []string{"-o", "-n", ""} {
			o.within(t, active.ComputeID, "pkill -9 "+which+" -x keepalived")
			down := outage(t, client, url, 3*time.Second)
			t.Logf("pkill -9 %s: requests failed for %v", which, down.Round(time.Millisecond))
			if down > time.Second {
				t.Errorf("requests failed for %v", down)
			}
			active, _ = o.holder(t, o.pair(t, lb.ID), lb.VipAddress)
		}
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
		tr.mustNotHaveFailed(t, 200)
		t.Logf("failover of both took %v; no request was answered for %v", took.Round(time.Millisecond), tr.gap.Round(time.Millisecond))
		if tr.gap > 3*time.Second {
			t.Errorf("no request was answered for %v", tr.gap)
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
