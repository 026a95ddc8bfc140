package sim

import (
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/cloud/cloudfake"
	"github.com/octavo-lb/octavo/store"
	"github.com/octavo-lb/octavo/worker"
)

// agent is the program in an instance: it enrols, asks for its state, applies it and reports, at its own pace.
type agent struct {
	w        *world
	instance cloudfake.Instance
	boot     agentapi.Boot
	lb       string
	cutOff   time.Time // until when it reaches no controller; its traffic goes on
	state    agentapi.State
	sequence int64
}

// instances starts an agent in each instance that runs.
func (w *world) instances() {
	for {
		for _, i := range w.fake.Instances() {
			if i.Running && w.agents[i.ID] == nil {
				a := &agent{w: w, instance: i}
				if err := json.Unmarshal(i.UserData, &a.boot); err != nil {
					w.fail("the config drive of %s: %v", i.Name, err)
				}
				w.agents[i.ID] = a
				w.spawn(w.outside, a.run)
			}
		}
		w.sleep(w.between(100*time.Millisecond, time.Second))
	}
}

func (a *agent) run() {
	for a.exists() && !a.enrol() {
		a.w.sleep(a.w.between(time.Second, 10*time.Second))
	}
	for a.exists() {
		pause := a.w.between(100*time.Millisecond, 3*time.Second)
		if a.w.now.After(a.cutOff) && !a.converse() {
			pause = a.w.between(time.Second, 25*time.Second)
		}
		a.w.sleep(pause)
	}
	delete(a.w.agents, a.instance.ID)
}

func (a *agent) exists() bool {
	for _, i := range a.w.fake.Instances() {
		if i.ID == a.instance.ID {
			a.instance = i
			return true
		}
	}
	return false
}

func (a *agent) enrol() bool {
	if a.w.now.Before(a.cutOff) {
		return false
	}
	row, err := a.w.store.UseToken(a.w.ctx, hashToken(a.boot.Token), a.instance.ID)
	a.lb = row.LoadBalancerID
	return err == nil
}

// converse is one exchange with a controller: new state, applied, reported. It is what package health does, without HTTP.
// It tells whether there was anything new.
func (a *agent) converse() bool {
	w := a.w
	progress, err := w.store.Progress(w.ctx, a.lb)
	if errors.Is(err, store.ErrNotFound) {
		return false // it goes on with what it has
	}
	state, ready := agentapi.State{}, false
	if err == nil && progress.Generation > a.state.Generation {
		state, ready, err = a.wanted()
	}
	if err != nil {
		w.fail("an agent's state: %v", err)
		return false
	}
	if ready {
		w.sleep(w.between(0, 2*time.Second))
		if !a.exists() {
			return false
		}
		a.apply(state)
	}
	a.report()
	return ready || progress.Generation > a.state.Generation
}

func (a *agent) wanted() (agentapi.State, bool, error) {
	w := a.w
	rows, err := w.store.Amphorae(w.ctx, a.lb)
	if err != nil || !slices.ContainsFunc(rows, func(r store.Amphora) bool { return r.ID == a.boot.AmphoraID && !r.Deleting }) {
		return agentapi.State{}, false, err
	}
	tree, err := w.store.Tree(w.ctx, a.lb)
	if errors.Is(err, store.ErrNotFound) {
		return agentapi.State{}, false, nil
	}
	if err != nil {
		return agentapi.State{}, false, err
	}
	return worker.BuildState(w.settings)(tree, rows, a.boot.AmphoraID)
}

// apply takes a state over. An interface that the instance does not have would be a state told too early; if the port was
// deleted meanwhile, it may be a state told too late.
func (a *agent) apply(state agentapi.State) {
	w := a.w
	for _, i := range state.Interfaces {
		if !slices.Contains(a.instance.MACs, i.MAC) && w.fake.HasMAC(i.MAC) {
			w.fail("amphora %s is told of interface %s at generation %d and has %v", a.boot.AmphoraID, i.MAC, state.Generation, a.instance.MACs)
		}
	}
	a.state = state
	w.note("amphora %s applies %d", a.boot.AmphoraID, state.Generation)
	w.checkForce(a.lb)
}

func (a *agent) report() {
	w := a.w
	a.sequence++
	r := agentapi.Report{Sequence: a.sequence, Boot: a.instance.ID, Time: w.now, Applied: a.state.Generation}
	err := w.store.Write(w.ctx, func(tx *store.Tx) error {
		if _, err := tx.Lock(w.ctx, a.lb); err != nil {
			return err
		}
		rows, err := tx.Amphorae(w.ctx)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(rows, func(r store.Amphora) bool { return r.ID == a.boot.AmphoraID && !r.Deleting })
		if i < 0 {
			return store.ErrNotFound
		}
		if rows[i].Boot != r.Boot || rows[i].AppliedGeneration != r.Applied {
			tx.Wake()
		}
		return tx.Report(w.ctx, a.boot.AmphoraID, r)
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		w.fail("report: %v", err)
	}
}

// serves tells whether the VIP is answered by this instance: it was told to, and its port is still there.
func (a *agent) serves() bool {
	return a.state.Generation > 0 && slices.ContainsFunc(a.state.Interfaces, func(i agentapi.Interface) bool {
		return i.VIP && slices.Contains(a.instance.MACs, i.MAC)
	})
}
