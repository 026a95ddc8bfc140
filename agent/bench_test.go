package agent_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/agent/instancetest"
)

// origin is HAProxy answering by itself, for members that cost as little as can be.
const origin = `
global
    maxconn 8000
defaults
    mode http
    timeout client 60s
    timeout server 60s
    timeout connect 5s
frontend origin
    bind 10.0.0.11:80
    bind 10.0.0.12:80
    http-request return status 200 content-type text/plain string "well"
`

// plain is what somebody writes by hand for the same purpose, and beside it what is faster still for connections of one
// request, at a price: HAProxy answers 502 when a member closes an idle connection while the first request of a client is
// sent over it.
const plain = `
global
    maxconn 7000
defaults
    mode http
    timeout client 50s
    timeout server 50s
    timeout connect 5s
    option httpchk GET /healthcheck
    default-server check inter 1s
frontend fe
    bind 10.0.0.100:81
    default_backend be
backend be
    server m1 10.0.0.11:80
    server m2 10.0.0.12:80
frontend reuse_fe
    bind 10.0.0.100:82
    default_backend reuse
backend reuse
    http-reuse always
    server m1 10.0.0.11:80
    server m2 10.0.0.12:80
`

func newBench(b *testing.B) *world {
	b.Helper()
	w := &world{net: instancetest.NewNetwork(b, "10.0.0.1/24", "10.0.0.11/24", "10.0.0.12/24")}
	w.instance = instancetest.New(b, w.net)
	w.controller = instancetest.NewController(b, w.instance)
	w.instance.Boot(b, w.controller.Boot())
	w.daemon(b, "origin.cfg", origin, func(config string) *exec.Cmd { return exec.Command("haproxy", "-db", "-f", config) }, w.net.Start)
	w.instance.StartAgent(b)
	w.put(b, basic)
	w.daemon(b, "plain.cfg", plain, func(config string) *exec.Cmd {
		return w.instance.Command("ip", "netns", "exec", "amphora-haproxy", "haproxy", "-db", "-f", config)
	}, (*exec.Cmd).Start)
	for _, port := range []int{80, 81, 82} {
		eventuallyServed(b, w, fmt.Sprintf("10.0.0.100:%d", port))
	}
	return w
}

func (w *world) daemon(b *testing.B, name, config string, command func(string) *exec.Cmd, start func(*exec.Cmd) error) {
	b.Helper()
	path := filepath.Join(b.TempDir(), name)
	if err := os.WriteFile(path, []byte(config), 0o644); err != nil {
		b.Fatal(err)
	}
	cmd := command(path)
	// As the agent starts its own: the scheduler shares out time between sessions first.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := start(cmd); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

func eventuallyServed(b *testing.B, w *world, address string) {
	b.Helper()
	client := w.net.HTTPClient(false)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		response, err := client.Get("http://" + address + "/")
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(deadline) {
			b.Fatalf("%s does not serve: %v", address, err)
		}
	}
}

// BenchmarkHTTP compares our configuration with one written by hand, run by the same HAProxy in the same namespace. Both
// take turns, so that whatever else the machine does meets both.
func BenchmarkHTTP(b *testing.B) {
	w := newBench(b)
	for _, c := range []struct {
		name string
		args []string
	}{
		{"keepalive", nil},
		{"close", []string{"-H", "Connection: close"}},
	} {
		b.Run(c.name, func(b *testing.B) {
			var ours, theirs, reusing contender
			for b.Loop() {
				for range 15 {
					w.measure(b, &ours, 80, false, c.args)
					w.measure(b, &theirs, 81, true, c.args)
					w.measure(b, &reusing, 82, true, c.args)
				}
			}
			name := "http_" + c.name
			reportRatio(b, name+"_throughput", ours.rates, theirs.rates)
			reportRatio(b, name+"_p99_latency", ours.p99s, theirs.p99s)
			reportRatio(b, name+"_throughput_to_reuse_always", ours.rates, reusing.rates)
			b.ReportMetric(median(ours.rates), name+"_requests_per_s")
			b.ReportMetric(median(theirs.rates), name+"_plain_haproxy_requests_per_s")
			b.ReportMetric(ours.cpu/ours.requests, name+"_cpu_us_per_request")
			b.ReportMetric(theirs.cpu/theirs.requests, name+"_plain_haproxy_cpu_us_per_request")
			b.ReportMetric(theirs.cpu/theirs.requests/(ours.cpu/ours.requests), name+"_cpu_ratio")
		})
	}
}

// contender is what was measured of one of those that take turns.
type contender struct {
	rates, p99s   []float64
	cpu, requests float64 // microseconds; this depends little on what else the machine does
}

// measure asks for a second.
func (w *world) measure(b *testing.B, s *contender, port int, plain bool, args []string) {
	b.Helper()
	before := w.cpu(b, plain)
	r := w.wrk(b, fmt.Sprintf("http://10.0.0.100:%d/", port), args)
	s.cpu += w.cpu(b, plain) - before
	s.rates, s.p99s, s.requests = append(s.rates, r.rate), append(s.p99s, r.p99), s.requests+r.requests
}

// cpu is the time, in microseconds, that HAProxy has run for, ours or the one that is configured by hand.
func (w *world) cpu(b *testing.B, plain bool) (sum float64) {
	b.Helper()
	for _, pid := range w.processes(b, "haproxy", plain) {
		// Of each thread: nanoseconds that it ran, that it waited, and how often. What /proc/PID/stat tells is sampled.
		for line := range strings.Lines(w.instance.Output(b, "sh", "-c", "cat /proc/"+pid+"/task/*/schedstat")) {
			ran, _, _ := strings.Cut(line, " ")
			n, err := strconv.ParseFloat(ran, 64)
			if err != nil {
				b.Fatal(err)
			}
			sum += n / 1e3
		}
	}
	return sum
}

