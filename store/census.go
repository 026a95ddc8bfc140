package store

import (
	"context"
	"fmt"
	"time"
)

// Census counts what a deployment has.
type Census struct {
	// LoadBalancers by provisioning and operating status.
	LoadBalancers map[Standing]int
	// Due is how many load balancers wait for a worker, OldestDue since when the first of them does; zero for none.
	Due       int
	OldestDue time.Time
	// Amphorae without those being deleted; Silent have reported before but not since the time that was asked for, Starting
	// not yet.
	Amphorae, Silent, Starting int
	// Notifications is how many wait to be sent, OldestNotification since when the first of them does; zero for none.
	Notifications      int
	OldestNotification time.Time
}

// Standing is a load balancer's two statuses.
type Standing struct{ Provisioning, Operating string }

// Census counts, with a few statements however much there is. An agent that has not reported since the time is silent.
func (s *Store) Census(ctx context.Context, since time.Time) (Census, error) {
	c := Census{LoadBalancers: map[Standing]int{}}
	var standing Standing
	var count int
	err := s.read.each(ctx, `SELECT `+loadBalancerStatus+` AS provisioning, o."operating_status", COUNT(*) FROM "load_balancer" o`+
		` GROUP BY 1, 2`, nil, func() { c.LoadBalancers[standing] = count }, &standing.Provisioning, &standing.Operating, &count)
	if err != nil {
		return c, fmt.Errorf("cannot count load balancers: %w", err)
	}
	now := formatTime(s.now())
	var oldest nullTime
	err = s.read.row(ctx, `SELECT COUNT(*), MIN("due_at") FROM "load_balancer" WHERE "due_at" <= ? AND ("lease_until" IS NULL OR "lease_until" <= ?)`,
		[]any{now, now}, &c.Due, &oldest)
	if err != nil {
		return c, fmt.Errorf("cannot count what is due: %w", err)
	}
	if oldest.t != nil {
		c.OldestDue = *oldest.t
	}
	err = s.read.row(ctx, `SELECT COUNT(*), COUNT(CASE WHEN "last_report_at" < ? THEN 1 END), COUNT(CASE WHEN "last_report_at" IS NULL THEN 1 END)`+
		` FROM "amphora" WHERE NOT "deleting"`, []any{formatTime(since)}, &c.Amphorae, &c.Silent, &c.Starting)
	if err != nil {
		return c, fmt.Errorf("cannot count amphorae: %w", err)
	}
	var waits nullTime
	err = s.read.row(ctx, `SELECT COUNT(*), MIN("at") FROM "notification" WHERE "body" IS NOT NULL`, nil, &c.Notifications, &waits)
	if err != nil {
		return c, fmt.Errorf("cannot count notifications: %w", err)
	}
	if waits.t != nil {
		c.OldestNotification = *waits.t
	}
	return c, nil
}
