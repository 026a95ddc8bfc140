package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Quota limits a project; nil is the configured default, -1 no limit.
type Quota struct {
	ProjectID     string `json:"project_id"`
	LoadBalancer  *int   `json:"loadbalancer"`
	Listener      *int   `json:"listener"`
	Pool          *int   `json:"pool"`
	Member        *int   `json:"member"`
	HealthMonitor *int   `json:"healthmonitor"`
	L7Policy      *int   `json:"l7policy"`
	L7Rule        *int   `json:"l7rule"`
}

const quotaSelection = `SELECT "project_id", "loadbalancer", "listener", "pool", "member", "healthmonitor", "l7policy", "l7rule"` +
	` FROM "quota"`

func (q *Quota) fields() []any {
	return []any{&q.ProjectID, &q.LoadBalancer, &q.Listener, &q.Pool, &q.Member, &q.HealthMonitor, &q.L7Policy, &q.L7Rule}
}

// Usage is how many objects a project has, without those being deleted.
type Usage map[Kind]int

// Usage counts a project's objects of these kinds and holds off other transactions that want to, until the end of this
// one. Call it after Lock and before Insert: the count cannot be overrun then, and no two transactions block each other.
func (tx *Tx) Usage(ctx context.Context, projectID string, kinds ...Kind) (Usage, error) {
	if !tx.r.dialect.serial {
		_, err := tx.r.exec(ctx, `INSERT INTO "project_lock" ("project_id") VALUES (?)`+
			tx.r.dialect.onConflict([]string{"project_id"}), projectID)
		if err != nil {
			return nil, fmt.Errorf("cannot hold off other writers of project %s: %w", projectID, err)
		}
	}
	return tx.r.usage(ctx, projectID, kinds)
}

// Usage counts a project's objects of these kinds as of now.
func (s *Store) Usage(ctx context.Context, projectID string, kinds ...Kind) (Usage, error) {
	return s.read.usage(ctx, projectID, kinds)
}

func (r *reader) usage(ctx context.Context, projectID string, kinds []Kind) (Usage, error) {
	if len(kinds) == 0 {
		return Usage{}, nil
	}
	numbers := make([]int, len(kinds))
	var selects []string
	var args, destinations []any
	for i, k := range kinds {
		t := tableOfKind(k)
		if t == nil {
			return nil, fmt.Errorf("store: there is no quota of %q", k)
		}
		selects = append(selects, `(SELECT COUNT(*) FROM `+quote(t.name)+` WHERE "project_id" = ? AND NOT "deleting")`)
		args, destinations = append(args, projectID), append(destinations, &numbers[i])
	}
	if err := r.row(ctx, `SELECT `+strings.Join(selects, ", "), args, destinations...); err != nil {
		return nil, fmt.Errorf("cannot count the objects of project %s: %w", projectID, err)
	}
	usage := Usage{}
	for i, k := range kinds {
		usage[k] = numbers[i]
	}
	return usage, nil
}

// Quota reads a project's limits; all nil when none were set.
func (s *Store) Quota(ctx context.Context, projectID string) (Quota, error) {
	return s.read.quota(ctx, projectID)
}

// Quota reads a project's limits in the transaction.
func (tx *Tx) Quota(ctx context.Context, projectID string) (Quota, error) {
	return tx.r.quota(ctx, projectID)
}

func (r *reader) quota(ctx context.Context, projectID string) (Quota, error) {
	var q Quota
	err := r.row(ctx, quotaSelection+` WHERE "project_id" = ?`, []any{projectID}, q.fields()...)
	if errors.Is(err, ErrNotFound) {
		return Quota{ProjectID: projectID}, nil
	}
	if err != nil {
		return Quota{}, fmt.Errorf("cannot read the quota of project %s: %w", projectID, err)
	}
	return q, nil
}

// Quotas lists the projects that have limits of their own, by project id, after the marker, at most limit (0: all).
func (s *Store) Quotas(ctx context.Context, after string, limit int) ([]Quota, error) {
	statement, args := quotaSelection+` WHERE "project_id" > ? ORDER BY "project_id"`, []any{after}
	if limit > 0 {
		statement, args = statement+` LIMIT ?`, append(args, limit)
	}
	var q Quota
	quotas := []Quota{}
	if err := s.read.each(ctx, statement, args, func() { quotas = append(quotas, q) }, q.fields()...); err != nil {
		return nil, fmt.Errorf("cannot list the quotas: %w", err)
	}
	return quotas, nil
}

// SetQuota stores a project's limits in place of any it has.
func (s *Store) SetQuota(ctx context.Context, q Quota) error {
	err := s.Write(ctx, func(tx *Tx) error {
		_, err := tx.r.exec(ctx, `INSERT INTO "quota" ("project_id", "loadbalancer", "listener", "pool", "member", "healthmonitor",`+
			` "l7policy", "l7rule") VALUES (?, ?, ?, ?, ?, ?, ?, ?)`+
			tx.r.dialect.onConflict([]string{"project_id"}, "loadbalancer", "listener", "pool", "member", "healthmonitor", "l7policy", "l7rule"),
			q.ProjectID, q.LoadBalancer, q.Listener, q.Pool, q.Member, q.HealthMonitor, q.L7Policy, q.L7Rule)
		return err
	})
	if err != nil {
		return fmt.Errorf("cannot store the quota of project %s: %w", q.ProjectID, err)
	}
	return nil
}

// ResetQuota drops a project's limits. ErrNotFound when it has none.
func (s *Store) ResetQuota(ctx context.Context, projectID string) error {
	err := s.Write(ctx, func(tx *Tx) error {
		found, err := tx.r.exec(ctx, `DELETE FROM "quota" WHERE "project_id" = ?`, projectID)
		if err == nil && found == 0 {
			err = ErrNotFound
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("cannot reset the quota of project %s: %w", projectID, err)
	}
	return nil
}
