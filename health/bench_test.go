package health_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/health"
	"github.com/octavo-lb/octavo/health/agenttest"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/store"
)

// fleet is many load balancers with one enrolled agent each.
type fleet struct {
	balancers []*balancer
	agents    []*agenttest.Agent
}

func (w *world) fleet(size int) *fleet {
	w.t.Helper()
	f := &fleet{}
	for range size {
		b := w.newBalancer(1)
		b.inCloud()
		f.balancers = append(f.balancers, b)
		f.agents = append(f.agents, w.enrolled(b.amphorae[0]))
	}
	return f
}

// together sends count reports, made by report out of their number, from all agents of the fleet at once.
func (f *fleet) together(b *testing.B, count int, report func(agent, n int) agentapi.Report) {
	b.Helper()
	var next atomic.Int64
	var group sync.WaitGroup
	for i, a := range f.agents {
		group.Go(func() {
			for {
				n := int(next.Add(1))
				if n > count {
					return
				}
				if _, err := a.Report(b.Context(), report(i, n)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}

func quiet(o *health.Options) { o.FlushInterval, o.Logger = time.Second, nil }

// BenchmarkReports is how many reports a controller takes in, client and server on the same machine. At 10 s between reports,
// 1000/s are 10,000 agents.
func BenchmarkReports(b *testing.B) {
	for _, c := range []struct {
		name string
		news bool
	}{{"unchanged", false}, {"news", true}} {
		b.Run(c.name, func(b *testing.B) {
			w := newWorld(b, quiet)
			f := w.fleet(100)
			f.together(b, 2*len(f.agents), func(agent, _ int) agentapi.Report { return f.balancers[agent].good(1) })
			before := cpuTime(b)
			b.ResetTimer()
			f.together(b, b.N, func(agent, n int) agentapi.Report {
				r := f.balancers[agent].good(1)
				r.Listeners[0].BytesIn = int64(n)
				if c.news && n/len(f.agents)%2 == 0 {
					r.Members[0].Status = lb.OperError
				}
				return r
			})
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), fmt.Sprintf("reports_%s_per_s", c.name))
			b.ReportMetric((cpuTime(b)-before).Seconds()/float64(b.N)*1000, fmt.Sprintf("reports_%s_cpu_s_per_1000", c.name))
		})
	}
}

// BenchmarkWake is the time from the commit of a write to the moment at which the agent has the new state, while a thousand
// others wait for other load balancers.
func BenchmarkWake(b *testing.B) {
	w := newWorld(b, quiet)
	f := w.fleet(1000)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	for i, a := range f.agents[1:] {
		group.Go(func() { poll(ctx, a, f.balancers[i+1].tree().LB.Generation) })
	}
	w.waitFor(len(f.agents) - 1)
	runtime.GC()
	runtime.ReadMemStats(&after)

	agent, balancer := f.agents[0], f.balancers[0]
	generation := balancer.tree().LB.Generation
	var took []time.Duration
	for b.Loop() {
		answered := make(chan time.Time, 1)
		go func() {
			if _, found, err := agent.Poll(ctx, generation, time.Minute); err != nil || !found {
				b.Errorf("no state: %v", err)
			}
			answered <- time.Now()
		}()
		w.waitFor(len(f.agents))
		must(b, w.store.Write(ctx, func(tx *store.Tx) error { return tx.Touch(ctx, balancer.id) }))
		committed := time.Now()
		took = append(took, max(0, (<-answered).Sub(committed)))
		generation++
	}
	b.ReportMetric(float64(after.HeapInuse+after.StackInuse-before.HeapInuse-before.StackInuse)/1024/float64(len(f.agents)),
		"waiting_agent_and_client_KB")
	slices.Sort(took)
	b.ReportMetric(milliseconds(took[len(took)/2]), "wake_p50_ms")
	b.ReportMetric(milliseconds(took[len(took)*99/100]), "wake_p99_ms")
}

func poll(ctx context.Context, a *agenttest.Agent, generation int64) {
	for ctx.Err() == nil {
		_, _, _ = a.Poll(ctx, generation, time.Minute)
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
