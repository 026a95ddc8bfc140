package proxy

import (
	"context"
	"fmt"
	"strconv"

	"github.com/octavo-lb/octavo/haproxy"
)

// Observation is what the processes tell.
type Observation struct {
	Rows map[int][]haproxy.Row // by process
	PID  int                   // the process that takes connections; 0 when nothing is served
}

// Observe asks every process for its counters and verdicts. Those that only end their connections are asked too, so that
// nothing they carry is forgotten.
func (p *Proxy) Observe(ctx context.Context) (Observation, error) {
	p.mu.Lock()
	serving, draining, config := p.process != nil, p.draining, p.config
	p.mu.Unlock()
	o := Observation{Rows: map[int][]haproxy.Row{}}
	if !serving {
		return o, nil
	}
	answers, err := ask(ctx, p.path(haproxy.StatsSocket), "show info", "show stat")
	if err != nil {
		return o, err
	}
	o.PID, _ = strconv.Atoi(haproxy.ParseInfo(answers[0])["Pid"])
	if o.Rows[o.PID], err = haproxy.ParseStats(answers[1]); err != nil {
		return o, err
	}
	if draining {
		p.observeOld(ctx, &o, config)
	}
	return o, nil
}

func (p *Proxy) observeOld(ctx context.Context, o *Observation, config *haproxy.Config) {
	answer, err := command(ctx, p.path(masterSocket), "show proc")
	if err != nil {
		return
	}
	old := 0
	for _, one := range haproxy.ParseProcesses(answer).All {
		if !one.Old {
			continue
		}
		old++
		// It may end at any moment.
		text, err := command(ctx, p.path(masterSocket), fmt.Sprintf("@!%d show stat", one.PID))
		if err != nil {
			continue
		}
		if rows, err := haproxy.ParseStats(text); err == nil {
			o.Rows[one.PID] = rows
		}
	}
	if old == 0 {
		p.mu.Lock()
		if p.config == config {
			p.draining = false
		}
		p.mu.Unlock()
	}
}
