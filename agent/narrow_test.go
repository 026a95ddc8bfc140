package agent_test

import (
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/agent/instancetest"
)

// narrow lets nothing longer than 1280 bytes through a router to a network, and does not say so if it is silent.
func narrow(t *testing.T, router *instancetest.Network, cidr string, silent bool) {
	t.Helper()
	script := "ip route replace " + cidr + " dev br0 mtu lock 1280"
	if silent {
		script += "; nft 'add table ip silent; add chain ip silent out { type filter hook output priority 0; }; add rule ip silent out icmp type destination-unreachable drop'"
	}
	var said strings.Builder
	cmd := exec.Command("sh", "-ec", script)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := router.Start(cmd); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%s: %v: %s", script, err, said.String())
	}
}

// TestImmunity12_NarrowPath: an amphora whose packets have to pass a link of 1280 bytes, to its controllers and to its clients,
// enrols, reports, gets large states and serves large answers, even where no router tells it that packets are too long.
func TestImmunity12_NarrowPath(t *testing.T) {
	for _, silent := range []bool{false, true} {
		t.Run(fmt.Sprint("silent: ", silent), func(t *testing.T) {
			t.Parallel()
			// This side is the router to clients, and the members' host.
			w := &world{net: instancetest.NewNetwork(t, "10.0.0.1/24", "10.0.0.11/24", "10.20.0.254/24")}
			w.instance = instancetest.New(t, w.net)
			clients := w.net.Neighbour(t, "10.20.0.1/24")
			clients.Route(t, "10.0.0.0/24", "10.20.0.254")
			// That side is the router to the controller.
			between := instancetest.NewNetwork(t, "10.9.0.1/24", "10.10.0.254/24")
			control := between.Neighbour(t, "10.10.0.1/24")
			between.Plug(t, w.instance, "02:00:00:00:00:66")
			control.Route(t, "10.9.0.0/24", "10.10.0.254")
			w.instance.Output(t, "sh", "-ec", "l=$(ip -o link | grep 02:00:00:00:00:66 | cut -d: -f2 | cut -d@ -f1); ip link set $l up; ip addr add 10.9.0.50/24 dev $l; ip route add 10.10.0.0/24 via 10.9.0.1")
			for router, networks := range map[*instancetest.Network][]string{w.net: {"10.20.0.0/24"}, between: {"10.9.0.0/24", "10.10.0.0/24"}} {
				router.Sysctl(t, "ipv4/ip_forward", "1")
				router.Sysctl(t, "ipv4/conf/all/send_redirects", "0")
				router.Sysctl(t, "ipv4/conf/br0/send_redirects", "0")
				for i, n := range networks {
					narrow(t, router, n, silent && i == 0)
				}
			}
			w.controller = instancetest.NewControllerOn(t, control.Listen(t, "10.10.0.1:0"))
			w.instance.Boot(t, w.controller.Boot())
			large := make([]byte, 4<<20)
			_, _ = rand.Read(large)
			server := &http.Server{Handler: http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) { _, _ = out.Write(large) }), ReadHeaderTimeout: time.Minute}
			l := w.net.Listen(t, "10.0.0.11:80")
			go server.Serve(l) //nolint:errcheck // it ends with the test
			t.Cleanup(func() { server.Close() })

			w.instance.StartAgent(t)
			var members strings.Builder
			for i := range 500 { // a state of many packets, and a report too
				fmt.Fprintf(&members, "  - {id: %s, pool_id: p1, address: 10.0.0.11, protocol_port: 80, weight: 1}\n", fmt.Sprintf("00000000-0000-4000-8000-%012d", i))
			}
			w.put(t, header+`
listeners: [{id: l1, protocol: HTTP, protocol_port: 80, default_pool_id: p1}]
pools: [{id: p1, protocol: HTTP, lb_algorithm: ROUND_ROBIN}]
members:
`+members.String())
			client := clients.HTTPClient(false)
			client.Timeout = 30 * time.Second
			response, err := client.Get("http://10.0.0.100/")
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			if got, err := io.ReadAll(response.Body); err != nil || string(got) != string(large) {
				t.Errorf("%d of %d bytes of a large answer: %v", len(got), len(large), err)
			}
		})
	}
}
