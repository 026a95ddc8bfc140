package store

import (
	"context"
	"fmt"
	"time"

	"github.com/octavo-lb/octavo/lb"
)

// Notification is something that others are to be told of: a load balancer was created, updated or deleted, and that is in
// force. It is stored in the transaction that made it so, with its text: none is lost, whatever is killed, and none tells of
// what came later.
type Notification struct {
	ID   int64 // grows with time for each load balancer
	LB   string
	Body []byte
	At   time.Time // when it was asked for; of a deletion, when it was done
}

// Events that notifications are of.
const (
	Created = "create"
	Updated = "update"
	Deleted = "delete"
)

// expect remembers that there will be something to tell as soon as the transaction's generation is in force.
func (tx *Tx) expect(ctx context.Context, event string) error {
	if tx.store.options.Notify == nil {
		return nil
	}
	b := tx.balance
	_, err := tx.r.exec(ctx, `INSERT INTO "notification" ("loadbalancer_id", "event", "generation", "at") VALUES `+placeholders(4),
		b.id, event, b.generation, formatTime(tx.now))
	if err != nil {
		return fmt.Errorf("cannot store a notification of load balancer %s: %w", b.id, err)
	}
	return nil
}

// announce completes the notifications of what is in force now.
func (tx *Tx) announce(ctx context.Context, b *balancer) error {
	notify := tx.store.options.Notify
	if notify == nil {
		return nil
	}
	var id int64
	var event string
	events := map[int64]string{}
	err := tx.r.each(ctx, `SELECT "id", "event" FROM "notification" WHERE "loadbalancer_id" = ? AND "body" IS NULL AND "generation" <= ?`,
		[]any{b.id, b.observed}, func() { events[id] = event }, &id, &event)
	if err != nil || len(events) == 0 {
		return err
	}
	tree, err := tx.tree(ctx, b.id)
	if err != nil {
		return err
	}
	for id, event := range events {
		if _, err := tx.r.exec(ctx, `UPDATE "notification" SET "body" = ? WHERE "id" = ?`, string(notify(event, tree, tx.now)), id); err != nil {
			return err
		}
	}
	return nil
}

// announceEnd is called while the load balancer is still there. What did not come in force by now never will; that it was
// deleted is told of one that its user deleted, and not of one that could not be made.
func (tx *Tx) announceEnd(ctx context.Context, b *balancer) error {
	notify := tx.store.options.Notify
	if notify == nil {
		return nil
	}
	_, err := tx.r.exec(ctx, `DELETE FROM "notification" WHERE "loadbalancer_id" = ? AND "body" IS NULL`, b.id)
	if err != nil || !b.deleting {
		return err
	}
	tree, err := tx.tree(ctx, b.id)
	if err != nil {
		return err
	}
	_, err = tx.r.exec(ctx, `INSERT INTO "notification" ("loadbalancer_id", "event", "generation", "body", "at") VALUES `+placeholders(5),
		b.id, Deleted, b.generation, string(notify(Deleted, tree, tx.now)), formatTime(tx.now))
	return err
}

func (tx *Tx) tree(ctx context.Context, lbID string) (*lb.Tree, error) {
	balancer, err := selectOne[lb.LoadBalancer](ctx, &tx.r, balancers, lbID)
	if err != nil {
		return nil, err
	}
	return tx.r.treeBelow(ctx, balancer)
}

// Notifications reads up to limit of those that can be sent, in the order to send them in.
func (s *Store) Notifications(ctx context.Context, limit int) ([]Notification, error) {
	var n Notification
	var body string
	var at nullTime
	var all []Notification
	err := s.read.each(ctx, `SELECT "id", "loadbalancer_id", "body", "at" FROM "notification" WHERE "body" IS NOT NULL ORDER BY "id" LIMIT ?`,
		[]any{limit}, func() {
			n.Body, n.At = []byte(body), *at.t
			all = append(all, n)
		}, &n.ID, &n.LB, &body, &at)
	if err != nil {
		return nil, fmt.Errorf("cannot read notifications: %w", err)
	}
	return all, nil
}

// DropNotifications forgets those that were sent.
func (s *Store) DropNotifications(ctx context.Context, ids ...int64) error {
	if len(ids) == 0 {
		return nil
	}
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = id
	}
	err := s.Write(ctx, func(tx *Tx) error {
		_, err := tx.r.exec(ctx, `DELETE FROM "notification" WHERE "id" IN `+placeholders(len(ids)), args...)
		return err
	})
	if err != nil {
		return fmt.Errorf("cannot drop notifications: %w", err)
	}
	return nil
}

// TrimNotifications drops those that could be sent and are older than the time, and tells how many.
func (s *Store) TrimNotifications(ctx context.Context, before time.Time) (dropped int64, err error) {
	err = s.Write(ctx, func(tx *Tx) (err error) {
		dropped, err = tx.r.exec(ctx, `DELETE FROM "notification" WHERE "body" IS NOT NULL AND "at" < ?`, formatTime(before))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("cannot trim the notifications: %w", err)
	}
	return dropped, nil
}

// HoldDuty gives a duty that one node of many does to the holder for ttl from now, unless another one holds it. Its holder
// asks again before that time is over.
func (s *Store) HoldDuty(ctx context.Context, name, holder string, ttl time.Duration) (held bool, err error) {
	err = s.Write(ctx, func(tx *Tx) error {
		_, err := tx.r.exec(ctx, `INSERT INTO "duty" ("name", "holder", "until") VALUES `+placeholders(3)+tx.r.dialect.onConflict([]string{"name"}),
			name, "", formatTime(tx.now))
		if err != nil {
			return err
		}
		n, err := tx.r.exec(ctx, `UPDATE "duty" SET "holder" = ?, "until" = ? WHERE "name" = ? AND ("holder" = ? OR "until" <= ?)`,
			holder, formatTime(tx.now.Add(ttl)), name, holder, formatTime(tx.now))
		held = n == 1
		return err
	})
	if err != nil {
		return false, fmt.Errorf("cannot ask for the duty %s: %w", name, err)
	}
	return held, nil
}

// LeaveDuty lets another node do the duty at once.
func (s *Store) LeaveDuty(ctx context.Context, name, holder string) error {
	return s.Write(ctx, func(tx *Tx) error {
		_, err := tx.r.exec(ctx, `UPDATE "duty" SET "until" = ? WHERE "name" = ? AND "holder" = ?`, formatTime(tx.now), name, holder)
		return err
	})
}
