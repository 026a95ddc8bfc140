package agent

import (
	"context"
	"errors"
	"time"

	"github.com/octavo-lb/octavo/agent/controller"
)

func isStandDown(err error) bool {
	_, ok := errors.AsType[*controller.StandDownError](err)
	return ok
}

// standDown lets clients go in peace, before another amphora takes this one's place: new connections are left unanswered, so
// that clients ask again a moment later and reach the other one; HAProxy closes those that are idle and ends those that are
// not with their next answer. The VIP of a pair then goes to the other one at once.
func (a *Agent) standDown(ctx context.Context, err error) {
	wish, ok := errors.AsType[*controller.StandDownError](err)
	if !ok {
		return
	}
	applied, _, _ := a.board.read()
	if applied == nil {
		return
	}
	began := time.Now()
	a.changing.Lock() // nothing is put into force any more
	defer a.changing.Unlock()
	patience, cancel := context.WithTimeout(ctx, wish.Patience)
	defer cancel()
	if err := a.network.Hush(patience, applied.VIPs); err != nil {
		a.config.Logger.Warn("new connections are still taken", "lb", applied.LB, "err", err)
	}
	a.proxy.Drain()
	ended := a.network.AwaitSilence(patience, applied.VIPs)
	if err := a.standby.Apply("", 0); err != nil {
		a.config.Logger.Warn("cannot hand over the VIP", "lb", applied.LB, "err", err)
	}
	a.config.Logger.Info("stood down for another amphora", "lb", applied.LB, "all_connections_ended", ended, "took", time.Since(began).Round(time.Millisecond))
	if err := a.controller.Drained(ctx); err != nil {
		a.config.Logger.Warn("cannot tell that clients are gone", "lb", applied.LB, "err", err)
	}
}
