package agent

import (
	"context"
	"slices"
	"time"

	"github.com/octavo-lb/octavo/agent/network"
	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/keepalived"
)

// buildVRRP writes keepalived's configuration, empty for an amphora that stands alone.
func (a *Agent) buildVRRP(state *agentapi.State) (string, error) {
	i := slices.IndexFunc(state.Interfaces, func(i agentapi.Interface) bool { return i.VIP })
	if i < 0 {
		return "", nil
	}
	return keepalived.Build(state, keepalived.Environment{
		Interface: network.Name(state.Interfaces[i].MAC), TrackFile: a.standby.TrackFile(),
	})
}

// quiet is how long a keepalived that is started keeps quiet.
func quiet(state *agentapi.State) time.Duration {
	if state.VRRP == nil {
		return 0
	}
	return time.Duration(state.VRRP.Join) * time.Millisecond
}

// silence is how long keepalived does not speak yet.
func (a *Agent) silence() time.Duration {
	speaks := a.standby.Speaks()
	if speaks.IsZero() || !a.standby.Wanted() {
		return 0
	}
	return time.Until(speaks.Add(joinMargin))
}

// served marks a state as in force, unless it is not before keepalived has begun to speak.
func (a *Agent) served(state *agentapi.State) {
	if a.silence() <= 0 {
		a.board.inForce(state)
	}
}

// join waits until keepalived has begun to speak: before that a state is not in force, for the amphora could not take the
// VIPs when the other one goes. It answers false if a newer state is wanted before, or the context ends.
func (a *Agent) join(ctx context.Context, state *agentapi.State) bool {
	silence := a.silence()
	if silence <= 0 {
		return true
	}
	select {
	case <-time.After(silence):
		return true
	case <-a.board.newerThan(state):
	case <-ctx.Done():
	}
	return false
}

// joinMargin is for keepalived to start, read its configuration and hear the other one.
const joinMargin = 500 * time.Millisecond

// vrrpState is who the amphora is in its pair, empty if it stands alone: MASTER is who has the VIP.
func (a *Agent) vrrpState(state *agentapi.State) string {
	if state.VRRP == nil || len(state.VIPs) == 0 || !a.standby.Wanted() {
		return ""
	}
	if !a.standby.Alive() {
		return "FAULT"
	}
	held, err := a.network.Holds(state.VIPs[0].Address.Addr())
	if err != nil {
		a.config.Logger.Warn("cannot find out who has the VIP", "lb", state.LB, "err", err)
		return "FAULT"
	}
	if held {
		return "MASTER"
	}
	return "BACKUP"
}

// watchAddresses makes the change of a VIP's place news at once.
func (a *Agent) watchAddresses(ctx context.Context) {
	if err := a.network.Watch(ctx, func() { tell(a.board.changed) }); err != nil {
		a.config.Logger.Error("who has the VIP is noticed late", "err", err)
	}
}

// setFit lets the other amphora of a pair have the VIP while this one does not serve.
func (a *Agent) setFit(fit bool) {
	if err := a.standby.SetFit(fit); err != nil {
		a.config.Logger.Error("cannot tell whether this amphora serves", "err", err)
	}
}
