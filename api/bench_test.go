package api_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/store"
	"github.com/octavo-lb/octavo/test/dbtest"
)

// crowdsClient keeps the connections of all clients.
var crowdsClient = http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2 * crowd}}

// arena is the service on one database, in a process of its own, with a client that does nothing but ask.
type arena struct {
	b        *testing.B
	database string
	store    *store.Store // of this process, to prepare what is asked for
	url      string       // of the service
	pid      int          // of the service
}

// newArena starts a service; args are serve's, after the database.
func newArena(b *testing.B, database string, args ...string) *arena {
	b.Helper()
	dsn := dbtest.DSN(b, database)
	s, err := store.Open(b.Context(), dsn, store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	service := exec.Command(os.Args[0], append([]string{serviceArg, dsn}, args...)...)
	service.Stderr = os.Stderr
	leash, err := service.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := service.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := service.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		leash.Close()
		if err := service.Wait(); err != nil {
			b.Error("the service: ", err)
		}
		s.Close()
	})
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal("the service did not start: ", err)
	}
	return &arena{b: b, database: database, store: s, url: strings.TrimSpace(url), pid: service.Process.Pid}
}

func (a *arena) do(method, path string, body any, want int) []byte {
	var content io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			a.b.Fatal(err)
		}
		content = bytes.NewReader(raw)
	}
	q, _ := http.NewRequestWithContext(context.Background(), method, a.url+path, content)
	q.Header = http.Header{"X-Auth-Token": {"member-a"}, "Content-Type": {"application/json"}}
	resp, err := crowdsClient.Do(q)
	if err != nil {
		a.b.Fatal(err)
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != want {
		a.b.Fatalf("%s %s: %d %s", method, path, resp.StatusCode, answer)
	}
	return answer
}

// usage is what the service has used so far.
func (a *arena) usage() (u usage) {
	if err := json.Unmarshal(a.do("GET", usagePath, nil, 200), &u); err != nil {
		a.b.Fatal(err)
	}
	return u
}

// measure asks again and again, and reports latency, throughput, statements, and the CPU time of the service and of the
// database's server. between runs between requests, in this process: of it only what the database does counts.
func (a *arena) measure(name string, f func(i int), between ...func()) {
	a.b.Run(name, func(b *testing.B) {
		m := a.begin(name)
		for i := 0; b.Loop(); i++ {
			began := time.Now()
			f(i)
			m.add(time.Since(began))
			for _, f := range between {
				f()
			}
		}
		var all time.Duration
		for _, t := range m.took {
			all += t
		}
		m.end(b, all)
	})
}

const crowd = 8

// measureCrowd is measure with several clients at once.
func (a *arena) measureCrowd(name string, f func()) {
	a.b.Run(name, func(b *testing.B) {
		b.SetParallelism((crowd + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
		m := a.begin(name)
		b.ResetTimer()
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				began := time.Now()
				f()
				m.add(time.Since(began))
			}
		})
		b.StopTimer()
		m.end(b, b.Elapsed())
	})
}

// measurement is what is known of requests since its beginning.
type measurement struct {
	*arena
	prefix   string
	before   usage
	database time.Duration
	profiled func()

	mu   sync.Mutex
	took []time.Duration
}

func (a *arena) begin(name string) *measurement {
	prefix := a.database + "_" + name
	return &measurement{arena: a, prefix: prefix, profiled: a.profile(prefix), before: a.usage(), database: a.databaseCPU()}
}

func (m *measurement) add(took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.took = append(m.took, took)
}

// end reports; all is how long the requests took together.
func (m *measurement) end(b *testing.B, all time.Duration) {
	after, database := m.usage(), m.databaseCPU()
	m.profiled()
	slices.Sort(m.took)
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	n := float64(len(m.took))
	b.ReportMetric(ms(m.took[len(m.took)/2]), m.prefix+"_p50_ms")
	b.ReportMetric(ms(m.took[len(m.took)*99/100]), m.prefix+"_p99_ms")
	b.ReportMetric(n/all.Seconds(), m.prefix+"_per_s")
	b.ReportMetric((after.CPU-m.before.CPU).Seconds()/n*1000, m.prefix+"_cpu_s_per_1000")
	b.ReportMetric((database-m.database).Seconds()/n*1000, m.prefix+"_database_cpu_s_per_1000")
	b.ReportMetric(float64(after.Statements-m.before.Statements)/n, m.prefix+"_statements")
	b.ReportMetric(0, "ns/op")
}

// profilesVariable names a folder for a CPU profile of the service for each of the figures. Profiling itself costs some CPU.
const profilesVariable = "OCTAVO_BENCH_PROFILES"

// profile writes what the service does in the next second, and returns what waits for that.
func (a *arena) profile(name string) (wait func()) {
	dir := os.Getenv(profilesVariable)
	if dir == "" {
		return func() {}
	}
	done := make(chan error)
	go func() {
		resp, err := http.Get(a.url + "/debug/pprof/profile?seconds=1")
		if err != nil {
			done <- err
			return
		}
		defer resp.Body.Close()
		raw, err := io.ReadAll(resp.Body)
		done <- errors.Join(err, os.WriteFile(filepath.Join(dir, name+".pprof"), raw, 0o644))
	}()
	return func() {
		if err := <-done; err != nil {
			a.b.Error(err)
		}
	}
}

