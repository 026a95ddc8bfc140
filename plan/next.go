package plan

import (
	"fmt"
	"slices"

	"github.com/octavo-lb/octavo/lb"
)

// Next tells what can be done now towards a load balancer that is in force, or gone if its user deleted it. The steps of
// one answer do not depend on each other's results: those that fail do not keep the others from being done. When all
// were tried, Next is asked again with what they found; the run is over when it has nothing more to say.
//
// What holds for every order of failures: the VIP is released for a deleted load balancer only; something new is made
// before what it replaces goes; two amphorae of one role are never both told to carry the VIP; the security group is open
// before a listener counts as being in force; an amphora's interfaces are attached before it is told of them, and
// detached after it has let go of them.
func Next(in Input) []Step {
	p := &planner{Input: in, generation: in.Tree.LB.Generation}
	for _, a := range in.Amphorae {
		if a.Deleting {
			p.remove(a)
		}
	}
	switch {
	case in.Tree.LB.Deleting && in.Outside && in.Tree.LB.Told != lb.Deleted:
		p.await() // whoever serves it still has the VIP
	case in.Tree.LB.Deleting:
		p.removeAll()
	case in.Outside:
		p.leave()
	case in.Pretend:
		p.pretend()
	default:
		p.keep()
	}
	return p.steps
}

type planner struct {
	Input
	generation int64
	steps      []Step
	// unfinished tells that something is yet to be done, or could not be done, before the generation is in force in the
	// cloud.
	unfinished bool
}

// done asks for a step, unless it was done in this run.
func (p *planner) done(s Step) bool {
	key := s.String()
	if p.Done[key] {
		return true
	}
	p.unfinished = true
	if !p.Held[key] && !slices.ContainsFunc(p.steps, func(other Step) bool { return other.String() == key }) {
		p.steps = append(p.steps, s)
	}
	return false
}

// also asks for a step that the generation's being in force does not depend on.
func (p *planner) also(s Step) bool {
	unfinished := p.unfinished
	done := p.done(s)
	p.unfinished = unfinished
	return done
}

// keep brings a load balancer in force that is wanted.
func (p *planner) keep() {
	digest := Digest(p.Input)
	settled := p.Settled != "" && p.Settled == digest
	if !settled && !p.foundation() {
		p.unfinished = true
	}
	serving := p.places()
	for _, a := range serving {
		switch {
		case !settled:
			p.equip(a)
		case a.Reported.IsZero():
			p.booting(a)
		}
		p.applying(a)
	}
	if p.unfinished || len(serving) < len(rolesOf(p.Tree.LB.Topology)) {
		return
	}
	if !settled {
		p.also(Settle{digest})
	}
	p.inForce(serving)
}

// pretend brings a load balancer in force that nothing serves: it has addresses, and that is all.
func (p *planner) pretend() {
	b := &p.Tree.LB
	if !placed(b) && !p.done(EnsureVIP{Port: VIPPort(b, nil), Owned: b.VipPortOwned || b.VipPortID == nil}) {
		return
	}
	if b.Told != "" {
		return // somebody said what it is, and nobody wrote since
	}
	if until := p.Since.Add(p.Settings.PretendDelay); p.Now.Before(until) {
		p.also(Wait{Until: until, For: "a data plane that is none"})
		return
	}
	if p.CloudGeneration < p.generation || b.Failure != "" {
		p.also(SetInForce{Generation: p.generation})
	}
}

// leave gives a load balancer its addresses and leaves the rest to whoever serves it.
func (p *planner) leave() {
	b := &p.Tree.LB
	if !placed(b) && !p.done(EnsureVIP{Port: VIPPort(b, nil), Owned: b.VipPortOwned || b.VipPortID == nil}) {
		return
	}
	p.await()
}

// await gives a program outside of the service its time to say what became of what is wanted. After that its silence is the
// failure, which ends when it speaks: nobody else knows what is in force.
func (p *planner) await() {
	waits, called := p.awaited()
	until := p.Awaited.Add(p.Settings.ProviderTimeout)
	switch {
	case waits && p.Now.Before(until):
		p.also(Wait{Until: until, For: "the word of provider " + p.Tree.LB.Provider})
	case waits:
		if called {
			p.done(Forsake{})
		}
		p.report(fmt.Sprintf("provider %s has not said for %v what became of this: is its program running?", p.Tree.LB.Provider, p.Settings.ProviderTimeout), true)
		return
	}
	if p.Tree.LB.Failure != "" {
		p.also(SetInForce{Generation: p.CloudGeneration}) // the failure is over; nothing new is in force by that
	}
}

// awaited tells whether anything is pending, and whether its provider has called anything that.
func (p *planner) awaited() (waits, called bool) {
	b := p.Tree.LB
	b.Failure = "" // which would hide it
	waits, called = b.Provisioning().Pending(), b.Told.Pending()
	p.Tree.Children(func(m *lb.Meta) {
		waits, called = waits || m.Provisioning(&b).Pending(), called || m.Told.Pending()
	})
	return waits, called
}

// foundation is what all amphorae stand on: the addresses and the security group.
func (p *planner) foundation() bool {
	b := &p.Tree.LB
	owned := b.VipPortOwned || b.VipPortID == nil
	if !placed(b) && !p.done(EnsureVIP{Port: VIPPort(b, nil), Owned: owned}) {
		return false
	}
	ready := p.done(EnsureGroup{Group: Group(p.Tree)})
	if b.Topology == activeStandby && p.Settings.AntiAffinity != "" {
		ready = p.done(EnsureServerGroup{Name: ServerGroupName(b.ID), Policy: p.Settings.AntiAffinity}) && ready
	}
	if ready {
		ready = p.done(EnsureVIP{Port: VIPPort(b, append([]string{p.Seen.GroupID}, b.VipSgIDs...)), Owned: owned})
	}
	return p.subnets(vipSubnets(b)) && ready
}

// subnets looks at subnets, and tells whether all are there.
func (p *planner) subnets(ids []string) bool {
	all := true
	for _, id := range ids {
		if !p.done(ReadSubnet{id}) {
			all = false
		} else if p.Seen.Subnets[id].Missing {
			p.report("subnet "+id+" does not exist any more", true)
			all = false
		}
	}
	return all
}

func (p *planner) report(reason string, user bool) {
	p.unfinished = true
	p.also(Report{Reason: reason, User: user})
}

// inForce is reached when nothing is left to be done in the cloud. Of amphorae that come after failed attempts the first
// report is awaited, so that a failure is shown until there is reason to believe that it is over.
func (p *planner) inForce(serving []Amphora) {
	for _, a := range serving {
		if a.Attempt > 0 && a.Reported.IsZero() {
			return
		}
	}
	refused := p.refused(serving)
	if p.CloudGeneration < p.generation || p.Tree.LB.Failure != refused {
		p.also(SetInForce{Generation: p.generation})
	}
	if refused != "" {
		p.report(refused, true)
	}
}
