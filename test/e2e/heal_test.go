package e2e

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/loadbalancers"
	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/pools"
)

// serving is a load balancer with two members that answers on a floating IP.
func (n *tenant) serving(name string) (lb *loadbalancers.LoadBalancer, url string) {
	n.t.Helper()
	n.server("web1", "192.168.21.100")
	n.server("web2", "192.168.21.101")
	lb = n.full(name, "192.168.21.100", "192.168.21.101")
	url = n.floatingIP(lb.VipPortID)
	n.active(lb.ID)
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	eventually(n.t, 20*time.Second, "both members answer", func() error { return served(client, url, "web1", "web2") })
	return lb, url
}

// TestDaemonsThatDie kills what runs in an amphora. HAProxy is back in less than a second; without the agent no request is
// lost.
func TestDaemonsThatDie(t *testing.T) {
	o := start(t)
	n := o.tenant(t)
	lb, url := n.serving("lb")
	amphora := o.amphora(t, lb.ID)
	client := &http.Client{Timeout: 300 * time.Millisecond, Transport: &http.Transport{DisableKeepAlives: true}}

	t.Run("the agent", func(t *testing.T) {
		tr := send(t, url, 4)
		before := tr.sent.Load()
		for range 3 {
			o.within(t, amphora.ComputeID, "pkill -9 -f ^/run/octavo-program")
			time.Sleep(time.Second)
		}
		n.t = t
		name := "renamed"
		_, err := loadbalancers.Update(n.cx, n.c.lb, lb.ID, loadbalancers.UpdateOpts{Name: &name}).Extract()
		n.ok(err)
		n.active(lb.ID)
		tr.mustNotHaveFailed(t, before+500)
	})

	for _, who := range []struct{ name, kill string }{
		{"all of HAProxy", "pkill -9 -x haproxy"},
		{"HAProxy's master", "pkill -9 -o -x haproxy"},
		{"HAProxy's worker", "pkill -9 -n -x haproxy"},
	} {
		t.Run(who.name, func(t *testing.T) {
			o.within(t, amphora.ComputeID, who.kill)
			down := outage(t, client, url, 3*time.Second)
			t.Logf("requests failed for %v", down.Round(time.Millisecond))
			if down > time.Second {
				t.Errorf("requests failed for %v", down)
			}
		})
	}
	t.Run("the whole amphora", func(t *testing.T) {
		n.t = t
		if err := syscall.Kill(o.init(t, amphora.ComputeID), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		down := outage(t, client, url, 8*time.Second)
		t.Logf("requests failed for %v", down.Round(time.Millisecond))
		if down > 4*time.Second {
			t.Errorf("requests failed for %v", down)
		}
		n.member(n.poolOf(lb.ID), pools.CreateMemberOpts{Address: "192.168.21.109", ProtocolPort: 80})
		n.active(lb.ID) // it is who it was
	})
	if again := o.amphora(t, lb.ID); again.ID != amphora.ID {
		t.Error("the amphora was replaced")
	}
}

// outage sends requests for a while and answers how long none succeeded from now on; it fails if they begin to fail again.
func outage(t testing.TB, client *http.Client, url string, watch time.Duration) time.Duration {
	t.Helper()
	began := time.Now()
	last := time.Duration(0) // the end of the last failure
	for time.Since(began) < watch {
		if _, err := get(client, url); err != nil {
			last = time.Since(began)
		}
		time.Sleep(2 * time.Millisecond)
	}
	return last
}

// TestFailoverUnderLoad replaces a load balancer's amphora while requests run. None is lost: what was under way ends, and what
// comes while the VIP moves is answered a moment later.
func TestFailoverUnderLoad(t *testing.T) {
	o := start(t)
	n := o.tenant(t)
	lb, url := n.serving("lb")
	old := o.amphora(t, lb.ID)
	tr := send(t, url, 4)
	most := make(chan int, 1)
	done := make(chan struct{})
	go func() { // there are two at a time, and never none
		n := 1
		for {
			select {
			case <-done:
				most <- n
				return
			case <-time.After(10 * time.Millisecond):
				n = max(n, len(o.amphorae(t, lb.ID)))
			}
		}
	}()
	began := time.Now()
	o.shell(t, "OS_CLOUD=octavo-admin openstack loadbalancer failover "+lb.ID)
	o.replaced(t, lb.ID, old.ID)
	n.active(lb.ID)
	took := time.Since(began)
	close(done)
	if two := <-most; two != 2 {
		t.Errorf("there were up to %d amphorae", two)
	}
	for before := tr.sent.Load(); tr.sent.Load() < before+200; {
		time.Sleep(10 * time.Millisecond)
	}
	tr.mustNotHaveFailed(t, 200)
	t.Logf("failover took %v; no request was answered for %v", took.Round(time.Millisecond), tr.gap.Round(time.Millisecond))
	if tr.gap > 3*time.Second {
		t.Errorf("no request was answered for %v", tr.gap)
	}
}

// TestFailoverBesideALongRequest replaces an amphora that cannot end a request of one client in time: it is served on for some
// seconds, and the others are too.
func TestFailoverBesideALongRequest(t *testing.T) {
	t.Parallel()
	o := start(t)
	n := o.tenant(t)
	lb, url := n.serving("lb")
	old := o.amphora(t, lb.ID)
	long, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/")+":80")
	if err != nil {
		t.Fatal(err)
	}
	defer long.Close()
	if _, err := long.Write([]byte("GET / HTTP/1.1\r\nHost: somebody\r\n")); err != nil { // and no more
		t.Fatal(err)
	}
	tr := send(t, url, 4)
	began := time.Now()
	o.shell(t, "OS_CLOUD=octavo-admin openstack loadbalancer failover "+lb.ID)
	o.replaced(t, lb.ID, old.ID)
	t.Logf("failover took %v", time.Since(began).Round(time.Millisecond))
	for before := tr.sent.Load(); tr.sent.Load() < before+200; {
		time.Sleep(10 * time.Millisecond)
	}
	tr.mustNotHaveFailed(t, 200)
	t.Logf("no request was answered for %v", tr.gap.Round(time.Millisecond))
	if tr.gap > 3*time.Second {
		t.Errorf("no request was answered for %v", tr.gap)
	}
}

// replaced waits until another amphora serves a load balancer, alone.
func (o *octavo) replaced(t testing.TB, lbID, old string) {
	t.Helper()
	eventually(t, 30*time.Second, "another amphora serves, alone", func() error {
		now := o.amphorae(t, lbID)
		if len(now) != 1 || now[0].ID == old {
			return fmt.Errorf("there are %d", len(now))
		}
		return nil
	})
}
