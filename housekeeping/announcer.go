package housekeeping

import (
	"context"
	"log/slog"
	"time"

	"github.com/octavo-lb/octavo/store"
)

// Publisher hands a notification over to others; *notify.Rabbit is one.
type Publisher interface {
	Publish(ctx context.Context, text []byte) error
}

// Announcer sends what the store has notifications of. One node of many does so at a time. Each notification is sent at
// least once, and those of a load balancer in order; while nobody takes them they wait in the database.
type Announcer struct {
	Store      *store.Store
	Publishers []Publisher
	Name       string // of this node; no other has it
	// Attempts is how often a notification is tried before it is given up; 0 for no limit.
	Attempts int
	// Keep is for how long one waits at most; a week.
	Keep   time.Duration
	Clock  func() time.Time
	Logger *slog.Logger

	failures int       // of the oldest notification, in a row
	until    time.Time // until then the duty is this node's
	trimmed  time.Time
}

const (
	announcing   = "notifications"
	holdFor      = 30 * time.Second
	lookEvery    = 5 * time.Second // for what others wrote, and whether the duty is free
	longestPause = 30 * time.Second
	shortPause   = 100 * time.Millisecond // however much changes
	sentAtOnce   = 100
)

// Run sends until ctx ends.
func (a *Announcer) Run(ctx context.Context) {
	changed := a.Store.Subscribe(ctx)
	for {
		pause := lookEvery
		if err := a.Pass(ctx); err != nil && ctx.Err() == nil {
			pause = a.failed(err)
		} else if a.failures > 0 && ctx.Err() == nil {
			a.Logger.Info("notifications are sent again")
			a.failures = 0
		}
		if !a.wait(ctx, pause, changed) {
			a.leave(ctx)
			return
		}
	}
}

// failed tells of a failure when it is new, and how long to wait after it.
func (a *Announcer) failed(err error) time.Duration {
	if a.failures == 0 {
		a.Logger.Warn("cannot send notifications, they wait in the database", "err", err)
	}
	a.failures++
	return min(time.Second<<min(a.failures-1, 10), longestPause)
}

// wait waits until shortly after a change, unless something just failed, and for the pause at most. It answers false when ctx has ended.
func (a *Announcer) wait(ctx context.Context, pause time.Duration, changed <-chan string) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case _, open := <-changed:
			if !open {
				changed = nil
			} else if a.failures == 0 {
				changed = nil
				timer.Reset(shortPause)
			}
		}
	}
}

func (a *Announcer) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = a.Store.LeaveDuty(ctx, announcing, a.Name)
}

// Pass sends all that there is, unless another node does.
func (a *Announcer) Pass(ctx context.Context) error {
	for {
		if one, err := a.Store.Notifications(ctx, 1); err != nil || len(one) == 0 {
			return err
		}
		if held, err := a.hold(ctx); err != nil || !held {
			return err
		}
		if err := a.trim(ctx); err != nil {
			return err
		}
		// Read by its holder only: another one had sent and forgotten what was read before.
		waiting, err := a.Store.Notifications(ctx, sentAtOnce)
		if err != nil {
			return err
		}
		if err := a.send(ctx, waiting); err != nil {
			return err
		}
	}
}

// hold asks for the duty when this node has not had it for long enough to come.
func (a *Announcer) hold(ctx context.Context) (held bool, err error) {
	now := a.Clock()
	if now.Before(a.until.Add(-holdFor / 2)) {
		return true, nil
	}
	if held, err = a.Store.HoldDuty(ctx, announcing, a.Name, holdFor); held {
		a.until = now.Add(holdFor)
	}
	return held, err
}

// send sends in order until one fails or the duty must be asked for again, and forgets those that were taken.
func (a *Announcer) send(ctx context.Context, waiting []store.Notification) error {
	var sent []int64
	var failed error
	for ; len(waiting) > 0 && a.Clock().Before(a.until.Add(-holdFor/4)); waiting = waiting[1:] {
		n := waiting[0]
		if failed = a.publish(ctx, n.Body); failed != nil {
			if a.Attempts == 0 || a.failures+1 < a.Attempts || ctx.Err() != nil {
				break
			}
			a.Logger.Error("a notification was given up, by [oslo_messaging_notifications] retry", "lb", n.LB, "err", failed)
			a.failures, failed = 0, nil
		}
		sent = append(sent, n.ID)
	}
	// Also when ctx has just ended: what is not forgotten now is sent a second time.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := a.Store.DropNotifications(ctx, sent...); err != nil {
		return err
	}
	return failed
}

func (a *Announcer) publish(ctx context.Context, text []byte) error {
	for _, p := range a.Publishers {
		if err := p.Publish(ctx, text); err != nil {
			return err
		}
	}
	return nil
}

// trim drops what waited for too long, now and then.
func (a *Announcer) trim(ctx context.Context) error {
	now := a.Clock()
	if now.Sub(a.trimmed) < time.Hour {
		return nil
	}
	keep := a.Keep
	if keep <= 0 {
		keep = 7 * 24 * time.Hour
	}
	dropped, err := a.Store.TrimNotifications(ctx, now.Add(-keep))
	if err != nil {
		return err
	}
	if a.trimmed = now; dropped > 0 {
		a.Logger.Error("notifications were given up: nobody took them for too long", "dropped", dropped, "after", keep)
	}
	return nil
}
