package health

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/store"
)

// intake brings reports into the store. One that says something new is written at once, in one transaction; of the many
// that do not, only the newest of each agent is kept, and all those are written together every FlushInterval. What is lost
// with the process is in the agents' next reports.
type intake struct {
	Options
	writers chan struct{} // bounds transactions at once

	mu      sync.Mutex
	agents  map[string]*lastReport // by amphora id
	derived map[string]derived     // by load balancer id
	moved   map[string]struct{}    // load balancers of which something changed since settle looked
	wake    chan struct{}
}

// lastReport is what is known of one agent.
type lastReport struct {
	bytes  *rate.Limiter
	taking sync.Mutex // held while a report is taken in; guards news

	// news is the last report that was written whole; what it says, but for counters, is in the store.
	news *agentapi.Report

	// Guarded by intake.mu. written and newest are sequences, in the boot of news.
	written int64 // in the amphora's row
	newest  int64 // taken in
	pending *agentapi.Report
	known   bool // news is in the store, as far as we know
	seenAt  time.Time
}

const (
	writersAtOnce = 8
	beatsAtOnce   = 500
	forgetAfter   = time.Hour

	// Of one agent's reports. A report on ten thousand members has two megabytes.
	bytesPerSecond = 2 << 20
	bytesAtOnce    = 4 * maxReportBytes
)

func newIntake(o Options) *intake {
	return &intake{Options: o, writers: make(chan struct{}, writersAtOnce), agents: map[string]*lastReport{},
		derived: map[string]derived{}, moved: map[string]struct{}{}, wake: make(chan struct{}, 1)}
}

// begin admits one report of an amphora; the caller unlocks taking when it is done with it. It answers false while another
// one is being taken in, or when the amphora sent too much lately: one that was broken into can make us hold one report
// in memory, and spend a small part of our time on it.
func (in *intake) begin(amphoraID string, size int64) (*lastReport, bool) {
	in.mu.Lock()
	agent := in.agents[amphoraID]
	if agent == nil {
		agent = &lastReport{bytes: rate.NewLimiter(bytesPerSecond, bytesAtOnce)}
		in.agents[amphoraID] = agent
	}
	agent.seenAt = in.Clock()
	in.mu.Unlock()
	if !agent.taking.TryLock() {
		return nil, false
	}
	if size < 0 || size > maxReportBytes {
		size = maxReportBytes // not told, or what is read of it at most
	}
	if !agent.bytes.AllowN(in.Clock(), int(size)) {
		agent.taking.Unlock()
		return nil, false
	}
	return agent, true
}

// take brings in one report of the agent, which was begun. The error is ErrStale when a newer one was taken in already.
func (in *intake) take(ctx context.Context, agent *lastReport, amphora store.Amphora, r agentapi.Report) error {
	done, err := in.note(agent, amphora, &r)
	if done || err != nil {
		return err
	}
	select {
	case in.writers <- struct{}{}:
		defer func() { <-in.writers }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := in.write(ctx, amphora, r); err != nil {
		return err
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	agent.news, agent.known, agent.pending = &r, true, nil
	agent.written, agent.newest = r.Sequence, r.Sequence
	return nil
}

// note keeps a report that says nothing new for the next flush and answers true. Whether it is new is known only if the
// row is as we left it: another controller may have been told something else meanwhile.
func (in *intake) note(agent *lastReport, amphora store.Amphora, r *agentapi.Report) (done bool, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if !agent.known || agent.news.Boot != r.Boot {
		return false, nil
	}
	if r.Sequence <= agent.newest {
		return false, store.ErrStale
	}
	if amphora.Boot != agent.news.Boot || amphora.Sequence != agent.written || !sameNews(agent.news, r) {
		agent.known = false // until it is written
		return false, nil
	}
	agent.newest, agent.pending = r.Sequence, r
	return true, nil
}

// run flushes and settles until ctx ends, and flushes once more then.
func (in *intake) run(ctx context.Context) {
	ticker := time.NewTicker(in.FlushInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), workTimeout)
			defer cancel()
			in.flush(last)
			return
		case <-ticker.C:
			in.flush(ctx)
			in.forget()
		case <-in.wake:
			in.settleMoved(ctx)
		}
	}
}

// flush writes what was noted. What cannot be written now is written by a later flush.
func (in *intake) flush(ctx context.Context) {
	beats := in.collect()
	for len(beats) > 0 && ctx.Err() == nil {
		batch := beats[:min(beatsAtOnce, len(beats))]
		refused, err := in.Store.Heartbeats(ctx, batch)
		if err != nil {
			in.putBack(beats)
			if ctx.Err() == nil {
				in.Logger.Warn("cannot store that agents are alive, will try again", "agents", len(beats), "err", err)
			}
			return
		}
		in.flushed(batch, refused)
		beats = beats[len(batch):]
	}
}

func (in *intake) collect() []store.Beat {
	in.mu.Lock()
	defer in.mu.Unlock()
	var beats []store.Beat
	for id, agent := range in.agents {
		if agent.pending != nil {
			beats = append(beats, store.Beat{AmphoraID: id, After: agent.written, Report: *agent.pending})
			agent.pending = nil
		}
	}
	return beats
}

func (in *intake) flushed(batch []store.Beat, refused []string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, beat := range batch {
		// A report with news may have been written since: then this is history.
		if agent := in.agents[beat.AmphoraID]; agent != nil && agent.written == beat.After {
			agent.written = beat.Report.Sequence
		}
	}
	for _, id := range refused {
		if agent := in.agents[id]; agent != nil {
			agent.known = false
		}
	}
}

func (in *intake) putBack(beats []store.Beat) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, beat := range beats {
		agent := in.agents[beat.AmphoraID]
		if agent != nil && agent.pending == nil && agent.known && agent.written == beat.After {
			agent.pending = &beat.Report
		}
	}
}

// forget drops agents that have not been heard of here for long: they are gone, or talk to another controller.
func (in *intake) forget() {
	in.mu.Lock()
	defer in.mu.Unlock()
	for id, agent := range in.agents {
		if agent.pending == nil && in.Clock().Sub(agent.seenAt) > forgetAfter {
			delete(in.agents, id)
		}
	}
}