// converge drops what was deleted, as a worker lets happen.
func (a *arena) converge(lbID string) {
	ctx := context.Background()
	err := a.store.Write(ctx, func(tx *store.Tx) error {
		b, err := tx.Lock(ctx, lbID)
		if err != nil {
			return err
		}
		return tx.SetCloudGeneration(ctx, b.Generation)
	})
	if err != nil {
		a.b.Fatal(err)
	}
}

// databaseCPU is what the processes that this one started, but for the service, have used, in steps of 10 ms: those of the
// database's server.
func (a *arena) databaseCPU() (sum time.Duration) {
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		a.b.Fatal(err)
	}
	parents, used := map[int]int{}, map[int]time.Duration{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		var pid, parent, skip int
		var user, system int64
		_, rest, _ := strings.Cut(string(text), ") ")
		fmt.Sscan(string(text), &pid)
		var state, flags string
		fmt.Sscan(rest, &state, &parent, &skip, &skip, &skip, &skip, &flags, &flags, &flags, &flags, &flags, &user, &system)
		parents[pid], used[pid] = parent, time.Duration(user+system)*10*time.Millisecond
	}
	for pid := range parents {
		if pid == a.pid {
			continue
		}
		for at := parents[pid]; at > 1; at = parents[at] {
			if at == os.Getpid() {
				sum += used[pid]
				break
			}
		}
	}
	return sum
}

// fill puts n load balancers there, several at a time.
func (a *arena) fill(n int) (last string) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	work := make(chan int)
	for range 8 {
		wg.Go(func() {
			for i := range work {
				l := lb.LoadBalancer{Meta: lb.Meta{ProjectID: projectA, AdminStateUp: true, Tags: []string{}}, Name: fmt.Sprint("lb", i),
					VipAddress: "192.0.2.1", VipVnicType: "normal", Provider: "amphora", Topology: "SINGLE"}
				err := a.store.Write(context.Background(), func(tx *store.Tx) error { return store.Insert(context.Background(), tx, &l) })
				if err != nil {
					a.b.Error(err)
				}
				mu.Lock()
				last = l.ID
				mu.Unlock()
			}
		})
	}
	for i := range n {
		work <- i
	}
	close(work)
	wg.Wait()
	return last
}

// active measures single-call creates of a full tree until ACTIVE.
func (a *arena) active() {
	a.measure("create_full_until_active", func(i int) {
		var made struct{ LoadBalancer struct{ ID string } }
		json.Unmarshal(a.do("POST", lbs, full(i), 201), &made)
		a.do("GET", activePath+made.LoadBalancer.ID, nil, 200)
	})
}

func full(i int) object {
	member := func(n int) object { return object{"address": fmt.Sprintf("192.0.2.%d", n), "protocol_port": 80} }
	return object{"loadbalancer": object{"name": fmt.Sprint("full", i), "vip_subnet_id": subA,
		"pools": []object{{"name": "p", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "members": []object{member(100), member(101)},
			"healthmonitor": object{"type": "HTTP", "delay": 5, "timeout": 3, "max_retries": 2}}},
		"listeners": []object{{"protocol": "HTTP", "protocol_port": 80, "default_pool": object{"name": "p"}, "l7policies": []object{
			{"action": "REJECT", "rules": []object{{"type": "PATH", "compare_type": "STARTS_WITH", "value": "/x"}}}}}}}}
}

func BenchmarkAPI(b *testing.B) {
	for _, database := range []string{"sqlite", "mariadb", "postgresql"} {
		b.Run(database, func(b *testing.B) {
			newArena(b, database, "worker").active()
			a := newArena(b, database)
			a.measure("list_0", func(int) { a.do("GET", lbs, nil, 200) })
			have := 0
			for _, n := range []int{100, 1000, 100_000} {
				id := a.fill(n - have)
				a.converge(id) // as most are that somebody looks at
				have = n
				a.measure(fmt.Sprint("show_of_", n), func(int) { a.do("GET", lbs+"/"+id, nil, 200) })
				a.measureCrowd(fmt.Sprint("shows_at_once_of_", n), func() { a.do("GET", lbs+"/"+id, nil, 200) })
				a.measure(fmt.Sprint("page_50_of_", n), func(int) { a.do("GET", lbs+"?limit=50", nil, 200) })
				a.measure(fmt.Sprint("page_1000_of_", n), func(int) { a.do("GET", lbs, nil, 200) })
			}
			a.measure("create", func(int) { a.do("POST", lbs, object{"loadbalancer": object{"vip_subnet_id": subA}}, 201) })
			a.measureCrowd("creates_at_once", func() { a.do("POST", lbs, object{"loadbalancer": object{"vip_subnet_id": subA}}, 201) })
			a.measure("create_full", func(i int) { a.do("POST", lbs, full(i), 201) })

			var made struct {
				LoadBalancer struct {
					ID    string
					Pools []struct{ ID string }
				}
			}
			json.Unmarshal(a.do("POST", lbs, full(0), 201), &made)
			path := "/v2/lbaas/pools/" + made.LoadBalancer.Pools[0].ID + "/members"
			for _, n := range []int{100, 1000} {
				batches := [2][]object{addresses(0, n), addresses(n/2, n)}
				a.measure(fmt.Sprint("batch_", n), func(i int) { a.do("PUT", path, object{"members": batches[i%2]}, 202) },
					func() { a.converge(made.LoadBalancer.ID) })
			}
		})
	}
}
