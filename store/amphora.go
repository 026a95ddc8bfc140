package store

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/google/uuid"

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
	Attempt        int         `json:"attempt"` // how many before it, in a row, did not last
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
	MaxConnections    int64      `json:"max_connections"` // that the instance carries at once; 0 when its agent does not say
	CertSerial        string     `json:"cert_serial"`
	CertPrevious      string     `json:"cert_previous"` // good beside it until the newest one was used: its delivery may have failed
	CertExpiration    *time.Time `json:"cert_expiration"`
	CertIssuer        string     `json:"cert_issuer"` // label of the CA that signed it
	Trust             string     `json:"trust"`       // what the agent recognises controllers by: agentapi.Trust.ID
	EnrolHash         string     `json:"enrol_hash"`  // hex SHA-256 of the one-time token
	EnrolExpiry       *time.Time `json:"enrol_expiry"`
	EnrolUsedAt       *time.Time `json:"enrol_used_at"`
	EnrolKey          string     `json:"enrol_key"` // of the request that the token was used for
	CreatedAt         time.Time  `json:"created_at"`
	UpdatedAt         *time.Time `json:"updated_at"`
	Deleting          bool       `json:"deleting"`
	Replacing         bool       `json:"replacing"` // an operator wants another one in its place
	Drained           bool       `json:"drained"`   // being deleted, it has ended its clients' connections
	// Program is the digest of the agent that runs, ProgramRefused that of a wanted one that does not, for the reason ProgramFailure.
	Program        string            `json:"program"`
	ProgramRefused string            `json:"program_refused"`
	ProgramFailure string            `json:"program_failure"`
	WantedProgram  *agentapi.Program `json:"wanted_program"` // nil for the one that it runs
}

// Interface is what the agent is told of one of the amphora's ports, and the ids that the cloud knows it by.
type Interface struct {
	agentapi.Interface
	PortID    string   `json:"port_id"`
	NetworkID string   `json:"network_id"`
	SubnetIDs []string `json:"subnet_ids"`
	Attached  bool     `json:"attached"` // the instance has it; before that only NetworkID is sure
}

const oldestFirst = ` ORDER BY o."created_at", o."id"`

// Amphorae reads a load balancer's amphorae, oldest first.
func (s *Store) Amphorae(ctx context.Context, lbID string) ([]Amphora, error) {
	return selectAll[Amphora](ctx, &s.read, amphorae, ` WHERE o."loadbalancer_id" = ?`+oldestFirst, lbID)
}

// Unborn are those of amphorae that have not reported yet and are still wanted.
func (s *Store) Unborn(ctx context.Context, ids ...string) (unborn []string, err error) {
	if len(ids) == 0 {
		return nil, nil
	}
	var id string
	condition, args := s.dialect.isIn(quote("id"), ids)
	err = s.read.each(ctx, `SELECT "id" FROM "amphora" WHERE `+condition+` AND "last_report_at" IS NULL AND NOT "deleting"`, args,
		func() { unborn = append(unborn, id) }, &id)
	if err != nil {
		return nil, fmt.Errorf("cannot read which of %d amphorae have come up: %w", len(ids), err)
	}
	return unborn, nil
}

// Amphorae reads the amphorae of the transaction's load balancer, oldest first.
func (tx *Tx) Amphorae(ctx context.Context) ([]Amphora, error) {
	b, err := tx.locked()
	if err != nil {
		return nil, err
	}
	return selectAll[Amphora](ctx, &tx.r, amphorae, ` WHERE o."loadbalancer_id" = ?`+oldestFirst, b.id)
}

// Amphora reads one. ErrNotFound.
func (s *Store) Amphora(ctx context.Context, id string) (Amphora, error) {
	return selectOne[Amphora](ctx, &s.read, amphorae, id)
}

// AllAmphorae reads all, oldest first.
func (s *Store) AllAmphorae(ctx context.Context) ([]Amphora, error) {
	return selectAll[Amphora](ctx, &s.read, amphorae, oldestFirst)
}

// SilentSince lists amphorae not being deleted that have reported before but not since the time.
func (s *Store) SilentSince(ctx context.Context, since time.Time) ([]Amphora, error) {
	return selectAll[Amphora](ctx, &s.read, amphorae, ` WHERE o."last_report_at" < ? AND NOT o."deleting"`+oldestFirst,
		formatTime(since))
}

