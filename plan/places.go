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
		serving = append(serving, p.fill(r)...)
	}
	for _, a := range p.Amphorae {
		if !a.Deleting && !slices.ContainsFunc(roles, func(r role) bool { return r.name == a.Role }) {
			p.also(Retire{a.ID, "its role " + a.Role + " is not wanted any more"})
		}
	}
	return serving
}

// fill decides who has a role: one amphora, or two while one takes the other's place. An amphora that serves stays until
// another one is up; of several that are up the one that serves stays, so that one that was only thought dead keeps its
// place when it is heard of again.
func (p *planner) fill(r role) []Amphora {
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
	slices.SortStableFunc(up, func(a, b Amphora) int {
		return cmp.Or(cmp.Compare(order(p.leaves(a)), order(p.leaves(b))), cmp.Compare(b.Applied, a.Applied))
	})
	switch {
	case len(up) > 0 && p.leaves(up[0]):
		return p.succeed(r, up[0], coming)
	case len(up) > 0:
		p.retire(slices.Concat(up[1:], coming, down), "amphora "+up[0].ID+" has its place")
		return up[:1]
	case len(coming) > 0:
		p.retire(coming[1:], "amphora "+coming[0].ID+" takes its place")
		p.retire(slices.DeleteFunc(down, func(a Amphora) bool { return !a.Reported.IsZero() }), "amphora "+coming[0].ID+" takes its place")
		return coming[:1]
	case len(down) > 0:
		p.replace(r, down)
		return nil
	}
	p.done(AddAmphora{Role: r.name, Priority: r.priority, Why: "there is none"})
	return nil
}

// succeed lets another amphora come up beside one that serves and shall be replaced.
func (p *planner) succeed(r role, serves Amphora, coming []Amphora) []Amphora {
	if len(coming) == 0 {
		p.done(AddAmphora{Role: r.name, Priority: r.priority, Why: "amphora " + serves.ID + " is to be replaced"})
		return []Amphora{serves}
	}
	return []Amphora{serves, coming[0]}
}

// leaves tells whether an amphora that shall be replaced may be now: of a pair the backup goes first, and the master when
// its peer has everything that it has itself.
func (p *planner) leaves(a Amphora) bool {
	if !a.Replacing || a.Role != Master {
		return a.Replacing
	}
	return slices.ContainsFunc(p.Amphorae, func(o Amphora) bool {
		c, _, _ := p.judge(o)
		return o.Role == Backup && !o.Deleting && !o.Replacing && c == alive && o.Applied >= a.Applied
	})
}

func order(last bool) int {
	if last {
		return 1
	}
	return 0
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
