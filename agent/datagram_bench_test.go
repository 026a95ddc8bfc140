package agent_test

import (
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/agent/instancetest"
	"github.com/octavo-lb/octavo/agentapi/agentapitest"
)

// BenchmarkUDP floods a member with datagrams: directly, by way of a router that does nothing else, by way of one with the
// fewest rules of nftables that translate addresses, and through the load balancer. They take turns, so that whatever else
// the machine does meets all of them. Packets are counted where they arrive.
func BenchmarkUDP(b *testing.B) {
	w := newUDPBench(b)
	paths := map[string]*instancetest.Client{
		"direct":     w.flow(b, "10.0.0.11:5300", "10.0.0.11:5300"),
		"routed":     w.flow(b, "10.0.9.11:5300", "10.0.9.11:5300"),
		"translated": w.flow(b, "10.0.0.70:53", "10.0.0.11:5300"),
		"balanced":   w.flow(b, udpVIP, "10.0.0.11:5300"),
	}
	rates := map[string][]float64{}
	for b.Loop() {
		for range 120 {
			for name, client := range paths {
				rates[name] = append(rates[name], w.flood(b, client))
			}
		}
	}
	for name, all := range rates {
		if name != "balanced" {
			reportRatio(b, "udp_balanced_to_"+name, rates["balanced"], all)
		}
	}
	for name, all := range rates {
		b.ReportMetric(median(slices.Clone(all)), "udp_"+name+"_packets_per_s")
	}
}

// reportRatio tells the median of the ratios of measurements that took turns, and what a tenth of them is below and above.
func reportRatio(b *testing.B, name string, ours, theirs []float64) {
	var all []float64
	for i := range ours {
		all = append(all, ours[i]/theirs[i])
	}
	b.ReportMetric(median(all), name+"_ratio")
	b.ReportMetric(all[len(all)/10], name+"_ratio_p10")
	b.ReportMetric(all[len(all)*9/10], name+"_ratio_p90")
}

// translator is the least that makes a router translate what the load balancer does.
const translator = `table ip floor {
	chain pre { type nat hook prerouting priority dstnat; ip daddr 10.0.0.70 udp dport 53 dnat to 10.0.0.11:5300; }
	chain post { type nat hook postrouting priority srcnat; ct status dnat snat to 10.0.0.70; }
}
`

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

// BenchmarkUDPEffect is the time from a state being wanted to new flows going where it says.
func BenchmarkUDPEffect(b *testing.B) {
	w := newUDPBench(b)
	w.member.AddAddress(b, "10.0.0.12/24")
	w.member.StartEcho(b, "m1", "10.0.0.11:5301")
	w.member.StartEcho(b, "m2", "10.0.0.12:5301")
	both := strings.ReplaceAll(udp, "5300", "5301")
	var took []float64
	port := 0
	for b.Loop() {
		for i := range 20 {
			off, on := "10.0.0.11,", "m2"
			if i%2 == 1 {
				off, on = "10.0.0.12,", "m1"
			}
			start := time.Now()
			w.want(b, strings.Replace(both, off, off+" admin_state_up: false,", 1))
			for {
				// A port that was used just now might still belong to a flow that is about to be cut.
				port++
				c := w.net.DialUDP(b, fmt.Sprint("10.0.0.1:", 10000+port%50000), udpVIP)
				c.Patience = 2 * time.Millisecond // the answer of a member that has just been left is lost
				name, _ := c.Ask("who?")
				c.Close()
				if name == on {
					break
				}
			}
			took = append(took, float64(time.Since(start).Microseconds())/1000)
		}
	}
	slices.Sort(took)
	b.ReportMetric(took[len(took)/2], "udp_put_to_effect_p50_ms")
	b.ReportMetric(took[len(took)*99/100], "udp_put_to_effect_p99_ms")
}

type udpBench struct {
	net        *instancetest.Network
	member     *instancetest.Network
	sinks      map[string]*net.UDPConn
	controller *instancetest.Controller
}

func newUDPBench(b *testing.B) *udpBench {
	b.Helper()
	w := &udpBench{net: instancetest.NewNetwork(b, "10.0.0.1/24")}
	w.member = w.net.Neighbour(b, "10.0.0.11/24")
	w.member.AddAddress(b, "10.0.9.11/32")
	w.router(b, "10.0.0.60/24").Route(b, "10.0.9.0/24", "10.0.0.11")
	nft := exec.Command("nft", "-f", "-")
	nft.Stdin = strings.NewReader(translator)
	err := w.router(b, "10.0.0.70/24").Start(nft)
	if err == nil {
		err = nft.Wait()
	}
	if err != nil {
		b.Fatal(err)
	}
	w.net.Route(b, "10.0.9.0/24", "10.0.0.60")
	w.sinks = map[string]*net.UDPConn{}
	for _, a := range []string{"10.0.0.11:5300", "10.0.9.11:5300"} {
		w.sinks[a] = w.member.ListenUDP(b, a)
	}
	instance := instancetest.New(b, w.net)
	w.controller = instancetest.NewController(b, instance)
	instance.Boot(b, w.controller.Boot())
	instance.StartAgent(b)
	one := strings.Replace(udp, "10.0.0.12,", "10.0.0.12, admin_state_up: false,", 1)
	w.controller.AwaitApplied(b, w.want(b, one))
	return w
}

func (w *udpBench) router(b *testing.B, address string) *instancetest.Network {
	b.Helper()
	r := w.net.Neighbour(b, address)
	r.Sysctl(b, "ipv4/ip_forward", "1")
	r.Sysctl(b, "ipv4/conf/all/send_redirects", "0")
	r.Sysctl(b, "ipv4/conf/default/send_redirects", "0")
	return r
}

// flow begins a flow that is answered once. Afterwards the member only takes in what comes.
func (w *udpBench) flow(b *testing.B, to, sink string) *instancetest.Client {
	b.Helper()
	c := w.net.DialUDP(b, "", to)
	buffer := make([]byte, 100)
	_, err := c.Write([]byte("hello"))
	if err == nil {
		_, from, err2 := w.sinks[sink].ReadFromUDP(buffer)
		if err = err2; err == nil {
			_, err = w.sinks[sink].WriteToUDP([]byte("hello"), from)
		}
	}
	if err == nil {
		_, err = c.Read(buffer)
	}
	if err != nil {
		b.Fatal(err)
	}
	return c
}

func (w *udpBench) want(b *testing.B, text string) int64 {
	b.Helper()
	state, err := agentapitest.State(text)
	if err != nil {
		b.Fatal(err)
	}
	return w.controller.Want(state)
}

// flood sends for a while and returns how many packets arrived each second.
func (w *udpBench) flood(b *testing.B, c *instancetest.Client) float64 {
	before, start := w.member.Delivered(b), time.Now()
	payload := make([]byte, 64)
	for time.Since(start) < 25*time.Millisecond {
		for range 100 {
			_, _ = c.Write(payload) // refused when the member's buffer is full
		}
	}
	return float64(w.member.Delivered(b)-before) / time.Since(start).Seconds()
}