// InsertAmphora adds an amphora to the transaction's load balancer and sets LoadBalancerID, CreatedAt, and ID when empty.
// ErrConflict.
func (tx *Tx) InsertAmphora(ctx context.Context, a *Amphora) error {
	b, err := tx.locked()
	if err != nil {
		return err
	}
	if a.ID == "" {
		a.ID = uuid.NewString()
	}
	a.LoadBalancerID, a.CreatedAt, a.UpdatedAt = b.id, tx.now, nil
	var names []string
	var args []any
	for _, c := range amphorae.columns {
		names = append(names, quote(c.name))
		args = append(args, c.value(reflect.ValueOf(a).Elem()))
	}
	_, err = tx.r.exec(ctx, `INSERT INTO "amphora" (`+strings.Join(names, ", ")+`) VALUES `+placeholders(len(args)), args...)
	if err != nil {
		return fmt.Errorf("cannot insert amphora %s: %w", a.ID, err)
	}
	b.news, b.settle = true, true
	return nil
}

// decidedColumns are those of an amphora that a worker decides on.
var decidedColumns = []string{"role", "compute_id", "compute_flavor", "image_id", "cached_zone", "vrrp_port_id", "vrrp_ip",
	"vrrp_mac", "vrrp_id", "vrrp_priority", "attempt", "mgmt_port_id", "lb_network_ip", "interfaces", "enrol_hash", "enrol_expiry",
	"updated_at", "deleting"}

// UpdateAmphora writes what a worker decides: roles, ids, interfaces, the enrolment token (a new one counts as unused),
// Deleting. What the agent reports, its certificate and what operators ask for is left alone. ErrNotFound.
func (tx *Tx) UpdateAmphora(ctx context.Context, a *Amphora) error {
	b, err := tx.locked()
	if err != nil {
		return err
	}
	now := tx.now
	a.UpdatedAt = &now
	// MySQL assigns from left to right: these come before the hash itself.
	set := []string{`"enrol_used_at" = CASE WHEN "enrol_hash" = ? THEN "enrol_used_at" END`,
		`"enrol_key" = CASE WHEN "enrol_hash" = ? THEN "enrol_key" ELSE '' END`}
	args := []any{a.EnrolHash, a.EnrolHash}
	for _, name := range decidedColumns {
		set = append(set, quote(name)+" = ?")
		args = append(args, amphorae.column(name).value(reflect.ValueOf(a).Elem()))
	}
	found, err := tx.r.exec(ctx, `UPDATE "amphora" SET `+strings.Join(set, ", ")+` WHERE "id" = ? AND "loadbalancer_id" = ?`,
		append(args, a.ID, b.id)...)
	if err == nil && found == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("cannot update amphora %s: %w", a.ID, err)
	}
	b.news, b.settle = true, true
	return nil
}

// ReplaceAmphorae asks for others in the place of amphorae of the transaction's load balancer. ErrNotFound.
func (tx *Tx) ReplaceAmphorae(ctx context.Context, ids ...string) error {
	b, err := tx.locked()
	if err != nil {
		return err
	}
	for _, id := range ids {
		found, err := tx.r.exec(ctx, `UPDATE "amphora" SET "replacing" = ?, "updated_at" = ? WHERE "id" = ? AND "loadbalancer_id" = ?`,
			true, formatTime(tx.now), id, b.id)
		if err == nil && found == 0 {
			err = ErrNotFound
		}
		if err != nil {
			return fmt.Errorf("cannot replace amphora %s: %w", id, err)
		}
	}
	b.news = true
	return nil
}

// KeepAmphorae takes back what ReplaceAmphorae asked for, for all that are not being deleted yet.
func (tx *Tx) KeepAmphorae(ctx context.Context) error {
	b, err := tx.locked()
	if err != nil {
		return err
	}
	if _, err := tx.r.exec(ctx, `UPDATE "amphora" SET "replacing" = ? WHERE "loadbalancer_id" = ? AND NOT "deleting"`, false, b.id); err != nil {
		return fmt.Errorf("cannot keep the amphorae of load balancer %s: %w", b.id, err)
	}
	b.news = true
	return nil
}

// SetDrained notes that an amphora that is being deleted serves nobody any more, and wakes the worker. ErrNotFound.
func (s *Store) SetDrained(ctx context.Context, lbID, amphoraID string) error {
	err := s.Write(ctx, func(tx *Tx) error {
		if _, err := tx.Lock(ctx, lbID); err != nil {
			return err
		}
		found, err := tx.r.exec(ctx, `UPDATE "amphora" SET "drained" = ? WHERE "id" = ? AND "loadbalancer_id" = ? AND "deleting"`, true, amphoraID, lbID)
		if err == nil && found == 0 {
			err = ErrNotFound
		}
		tx.Wake()
		return err
	})
	if err != nil {
		return fmt.Errorf("cannot note that amphora %s is drained: %w", amphoraID, err)
	}
	return nil
}

