package agenttest

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/octavo-lb/octavo/agentapi"
)

// DataPlane stands for what the agent controls.
type DataPlane struct {
	// Apply brings a state in force; nil applies everything at once. Its error is reported as the failure.
	Apply func(ctx context.Context, s agentapi.State) error
	// Observe says what is seen of the state in force; nil sees all members and listeners ONLINE and no traffic.
	Observe func(s agentapi.State) ([]agentapi.MemberHealth, []agentapi.ListenerHealth)
	// Interval between reports, in place of what the controller asks for, when not zero.
	Interval time.Duration
}

// errGone says that the amphora is to be deleted.
var errGone = errors.New("the controller has nothing more for this amphora")

// Run is the life of an agent: it enrols, polls for states, applies and reports them, until ctx ends or the controller says
// that the amphora is to be deleted, which gives nil. A controller that cannot be reached is tried again for ever.
func (a *Agent) Run(ctx context.Context, plane DataPlane) error {
	if a.Certificate() == nil {
		if err := a.persist(ctx, func() error { return a.Enrol(ctx) }); err != nil {
			return err
		}
	}
	r := &running{agent: a, plane: plane, states: make(chan agentapi.State), interval: cmp.Or(plane.Interval, 10*time.Second)}
	polls := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer func() { cancel(); <-polls }()
	go func() {
		polls <- r.poll(ctx)
		cancel()
	}()
	r.report(ctx)
	err := <-polls
	polls <- nil
	if errors.Is(err, errGone) {
		return nil
	}
	return err
}

type running struct {
	agent    *Agent
	plane    DataPlane
	states   chan agentapi.State
	interval time.Duration
	applied  agentapi.State
	failure  string
	failed   int64
}

// poll hands on states until ctx ends.
func (r *running) poll(ctx context.Context) error {
	var generation int64
	for {
		var state agentapi.State
		var isNew bool
		err := r.agent.persist(ctx, func() (err error) {
			state, isNew, err = r.agent.Poll(ctx, generation, time.Minute)
			return err
		})
		if err != nil {
			return err
		}
		if !isNew {
			continue
		}
		generation = state.Generation
		select {
		case r.states <- state:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// report applies states and reports until ctx ends.
func (r *running) report(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case state := <-r.states:
			r.apply(ctx, state)
		case <-time.After(r.interval):
		}
		answer, err := r.agent.Report(ctx, r.observed())
		if err == nil && r.plane.Interval == 0 {
			r.interval = cmp.Or(answer.Interval, r.interval)
		}
		if err != nil && ctx.Err() == nil {
			r.interval = time.Second
		}
	}
}

func (r *running) apply(ctx context.Context, state agentapi.State) {
	if r.plane.Apply != nil {
		if err := r.plane.Apply(ctx, state); err != nil {
			r.failure, r.failed = err.Error(), state.Generation
			return
		}
	}
	r.applied, r.failure, r.failed = state, "", 0
}

func (r *running) observed() agentapi.Report {
	report := agentapi.Report{Applied: r.applied.Generation, Failure: r.failure, FailedGen: r.failed, Version: "agenttest"}
	observe := r.plane.Observe
	if observe == nil {
		observe = AllOnline
	}
	report.Members, report.Listeners = observe(r.applied)
	return report
}

// persist repeats what fails for reasons that pass. It ends with ctx, and on answers that would be the same again.
func (a *Agent) persist(ctx context.Context, attempt func() error) error {
	for {
		err := attempt()
		switch Code(err) {
		case http.StatusGone:
			return errGone
		case http.StatusForbidden, http.StatusUnauthorized, http.StatusBadRequest:
			return err
		}
		if err == nil {
			return nil
		}
		wait := 100 * time.Millisecond
		var status *StatusError
		if errors.As(err, &status) {
			wait = max(wait, status.RetryAfter)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}
