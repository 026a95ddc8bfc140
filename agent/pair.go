package agent

import (
	"context"
	"slices"

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
