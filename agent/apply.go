package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/octavo-lb/octavo/agent/probe"
	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/firewall"
	"github.com/octavo-lb/octavo/haproxy"
	"github.com/octavo-lb/octavo/keepalived"
	"github.com/octavo-lb/octavo/lb"
)

const (
	// interfaceWait is how long the compute service may take to plug an interface that a state names already.
	interfaceWait = 10 * time.Second
	stateFile     = "state.json"
	// stateVersion is the newest format of the wanted state that this agent understands.
	stateVersion = 1
)

// apply puts the newest wanted state into force, and tries again what failed until it works or something newer comes.
func (a *Agent) apply(ctx context.Context) {
	retry := time.NewTimer(time.Hour)
	retry.Stop()
	pause := time.Duration(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.board.arrived:
			pause = 0
		case <-retry.C:
		}
		state := a.board.newest()
		start := time.Now()
		if err := a.put(ctx, state, a.served); err != nil {
			if ctx.Err() != nil {
				return
			}
			a.config.Logger.Error("cannot put the wanted state into force, the former one stays", "lb", state.LB, "generation", state.Generation, "err", err)
			a.board.fail(state, err)
			pause = min(max(2*pause, time.Second), 30*time.Second)
			retry.Reset(pause)
			continue
		}
		retry.Stop()
		if !a.join(ctx, state) {
			continue
		}
		a.board.inForce(state)
		a.config.Logger.Info("in force", "lb", state.LB, "generation", state.Generation, "took", time.Since(start).Round(time.Millisecond))
		a.remember(state)
	}
}

// put makes one attempt: HAProxy, nft and keepalived judge their configurations before what serves is touched. When it has
// succeeded it calls done.
func (a *Agent) put(ctx context.Context, state *agentapi.State, done func(*agentapi.State)) error {
	if state.Version > stateVersion {
		return fmt.Errorf("this agent understands states up to version %d, this one is version %d", stateVersion, state.Version)
	}
	if err := a.fetchSecrets(ctx, state); err != nil {
		return err
	}
	config, err := a.check(ctx, state)
	if err != nil {
		return err
	}
	vrrp, err := a.buildVRRP(state)
	if err != nil {
		return err
	}
	if vrrp == "" {
		// keepalived takes the VIPs along when it ends.
		if err := a.standby.Apply("", 0); err != nil {
			return err
		}
	}
	if err := a.setUpNetwork(ctx, state); err != nil {
		return fmt.Errorf("setting up the network: %w", err)
	}
	// It looks at the interfaces, which are there only now.
	if err := a.standby.Check(ctx, keepalived.Joining(vrrp, quiet(state))); err != nil {
		return err
	}
	// What is seen of the daemons in between fits neither the former state nor this one.
	a.changing.Lock()
	defer a.changing.Unlock()
	if err := a.change(ctx, state, config, vrrp); err != nil {
		return err
	}
	done(state)
	return nil
}

// check lets HAProxy and nft judge, at the same time: each takes most of a tenth of a second on a busy machine.
func (a *Agent) check(ctx context.Context, state *agentapi.State) (config *haproxy.Config, err error) {
	var g errgroup.Group
	g.Go(func() error {
		prepared, err := a.proxy.Prepare(ctx, state)
		config = prepared
		return err
	})
	g.Go(func() error { return a.datagram.Check(ctx, state) })
	err = g.Wait()
	return config, err
}

// change makes the daemons serve what was prepared.
func (a *Agent) change(ctx context.Context, state *agentapi.State, config *haproxy.Config, vrrp string) error {
	if err := a.relay.Want(state.Logging); err != nil {
		return err
	}
	if err := a.proxy.Apply(ctx, config); err != nil {
		return err
	}
	if err := a.datagram.Apply(ctx, state); err != nil {
		return err
	}
	// Clients come only now that they are served.
	if err := errors.Join(a.network.Raise(ctx, state), a.standby.Apply(vrrp, quiet(state))); err != nil {
		return err
	}
	a.prober.Set(ctx, probe.Targets(state, func(p lb.Pool, m lb.HealthMonitor) bool {
		return firewall.Datagram(p.Protocol) || haproxy.AgentChecks(m.Type)
	}))
	return nil
}

