package agenttest

import (
	"slices"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/lb"
)

// AllOnline sees every listener up and every member as a data plane without trouble would: ONLINE where it is checked,
// NO_MONITOR where it is not, OFFLINE where it is disabled.
func AllOnline(s agentapi.State) ([]agentapi.MemberHealth, []agentapi.ListenerHealth) {
	var members []agentapi.MemberHealth
	for _, m := range s.Members {
		status := lb.NoMonitor
		switch {
		case !m.AdminStateUp:
			status = lb.Offline
		case slices.ContainsFunc(s.Monitors, func(h agentapi.Monitor) bool { return h.PoolID == m.PoolID && h.AdminStateUp }):
			status = lb.Online
		}
		members = append(members, agentapi.MemberHealth{ID: m.ID, PoolID: m.PoolID, Status: status})
	}
	var listeners []agentapi.ListenerHealth
	for _, l := range s.Listeners {
		status := lb.Online
		if !l.AdminStateUp {
			status = lb.Offline
		}
		listeners = append(listeners, agentapi.ListenerHealth{ID: l.ID, Status: status})
	}
	return members, listeners
}
