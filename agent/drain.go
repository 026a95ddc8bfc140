package agent

import (
	"context"
	"errors"
	"time"

	"github.com/octavo-lb/octavo/agent/controller"
	"github.com/octavo-lb/octavo/agentapi"
)

func isStandDown(err error) bool {
	_, ok := errors.AsType[*controller.StandDownError](err)
	return ok
}

// standDown lets clients go in peace, before another amphora takes this one's place. While those that were there before end
// what is under way, new ones are served as ever. Then, for a second at most, new connections are left unanswered, so that
// clients ask again a moment later and reach the other one, and what is short ends. The VIP of a pair then goes to the other
// one at once.
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
	if err := a.outlast(ctx, wish.Patience-2*hushTime, applied.VIPs); err != nil {
		a.config.Logger.Warn("connections are not ended before new ones are left unanswered", "lb", applied.LB, "err", err)
	}
	hushed, cancel := context.WithTimeout(ctx, hushTime)
	defer cancel()
	if err := a.network.Hush(hushed, applied.VIPs); err != nil {
		a.config.Logger.Warn("new connections are still taken", "lb", applied.LB, "err", err)
	}
	a.proxy.Drain()
	ended := a.network.AwaitEnd(hushed, applied.VIPs, nil)
	if err := a.standby.Apply("", 0); err != nil {
		a.config.Logger.Warn("cannot hand over the VIP", "lb", applied.LB, "err", err)
	}
	a.config.Logger.Info("stood down for another amphora", "lb", applied.LB, "all_connections_ended", ended, "took", time.Since(began).Round(time.Millisecond))
	if err := a.controller.Drained(ctx); err != nil {
		a.config.Logger.Warn("cannot tell that clients are gone", "lb", applied.LB, "err", err)
	}
}

// hushTime is for how long new connections are left unanswered at most: a client's kernel asks again after a second.
const hushTime = time.Second

// outlast waits until the connections that are open now have ended, while new ones are served.
func (a *Agent) outlast(ctx context.Context, patience time.Duration, vips []agentapi.VIP) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	open, err := a.network.Connections(vips)
	if err != nil || len(open) == 0 {
		return err
	}
	if err := a.proxy.Renew(ctx); err != nil {
		return err
	}
	a.network.AwaitEnd(ctx, vips, open)
	return nil
}
