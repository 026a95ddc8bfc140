package housekeeping

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/store"
)

// ImageWork replaces amphorae that run another image than they are to run: it marks them, and the worker does the rest as
// for a failover.
type ImageWork struct {
	// Image tells which image a load balancer's amphorae are to run.
	Image func(ctx context.Context, b *lb.LoadBalancer) (id string, err error)
	known map[string]string // by what load balancers choose
}

// Kind implements Work.
func (*ImageWork) Kind() store.RolloutKind { return store.ImageRollout }

// Begin implements Work.
func (w *ImageWork) Begin(context.Context) error {
	w.known = map[string]string{}
	return nil
}

// Look implements Work.
func (w *ImageWork) Look(ctx context.Context, b *lb.LoadBalancer, a *store.Amphora) (Stage, error) {
	if a.ImageID == "" {
		return Stage{}, nil // it will boot the newest
	}
	key := text(b.FlavorID) + " " + text(b.AvailabilityZone)
	if _, known := w.known[key]; !known {
		id, err := w.Image(ctx, b)
		if err != nil {
			return Stage{}, fmt.Errorf("cannot tell which image load balancer %s is to have: %w", b.ID, err)
		}
		w.known[key] = id
	}
	return Stage{Outdated: a.ImageID != w.known[key], Busy: a.Replacing}, nil
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// Start implements Work.
func (*ImageWork) Start(ctx context.Context, tx *store.Tx, ids []string) error {
	return tx.ReplaceAmphorae(ctx, ids...)
}

// Stop implements Work.
func (*ImageWork) Stop(ctx context.Context, tx *store.Tx) error { return tx.KeepAmphorae(ctx) }

// AgentWork has amphorae run the agent program that was uploaded last, without touching what serves.
type AgentWork struct {
	Store  *store.Store
	wanted *agentapi.Program
}

// Kind implements Work.
func (*AgentWork) Kind() store.RolloutKind { return store.AgentRollout }

// Begin implements Work.
func (w *AgentWork) Begin(ctx context.Context) error {
	p, err := w.Store.Program(ctx)
	if w.wanted = &p; errors.Is(err, store.ErrNotFound) {
		w.wanted, err = nil, nil
	}
	return err
}

// Look implements Work.
func (w *AgentWork) Look(_ context.Context, _ *lb.LoadBalancer, a *store.Amphora) (Stage, error) {
	if w.wanted == nil || a.Program == w.wanted.Digest || a.LastReportAt == nil {
		return Stage{}, nil
	}
	if !slices.Contains(a.Capabilities, agentapi.CanUpdate) {
		return Stage{Unable: "it was made without a key to check programs with"}, nil
	}
	told := a.WantedProgram != nil && a.WantedProgram.Digest == w.wanted.Digest
	stage := Stage{Outdated: !told, Busy: told}
	if told && a.ProgramRefused == w.wanted.Digest {
		stage.Failure = fmt.Sprintf("amphora %s: %s", a.ID, a.ProgramFailure)
	}
	return stage, nil
}

// Start implements Work.
func (w *AgentWork) Start(ctx context.Context, tx *store.Tx, ids []string) error {
	return tx.WantProgram(ctx, w.wanted, ids...)
}

// Stop implements Work.
func (*AgentWork) Stop(ctx context.Context, tx *store.Tx) error { return tx.WantProgram(ctx, nil) }
