package store

import (
	"context"
	"time"

	"github.com/octavo-lb/octavo/agentapi"
)

// Amphora is one instance that serves a load balancer. Its cloud ids are stored as soon as they are known.
type Amphora struct {
	ID             string      `json:"id"`
	LoadBalancerID string      `json:"loadbalancer_id"`
	Role           string      `json:"role"` // STANDALONE, MASTER or BACKUP
	ComputeID      string      `json:"compute_id"`
	ComputeFlavor  string      `json:"compute_flavor"`
	ImageID        string      `json:"image_id"`
	CachedZone     string      `json:"cached_zone"`
	VRRPPortID     string      `json:"vrrp_port_id"`
	VRRPIP         string      `json:"vrrp_ip"`
	VRRPMAC        string      `json:"vrrp_mac"`
	VRRPID         int         `json:"vrrp_id"`
	VRRPPriority   int         `json:"vrrp_priority"`
	MgmtPortID     string      `json:"mgmt_port_id"`
	LBNetworkIP    string      `json:"lb_network_ip"`
	Interfaces     []Interface `json:"interfaces"`
	// Failure is why the agent could not apply FailedGeneration.
	AppliedGeneration int64      `json:"applied_generation"`
	FailedGeneration  int64      `json:"failed_generation"`
	Failure           string     `json:"failure"`
	VRRPState         string     `json:"vrrp_state"`
	Boot              string     `json:"boot"`
	Sequence          int64      `json:"sequence"`
	LastReportAt      *time.Time `json:"last_report_at"`
	Version           string     `json:"version"`
	Capabilities      []string   `json:"capabilities"`
	CertSerial        string     `json:"cert_serial"`
	CertPrevious      string     `json:"cert_previous"` // good beside it until the newest one was used: its delivery may have failed
	CertExpiration    *time.Time `json:"cert_expiration"`
	CertBusy          bool       `json:"cert_busy"`
	EnrolHash         string     `json:"enrol_hash"` // hex SHA-256 of the one-time token
	EnrolExpiry       *time.Time `json:"enrol_expiry"`
	EnrolUsedAt       *time.Time `json:"enrol_used_at"`
	EnrolKey          string     `json:"enrol_key"` // of the request that the token was used for
	CreatedAt         time.Time  `json:"created_at"`
	UpdatedAt         *time.Time `json:"updated_at"`
	Deleting          bool       `json:"deleting"`
}

// Interface is what the agent is told of one of the amphora's ports, and the ids that the cloud knows it by.
type Interface struct {
	agentapi.Interface
	PortID    string `json:"port_id"`
	NetworkID string `json:"network_id"`
	SubnetID  string `json:"subnet_id"`
}

// Amphorae reads a load balancer's amphorae, oldest first.
func (s *Store) Amphorae(ctx context.Context, lbID string) ([]Amphora, error) {
	panic("store: not built yet")
}

// Amphorae reads the amphorae of the transaction's load balancer, oldest first.
func (tx *Tx) Amphorae(ctx context.Context) ([]Amphora, error) { panic("store: not built yet") }

// Amphora reads one. ErrNotFound.
func (s *Store) Amphora(ctx context.Context, id string) (Amphora, error) {
	panic("store: not built yet")
}

// AllAmphorae reads all, oldest first.
func (s *Store) AllAmphorae(ctx context.Context) ([]Amphora, error) { panic("store: not built yet") }

// SilentSince lists amphorae not being deleted that have reported before but not since the time.
func (s *Store) SilentSince(ctx context.Context, since time.Time) ([]Amphora, error) {
	panic("store: not built yet")
}

// InsertAmphora adds an amphora to the transaction's load balancer.
func (tx *Tx) InsertAmphora(ctx context.Context, a *Amphora) error { panic("store: not built yet") }

// UpdateAmphora writes what a worker decides: roles, ids, interfaces, enrolment, Deleting. What the agent reports and
// its certificate is left alone. ErrNotFound.
func (tx *Tx) UpdateAmphora(ctx context.Context, a *Amphora) error { panic("store: not built yet") }

// RemoveAmphora drops the row of an amphora whose cloud objects are gone. Its counters stay in the totals.
func (tx *Tx) RemoveAmphora(ctx context.Context, id string) error { panic("store: not built yet") }

// UseToken marks the one-time token with this hash as used for one key (any text that identifies it) and returns its
// amphora. Used for the same key again it succeeds again, because the answer to the first may have been lost. ErrNotFound
// when it is unknown, expired, used for another key, or of an amphora being deleted; two keys cannot both succeed.
func (s *Store) UseToken(ctx context.Context, hash, key string) (Amphora, error) {
	panic("store: not built yet")
}

// SetCertificate stores which certificate an amphora was given, and the serial of the one that stays good beside it (empty
// for none). ErrNotFound.
func (s *Store) SetCertificate(ctx context.Context, amphoraID, serial, previous string, expiration time.Time) error {
	panic("store: not built yet")
}
