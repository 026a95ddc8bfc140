package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/api"
	"github.com/octavo-lb/octavo/cloud/noop"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/policy"
	"github.com/octavo-lb/octavo/store"
	"github.com/octavo-lb/octavo/test/dbtest"
	"github.com/octavo-lb/octavo/worker"
)

// arena is the API on one database, with a client that does nothing but ask.
type arena struct {
	b          *testing.B
	database   string
	store      *store.Store
	server     *httptest.Server
	statements atomic.Int64 // that the store was asked
}

func newArena(b *testing.B, database string) *arena {
	b.Helper()
	a := &arena{b: b, database: database}
	count := func(context.Context, string, time.Duration, error) { a.statements.Add(1) }
	s, err := store.Open(b.Context(), dbtest.DSN(b, database), store.Options{Trace: count})
	if err != nil {
		b.Fatal(err)
	}
	rules, err := policy.New(nil, policy.Options{})
	if err != nil {
		b.Fatal(err)
	}
	n := newNetwork()
	h, err := api.New(api.Config{Store: s, Auth: tokens{}, Policy: rules, Networks: n, VIPs: n, Logger: slog.New(slog.DiscardHandler),
		Rules: lb.DefaultRules(), Providers: []api.Provider{{Name: "amphora"}}})
	if err != nil {
		b.Fatal(err)
	}
	a.store, a.server = s, httptest.NewServer(h)
	b.Cleanup(func() {
		a.server.Close()
		s.Close()
	})
	return a
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
	q, _ := http.NewRequestWithContext(context.Background(), method, a.server.URL+path, content)
	q.Header = http.Header{"X-Auth-Token": {"member-a"}, "Content-Type": {"application/json"}}
	resp, err := http.DefaultClient.Do(q)
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

// measure asks again and again, and reports latency, throughput, statements, and the CPU time of client and service
// together and of the database's server. after runs in between and does not count, except for the database.
func (a *arena) measure(name string, f func(i int), after ...func()) {
	a.b.Run(name, func(b *testing.B) {
		var took []time.Duration
		var all, used time.Duration
		var statements int64
		database := childrensCPU(b)
		for i := 0; b.Loop(); i++ {
			asked, before, began := a.statements.Load(), cpu(), time.Now()
			f(i)
			took = append(took, time.Since(began))
			all += took[i]
			used += cpu() - before
			statements += a.statements.Load() - asked
			for _, f := range after {
				f()
			}
		}
		slices.Sort(took)
		ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
		n := float64(len(took))
		prefix := a.database + "_" + name
		b.ReportMetric(ms(took[len(took)/2]), prefix+"_p50_ms")
		b.ReportMetric(ms(took[len(took)*99/100]), prefix+"_p99_ms")
		b.ReportMetric(n/all.Seconds(), prefix+"_per_s")
		b.ReportMetric(used.Seconds()/n*1000, prefix+"_cpu_s_per_1000")
		b.ReportMetric((childrensCPU(b)-database).Seconds()/n*1000, prefix+"_database_cpu_s_per_1000")
		b.ReportMetric(float64(statements)/n, prefix+"_statements")
		b.ReportMetric(0, "ns/op")
	})
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

func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// childrensCPU is what all processes that this one started have used, in steps of 10 ms: those of the database's server.
func childrensCPU(b *testing.B) (sum time.Duration) {
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		b.Fatal(err)
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

// active measures single-call creates of a full tree until ACTIVE, with a worker that has no cloud to wait for.
func (a *arena) active() {
	w := worker.New(worker.Options{Store: a.store, Cloud: noop.Cloud{}, Pretends: func(string) bool { return true }})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			a.b.Error(err)
		}
	}()
	a.measure("create_full_until_active", func(i int) {
		var made struct{ LoadBalancer struct{ ID string } }
		json.Unmarshal(a.do("POST", lbs, full(i), 201), &made)
		changed := a.store.Subscribe(ctx)
		for {
			p, err := a.store.Progress(ctx, made.LoadBalancer.ID)
			if err != nil {
				a.b.Fatal(err)
			}
			if p.ObservedGeneration >= p.Generation {
				return
			}
			select {
			case <-changed:
			case <-time.After(100 * time.Millisecond):
			}
		}
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
			newArena(b, database).active()
			a := newArena(b, database)
			a.measure("list_0", func(int) { a.do("GET", lbs, nil, 200) })
			have := 0
			for _, n := range []int{100, 1000, 100_000} {
				id := a.fill(n - have)
				a.converge(id) // as most are that somebody looks at
				have = n
				a.measure(fmt.Sprint("show_of_", n), func(int) { a.do("GET", lbs+"/"+id, nil, 200) })
				a.measure(fmt.Sprint("page_50_of_", n), func(int) { a.do("GET", lbs+"?limit=50", nil, 200) })
				a.measure(fmt.Sprint("page_1000_of_", n), func(int) { a.do("GET", lbs, nil, 200) })
			}
			a.measure("create", func(int) { a.do("POST", lbs, object{"loadbalancer": object{"vip_subnet_id": subA}}, 201) })
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
