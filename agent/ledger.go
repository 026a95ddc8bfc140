package agent

import (
	"encoding/json"
	"os"
	"sync"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/haproxy"
	"github.com/octavo-lb/octavo/lb"
)

// counters of one listener.
type counters struct {
	Total  int64 `json:"total"`
	Errors int64 `json:"errors"`
	In     int64 `json:"in"`
	Out    int64 `json:"out"`
}

func (c *counters) add(o counters) {
	c.Total += o.Total
	c.Errors += o.Errors
	c.In += o.In
	c.Out += o.Out
}

// ledger adds up what several sources count, each from zero: what a source counted stays when it ends. Sources are HAProxy's
// processes, and the kernel for each listener of UDP and SCTP. It outlives the agent, because they do.
type ledger struct {
	mu      sync.Mutex
	path    string
	ended   map[string]counters            // by listener: of processes that have ended
	live    map[string]map[string]counters // by source, by listener: as last seen
	current map[string]int64               // by listener: connections now
	dirty   int
}

type ledgerFile struct {
	Ended map[string]counters            `json:"ended"`
	Live  map[string]map[string]counters `json:"live"`
}

func loadLedger(path string) *ledger {
	var f ledgerFile
	// Without the file counting begins anew; so it does if it is damaged.
	if text, err := os.ReadFile(path); err == nil {
		_ = json.Unmarshal(text, &f)
	}
	l := &ledger{path: path, ended: f.Ended, live: f.Live}
	if l.ended == nil {
		l.ended = map[string]counters{}
	}
	if l.live == nil {
		l.live = map[string]map[string]counters{}
	}
	return l
}

// saveEvery is how many looks pass between two writes of the file, when nothing of note happened.
const saveEvery = 30

// add takes in what the sources tell now.
func (l *ledger) add(sources map[string][]haproxy.Row) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.current = map[string]int64{}
	ended := false
	for source, last := range l.live {
		if _, alive := sources[source]; !alive {
			l.retire(last)
			delete(l.live, source)
			ended = true
		}
	}
	for source, rows := range sources {
		now := map[string]counters{}
		for _, r := range rows {
			if !r.IsFrontend() {
				continue
			}
			now[r.Proxy] = counters{Total: r.Total, Errors: r.Errors, In: r.BytesIn, Out: r.BytesOut}
			l.current[r.Proxy] += r.Current
			if before := l.live[source][r.Proxy]; before.Total > r.Total {
				// Another process got the number of one that ended, or the kernel counts anew.
				l.retire(l.live[source])
				delete(l.live, source)
			}
		}
		l.live[source] = now
	}
	if l.dirty++; ended || l.dirty >= saveEvery {
		l.dirty = 0
		_ = l.write()
	}
}

func (l *ledger) retire(last map[string]counters) {
	for id, c := range last {
		sum := l.ended[id]
		sum.add(c)
		l.ended[id] = sum
	}
}

func (l *ledger) listener(id string, status lb.OperatingStatus) agentapi.ListenerHealth {
	l.mu.Lock()
	defer l.mu.Unlock()
	sum := l.ended[id]
	for _, now := range l.live {
		sum.add(now[id])
	}
	return agentapi.ListenerHealth{
		ID: id, Status: status, ActiveConnections: l.current[id],
		TotalConnections: sum.Total, RequestErrors: sum.Errors, BytesIn: sum.In, BytesOut: sum.Out,
	}
}

func (l *ledger) save() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.write()
}

func (l *ledger) write() error {
	text, err := json.Marshal(ledgerFile{Ended: l.ended, Live: l.live})
	if err != nil {
		return err
	}
	return replaceFile(l.path, text)
}
