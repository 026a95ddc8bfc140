package sim

import (
	"context"
	"errors"
	"time"

	"github.com/octavo-lb/octavo/cloud/cloudfake"
)

// authentication goes through at once: threads of one process wait for each other there, which one scheduler of one
// running task must not.
const authentication = "POST /identity/v3/auth/tokens"

// before is called before each call to the cloud: others may run now, and the call may fail.
func (w *world) before(ctx context.Context, call string) error {
	if w.current == nil || call == authentication || w.current.process == w.outside && w.calm {
		return nil
	}
	w.sleep(0)
	var err error
	if !w.calm {
		err = w.hinder(call)
	}
	if until, bounded := ctx.Value(deadline{}).(time.Time); bounded && w.now.After(until) {
		return context.DeadlineExceeded // it stood still for too long
	}
	return err
}

// deadline is the key of a virtual deadline in a context.
type deadline struct{}

// within is context.WithTimeout in virtual time.
func (w *world) within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithValue(ctx, deadline{}, w.now.Add(d)), func() {}
}

func (w *world) hinder(call string) error {
	switch {
	case w.now.Before(w.outage):
		w.result.Refusals++
		w.sleep(w.between(0, 30*time.Second))
		return errors.New("no route to host")
	case w.chance(0.02):
		w.result.Refusals++
		w.note("refused: %s", call)
		return &cloudfake.Refusal{Status: 503, Message: "The service is unavailable."}
	case w.chance(0.005):
		w.result.Refusals++
		return &cloudfake.Refusal{Status: 409, Type: "OverQuota", Message: "Quota exceeded for resources: ['port']."}
	case w.chance(0.02):
		w.sleep(w.between(time.Second, 20*time.Second)) // slow
	}
	return nil
}

// after is called after each call that changed something: its answer may be lost.
func (w *world) after(call string) error {
	if w.current == nil || call == authentication || w.calm {
		return nil
	}
	if w.chance(0.03) {
		w.result.LostAnswers++
		w.note("answer lost: %s", call)
		return errors.New("connection reset by peer")
	}
	w.sleep(0) // killed here, a process never learns what it did
	return nil
}

// trouble makes everything else go wrong.
func (w *world) trouble() {
	for {
		w.sleep(w.between(0, 12*time.Second))
		if w.calm {
			return
		}
		p := w.workers[w.rand.IntN(len(w.workers))]
		switch w.rand.IntN(9) {
		case 0, 1:
			w.kill(p)
		case 2, 3:
			p.fuse = 1 + w.rand.IntN(60) // dies at some transaction
		case 4:
			p.frozen = w.now.Add(w.between(time.Second, 2*leaseTTL))
			w.note("%s stands still until %s", p.name, p.frozen.Format("15:04:05"))
		case 5:
			w.outage = w.now.Add(w.between(time.Second, time.Minute))
			w.note("the cloud is away until %s", w.outage.Format("15:04:05"))
		case 6:
			w.harmInstance()
		case 7:
			w.fake.Doom("No valid host was found.")
			w.sleep(w.between(0, 30*time.Second))
			w.fake.Doom("")
		case 8:
			w.fake.SetQuota("servers", len(w.fake.Objects("servers")))
			w.sleep(w.between(0, 30*time.Second))
			w.fake.SetQuota("servers", -1)
		}
		for _, p := range w.workers {
			if p.dead && w.chance(0.7) {
				w.startWorker(p)
			}
		}
	}
}

func (w *world) kill(p *process) {
	if !p.dead {
		p.dead = true
		w.result.Kills++
		w.note("%s is killed", p.name)
	}
}

// harmInstance cuts one off from the controllers, for a while or for good, or makes it disappear.
func (w *world) harmInstance() {
	all := w.fake.Instances()
	if len(all) == 0 {
		return
	}
	i := all[w.rand.IntN(len(all))]
	a := w.agents[i.ID]
	switch {
	case a == nil || w.chance(0.3):
		w.note("instance %s disappears", i.Name)
		w.fake.KillInstance(i.ID)
	case w.chance(0.5):
		w.note("%s is cut off for a while", i.Name)
		a.cutOff = w.now.Add(w.between(time.Second, 3*time.Minute))
	default:
		w.note("%s is cut off for good", i.Name)
		a.cutOff = w.now.Add(100 * time.Hour)
	}
}

// calmDown ends all trouble but what lasts by itself.
func (w *world) calmDown() {
	w.note("calm")
	w.calm, w.outage = true, time.Time{}
	w.fake.Doom("")
	w.fake.SetQuota("servers", -1)
	for _, p := range w.workers {
		if p.dead {
			w.startWorker(p)
		}
		p.fuse, p.frozen = -1, time.Time{}
	}
}
