package e2e

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/listeners"
	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/loadbalancers"
	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/pools"

	"github.com/octavo-lb/octavo/test/dbtest"
)

// outageLasts is longer than agents need for several reports, and shorter than an amphora may be silent.
const outageLasts = 6 * time.Second

// TestImmunity08_EachDependencyDownWithTraffic takes away what a controller needs, one after the other, under traffic: none of
// it is noticed by those who are served, a change that is made meanwhile is in force at the end, and nobody repairs anything.
func TestImmunity08_EachDependencyDownWithTraffic(t *testing.T) {
	database, err := dbtest.StartMariaDB()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { database.Close() })
	dsn, err := database.NewDatabase("octavo")
	if err != nil {
		t.Fatal(err)
	}
	front := freePort(t)
	cloud := startCloud(t)
	cloud.bootstrap(t, front)
	agents := net.JoinHostPort(cloud.ManagementAddress().String(), "9443")
	controller := serve(t, cloud.conf("node", dsn, front, agents))
	n := cloud.tenant(t)
	n.server("web1", "192.168.21.100")
	const host = "shop.example.org"
	bundle, trust := certificate(t, host)
	opts := n.fullOpts("served", "192.168.21.100")
	opts.Listeners = append(opts.Listeners, listeners.CreateOpts{Protocol: listeners.ProtocolTerminatedHTTPS, ProtocolPort: 443,
		DefaultTlsContainerRef: storeSecret(t, cloud.keyManager(t, "octavo"), bundle),
		DefaultPool: &pools.CreateOpts{Name: "secure", Protocol: pools.ProtocolHTTP, LBMethod: pools.LBMethodRoundRobin,
			Members: []pools.CreateMemberOpts{{Address: "192.168.21.100", ProtocolPort: 80}}}})
	lb, err := loadbalancers.Create(n.cx, n.c.lb, opts).Extract()
	n.ok(err)
	n.active(lb.ID)
	url := n.floatingIP(lb.VipPortID)
	secure := strings.Replace(url, "http://", "https://", 1)
	eventually(t, 20*time.Second, "web1 answers over TLS", func() error { return served(strict(trust, host), secure, "web1") })
	eventually(t, 20*time.Second, "it is ONLINE", func() error {
		got, err := loadbalancers.Get(n.cx, n.c.lb, lb.ID).Extract()
		if err == nil && got.OperatingStatus != "ONLINE" {
			err = fmt.Errorf("it is %s", got.OperatingStatus)
		}
		return err
	})
	rename := func(name string) error {
		_, err := loadbalancers.Update(n.cx, n.c.lb, lb.ID, loadbalancers.UpdateOpts{Name: &name}).Extract()
		return err
	}
	services := map[string]string{"key manager": "/key-manager", "identity": "/identity", "network": "/network", "compute": "/compute", "image": "/image"}
	for _, what := range []string{"key manager", "identity", "network", "compute", "image", "database"} {
		t.Run(what, func(t *testing.T) {
			tr := send(t, url, 2)
			if what == "database" {
				n.ok(database.Stop())
			} else {
				cloud.down.Store(services[what])
			}
			began := time.Now()
			if err := rename("while " + what); (err == nil) != (what != "database") {
				t.Errorf("a change meanwhile: %v", err)
			}
			time.Sleep(time.Until(began.Add(outageLasts)))
			if err := served(strict(trust, host), secure, "web1"); err != nil {
				t.Errorf("over TLS: %v", err)
			}
			if what == "database" {
				n.ok(database.Start())
			} else {
				cloud.down.Store("")
			}
			eventually(t, 30*time.Second, "changes are taken", func() error { return rename("after " + what) })
			if got := n.active(lb.ID); got.OperatingStatus != "ONLINE" {
				t.Errorf("it is %s", got.OperatingStatus)
			}
			tr.mustNotHaveFailed(t, 200)
		})
	}
	n.ok(loadbalancers.Delete(n.cx, n.c.lb, lb.ID, loadbalancers.DeleteOpts{Cascade: true}).ExtractErr())
	n.gone(lb.ID)
	n.ok(cloud.noneOfOctavo(t))
	controller.end(t)
}
