package agent

import (
	"cmp"
	"slices"
	"strings"

	"github.com/octavo-lb/octavo/agent/probe"
	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/haproxy"
	"github.com/octavo-lb/octavo/lb"
)

type poolMember struct{ pool, member string }

// verdict is what is known about a member, and from which monitor.
type verdict struct {
	status  lb.OperatingStatus
	detail  string
	monitor string
}

// verdicts remembers what checks found, because a new process of HAProxy has to find it again.
type verdicts struct{ last map[poolMember]verdict }

// members lists the members that there is a verdict on: HAProxy's, and the prober's on those that it checks.
func (v *verdicts) members(state *agentapi.State, rows []haproxy.Row, probed map[probe.Key]probe.Verdict) []agentapi.MemberHealth {
	monitors := map[string]string{}
	for _, m := range state.Monitors {
		if m.AdminStateUp {
			monitors[m.PoolID] = m.ID
		}
	}
	now := map[poolMember]verdict{}
	for _, r := range rows {
		pool, _, isBackend := strings.Cut(r.Proxy, ":")
		if !isBackend || r.IsBackend() || r.IsFrontend() {
			continue
		}
		k := poolMember{pool, r.Server}
		found, known := v.judge(k, r, monitors[pool])
		if before, seen := now[k]; known && (!seen || severity(found.status) > severity(before.status)) {
			now[k] = found
		}
	}
	v.last = now
	var out []agentapi.MemberHealth
	for _, m := range state.Members {
		if p, mine := probed[probe.Key{Pool: m.PoolID, Member: m.ID}]; mine {
			if p.Known {
				out = append(out, agentapi.MemberHealth{ID: m.ID, PoolID: m.PoolID, Status: probedStatus(m, p), Detail: p.Detail})
			}
			continue
		}
		if found, ok := now[poolMember{m.PoolID, m.ID}]; ok {
			out = append(out, agentapi.MemberHealth{ID: m.ID, PoolID: m.PoolID, Status: found.status, Detail: found.detail})
		}
	}
	slices.SortFunc(out, func(a, b agentapi.MemberHealth) int {
		return cmp.Or(cmp.Compare(a.PoolID, b.PoolID), cmp.Compare(a.ID, b.ID))
	})
	return out
}

func (v *verdicts) judge(k poolMember, r haproxy.Row, monitor string) (verdict, bool) {
	if status, known := r.Verdict(); known {
		return verdict{status: status, detail: r.CheckText, monitor: monitor}, true
	}
	// Not checked yet by this process: what the same monitor found before stands. That a server was in maintenance, as one
	// is that is about to leave, was not found by a monitor.
	before, seen := v.last[k]
	return before, seen && before.status != lb.Offline && before.monitor == monitor && monitor != ""
}

func probedStatus(m agentapi.Member, p probe.Verdict) lb.OperatingStatus {
	switch {
	case !p.Up:
		return lb.OperError
	case m.Weight == 0:
		return lb.Draining
	}
	return lb.Online
}

// severity orders verdicts on one member behind several listeners: the worst one is reported.
func severity(s lb.OperatingStatus) int {
	return slices.Index([]lb.OperatingStatus{lb.NoMonitor, lb.Online, lb.Draining, lb.Offline, lb.OperError}, s)
}
