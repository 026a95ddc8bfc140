// Package ca holds the two certificate authorities of a deployment. The issuing CA signs the client certificates of
// agents and nothing else; the controller CA signs the server certificates of controllers and nothing else. They never
// share a key: in Octavia's documented example they did, and any amphora could then pose as the controller to all others.
//
// Both are made on the first start and kept, sealed, where all controllers of the deployment find them.
package ca

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

// Shelf is where sealed material is kept for all controllers; store.Store is one.
type Shelf interface {
	// Material reads what is kept under name. It fails when there is nothing.
	Material(ctx context.Context, name string) ([]byte, error)
	// CreateMaterial keeps data under name unless there is something, and returns what is kept then.
	CreateMaterial(ctx context.Context, name string, data []byte) ([]byte, error)
	// PutMaterial keeps data in place of what there is.
	PutMaterial(ctx context.Context, name string, data []byte) error
}

// Sealer encrypts for one purpose; secrets.Keyring is one.
type Sealer interface {
	Seal(plain []byte, purpose string) ([]byte, error)
	Open(sealed []byte, purpose string) ([]byte, error)
	Stale(sealed []byte) bool
}

// Options has a usable zero value in every field.
type Options struct {
	// ClientLifetime of an agent's certificate; 30 days. It is renewed after two thirds of it.
	ClientLifetime time.Duration
	// ServerLifetime of a controller's certificate; 30 days.
	ServerLifetime time.Duration
	// CALifetime of an authority; 10 years. Its successor is made after two thirds of it.
	CALifetime time.Duration
	// Skew is how far an instance's clock may be behind; one hour.
	Skew time.Duration
	// ServerNames and ServerAddresses are what a controller's certificate is good for. DefaultServerName when both are empty.
	ServerNames     []string
	ServerAddresses []netip.Addr

	Clock  func() time.Time
	Logger *slog.Logger
}

// DefaultServerName is the name in a controller's certificate: agents check it (agentapi.Boot.ServerName) whatever
// address they dial, so that all controllers can answer under one name.
const DefaultServerName = "octavo-controller"

const day = 24 * time.Hour

func (o *Options) setDefaults() {
	for _, d := range []struct {
		value    *time.Duration
		standard time.Duration
	}{{&o.ClientLifetime, 30 * day}, {&o.ServerLifetime, 30 * day}, {&o.CALifetime, 3650 * day}, {&o.Skew, time.Hour}} {
		if *d.value <= 0 {
			*d.value = d.standard
		}
	}
	if len(o.ServerNames)+len(o.ServerAddresses) == 0 {
		o.ServerNames = []string{DefaultServerName}
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// overlap is how long an authority's successor is trusted before it is used. Every agent renews its certificate, and
// learns of the successor by that, at least once in this time.
func (o *Options) overlap() time.Duration { return 2 * max(o.ClientLifetime, o.ServerLifetime) }

// Authorities are the two CAs of a deployment and what is kept with them. Safe for concurrent use.
type Authorities struct {
	options Options
	shelf   Shelf
	sealer  Sealer

	mu         sync.RWMutex
	issuing    *authority
	controller *authority
	tokenKey   []byte

	server serverCertificate
}

const (
	issuingName    = "ca/issuing"
	controllerName = "ca/controller"
	tokenKeyName   = "ca/enrolment"
)

// Open loads the authorities from the shelf and makes those that are not there yet. Controllers that start for the first
// time at once agree on the same ones.
func Open(ctx context.Context, shelf Shelf, sealer Sealer, options Options) (*Authorities, error) {
	options.setDefaults()
	a := &Authorities{options: options, shelf: shelf, sealer: sealer}
	if err := a.Refresh(ctx); err != nil {
		return nil, err
	}
	return a, nil
}

// Refresh takes over what other controllers put on the shelf, and makes the successor of an authority that is due. On
// an error everything stays as it was: what is in memory keeps working.
func (a *Authorities) Refresh(ctx context.Context) error {
	issuing, err := a.loadAuthority(ctx, issuingName)
	if err != nil {
		return err
	}
	controller, err := a.loadAuthority(ctx, controllerName)
	if err != nil {
		return err
	}
	if err := separate(issuing, controller); err != nil {
		return err
	}
	tokenKey, err := a.load(ctx, tokenKeyName, newTokenKey)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.issuing, a.controller, a.tokenKey = issuing, controller, tokenKey
	return nil
}

// Run refreshes every hour until ctx ends, so that all controllers trust a successor long before one of them uses it.
func (a *Authorities) Run(ctx context.Context) {
	ticker := time.NewTicker(time.Hour)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := a.Refresh(ctx); err != nil && ctx.Err() == nil {
				a.options.Logger.Warn("cannot refresh the certificate authorities, the known ones stay in use", "err", err)
			}
		}
	}
}

// ClientCAs is what agents' certificates are checked against.
func (a *Authorities) ClientCAs() *x509.CertPool {
	issuing, _ := a.current()
	return issuing.pool
}

// ServerCA is the PEM bundle that agents check controllers' certificates against.
func (a *Authorities) ServerCA() string {
	_, controller := a.current()
	return controller.bundle
}

func (a *Authorities) current() (issuing, controller *authority) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.issuing, a.controller
}

// separate refuses one CA, or one CA's key, in both places.
func separate(issuing, controller *authority) error {
	for _, i := range issuing.generations {
		for _, c := range controller.generations {
			if bytes.Equal(i.certificate.RawSubjectPublicKeyInfo, c.certificate.RawSubjectPublicKeyInfo) {
				return errSameCA
			}
		}
	}
	return nil
}

var errSameCA = errors.New("the issuing CA and the controller CA are the same: an amphora could pose as the controller; use two")