// processes lists those of that name, of what was configured by hand or of the rest.
func (w *world) processes(b *testing.B, name string, plain bool) (pids []string) {
	b.Helper()
	for _, pid := range strings.Fields(w.instance.Output(b, "pgrep", "-x", name)) {
		if strings.Contains(w.instance.Output(b, "cat", "/proc/"+pid+"/cmdline"), "plain.cfg") == plain {
			pids = append(pids, pid)
		}
	}
	return pids
}

type wrkResult struct{ rate, p99, requests float64 }

var (
	wrkRate = regexp.MustCompile(`Requests/sec:\s+([0-9.]+)`)
	wrkSum  = regexp.MustCompile(`(\d+) requests in`)
	wrkP99  = regexp.MustCompile(`99%\s+([0-9.]+)(us|ms|s)`)
)

func (w *world) wrk(b *testing.B, url string, args []string) wrkResult {
	b.Helper()
	var out strings.Builder
	cmd := exec.Command("wrk", slices.Concat([]string{"-t1", "-c32", "-d1s", "--latency"}, args, []string{url})...)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := w.net.Start(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	text := out.String()
	rate, p99, sum := wrkRate.FindStringSubmatch(text), wrkP99.FindStringSubmatch(text), wrkSum.FindStringSubmatch(text)
	if err != nil || rate == nil || p99 == nil || sum == nil || strings.Contains(text, "Non-2xx") || strings.Contains(text, "Socket errors") && len(args) == 0 {
		b.Fatalf("wrk: %v\n%s", err, text)
	}
	r, _ := strconv.ParseFloat(rate[1], 64)
	l, _ := strconv.ParseFloat(p99[1], 64)
	requests, _ := strconv.ParseFloat(sum[1], 64)
	return wrkResult{r, l * map[string]float64{"us": 1, "ms": 1e3, "s": 1e6}[p99[2]], requests}
}

// BenchmarkEffect is the time from a state being wanted to clients noticing: of a member that is disabled, which is done at
// run time, and of another listener, which takes a reload. Each while nobody asks anything, and while 2000 requests are
// answered each second.
func BenchmarkEffect(b *testing.B) {
	w := newBench(b)
	for _, load := range []struct {
		name string
		rate int
	}{{"idle", 0}, {"loaded", 2000}} {
		b.Run(load.name+"/run time", func(b *testing.B) {
			defer w.pace(b, load.rate)()
			var took []float64
			for b.Loop() {
				for i := range 100 {
					took = append(took, w.disable(b, fmt.Sprintf("m%d", 1+i%2)))
				}
			}
			reportTimes(b, "effect_"+load.name+"_run_time", took)
		})
		b.Run(load.name+"/reload", func(b *testing.B) {
			defer w.pace(b, load.rate)()
			var took []float64
			for b.Loop() {
				for i := range 100 {
					took = append(took, w.listenAt(b, 1000+load.rate+i))
				}
			}
			reportTimes(b, "effect_"+load.name+"_reload", took)
		})
	}
}

// pace sends so many requests each second until the function that it returns is called, which fails if one of them did.
func (w *world) pace(b *testing.B, rate int) (stop func()) {
	const clients = 8
	var wg sync.WaitGroup
	var failed atomic.Value
	done := make(chan struct{})
	for range min(clients, rate) {
		client := w.net.HTTPClient(true)
		wg.Go(func() {
			tick := time.NewTicker(clients * time.Second / time.Duration(rate))
			defer tick.Stop()
			for {
				select {
				case <-done:
					return
				case <-tick.C:
					if err := ok(client.Get("http://10.0.0.100/")); err != nil {
						failed.Store(err.Error())
					}
				}
			}
		})
	}
	return func() {
		close(done)
		wg.Wait()
		if err := failed.Load(); err != nil {
			b.Errorf("a request failed: %v", err)
		}
	}
}

// disable makes one of the members take no part, and tells how many milliseconds it took.
func (w *world) disable(b *testing.B, member string) float64 {
	start := time.Now()
	w.want(b, strings.Replace(basic, "{id: "+member, "{admin_state_up: false, id: "+member, 1))
	for !maintained(w, b, member) {
		time.Sleep(200 * time.Microsecond)
	}
	return ms(start)
}

// listenAt makes a listener at a port, and tells how many milliseconds it took.
func (w *world) listenAt(b *testing.B, port int) float64 {
	start := time.Now()
	w.want(b, strings.Replace(basic, "listeners: [", fmt.Sprintf("listeners: [{id: x1, protocol: HTTP, protocol_port: %d, default_pool_id: p1},", port), 1))
	for {
		c, err := w.net.Dial(context.Background(), "tcp", fmt.Sprintf("10.0.0.100:%d", port))
		if err == nil {
			c.Close()
			return ms(start)
		}
		time.Sleep(500 * time.Microsecond)
	}
}

// maintained tells whether HAProxy sends a member nothing.
func maintained(w *world, b *testing.B, member string) bool {
	for line := range strings.Lines(w.instance.HAProxy(b, "show stat")) {
		if strings.HasPrefix(line, "p1:l1,"+member+",") {
			return strings.Contains(line, ",MAINT,")
		}
	}
	return false
}

func ms(since time.Time) float64 { return float64(time.Since(since).Microseconds()) / 1000 }

func reportTimes(b *testing.B, name string, all []float64) {
	slices.Sort(all)
	b.ReportMetric(all[len(all)/2], name+"_p50_ms")
	b.ReportMetric(all[len(all)*99/100], name+"_p99_ms")
}
