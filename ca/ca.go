// Package ca holds the two certificate authorities of a deployment. The issuing CA signs the client certificates of
// agents and nothing else; the controller CA signs the server certificates of controllers and nothing else. They never
// share a key: in Octavia's documented example they did, and any amphora could then pose as the controller to all others.
//
// Both are made on the first start and kept, sealed, where all controllers of the deployment find them.
package ca

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/octavo-lb/octavo/agentapi"
)

// Shelf is where sealed material is kept for all controllers; store.Store is one.
type Shelf interface {
	// Material reads what is kept under name. It fails when there is nothing.
	Material(ctx context.Context, name string) ([]byte, error)
	// CreateMaterial keeps data under name unless there is something, and returns what is kept then.
	CreateMaterial(ctx context.Context, name string, data []byte) ([]byte, error)
	// SwapMaterial keeps data in place of was, and tells whether it did: not if something else is kept by now.
	SwapMaterial(ctx context.Context, name string, was, data []byte) (swapped bool, err error)
}

// Sealer encrypts for one purpose; secrets.Keyring is one.
type Sealer interface {
	Seal(plain []byte, purpose string) ([]byte, error)
	Open(sealed []byte, purpose string) ([]byte, error)
	Stale(sealed []byte) bool
}

// Options has a usable zero value in every field.
type Options struct {
	// ClientLifetime of an agent's certificate; 30 days.
	ClientLifetime time.Duration
	// RenewBefore its end an agent's or controller's certificate is renewed; after two thirds of its life when 0.
	RenewBefore time.Duration
	// ServerLifetime of a controller's certificate; 30 days.
	ServerLifetime time.Duration
	// CALifetime of an authority; 10 years. Its successor is made after two thirds of it.
	CALifetime time.Duration
	// Skew is how far an instance's clock may be behind; one hour.
	Skew time.Duration
	// ServerNames and ServerAddresses are what a controller's certificate is good for. DefaultServerName when both are empty.
	ServerNames     []string
	ServerAddresses []netip.Addr

	// Operator is what an operator brings. It is taken over once: what was made or imported later counts before it.
	Operator Operator
	// AllowShared accepts one CA in both places, with a warning.
	AllowShared bool
	// Digest of signatures by RSA and ECDSA keys; the one that fits the key when zero.
	Digest crypto.Hash
	// ReadOnly changes nothing on the shelf: there must be something.
	ReadOnly bool

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

// overlap is how long an authority's successor that nobody asked for is trusted before it is used. Every agent renews its
// certificate, and learns of the successor by that, at least once in this time.
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
	trust      agentapi.Trust // as of the last refresh
	trustID    string

	server serverCertificates
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
	if !options.ReadOnly {
		if err := a.adopt(ctx); err != nil {
			return nil, err
		}
	}
	if err := a.Refresh(ctx); err != nil {
		return nil, err
	}
	return a, nil
}

// Refresh takes over what other controllers put on the shelf, and makes the successor of an authority that is due. On
// an error everything stays as it was: what is in memory keeps working.
func (a *Authorities) Refresh(ctx context.Context) error {
	wasIssuing, wasController := a.current()
	issuing, err := a.loadAuthority(ctx, issuingName, wasIssuing)
	if err != nil {
		return err
	}
	controller, err := a.loadAuthority(ctx, controllerName, wasController)
	if err != nil {
		return err
	}
	if err := separate(issuing, controller); err != nil {
		if !a.options.AllowShared {
			return err
		}
		if issuing != wasIssuing || controller != wasController {
			a.options.Logger.Warn("the issuing CA and the controller CA share a key: whoever steals it can pose as controller and as any amphora")
		}
	}
	_, tokenKey, err := a.load(ctx, tokenKeyName, newTokenKey)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.issuing, a.controller, a.tokenKey = issuing, controller, tokenKey
	a.trust = trust(controller.generations, a.options.Clock())
	a.trustID = a.trust.ID()
	return nil
}

// refreshEvery is how soon every controller knows of a change; settling is how long one that others must know of waits.
const (
	refreshEvery = 5 * time.Second
	settling     = 3 * refreshEvery
)

// Run refreshes until ctx ends, so that all controllers trust a successor before one of them uses it.
func (a *Authorities) Run(ctx context.Context) {
	ticker := time.NewTicker(refreshEvery)
	defer ticker.Stop()
	var told time.Time
	for failing := false; ; {
		if now := a.options.Clock(); now.Sub(told) >= day {
			a.warnOfEnds(now)
			told = now
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		err := a.Refresh(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			a.options.Logger.Warn("cannot refresh the certificate authorities, the known ones stay in use", "err", err)
		}
		failing = err != nil
	}
}

// warnOfEnds tells of an operator's CAs and certificates that end soon: nothing replaces them by itself.
func (a *Authorities) warnOfEnds(now time.Time) {
	for _, d := range a.Describe() {
		if d.Signs && d.Imported && d.NotAfter.Sub(now) < 90*day {
			a.options.Logger.Warn("the operator's CA ends soon: import a new one", "role", string(d.Role), "ca", d.Label, "until", d.NotAfter)
		}
		if d.Signs && d.Server != nil && d.ServerNotAfter.Sub(now) < 90*day {
			a.options.Logger.Warn("the operator's certificate for controllers ends soon: import a new one of the same CA", "ca", d.Label, "until", d.ServerNotAfter)
		}
	}
}

// ClientCAs is what agents' certificates are checked against.
func (a *Authorities) ClientCAs() *x509.CertPool {
	issuing, _ := a.current()
	return issuing.pool
}

// Trust is what agents shall recognise controllers by.
func (a *Authorities) Trust() agentapi.Trust {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.trust
}

// Outdated tells whether an agent that shows this certificate and trusts what has this ID (agentapi.Trust) should renew: it
// gets what it lacks with its new certificate. Agents that do not say what they trust are left to their own time.
func (a *Authorities) Outdated(c *x509.Certificate, trustID string) bool {
	a.mu.RLock()
	signer, newest := a.issuing.signer(a.options.Clock()).certificate, a.trustID
	a.mu.RUnlock()
	return trustID != "" && (trustID != newest || !signedBy(c, signer))
}

// signedBy goes by the keys' identifiers where there are some: the signature was checked when the agent came.
func signedBy(c, signer *x509.Certificate) bool {
	if len(c.AuthorityKeyId) > 0 && len(signer.SubjectKeyId) > 0 {
		return bytes.Equal(c.AuthorityKeyId, signer.SubjectKeyId)
	}
	return c.CheckSignatureFrom(signer) == nil
}

// Shared tells whether one CA is in both places, which Options.AllowShared allows.
func (a *Authorities) Shared() bool {
	issuing, controller := a.current()
	return separate(issuing, controller) != nil
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
			for _, trusted := range append([]*x509.Certificate{c.certificate}, c.issuers...) {
				if bytes.Equal(i.certificate.RawSubjectPublicKeyInfo, trusted.RawSubjectPublicKeyInfo) {
					return errSameCA
				}
			}
		}
	}
	return nil
}

var errSameCA = errors.New("the issuing CA and the controller CA are the same: an amphora could pose as the controller to all others; use two, " +
	"or set [certificates] allow_shared_ca = true if that must be")
