package agent

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/octavo-lb/octavo/agent/controller"
)

// listen keeps the question for a newer state open to one of the controllers, and the amphora's certificate good.
func (a *Agent) listen(ctx context.Context) {
	var b backoff
	for ctx.Err() == nil {
		err := a.listenOnce(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			b = backoff{}
			continue
		case isStandDown(err):
			a.standDown(ctx, err)
			b.pause = time.Minute
		case errors.Is(err, controller.ErrGone):
			a.config.Logger.Info("the amphora is to be deleted")
			b.pause = time.Minute
		case b.pause == 0 || errors.Is(err, controller.ErrNoWayIn):
			a.config.Logger.Warn("no controller answers, traffic is served on", "err", err)
		}
		b.wait(ctx)
	}
}

func (a *Agent) listenOnce(ctx context.Context) error {
	if !a.controller.Enrolled() {
		if err := a.controller.Enrol(ctx); err != nil {
			return err
		}
		a.config.Logger.Info("enrolled")
		tell(a.board.changed) // it may report now
	}
	wait := a.untilRenewal()
	if wait <= 0 {
		// The old certificate is good for a third of its life still: a failure is no reason not to ask for the state.
		if err := a.controller.Renew(ctx); err != nil {
			a.config.Logger.Warn("cannot renew the certificate yet", "err", err)
		}
		wait = max(a.untilRenewal(), renewRetry)
	}
	state, err := a.controller.State(ctx, a.board.generation(), min(max(wait, time.Second), controller.MaxWait))
	if err != nil || state == nil {
		return err
	}
	if !a.board.want(state) {
		a.config.Logger.Warn("refused an old state", "lb", state.LB, "generation", state.Generation)
		return errOld
	}
	return nil
}

func (a *Agent) untilRenewal() time.Duration { return a.controller.RenewAt().Sub(a.config.Clock()) }

// renewRetry is how soon a renewal that failed is tried again.
const renewRetry = 2 * time.Second

var errOld = errors.New("the controller answers an old state")

// backoff spreads attempts out, so that a controller that comes back is not met by every amphora at once.
type backoff struct{ pause time.Duration }

func (b *backoff) wait(ctx context.Context) {
	b.pause = min(max(2*b.pause, 100*time.Millisecond), 15*time.Second)
	select {
	case <-ctx.Done():
	case <-time.After(b.pause/2 + rand.N(b.pause)):
	}
}
