package store

import (
	"context"
	"time"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/lb"
)

// MemberHealth is the verdict of one amphora on one member.
type MemberHealth struct {
	MemberID  string
	AmphoraID string
	Status    lb.OperatingStatus
	Detail    string
	At        time.Time
}

// ListenerHealth is the verdict of one amphora on one listener.
type ListenerHealth struct {
	ListenerID string
	AmphoraID  string
	Status     lb.OperatingStatus
	At         time.Time
}

// ErrStale tells that a report is older than one that was taken in already; nothing was written.
var ErrStale error

// Beat is a report that says nothing new but that the agent lives: its sequence, the time and the counters.
type Beat struct {
	AmphoraID string
	After     int64 // the sequence, in the same boot, of the report that the caller took in last
	Report    agentapi.Report
}

// Heartbeats takes in many at once, in one transaction. Those whose row is gone, or has another boot or sequence than the
// caller took in last (then another controller was told something else meanwhile), are named and not written.
func (s *Store) Heartbeats(ctx context.Context, beats []Beat) (refused []string, err error) {
	panic("store: not built yet")
}

// Report takes in a report of an amphora of the transaction's load balancer: the amphora's row, member and listener
// health, counters; the observed generation follows, and what was marked as being deleted up to it is dropped.
// Operating statuses are for the caller to roll up (Health) and to store (SetOperatingStatus). ErrStale, ErrNotFound.
func (tx *Tx) Report(ctx context.Context, amphoraID string, r agentapi.Report) error {
	panic("store: not built yet")
}

// Health reads what all amphorae of the transaction's load balancer last said of its members and listeners, without
// those of amphorae being deleted.
func (tx *Tx) Health(ctx context.Context) ([]MemberHealth, []ListenerHealth, error) {
	panic("store: not built yet")
}

// Statistics are counters since the listener was made. All but ActiveConnections only grow, whatever happens to agents
// and amphorae.
type Statistics struct {
	ActiveConnections int64 `json:"active_connections"`
	TotalConnections  int64 `json:"total_connections"`
	RequestErrors     int64 `json:"request_errors"`
	BytesIn           int64 `json:"bytes_in"`
	BytesOut          int64 `json:"bytes_out"`
}

// Add sums up.
func (s *Statistics) Add(o Statistics) { panic("store: not built yet") }

// StatisticsOfListeners reads the counters of listeners, zero for one that was never reported on.
func (s *Store) StatisticsOfListeners(ctx context.Context, ids ...string) (map[string]Statistics, error) {
	panic("store: not built yet")
}

// StatisticsOfLoadBalancers reads the sums over the listeners of load balancers.
func (s *Store) StatisticsOfLoadBalancers(ctx context.Context, ids ...string) (map[string]Statistics, error) {
	panic("store: not built yet")
}

// StatisticsOfAmphora reads what one amphora contributed, by listener.
func (s *Store) StatisticsOfAmphora(ctx context.Context, amphoraID string) (map[string]Statistics, error) {
	panic("store: not built yet")
}
