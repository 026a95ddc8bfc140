// Package datagram puts the rules of package firewall into force and keeps them right: a member that its checks find ill
// leaves them at once, pools of LEAST_CONNECTIONS follow the flows that there are, and flows end whose member is gone.
// The kernel balances on by itself while the agent is away.
package datagram

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/octavo-lb/octavo/agent/probe"
	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/firewall"
)

// Namespace runs a function where the load balancer is.
type Namespace interface {
	Do(f func() error) error
}

// Options of New.
type Options struct {
	Namespace Namespace
	Verdicts  func() map[probe.Key]probe.Verdict // what the checks say now
	Changed   func()                             // called when a verdict has changed, and the rules with it
	Logger    *slog.Logger
}

// Plane is the kernel's part in the load balancer. Its methods may be used concurrently.
type Plane struct {
	kernel   kernel
	verdicts func() map[probe.Key]probe.Verdict
	changed  func()
	logger   *slog.Logger
	wake     chan struct{}

	mu       sync.Mutex
	state    *agentapi.State          // in force
	rules    *firewall.Ruleset        // in the kernel; nil when that is not known
	down     map[firewall.Member]bool // as in rules
	flows    map[firewall.Path]int    // as counted last
	countAt  time.Time                // when to count flows again
	readings map[string]Reading       // by listener
	failing  bool
}

// Reading is what is known of a listener.
type Reading struct {
	Flows    int64 // that there are
	Total    int64 // that there have been
	BytesIn  int64 // from clients, with IP headers
	BytesOut int64
}

// New is a plane that knows nothing of what is in the kernel.
func New(o Options) *Plane {
	return &Plane{kernel: kernel{o.Namespace}, verdicts: o.Verdicts, changed: o.Changed, logger: o.Logger, wake: make(chan struct{}, 1)}
}

// Check asks whether the kernel would take the rules for a state. Nothing is changed.
func (p *Plane) Check(ctx context.Context, state *agentapi.State) error {
	rules, err := firewall.Build(state, firewall.Seen{Down: p.ill(), Flows: p.counted()})
	if err != nil {
		return err
	}
	p.mu.Lock()
	same := rules.Empty() || p.rules != nil && rules.Since(p.rules) == ""
	p.mu.Unlock()
	if same {
		return nil
	}
	return p.kernel.nft(ctx, "-c", rules.Replacement())
}

// Apply puts a state into force. When it fails the former one stays.
func (p *Plane) Apply(ctx context.Context, state *agentapi.State) error {
	down := p.ill()
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.put(ctx, state, down); err != nil {
		return err
	}
	if p.rules.Empty() {
		p.readings, p.flows = nil, nil
		return nil
	}
	if err := p.kernel.forward(true); err != nil {
		return err
	}
	if err := p.read(true); err != nil {
		p.logger.Warn("cannot read what UDP and SCTP listeners do", "lb", state.LB, "err", err)
	}
	return nil
}

// Wake makes Run look at once, because a check's verdict has changed. Those who report verdicts hear of it afterwards, so
// that no member is said to be down that still gets flows.
func (p *Plane) Wake() {
	select {
	case p.wake <- struct{}{}:
	default: // it is awake
	}
}

// Listeners returns what was read last. A listener that should be served and is not in it is not.
func (p *Plane) Listeners() map[string]Reading {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.readings)
}

// lookInterval is how often the kernel is asked.
const lookInterval = time.Second

// Run keeps the rules right until the context ends; they stay in force.
func (p *Plane) Run(ctx context.Context) {
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			p.tend(ctx)
		case <-p.wake:
			p.tend(ctx)
			p.changed()
		}
	}
}

func (p *Plane) tend(ctx context.Context) {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.look(ctx)
	if err != nil && !p.failing && ctx.Err() == nil {
		p.logger.Error("cannot keep the rules for UDP and SCTP right", "err", err)
	}
	p.failing = err != nil
}

// look reads, and changes the rules if they have to be others.
func (p *Plane) look(ctx context.Context) error {
	if p.state == nil || p.rules != nil && p.rules.Empty() {
		return nil
	}
	if p.rules != nil {
		if err := p.read(false); err != nil {
			return err
		}
	}
	return p.put(ctx, p.state, p.ill())
}

// put brings the kernel's rules to a state, if they are not there, and cuts the flows that then lead nowhere.
func (p *Plane) put(ctx context.Context, state *agentapi.State, down map[firewall.Member]bool) error {
	rules, err := firewall.Build(state, firewall.Seen{Down: down, Flows: p.flows})
	if err != nil {
		return err
	}
	before := p.rules
	if before == nil {
		names, err := p.kernel.names()
		if err != nil {
			return err
		}
		before = firewall.Existing(names)
	}
	changed, err := p.commit(ctx, before, rules)
	if err != nil {
		p.rules = nil
		return err
	}
	cut := changed && (state != p.state || p.rules == nil || !maps.Equal(down, p.down))
	p.state, p.rules, p.down = state, rules, down
	if !cut {
		return nil
	}
	return p.cut()
}

// commit changes the rules in one transaction, and tells whether there was something to change.
func (p *Plane) commit(ctx context.Context, before, rules *firewall.Ruleset) (bool, error) {
	change := rules.Since(before)
	if change == "" {
		return false, nil
	}
	if rules.Empty() {
		if err := p.kernel.forward(false); err != nil {
			return false, err
		}
	}
	if err := p.kernel.nft(ctx, "", change); err != nil {
		// Somebody else has been at the table, or another version of the agent.
		p.logger.Warn("the rules for UDP and SCTP are made from nothing", "err", err)
		if err := p.kernel.nft(ctx, "", rules.Replacement()); err != nil {
			return false, err
		}
	}
	return true, nil
}

// A flow that is to be cut and whose first packet has not been answered yet gets a moment for that: without the flow the answer
// would be lost, of a member that did what it was asked.
const (
	answerPatience = 100 * time.Millisecond
	answerPoll     = 10 * time.Millisecond
)

// cut ends the flows that lead where they should not.
func (p *Plane) cut() error {
	patience := time.Now().Add(answerPatience)
	for all := 0; ; time.Sleep(answerPoll) {
		wait, waiting := time.Now().Before(patience), false
		n, err := p.kernel.cut(func(f firewall.Flow) bool {
			_, fate := p.rules.Judge(f)
			spared := wait && fate == firewall.Cut && !f.Answered
			waiting = waiting || spared
			return fate == firewall.Cut && !spared
		})
		all += n
		if err == nil && waiting {
			continue
		}
		if all > 0 {
			p.logger.Info("flows were cut", "lb", p.state.LB, "generation", p.state.Generation, "flows", all)
		}
		if err != nil {
			return fmt.Errorf("cutting flows: %w", err)
		}
		return nil
	}
}

// ill are the members that checks have found to be down.
func (p *Plane) ill() map[firewall.Member]bool {
	down := map[firewall.Member]bool{}
	for k, v := range p.verdicts() {
		if v.Known && !v.Up {
			down[firewall.Member{Pool: k.Pool, ID: k.Member}] = true
		}
	}
	return down
}

func (p *Plane) counted() map[firewall.Path]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.flows
}
