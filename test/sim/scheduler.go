// Package sim runs workers, a real store, a cloud and agents under one seeded scheduler in virtual time. Whatever may go
// wrong goes wrong, at a place that the seed chooses: processes are killed between any two calls and in the middle of
// transactions, or stand still until others take over; the cloud is away, slow, full, and loses answers to what it
// did; instances die; users change their minds. Afterwards everything must be as the users want it, and at no time may
// have been what must never be.
//
// One task runs at a time, so a run depends on its seed alone, and a failure is repeated by it.
package sim

import (
	"math/rand/v2"
	"runtime"
	"time"
)

// scheduler lets one task run at a time and chooses the next at each of its calls to the outside.
type scheduler struct {
	rand    *rand.Rand
	now     time.Time
	tasks   []*task
	current *task
	back    chan struct{}
}

// task is a thread of a process. Its process being dead ends it at its next call to the outside.
type task struct {
	process *process
	resume  chan struct{}
	due     time.Time
	done    bool
}

// process is what is killed as a whole.
type process struct {
	name string
	dead bool
	// fuse is after how many more looks at the clock the process dies; negative is never.
	fuse int
	// frozen is until when it stands still.
	frozen time.Time
}

func newScheduler(seed uint64) *scheduler {
	return &scheduler{rand: rand.New(rand.NewPCG(seed, seed)), now: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), back: make(chan struct{})}
}

func (s *scheduler) spawn(p *process, fn func()) {
	t := &task{process: p, resume: make(chan struct{}), due: s.now}
	s.tasks = append(s.tasks, t)
	go func() {
		<-t.resume
		defer func() {
			t.done = true
			s.back <- struct{}{}
		}()
		if !p.dead {
			fn()
		}
	}()
}

// sleep lets others run for at least d. Zero lets others run before this one, perhaps.
func (s *scheduler) sleep(d time.Duration) {
	t := s.current
	t.due = s.now.Add(d)
	s.back <- struct{}{}
	<-t.resume
	s.dieIfDead()
}

// dieIfDead ends the running task of a dead process. Deferred calls run: they free what the operating system would.
func (s *scheduler) dieIfDead() {
	if s.current.process.dead {
		runtime.Goexit()
	}
}

// clock tells the time to processes. It is asked at the beginning of every transaction: a process whose fuse has burnt
// down dies there, with nothing written, or, which is the same, at the beginning of the next, with everything written.
func (s *scheduler) clock() time.Time {
	if s.current == nil {
		return s.now
	}
	p := s.current.process
	if p.fuse > 0 {
		if p.fuse--; p.fuse == 0 {
			p.dead, p.fuse = true, -1
		}
	}
	s.dieIfDead()
	return s.now
}

// run lets tasks run until the time is over; after is called after each slice.
func (s *scheduler) run(d time.Duration, after func()) {
	end := s.now.Add(d)
	for {
		var ready []*task
		var next time.Time
		s.tasks = alive(s.tasks)
		for _, t := range s.tasks {
			due := t.due
			if t.process.frozen.After(due) {
				due = t.process.frozen
			}
			if !due.After(s.now) {
				ready = append(ready, t)
			} else if next.IsZero() || due.Before(next) {
				next = due
			}
		}
		if len(ready) == 0 {
			if next.IsZero() || next.After(end) {
				s.now = end
				return
			}
			s.now = next
			continue
		}
		s.step(ready[s.rand.IntN(len(ready))])
		after()
	}
}

func (s *scheduler) step(t *task) {
	s.current = t
	t.resume <- struct{}{}
	<-s.back
	s.current = nil
}

func alive(tasks []*task) []*task {
	kept := tasks[:0]
	for _, t := range tasks {
		if !t.done {
			kept = append(kept, t)
		}
	}
	return kept
}

// end ends all tasks.
func (s *scheduler) end() {
	for _, t := range s.tasks {
		t.process.dead = true
		for !t.done {
			s.step(t)
		}
	}
}

// chance is true with probability p.
func (s *scheduler) chance(p float64) bool { return s.rand.Float64() < p }

// between is a random time.
func (s *scheduler) between(a, b time.Duration) time.Duration {
	return a + time.Duration(s.rand.Int64N(int64(b-a)+1))
}
