package agent

import (
	"context"
	"crypto/ed25519"
	"errors"
	"path/filepath"
	"time"

	"github.com/octavo-lb/octavo/agent/update"
	"github.com/octavo-lb/octavo/agentapi"
)

func (a *Agent) newUpdater(boot agentapi.Boot) (*update.Updater, error) {
	var key ed25519.PublicKey
	if boot.ProgramKey != "" {
		var err error
		if key, err = agentapi.ParseProgramKey(boot.ProgramKey); err != nil {
			a.config.Logger.Error("the boot file's key for agent programs is damaged: no other program will run", "err", err)
		}
	}
	return update.New(update.Options{RunDir: filepath.Join(a.config.RunDir, "agent"), StateDir: a.config.StateDir, Key: key,
		Trial: a.config.Trial, Fetch: a.controller.Program, Logger: a.config.Logger})
}

// abilities are capabilities that are not those of what it runs.
func (a *Agent) abilities() []string {
	if a.updater.Able() {
		return []string{agentapi.CanUpdate}
	}
	return nil
}

// fetchRetry is how soon a program that could not be fetched is fetched again.
const fetchRetry = 10 * time.Second

// update makes this process the agent program that the state in force names. HAProxy, keepalived and the kernel serve on, as
// they do when the agent is killed.
func (a *Agent) update(ctx context.Context) {
	for {
		retry := time.Duration(1<<63 - 1)
		if applied, _, _ := a.board.read(); applied != nil && applied.Program != nil {
			before, _ := a.updater.Refused()
			err := a.updater.Become(ctx, applied.Program, a.stepAside)
			now, _ := a.updater.Refused()
			switch {
			case errors.Is(err, update.ErrNotFetched):
				a.config.Logger.Warn("cannot become the wanted agent program yet", "lb", applied.LB, "err", err)
				retry = fetchRetry
			case now != before:
				a.config.Logger.Error("not becoming the wanted agent program", "lb", applied.LB, "err", err)
				tell(a.board.changed)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-a.board.settled:
		case <-time.After(retry):
		}
	}
}

// stepAside leaves everything as the next program expects it. Nothing is changed any more from here on.
func (a *Agent) stepAside() {
	a.changing.Lock()
	a.relay.Stop()
	if err := a.ledger.save(); err != nil {
		a.config.Logger.Warn("some counters will be lost", "err", err)
	}
}