// RemoveAmphora drops the row of an amphora whose cloud objects are gone. Its counters stay in the totals. That it is gone
// already is no error.
func (tx *Tx) RemoveAmphora(ctx context.Context, id string) error {
	b, err := tx.locked()
	if err != nil {
		return err
	}
	// The amphora's row before its counters', in the order of those who take in reports.
	err = tx.r.row(ctx, `SELECT "id" FROM "amphora" WHERE "id" = ? AND "loadbalancer_id" = ?`+tx.r.dialect.forUpdate,
		[]any{id, b.id}, new(string))
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot lock amphora %s: %w", id, err)
	}
	if err := tx.keepCounters(ctx, id); err != nil {
		return fmt.Errorf("cannot keep the counters of amphora %s: %w", id, err)
	}
	for _, statement := range []string{
		`DELETE FROM "listener_statistics" WHERE "amphora_id" = ? AND "loadbalancer_id" = ?`,
		`DELETE FROM "member_health" WHERE "amphora_id" = ? AND "loadbalancer_id" = ?`,
		`DELETE FROM "amphora" WHERE "id" = ? AND "loadbalancer_id" = ?`,
	} {
		if _, err := tx.r.exec(ctx, statement, id, b.id); err != nil {
			return fmt.Errorf("cannot remove amphora %s: %w", id, err)
		}
	}
	b.news, b.settle = true, true
	return nil
}

// UseToken marks the one-time token with this hash as used for one key (any text that identifies it) and returns its
// amphora. Used for the same key again it succeeds again, because the answer to the first may have been lost. ErrNotFound
// when it is unknown, expired, used for another key, or of an amphora being deleted; two keys cannot both succeed.
func (s *Store) UseToken(ctx context.Context, hash, key string) (Amphora, error) {
	if hash == "" {
		return Amphora{}, fmt.Errorf("cannot use an empty enrolment token: %w", ErrNotFound)
	}
	var a Amphora
	err := s.Write(ctx, func(tx *Tx) error {
		now := formatTime(tx.now)
		found, err := tx.r.exec(ctx, `UPDATE "amphora" SET "enrol_used_at" = ?, "enrol_key" = ? WHERE "enrol_hash" = ?`+
			` AND ("enrol_used_at" IS NULL OR "enrol_key" = ?) AND "enrol_expiry" > ? AND NOT "deleting"`,
			now, key, hash, key, now)
		if err == nil && found == 0 {
			err = ErrNotFound
		}
		if err != nil {
			return err
		}
		return tx.r.row(ctx, amphorae.selection+` WHERE o."enrol_hash" = ?`, []any{hash}, amphorae.destinations(&a)...)
	})
	if err != nil {
		return Amphora{}, fmt.Errorf("cannot use the enrolment token: %w", err)
	}
	return a, nil
}

// Given is a certificate that an amphora was given.
type Given struct {
	Serial     string
	Previous   string // serial of the one that stays good beside it; empty for none
	Issuer     string // label of the CA that signed
	Expiration time.Time
}

// SetCertificate stores which certificate an amphora was given. ErrNotFound.
func (s *Store) SetCertificate(ctx context.Context, amphoraID string, c Given) error {
	err := s.Write(ctx, func(tx *Tx) error {
		found, err := tx.r.exec(ctx, `UPDATE "amphora" SET "cert_serial" = ?, "cert_previous" = ?, "cert_expiration" = ?,`+
			` "cert_issuer" = ? WHERE "id" = ?`, c.Serial, c.Previous, formatTime(c.Expiration), c.Issuer, amphoraID)
		if err == nil && found == 0 {
			err = ErrNotFound
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("cannot store the certificate of amphora %s: %w", amphoraID, err)
	}
	return nil
}

// DropPreviousCertificate ends the time of the certificate before this one, unless a newer one was given meanwhile.
func (s *Store) DropPreviousCertificate(ctx context.Context, amphoraID, serial string) error {
	err := s.Write(ctx, func(tx *Tx) error {
		_, err := tx.r.exec(ctx, `UPDATE "amphora" SET "cert_previous" = '' WHERE "id" = ? AND "cert_serial" = ?`, amphoraID, serial)
		return err
	})
	if err != nil {
		return fmt.Errorf("cannot drop the previous certificate of amphora %s: %w", amphoraID, err)
	}
	return nil
}
