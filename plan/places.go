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

// candidates are the amphorae of a role, oldest first.
type candidates struct {
	up, coming, silent, failed []Amphora
	// gone are those that were retired because they never came up, and are still remembered.
	gone []Amphora
}

func (p *planner) candidates(r role) candidates {
	var c candidates
	for _, a := range p.Amphorae {
		if a.Role != r.name {
			continue
		}
		if a.Deleting {
			if a.Reported.IsZero() && !a.Started.IsZero() {
				c.gone = append(c.gone, a)
			}
			continue
		}
		switch condition, _, _ := p.judge(a); condition {
		case alive:
			c.up = append(c.up, a)
		case unborn:
			c.coming = append(c.coming, a)
		case silent:
			c.silent = append(c.silent, a)
		default:
			c.failed = append(c.failed, a)
		}
	}
	slices.SortStableFunc(c.up, func(a, b Amphora) int {
		return cmp.Or(cmp.Compare(order(p.leaves(a)), order(p.leaves(b))), cmp.Compare(b.Applied, a.Applied))
	})
	return c
}

// fill decides who has a role: one amphora, or two while one takes the other's place. An amphora that serves stays until
// another one is up; of several that are up the one that serves stays, so that one that was only thought dead keeps its
// place when it is heard of again. One that never came up goes at once, for it serves nobody and counts against the quota.
func (p *planner) fill(r role) []Amphora {
	c := p.candidates(r)
	for _, a := range c.failed {
		_, why, _ := p.judge(a)
		p.also(Report{Reason: "amphora " + a.ID + ": " + why})
		p.also(Retire{a.ID, why})
	}
	switch {
	case len(c.up) > 0 && !p.leaves(c.up[0]):
		p.retire(slices.Concat(c.up[1:], c.coming, c.silent), "amphora "+c.up[0].ID+" has its place")
		return c.up[:1]
	case len(c.up) > 0 && len(c.coming) > 0:
		return []Amphora{c.up[0], c.coming[0]}
	case len(c.up) > 0:
		p.add(r, c, "amphora "+c.up[0].ID+" is to be replaced")
		return c.up[:1]
	case len(c.coming) > 0:
		p.retire(c.coming[1:], "amphora "+c.coming[0].ID+" takes its place")
		return c.coming[:1]
	}
	p.unfinished = true
	p.add(r, c, "there is none")
	return nil
}

func (p *planner) retire(amphorae []Amphora, why string) {
	for _, a := range amphorae {
		p.also(Retire{a.ID, why})
	}
}

// add adds an amphora to a role, in its time: not in a hurry when the ones before did not last either, and not while so
// many are silent that the network between them and the controllers must be to blame.
func (p *planner) add(r role, c candidates, why string) {
	last, found := c.last()
	if !found {
		p.also(AddAmphora{Role: r.name, Priority: r.priority, Why: why})
		return
	}
	condition, reason, since := p.judge(last)
	if condition == silent {
		why = "amphora " + last.ID + " is down: " + reason
		if !p.also(ShowServer{last.ID, last.ComputeID}) {
			return
		}
	} else {
		since = last.Started
	}
	attempt, wait := nextAttempt(last, p.Settings)
	if due := since.Add(wait); p.Now.Before(due) {
		p.also(Wait{Until: due, For: "the time to replace amphora " + last.ID})
		return
	}
	if condition == silent && p.networkToBlame(last) {
		return
	}
	p.also(AddAmphora{Role: r.name, Priority: r.priority, Attempt: attempt, Why: why})
}

// last is the newest of those that are down.
func (c candidates) last() (Amphora, bool) {
	down := slices.Concat(c.silent, c.failed, c.gone)
	if len(down) == 0 {
		return Amphora{}, false
	}
	return slices.MaxFunc(down, func(a, b Amphora) int { return a.Created.Compare(b.Created) }), true
}

// remembered tells whether the row of an amphora that is gone is still needed: how long the next one has to wait depends
// on it, as long as there is none.
func (p *planner) remembered(a Amphora) bool {
	if !a.Reported.IsZero() || a.Started.IsZero() || p.Tree.LB.Deleting {
		return false
	}
	for _, r := range rolesOf(p.Tree.LB.Topology) {
		if r.name == a.Role {
			c := p.candidates(r)
			newest, _ := c.last()
			filled := len(c.coming) > 0 || len(c.up) > 0 && !p.leaves(c.up[0])
			return !filled && newest.ID == a.ID
		}
	}
	return false
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

// networkToBlame tells whether an amphora's silence proves nothing. Its instance being gone proves everything.
func (p *planner) networkToBlame(a Amphora) bool {
	switch p.Seen.Servers[a.ID].State {
	case ServerGone, ServerFailed:
		return false
	}
	if !p.also(CountFleet{}) {
		return true
	}
	f := p.Seen.Fleet
	if f.Silent < p.Settings.SilentMin || float64(f.Silent) <= p.Settings.SilentShare*float64(f.Total) {
		return false
	}
	p.also(Wait{Until: p.Now.Add(breakerPoll), For: fmt.Sprintf("an end of the silence of %d of %d amphorae", f.Silent, f.Total)})
	return true
}

const breakerPoll = 30 * time.Second
