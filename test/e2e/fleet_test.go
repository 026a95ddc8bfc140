package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/amphorae"
	"github.com/vishvananda/netns"

	"github.com/octavo-lb/octavo/localcloud/fabric"
)

// amphorae are those of a load balancer, as the operator sees them.
func (o *octavo) amphorae(t testing.TB, lbID string) []amphorae.Amphora {
	t.Helper()
	pages, err := amphorae.List(o.api(t, "octavo-admin").lb, amphorae.ListOpts{LoadbalancerID: lbID}).AllPages(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	all, err := amphorae.ExtractAmphorae(pages)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// amphora is the only one of a load balancer.
func (o *octavo) amphora(t testing.TB, lbID string) amphorae.Amphora {
	t.Helper()
	all := o.amphorae(t, lbID)
	if len(all) != 1 {
		t.Fatalf("the load balancer has %d amphorae: %v", len(all), all)
	}
	return all[0]
}

// init is the process id of an instance's init.
func (o *octavo) init(t testing.TB, server string) (pid int) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(o.dir, "cloud", "servers", server, "pid"))
	if err == nil {
		_, err = fmt.Sscan(string(text), &pid)
	}
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// within runs a script in an instance, on its management side.
func (o *octavo) within(t testing.TB, server, script string) string {
	t.Helper()
	out, err := exec.Command("nsenter", "-a", "-t", fmt.Sprint(o.init(t, server)), "bash", "-euc", script).CombinedOutput()
	if err != nil {
		t.Fatalf("in server %s: %s: %v: %s", server, script, err, out)
	}
	return strings.TrimSpace(string(out))
}

// inside is a dialer that connects from an instance.
func (o *octavo) inside(t testing.TB, server string) func(ctx context.Context, network, address string) (net.Conn, error) {
	t.Helper()
	ns, err := netns.GetFromName(fabric.ServerNamespace(fabric.Tag(o.dir), server))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	return func(ctx context.Context, network, address string) (conn net.Conn, err error) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			runtime.LockOSThread() // and never unlocked: the thread ends
			if err = netns.Set(ns); err == nil {
				conn, err = (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, address)
			}
		}()
		<-done
		return conn, err
	}
}

// clientIn makes requests from an instance, each over a connection of its own.
func (o *octavo) clientIn(t testing.TB, server string) *http.Client {
	return &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DialContext: o.inside(t, server), DisableKeepAlives: true}}
}
