package plan

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// places sees to it that every role is filled, and tells by whom.
func (p *planner) places() []Amphora {
	var serving []Amphora
	roles := rolesOf(p.Tree.LB.Topology)
	for _, r := range roles {
		if a, ok := p.fill(r); ok {
			serving = append(serving, a)
		}
	}
	for _, a := range p.Amphorae {
		if !a.Deleting && !slices.ContainsFunc(roles, func(r role) bool { return r.name == a.Role }) {
			p.also(Retire{a.ID, "its role " + a.Role + " is not wanted any more"})
		}
	}
	return serving
}

// fill decides who has a role. An amphora that serves stays until another one is up; of several that are up the one
// that serves stays, so that one that was only thought dead keeps its place when it is heard of again.
func (p *planner) fill(r role) (Amphora, bool) {
	var up, coming, down []Amphora
	for _, a := range p.Amphorae {
		if a.Deleting || a.Role != r.name {
			continue
		}
		switch c, _, _ := p.judge(a); c {
		case alive:
			up = append(up, a)
		case unborn:
			coming = append(coming, a)
		default:
			down = append(down, a)
		}
	}
	slices.SortStableFunc(up, func(a, b Amphora) int { return cmp.Compare(b.Applied, a.Applied) })
	switch {
	case len(up) > 0:
		p.retire(slices.Concat(up[1:], coming, down), "amphora "+up[0].ID+" has its place")
		return up[0], true
	case len(coming) > 0:
		p.retire(coming[1:], "amphora "+coming[0].ID+" takes its place")
		p.retire(slices.DeleteFunc(down, func(a Amphora) bool { return !a.Reported.IsZero() }), "amphora "+coming[0].ID+" takes its place")
		return coming[0], true
	case len(down) > 0:
		p.replace(r, down)
		return Amphora{}, false
	}
	p.done(AddAmphora{Role: r.name, Priority: r.priority, Why: "there is none"})
	return Amphora{}, false
}

func (p *planner) retire(amphorae []Amphora, why string) {
	for _, a := range amphorae {
		p.also(Retire{a.ID, why})
	}
}

// replace adds an amphora in the place of those that are down, in its time: not in a hurry when the ones before did
// not last either, and not while so many are silent that the network between them and the controllers must be to blame.
func (p *planner) replace(r role, down []Amphora) {
	p.unfinished = true
	last := down[len(down)-1]
	c, why, since := p.judge(last)
	if c == failed {
		p.report("amphora "+last.ID+": "+why, false)
		p.also(DeleteServer{last.ID, Server{ID: last.ComputeID, Name: ServerName(last.ID)}}) // it serves nobody, and counts against the quota
	} else if !p.done(ShowServer{last.ID, last.ComputeID}) {
		return
	}
	attempt, wait := nextAttempt(last, p.Settings)
	if due := since.Add(wait); p.Now.Before(due) {
		p.wait(due, "the time to replace amphora "+last.ID)
		return
	}
	if c == silent && p.networkToBlame(last) {
		return
	}
	p.done(AddAmphora{Role: r.name, Priority: r.priority, Attempt: attempt, Why: "amphora " + last.ID + " is down: " + why})
}

// networkToBlame tells whether an amphora's silence proves nothing. Its instance being gone proves everything.
func (p *planner) networkToBlame(a Amphora) bool {
	switch p.Seen.Servers[a.ID].State {
	case ServerGone, ServerFailed:
		return false
	}
	if !p.done(CountFleet{}) {
		return true
	}
	f := p.Seen.Fleet
	if f.Silent < p.Settings.SilentMin || float64(f.Silent) <= p.Settings.SilentShare*float64(f.Total) {
		return false
	}
	p.wait(p.Now.Add(breakerPoll), fmt.Sprintf("an end of the silence of %d of %d amphorae", f.Silent, f.Total))
	return true
}

const breakerPoll = 30 * time.Second
