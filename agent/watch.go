package agent

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/octavo-lb/octavo/agent/probe"
	"github.com/octavo-lb/octavo/agent/relay"
	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/firewall"
	"github.com/octavo-lb/octavo/haproxy"
	"github.com/octavo-lb/octavo/keepalived"
	"github.com/octavo-lb/octavo/lb"
)

const (
	// lookInterval is how often HAProxy is asked when it has nothing to tell by itself.
	lookInterval = time.Second
	// firstInterval is how often is reported until the controller says.
	firstInterval = 3 * time.Second
	// settle lets changes that come together be reported together.
	settle = 20 * time.Millisecond
	// blindness is how long HAProxy may be silent before that is news.
	blindness = 2 * time.Second
)

// watch looks at what is in force and how members are, and reports: at once when there is news, and every interval.
func (a *Agent) watch(ctx context.Context) {
	events := make(chan struct{}, 1)
	go a.readEvents(events)
	w := watcher{agent: a, interval: firstInterval}
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-a.board.changed:
		case <-events:
			time.Sleep(settle)
		}
		w.look(ctx)
	}
}

// watcher remembers what was seen and what was told.
type watcher struct {
	agent    *Agent
	interval time.Duration
	verdicts verdicts
	told     *agentapi.Report
	toldAt   time.Time
	sequence int64
	retryAt  time.Time
	failing  bool
	vrrp     string // as it was logged

	renewedAt time.Time // because the controller asked for it

	blindSince time.Time // HAProxy has not answered since
}

func (w *watcher) look(ctx context.Context) {
	report := w.report(ctx)
	if report.VRRPState != w.vrrp {
		w.agent.config.Logger.Info("this amphora's part in its pair changed", "vrrp", report.VRRPState, "before", w.vrrp)
		w.vrrp = report.VRRPState
	}
	now := time.Now()
	due := now.Sub(w.toldAt) >= w.interval
	if w.told != nil && !due && sameNews(w.told, &report) || now.Before(w.retryAt) || !w.agent.controller.Enrolled() {
		return
	}
	w.sequence++
	report.Sequence = w.sequence
	answer, err := w.agent.controller.Report(ctx, report)
	if err != nil {
		w.retryAt = now.Add(2 * time.Second)
		if !w.failing && ctx.Err() == nil {
			w.agent.config.Logger.Warn("cannot report", "err", err)
		}
		w.failing = true
		return
	}
	w.told, w.toldAt, w.failing = &report, now, false
	if report.Applied > 0 && report.Failure == "" {
		w.agent.updater.Confirm()
	}
	if answer.Interval > 0 {
		w.interval = answer.Interval
	}
	if answer.Renew && now.Sub(w.renewedAt) >= renewRetry {
		w.renewedAt = now
		w.renew(ctx)
	}
}

// renew takes over CAs that have changed, with a certificate of the new one.
func (w *watcher) renew(ctx context.Context) {
	logger := w.agent.config.Logger
	if err := w.agent.controller.Renew(ctx); err != nil {
		logger.Warn("cannot renew the certificate as the controller asks, it will ask again", "err", err)
		return
	}
	w.toldAt = time.Time{} // so that the controller learns at once what is trusted now
	logger.Info("renewed the certificate, as a CA has changed")
}

func (w *watcher) report(ctx context.Context) agentapi.Report {
	a := w.agent
	a.changing.RLock()
	defer a.changing.RUnlock()
	applied, failure, failed := a.board.read()
	refused, why := a.updater.Refused()
	r := agentapi.Report{
		Program: a.updater.Running(), ProgramRefused: refused, ProgramFailure: why,
		Boot: a.boot, Failure: failure, FailedGen: failed, Version: a.config.Version,
		Capabilities: slices.Concat(a.abilities(), haproxy.Capabilities(), firewall.Capabilities(), keepalived.Capabilities()),
		Daemons:      map[string]string{"haproxy": a.proxy.Version().String()}, MaxConnections: int64(a.maxConnections),
	}
	if applied == nil {
		return r
	}
	r.Applied = applied.Generation
	r.VRRPState = a.vrrpState(applied)
	datagrams := datagramRows(applied, a.datagram.Listeners())
	seen, err := a.proxy.Observe(ctx)
	if err != nil {
		w.blind(&r, applied, datagrams, err)
		return r
	}
	w.blindSince = time.Time{}
	a.setFit(true)
	a.ledger.add(sources(seen, datagrams))
	serving := seen.Rows[seen.PID]
	probed := a.prober.Verdicts()
	a.tellHAProxy(ctx, serving, probed)
	serving = append(slices.Clone(serving), datagrams...)
	r.Members = w.verdicts.members(applied, serving, probed)
	r.Listeners = listeners(applied, serving, a.ledger)
	return r
}

