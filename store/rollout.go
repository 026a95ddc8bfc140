package store

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/google/uuid"
)

// Rollout is the replacement of something in all amphorae, a few load balancers at a time.
type Rollout struct {
	ID       string
	Kind     RolloutKind
	Parallel int // load balancers at a time
	State    RolloutState
	Reason   string // why it failed
	// UnderWay are the load balancers that are being changed.
	UnderWay []string
	// Done counts the load balancers that were changed, Outstanding those that are yet to be, and LeftOut those among them
	// that cannot be now because something else is wrong with them.
	Done, Outstanding, LeftOut int
	StartedAt, UpdatedAt       time.Time
}

// RolloutKind says what is replaced.
type RolloutKind string

// ImageRollout replaces amphorae that do not run the newest image.
const ImageRollout RolloutKind = "image"

// AgentRollout has amphorae run the agent program that SetProgram named.
const AgentRollout RolloutKind = "agent"

// RolloutState is how far a rollout is.
type RolloutState string

// A rollout runs until nothing is outstanding, a replacement fails, or somebody stops it.
const (
	RolloutRunning RolloutState = "running"
	RolloutDone    RolloutState = "done"
	RolloutFailed  RolloutState = "failed"
	RolloutStopped RolloutState = "stopped"
)

var rollouts = shelf{name: "rollout", key: "id", columns: columnsOf(reflect.TypeFor[Rollout]())}

func (r *reader) rollout(ctx context.Context, kind RolloutKind, lock string) (Rollout, error) {
	var ro Rollout
	err := r.row(ctx, `SELECT `+rollouts.names()+` FROM "rollout" WHERE "kind" = ? ORDER BY "started_at" DESC, "id" DESC LIMIT 1`+lock,
		[]any{string(kind)}, rollouts.destinations(&ro)...)
	if err != nil {
		return ro, fmt.Errorf("cannot read the rollout: %w", err)
	}
	return ro, nil
}

// Rollout reads the newest rollout of a kind. ErrNotFound.
func (s *Store) Rollout(ctx context.Context, kind RolloutKind) (Rollout, error) {
	return s.read.rollout(ctx, kind, "")
}

// StartRollout begins a rollout of a kind, or changes how many load balancers at a time the one that runs takes.
func (s *Store) StartRollout(ctx context.Context, kind RolloutKind, parallel int) (Rollout, error) {
	var ro Rollout
	err := s.Write(ctx, func(tx *Tx) (err error) {
		ro, err = tx.LockRollout(ctx, kind)
		if err == nil && ro.State == RolloutRunning {
			ro.Parallel = parallel
			return tx.SaveRollout(ctx, &ro)
		}
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		ro = Rollout{ID: uuid.NewString(), Kind: kind, Parallel: parallel, State: RolloutRunning, UnderWay: []string{}, StartedAt: tx.now}
		return tx.SaveRollout(ctx, &ro)
	})
	return ro, err
}

// LockRollout reads the newest rollout of a kind and locks it until the end of the transaction. ErrNotFound.
func (tx *Tx) LockRollout(ctx context.Context, kind RolloutKind) (Rollout, error) {
	return tx.r.rollout(ctx, kind, tx.r.dialect.forUpdate)
}

// SaveRollout stores a rollout in place of what was stored of it.
func (tx *Tx) SaveRollout(ctx context.Context, ro *Rollout) error {
	ro.UpdatedAt = tx.now
	_, err := tx.r.exec(ctx, `INSERT INTO "rollout" (`+rollouts.names()+`) VALUES `+placeholders(len(rollouts.columns))+
		tx.r.dialect.onConflict([]string{"id"}, "parallel", "state", "reason", "under_way", "done", "outstanding", "left_out", "updated_at"),
		rollouts.values(ro)...)
	if err != nil {
		return fmt.Errorf("cannot store the rollout: %w", err)
	}
	return nil
}
