package e2e

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/loadbalancers"
)

// BenchmarkStart measures what a newcomer meets: how long the service takes to start, how long until a load balancer
// with a listener, pool, two members and a health monitor is ACTIVE, and what the process weighs with ten of them.
func BenchmarkStart(b *testing.B) {
	for range b.N {
		began := time.Now()
		o := start(b)
		b.ReportMetric(float64(time.Since(began).Milliseconds()), "start_api_ms")
		n := o.tenant(b)
		n.server("web1", "192.168.21.100")
		n.server("web2", "192.168.21.101")

		var active, deleted []float64
		for i := range 30 {
			began := time.Now()
			lb := n.full(fmt.Sprint("lb", i), "192.168.21.100", "192.168.21.101")
			n.active(lb.ID)
			active = append(active, ms(began))

			began = time.Now()
			n.ok(loadbalancers.Delete(n.cx, n.c.lb, lb.ID, loadbalancers.DeleteOpts{Cascade: true}).ExtractErr())
			n.gone(lb.ID)
			deleted = append(deleted, ms(began))
		}
		b.ReportMetric(quantile(active, 0.5), "create_active_p50_ms")
		b.ReportMetric(quantile(active, 0.99), "create_active_p99_ms")
		b.ReportMetric(quantile(deleted, 0.5), "delete_gone_p50_ms")

		var ids []string
		for i := range 10 {
			ids = append(ids, n.full(fmt.Sprint("kept", i), "192.168.21.100", "192.168.21.101").ID)
		}
		for _, id := range ids {
			n.active(id)
		}
		b.ReportMetric(rssMB(b, o.cmd.Process.Pid), "rss_10_load_balancers_mb")
		b.ReportMetric(0, "ns/op")
	}
}

func ms(since time.Time) float64 { return float64(time.Since(since).Microseconds()) / 1000 }

func quantile(v []float64, q float64) float64 {
	slices.Sort(v)
	return v[min(len(v)-1, int(q*float64(len(v))))]
}

// rssMB is the resident memory of a process in megabytes.
func rssMB(b *testing.B, pid int) float64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := bytes.Cut(status, []byte("VmRSS:"))
	fields := bytes.Fields(rest)
	kb, err := strconv.ParseFloat(string(fields[0]), 64)
	if err != nil {
		b.Fatal(err)
	}
	return kb / 1024
}