// tellHAProxy makes HAProxy send nothing to servers that the prober has found ill.
func (a *Agent) tellHAProxy(ctx context.Context, rows []haproxy.Row, probed map[probe.Key]probe.Verdict) {
	for _, r := range rows {
		pool, _, _ := strings.Cut(r.Proxy, ":")
		verdict, mine := probed[probe.Key{Pool: pool, Member: r.Server}]
		if !mine || !verdict.Known || r.Down() != verdict.Up {
			continue
		}
		if err := a.proxy.SetHealth(ctx, r.Proxy, r.Server, verdict.Up); err != nil && ctx.Err() == nil {
			a.config.Logger.Warn("cannot tell HAProxy what a check found", "member", r.Server, "err", err)
		}
	}
}

// blind fills in a report while HAProxy does not answer. For as long as it takes to start it again, what was seen last
// stands; then no listener is served.
func (w *watcher) blind(r *agentapi.Report, applied *agentapi.State, datagrams []haproxy.Row, err error) {
	if w.blindSince.IsZero() {
		w.blindSince = time.Now()
	}
	if w.told != nil && time.Since(w.blindSince) < blindness {
		r.Members, r.Listeners = w.told.Members, w.told.Listeners
		return
	}
	w.agent.config.Logger.Warn("HAProxy does not answer", "lb", applied.LB, "err", err)
	w.agent.setFit(false)
	r.Listeners = listeners(applied, datagrams, w.agent.ledger)
}

// listeners tells about every listener that should be served.
func listeners(state *agentapi.State, rows []haproxy.Row, ledger *ledger) []agentapi.ListenerHealth {
	if state.Disabled {
		return nil
	}
	var out []agentapi.ListenerHealth
	for _, l := range state.Listeners {
		if !l.AdminStateUp || l.Deleting {
			continue
		}
		status := lb.OperError
		if i := slices.IndexFunc(rows, func(r haproxy.Row) bool { return r.IsFrontend() && r.Proxy == l.ID }); i >= 0 {
			status = rows[i].ListenerStatus()
		}
		out = append(out, ledger.listener(l.ID, status))
	}
	return out
}

// sameNews tells whether two reports differ in nothing but counters.
func sameNews(a, b *agentapi.Report) bool {
	return a.ProgramRefused == b.ProgramRefused && a.Applied == b.Applied && a.Failure == b.Failure && a.FailedGen == b.FailedGen && a.VRRPState == b.VRRPState &&
		slices.EqualFunc(a.Members, b.Members, func(x, y agentapi.MemberHealth) bool {
			return x.ID == y.ID && x.PoolID == y.PoolID && x.Status == y.Status
		}) &&
		slices.EqualFunc(a.Listeners, b.Listeners, func(x, y agentapi.ListenerHealth) bool {
			return x.ID == y.ID && x.Status == y.Status
		})
}

// openEvents makes the socket that HAProxy writes to when a server changes state. HAProxy finds it by its path, also when
// it was made after HAProxy was started.
func openEvents(path string) (*net.UnixConn, error) {
	if err := os.RemoveAll(path); err != nil {
		return nil, fmt.Errorf("opening the socket for HAProxy's events: %w", err)
	}
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err == nil {
		err = os.Chmod(path, 0o666)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the socket for HAProxy's events: %w", err)
	}
	return c, nil
}

// readEvents tells that something happened; what it was is asked of HAProxy. It ends when the socket is closed.
func (a *Agent) readEvents(events chan struct{}) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := a.events.Read(buffer)
		if err != nil {
			return
		}
		a.relay.Admin("haproxy", relay.Notice, string(buffer[:n]))
		tell(events)
	}
}
