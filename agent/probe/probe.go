// Package probe checks members for the pools that HAProxy does not check: by ICMP echo, and all pools of datagrams.
package probe

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/lb"
)

// Key is a member in its pool.
type Key struct{ Pool, Member string }

// Target is a member with what is needed to check it. Two equal targets are checked in the same way.
type Target struct {
	Key
	Monitor       string // its id
	Type          string
	Address       netip.AddrPort
	Interval      time.Duration
	Timeout       time.Duration
	Rise, Fall    int
	Method, Path  string
	Version, Host string
	Codes         string
}

// Verdict is what the checks of one member found.
type Verdict struct {
	Known  bool // a check has ended
	Up     bool
	Detail string // what the last check said
}

// Namespace runs a function where the members are reached.
type Namespace interface {
	Do(f func() error) error
}

// Prober checks a set of members, each on its own. Its methods may be used concurrently.
type Prober struct {
	namespace Namespace
	logger    *slog.Logger
	changed   func() // called when a verdict changes

	mu      sync.Mutex
	running map[Target]*checker
	before  map[Key]remembered // by another prober, until the first Set
	wg      sync.WaitGroup
}

// New is a prober with nothing to check.
func New(namespace Namespace, logger *slog.Logger, changed func()) *Prober {
	return &Prober{namespace: namespace, logger: logger, changed: changed, running: map[Target]*checker{}}
}

// checker is one member being checked.
type checker struct {
	target Target
	stop   context.CancelFunc

	mu      sync.Mutex
	verdict Verdict
	doubt   bool // the very first check failed, and has not been repeated yet
	streak  int  // equal results in a row that speak against the verdict
}

// Set says what to check from now on. A member that is checked as before keeps its verdict; so does, until the next result,
// one whose monitor's numbers have changed.
func (p *Prober) Set(ctx context.Context, targets []Target) {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := map[Target]*checker{}
	for _, t := range targets {
		if c, ok := p.running[t]; ok {
			next[t] = c
			delete(p.running, t)
			continue
		}
		c := &checker{target: t}
		if r, ok := p.before[t.Key]; ok && r.Monitor == t.Monitor {
			c.verdict = r.Verdict
		}
		for _, old := range p.running {
			if old.target.Key == t.Key && old.target.Monitor == t.Monitor {
				c.verdict = old.read()
			}
		}
		ctx, cancel := context.WithCancel(ctx)
		c.stop = cancel
		next[t] = c
		p.wg.Go(func() { p.check(ctx, c) })
	}
	for _, old := range p.running {
		old.stop()
	}
	p.running, p.before = next, nil
}

// Stop ends all checks and waits for them.
func (p *Prober) Stop() {
	p.Set(context.Background(), nil)
	p.wg.Wait()
}

// Verdicts returns what is known.
func (p *Prober) Verdicts() map[Key]Verdict {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make(map[Key]Verdict, len(p.running))
	for k, r := range p.before {
		out[k] = r.Verdict
	}
	for t, c := range p.running {
		out[t.Key] = c.read()
	}
	return out
}

func (p *Prober) check(ctx context.Context, c *checker) {
	// The first check comes at once, the following ones spread out.
	next := time.NewTimer(0)
	defer next.Stop()
	first := true
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		}
		pause := c.target.Interval
		if first {
			pause -= rand.N(c.target.Interval/2 + 1)
			first = false
		}
		next.Reset(pause)
		err := p.run(ctx, c.target)
		if ctx.Err() != nil {
			return
		}
		if c.take(err) {
			p.changed()
		}
		if c.inDoubt() {
			next.Reset(min(pause, repeatAfter))
		}
	}
}

func (p *Prober) run(ctx context.Context, t Target) error {
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	return check(ctx, p.namespace, t)
}

func (c *checker) read() Verdict {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.verdict
}

// repeatAfter is when a first check that failed is made once more.
const repeatAfter = 200 * time.Millisecond

func (c *checker) inDoubt() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.doubt
}

// take counts a result in and tells whether it turned the verdict. The very first result is one by itself, as in HAProxy,
// but a failure only when it is met twice: the first packet over an interface that was just plugged gets lost too easily,
// and the member would be out for as long as the interval is.
func (c *checker) take(err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	up := err == nil
	c.verdict.Detail = "check passed"
	if !up {
		c.verdict.Detail = err.Error()
	}
	if !c.verdict.Known && !up && !c.doubt {
		c.doubt = true
		return false
	}
	c.doubt = false
	if !c.verdict.Known {
		c.verdict.Known, c.verdict.Up = true, up
		return true
	}
	if up == c.verdict.Up {
		c.streak = 0
		return false
	}
	need := c.target.Fall
	if up {
		need = c.target.Rise
	}
	if c.streak++; c.streak < need {
		return false
	}
	c.verdict.Up, c.streak = up, 0
	return true
}

// Targets are the members that the agent has to check: those of pools whose monitor is of a kind that only it has, and of
// all pools that HAProxy does not serve.
func Targets(state *agentapi.State, mine func(pool lb.Pool, monitor lb.HealthMonitor) bool) []Target {
	if state.Disabled {
		return nil
	}
	pools := map[string]lb.Pool{}
	for _, p := range state.Pools {
		if p.AdminStateUp && !p.Deleting {
			pools[p.ID] = p
		}
	}
	monitors := map[string]lb.HealthMonitor{}
	for _, m := range state.Monitors {
		if pool, ok := pools[m.PoolID]; ok && m.AdminStateUp && !m.Deleting && mine(pool, m.HealthMonitor) {
			monitors[m.PoolID] = m.HealthMonitor
		}
	}
	var targets []Target
	for _, m := range state.Members {
		monitor, ok := monitors[m.PoolID]
		if !ok || !m.AdminStateUp || m.Deleting {
			continue
		}
		if t, err := target(m, monitor); err == nil {
			targets = append(targets, t)
		}
	}
	return targets
}

func target(m agentapi.Member, monitor lb.HealthMonitor) (Target, error) {
	text, port := m.Address, m.ProtocolPort
	if m.MonitorAddress != nil {
		text = *m.MonitorAddress
	}
	if m.MonitorPort != nil {
		port = *m.MonitorPort
	}
	address, err := netip.ParseAddr(text)
	if err != nil {
		return Target{}, err
	}
	t := Target{
		Key: Key{m.PoolID, m.ID}, Monitor: monitor.ID, Type: monitor.Type, Address: netip.AddrPortFrom(address.Unmap(), uint16(port)),
		Interval: time.Duration(max(monitor.Delay, 1)) * time.Second, Timeout: time.Duration(max(monitor.Timeout, 1)) * time.Second,
		Rise: max(monitor.MaxRetries, 1), Fall: max(monitor.MaxRetriesDown, 1),
		Method: or(monitor.HTTPMethod, "GET"), Path: or(monitor.URLPath, "/"), Host: or(monitor.DomainName, ""), Codes: or(monitor.ExpectedCodes, "200"),
		Version: "1.0",
	}
	if monitor.HTTPVersion != nil && *monitor.HTTPVersion > 1 {
		t.Version = "1.1"
	}
	return t, nil
}

func or(s *string, otherwise string) string {
	if s == nil {
		return otherwise
	}
	return *s
}
