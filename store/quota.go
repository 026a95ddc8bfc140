package store

import "context"

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

// Usage is how many objects a project has, without those being deleted.
type Usage map[Kind]int

// Usage counts a project's objects of these kinds and holds off other transactions that want to, until the end of this
// one. Call it after Lock and before Insert: the count cannot be overrun then, and no two transactions block each other.
func (tx *Tx) Usage(ctx context.Context, projectID string, kinds ...Kind) (Usage, error) {
	panic("store: not built yet")
}

// Quota reads a project's limits; all nil when none were set.
func (s *Store) Quota(ctx context.Context, projectID string) (Quota, error) {
	panic("store: not built yet")
}

// Quota reads a project's limits in the transaction.
func (tx *Tx) Quota(ctx context.Context, projectID string) (Quota, error) {
	panic("store: not built yet")
}

// Quotas lists the projects that have limits of their own, by project id, after the marker, at most limit (0: all).
func (s *Store) Quotas(ctx context.Context, after string, limit int) ([]Quota, error) {
	panic("store: not built yet")
}

// SetQuota stores a project's limits.
func (s *Store) SetQuota(ctx context.Context, q Quota) error { panic("store: not built yet") }

// ResetQuota drops a project's limits. ErrNotFound when it has none.
func (s *Store) ResetQuota(ctx context.Context, projectID string) error {
	panic("store: not built yet")
}
