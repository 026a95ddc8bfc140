package agent

import (
	"strconv"

	"github.com/octavo-lb/octavo/agent/datagram"
	"github.com/octavo-lb/octavo/agent/proxy"
	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/firewall"
	"github.com/octavo-lb/octavo/haproxy"
)

// datagramRows tells of listeners of UDP and SCTP, and of their members, as HAProxy tells of its own, so that everything
// else need not know the difference.
func datagramRows(state *agentapi.State, readings map[string]datagram.Reading) []haproxy.Row {
	var rows []haproxy.Row
	for _, l := range state.Listeners {
		r, served := readings[l.ID]
		if !served {
			continue
		}
		status := "OPEN"
		if l.ConnectionLimit > 0 && r.Flows >= int64(l.ConnectionLimit) {
			status = "FULL"
		}
		rows = append(rows, haproxy.Row{
			Proxy: l.ID, Server: "FRONTEND", Status: status, Current: r.Flows, Total: r.Total, BytesIn: r.BytesIn, BytesOut: r.BytesOut,
		})
		for _, m := range state.Members {
			if l.DefaultPoolID == nil || m.PoolID != *l.DefaultPoolID {
				continue
			}
			status := "no check" // or one by the agent, whose verdict comes first
			if !m.AdminStateUp {
				status = "MAINT"
			}
			rows = append(rows, haproxy.Row{Proxy: m.PoolID + ":" + l.ID, Server: m.ID, Status: status, Weight: m.Weight})
		}
	}
	return rows
}

// sources says who counted what: HAProxy's processes, and the kernel, where each listener's counters come and go with it.
func sources(o proxy.Observation, datagrams []haproxy.Row) map[string][]haproxy.Row {
	all := map[string][]haproxy.Row{}
	for pid, rows := range o.Rows {
		all[strconv.Itoa(pid)] = rows
	}
	for _, r := range datagrams {
		if r.IsFrontend() {
			all[firewall.Table+"/"+r.Proxy] = []haproxy.Row{r}
		}
	}
	return all
}