func (a *Agent) fetchSecrets(ctx context.Context, state *agentapi.State) error {
	for _, digest := range a.proxy.MissingSecrets(state) {
		bundle, err := a.controller.Secret(ctx, digest)
		if err == nil {
			err = a.proxy.StoreSecret(digest, bundle.PEM)
		}
		if err != nil {
			return fmt.Errorf("fetching a secret: %w", err)
		}
	}
	return nil
}

// setUpNetwork stops waiting for an interface to be plugged when a newer state is wanted, which may not need it.
func (a *Agent) setUpNetwork(ctx context.Context, state *agentapi.State) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-a.board.newerThan(state):
			cancel(errSuperseded)
		case <-ctx.Done():
		}
	}()
	return a.network.Apply(ctx, state)
}

var errSuperseded = errors.New("a newer state is wanted")

// remember stores the state that is in force, for a start at which no controller answers. There are no keys in it.
func (a *Agent) remember(state *agentapi.State) {
	text, err := json.Marshal(state)
	if err == nil {
		err = replaceFile(filepath.Join(a.config.StateDir, stateFile), text)
	}
	if err != nil {
		a.config.Logger.Error("cannot store the state that is in force", "lb", state.LB, "generation", state.Generation, "err", err)
	}
}

// restore puts the last good state into force, before anybody is asked: after a crash of the agent it finds everything in
// place, after a reboot nothing.
func (a *Agent) restore(ctx context.Context) {
	text, err := os.ReadFile(filepath.Join(a.config.StateDir, stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	state := new(agentapi.State)
	if err == nil {
		err = json.Unmarshal(text, state)
	}
	part := state
	if err == nil {
		part = a.withoutMissingSecrets(ctx, state)
		err = a.put(ctx, part, func(part *agentapi.State) { a.board.restored(state, part) })
	}
	if err != nil {
		a.config.Logger.Error("cannot put the last good state into force", "err", err)
		return
	}
	a.config.Logger.Info("in force again", "lb", state.LB, "generation", state.Generation)
}

// withoutMissingSecrets leaves out what cannot be served for want of keys: after a reboot they are gone, and when no
// controller answers the rest is served without them.
func (a *Agent) withoutMissingSecrets(ctx context.Context, state *agentapi.State) *agentapi.State {
	ctx, cancel := context.WithTimeout(ctx, secretPatience)
	defer cancel()
	err := a.fetchSecrets(ctx, state)
	if err == nil {
		return state
	}
	a.config.Logger.Warn("serving only what needs no keys", "lb", state.LB, "err", err)
	missing := a.proxy.MissingSecrets(state)
	lacks := func(refs ...*string) bool {
		return slices.ContainsFunc(refs, func(ref *string) bool { return ref != nil && slices.Contains(missing, state.Secrets[*ref].Digest) })
	}
	rest := *state
	rest.Generation-- // this is not what the generation stands for
	rest.Secrets = maps.Clone(state.Secrets)
	maps.DeleteFunc(rest.Secrets, func(_ string, s agentapi.Secret) bool { return slices.Contains(missing, s.Digest) })
	rest.Listeners = slices.DeleteFunc(slices.Clone(state.Listeners), func(l lb.Listener) bool {
		return lacks(l.DefaultTLSContainerRef, l.ClientCATLSContainerRef, l.ClientCRLContainerRef) ||
			slices.ContainsFunc(l.SniContainerRefs, func(ref string) bool { return lacks(&ref) })
	})
	rest.Pools = slices.DeleteFunc(slices.Clone(state.Pools), func(p lb.Pool) bool {
		return lacks(p.TLSContainerRef, p.CATLSContainerRef, p.CRLContainerRef)
	})
	return &rest
}

// secretPatience is how long an agent that starts waits for keys before it serves what needs none.
const secretPatience = 5 * time.Second

func replaceFile(path string, content []byte) error {
	next := path + ".new"
	if err := os.WriteFile(next, content, 0o600); err != nil {
		return err
	}
	return os.Rename(next, path)
}
