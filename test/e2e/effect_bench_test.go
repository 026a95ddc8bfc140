package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/listeners"
	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/pools"
)

// BenchmarkPutToEffect is the time from a PUT being sent to the public API until a request is answered as it says: of a
// member's weight, which is changed at run time, and of a header, which takes a reload.
func BenchmarkPutToEffect(b *testing.B) {
	o := start(b)
	n := o.tenant(b)
	lb, url := n.serving("lb")
	pool := n.poolOf(lb.ID)
	pages, err := pools.ListMembers(n.c.lb, pool, pools.ListMembersOpts{Address: "192.168.21.100"}).AllPages(n.cx)
	n.ok(err)
	members, err := pools.ExtractMembers(pages)
	n.ok(err)
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	ask := func(path string) string {
		time.Sleep(time.Millisecond) // or what asks takes the time that the change needs
		body, err := get(client, url+path)
		n.ok(err)
		return body
	}
	const changes = 100
	b.Run("member", func(b *testing.B) {
		var took []float64
		for b.Loop() {
			for weight := range changes {
				weight %= 2
				began := time.Now()
				_, err := pools.UpdateMember(n.cx, n.c.lb, pool, members[0].ID, pools.UpdateMemberOpts{Weight: &weight}).Extract()
				n.ok(err)
				// Requests are answered in turns, unless one member gets them all.
				for first := ask(""); (first != ask("")) != (weight == 1); first = ask("") {
				}
				took = append(took, ms(began))
			}
		}
		report(b, "put_member_to_effect", took)
	})
	b.Run("listener", func(b *testing.B) {
		var took []float64
		for b.Loop() {
			for i := range changes {
				on := i%2 == 0
				headers := map[string]string{"X-Forwarded-Port": fmt.Sprint(on)}
				began := time.Now()
				_, err := listeners.Update(n.cx, n.c.lb, lb.Listeners[0].ID, listeners.UpdateOpts{InsertHeaders: &headers}).Extract()
				n.ok(err)
				for strings.Contains(ask("headers"), "X-Forwarded-Port") != on {
				}
				took = append(took, ms(began))
			}
		}
		report(b, "put_listener_to_effect", took)
	})
}

func report(b *testing.B, name string, took []float64) {
	b.ReportMetric(quantile(took, 0.5), name+"_p50_ms")
	b.ReportMetric(quantile(took, 0.99), name+"_p99_ms")
	b.ReportMetric(0, "ns/op")
}
