package agent_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/agent/instancetest"
	"github.com/octavo-lb/octavo/agentapi"
)

// TestPair: of two amphorae one has the VIP; when it dies the other one has it, and knows the clients.
func TestPair(t *testing.T) {
	w := newWorld(t)
	second := &world{net: w.net, web: w.web, instance: instancetest.NewAt(t, w.net, "02:00:00:00:00:65")}
	second.controller = instancetest.NewController(t, second.instance)
	second.controller.ID = "6d9d7c1c-31f4-4c9e-9a4f-5f2f2b9f6f02"
	second.instance.Boot(t, second.controller.Boot())
	state := func(own, other int) string {
		return fmt.Sprintf(`
interfaces: [{mac: '02:00:00:00:00:%d', mtu: 1450, vip: true, addresses: [10.0.0.%d/24], gateway: [10.0.0.1]}]
vips: [{address: 10.0.0.100/24}, {address: '2001:db8::100/64'}]
vrrp: {router_id: 1, priority: 100, interval_ms: 100, address: 10.0.0.%d, peers: [10.0.0.%d], peer_names: [6d9d7c1c-31f4-4c9e-9a4f-5f2f2b9f6f0%d]}
listeners: [{id: l1, protocol: HTTP, protocol_port: 80, default_pool_id: p1}]
pools: [{id: p1, protocol: HTTP, lb_algorithm: ROUND_ROBIN, session_persistence: {type: SOURCE_IP}}]
members:
  - {id: m1, pool_id: p1, address: 10.0.0.11, protocol_port: 80}
  - {id: m2, pool_id: p1, address: 10.0.0.12, protocol_port: 80}
  - {id: m3, pool_id: p1, address: 10.0.0.13, protocol_port: 80}
`, own+14, own, own, other, other-49)
	}
	w.instance.StartAgent(t)
	w.put(t, state(50, 51))
	role := func(what string) func(agentapi.Report) bool {
		return func(r agentapi.Report) bool { return r.VRRPState == what }
	}
	w.controller.Await(t, 5*time.Second, "that it is the master", role("MASTER"))
	second.instance.StartAgent(t)
	second.put(t, state(51, 50))
	second.controller.Await(t, 5*time.Second, "that it is the backup", role("BACKUP"))
	client := w.net.HTTPClient(false)
	client.Timeout = 200 * time.Millisecond
	patient := w.net.HTTPClient(false) // for what is not about time
	first := get(t, patient, "http://10.0.0.100/")

	t.Run("keepalived has nothing to complain of", func(t *testing.T) {
		log := w.instance.Output(t, "cat", "/run/octavo/keepalived.log")
		if found := regexp.MustCompile(`(?im)^.*(warning|deprecated|unable|cannot|failed|not permitted|ignor).*$`).FindString(log); found != "" {
			t.Errorf("it says %q", found)
		}
	})
	t.Run("changes and agents that die do not move the VIP", func(t *testing.T) {
		w.instance.SignalAgent(t, syscall.SIGKILL)
		w.instance.StartAgent(t)
		w.put(t, state(50, 51))
		w.controller.Await(t, 5*time.Second, "that it is the master still", role("MASTER"))
		get(t, patient, "http://10.0.0.100/")
	})
	t.Run("nor does what keepalived has to read again", func(t *testing.T) {
		// It is a peer's to join now, were it started; so it is in the states after the first.
		changed := strings.Replace(state(50, 51), "priority: 100", "priority: 101, join_ms: 3000", 1)
		done := make(chan struct{})
		go func() {
			defer close(done)
			w.put(t, changed)
		}()
		for began, last := time.Now(), time.Now(); time.Since(began) < 5*time.Second; time.Sleep(5 * time.Millisecond) {
			response, err := client.Get("http://10.0.0.100/")
			if err != nil {
				continue
			}
			response.Body.Close()
			if gap := time.Since(last); gap > 700*time.Millisecond {
				t.Errorf("nothing was served for %v", gap)
			}
			last = time.Now()
		}
		<-done
		w.controller.Await(t, 5*time.Second, "that it is the master still", role("MASTER"))
	})
	t.Run("keepalived is started again", func(t *testing.T) {
		second.instance.Output(t, "pkill", "-9", "-o", "keepalived")
		eventually(t, 5*time.Second, "keepalived runs again", func() bool {
			return second.instance.Command("pgrep", "keepalived").Run() == nil
		})
		second.controller.Await(t, 5*time.Second, "that it is the backup", role("BACKUP"))
	})
	t.Run("the master dies", func(t *testing.T) {
		time.Sleep(500 * time.Millisecond) // for the pair to tell each other about clients
		w.instance.Kill()
		start := time.Now()
		var response *http.Response
		eventually(t, 5*time.Second, "the other one serves", func() (ok bool) {
			var err error
			response, err = client.Get("http://10.0.0.100/")
			return err == nil
		})
		response.Body.Close()
		took := time.Since(start)
		if t.Logf("served again after %v", took.Round(time.Millisecond)); took > time.Second {
			t.Errorf("nothing was served for %v", took)
		}
		if got := get(t, patient, "http://10.0.0.100/"); got != first {
			t.Errorf("the client of %s went to %s", first, got)
		}
		second.controller.Await(t, 5*time.Second, "that it is the master", role("MASTER"))
	})
	t.Run("it stands alone then", func(t *testing.T) {
		alone := `
interfaces: [{mac: '02:00:00:00:00:65', mtu: 1450, vip: true, addresses: [10.0.0.51/24], gateway: [10.0.0.1]}]
vips: [{address: 10.0.0.100/24}]
listeners: [{id: l1, protocol: HTTP, protocol_port: 80, default_pool_id: p1}]
pools: [{id: p1, protocol: HTTP, lb_algorithm: ROUND_ROBIN}]
members: [{id: m1, pool_id: p1, address: 10.0.0.11, protocol_port: 80}]
`
		if r := second.put(t, alone); r.VRRPState != "" {
			t.Errorf("its state in a pair is %q", r.VRRPState)
		}
		get(t, patient, "http://10.0.0.100/")
		if out, err := second.instance.Command("pgrep", "keepalived").Output(); err == nil {
			t.Errorf("keepalived still runs: %s", out)
		}
	})
}
