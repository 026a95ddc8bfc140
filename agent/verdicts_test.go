package agent

import (
	"testing"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/haproxy"
	"github.com/octavo-lb/octavo/lb"
)

// TestVerdictsOverProcesses follows one member through what processes of HAProxy tell about it.
func TestVerdictsOverProcesses(t *testing.T) {
	state := &agentapi.State{
		Members:  []agentapi.Member{{PoolID: "p1", Member: lb.Member{Meta: lb.Meta{ID: "m1"}}}},
		Monitors: []agentapi.Monitor{{PoolID: "p1", HealthMonitor: lb.HealthMonitor{Meta: lb.Meta{ID: "h1", AdminStateUp: true}}}},
	}
	var v verdicts
	for i, step := range []struct {
		status, check string
		want          lb.OperatingStatus // empty: nothing is told
	}{
		{"UP", "INI", ""},               // a new member
		{"UP", "L7OK", lb.Online},       //
		{"UP", "INI", lb.Online},        // a new process
		{"DOWN", "L4CON", lb.OperError}, //
		{"UP", "INI", lb.OperError},     // a new process again
		{"MAINT", "", lb.Offline},       // it is on its way out
		{"UP", "INI", ""},               // and comes back
	} {
		rows := []haproxy.Row{{Proxy: "p1:l1", Server: "m1", Status: step.status, CheckStatus: step.check, Weight: 1}}
		var got lb.OperatingStatus
		if told := v.members(state, rows, nil); len(told) > 0 {
			got = told[0].Status
		}
		if got != step.want {
			t.Errorf("step %d (%s %s): told %q, want %q", i, step.status, step.check, got, step.want)
		}
	}
	other := *state
	other.Monitors = []agentapi.Monitor{{PoolID: "p1", HealthMonitor: lb.HealthMonitor{Meta: lb.Meta{ID: "h2", AdminStateUp: true}}}}
	v.members(state, []haproxy.Row{{Proxy: "p1:l1", Server: "m1", Status: "DOWN", CheckStatus: "L4CON"}}, nil)
	if told := v.members(&other, []haproxy.Row{{Proxy: "p1:l1", Server: "m1", Status: "UP", CheckStatus: "INI"}}, nil); len(told) > 0 {
		t.Errorf("another monitor's verdict was told: %v", told)
	}
}
