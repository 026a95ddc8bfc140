package agent_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/agent/instancetest"
)

// TestUDPChangesUnderLoad: while anything but their own members changes, no datagram of any flow is lost, and none changes
// its member; new flows are served at every moment.
func TestUDPChangesUnderLoad(t *testing.T) {
	e := newEchoes(t)
	e.put(t, udp)
	load := e.startFlows(t, 40)
	third := udp + "  - {id: m3, pool_id: p1, address: 10.0.0.13, protocol_port: 5300}\n"
	changes := []string{
		third,
		strings.Replace(third, "10.0.0.11,", "10.0.0.11, weight: 9,", 1),
		udp,
		strings.Replace(third, "ROUND_ROBIN", "LEAST_CONNECTIONS", 1),
		strings.Replace(third, "ROUND_ROBIN", "SOURCE_IP", 1),
		strings.Replace(udp, "10.0.0.12,", "10.0.0.12, weight: 0,", 1),
		strings.Replace(udp, "listeners: [", "listeners: [{id: l2, protocol: UDP, protocol_port: 54, default_pool_id: p1}, {id: l3, protocol: HTTP, protocol_port: 80},", 1),
		strings.Replace(udp, "ROUND_ROBIN", "ROUND_ROBIN, session_persistence: {type: SOURCE_IP}", 1),
		strings.Replace(udp, "id: l1,", "id: l1, connection_limit: 1000000, allowed_cidrs: [10.0.0.0/8],", 1),
		third + "monitors: [{id: h1, pool_id: p1, type: UDP-CONNECT, delay: 1, timeout: 1, max_retries: 1}]\n",
	}
	const rounds = 5
	for range rounds {
		for _, c := range changes {
			e.put(t, c)
		}
	}
	e.instance.SignalAgent(t, 9)
	e.instance.StartAgent(t)
	e.put(t, udp)
	load.stop(t)
	t.Logf("%d changes", rounds*len(changes)+2)
}

// TestUDPAnswersUnderWay: who asked a member just before it was removed still gets its answer.
func TestUDPAnswersUnderWay(t *testing.T) {
	e := newEchoes(t)
	third := udp + "  - {id: m3, pool_id: p1, address: 10.0.0.13, protocol_port: 5300}\n"
	e.put(t, third)
	e.members[2].Slow(60 * time.Millisecond) // longer than it takes to change the rules and look for flows
	load := e.startFlows(t, 0)
	for range 3 {
		e.put(t, udp)
		e.put(t, third)
	}
	load.stop(t)
}

// flows are clients that ask all the time: some by one flow each, one by a new flow for every question.
type flows struct {
	done    chan struct{}
	wg      sync.WaitGroup
	asked   atomic.Int64
	begun   atomic.Int64
	mu      sync.Mutex
	failed  []string
	stopped bool
}

func (e *echoes) startFlows(t *testing.T, n int) *flows {
	t.Helper()
	f := &flows{done: make(chan struct{})}
	t.Cleanup(f.end)
	for range n {
		client := e.net.DialUDP(t, "", udpVIP)
		first, err := client.Ask("first")
		if err != nil {
			t.Fatal(err)
		}
		f.wg.Go(func() { f.keepAsking(client, first) })
	}
	f.wg.Go(func() {
		for range f.ticks(5 * time.Millisecond) {
			client := e.net.DialUDP(t, "", udpVIP)
			f.begun.Add(1)
			f.ask(client, "new", "")
			client.Close()
		}
	})
	return f
}

func (f *flows) keepAsking(client *instancetest.Client, member string) {
	i := 0
	for range f.ticks(2 * time.Millisecond) {
		i++
		f.ask(client, fmt.Sprint("question ", i), member)
	}
}

func (f *flows) ticks(every time.Duration) func(func(int) bool) {
	return func(yield func(int) bool) {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-f.done:
				return
			case <-tick.C:
				if !yield(i) {
					return
				}
			}
		}
	}
}

func (f *flows) ask(client *instancetest.Client, question, member string) {
	f.asked.Add(1)
	got, err := client.Ask(question)
	switch {
	case err != nil:
	case member != "" && got != member:
		err = fmt.Errorf("%s answered, not %s", got, member)
	default:
		return
	}
	f.mu.Lock()
	f.failed = append(f.failed, fmt.Sprintf("%s %s: %v", client.LocalAddr(), question, err))
	f.mu.Unlock()
}

func (f *flows) end() {
	f.mu.Lock()
	if !f.stopped {
		f.stopped = true
		close(f.done)
	}
	f.mu.Unlock()
	f.wg.Wait()
}

func (f *flows) stop(t *testing.T) {
	t.Helper()
	f.end()
	t.Logf("%d datagrams answered, %d new flows", f.asked.Load()-int64(len(f.failed)), f.begun.Load())
	if len(f.failed) > 0 {
		t.Errorf("%d of %d were not, the first: %s", len(f.failed), f.asked.Load(), f.failed[0])
	}
}
