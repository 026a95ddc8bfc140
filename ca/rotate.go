package ca

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Role says what a CA is for: issuing or controller.
type Role string

const (
	Issuing    Role = "issuing"
	Controller Role = "controller"
)

func (r Role) name() (string, error) {
	switch r {
	case Issuing:
		return issuingName, nil
	case Controller:
		return controllerName, nil
	}
	return "", fmt.Errorf("there is no CA %q: it must be issuing or controller", string(r))
}

func role(name string) Role {
	if name == controllerName {
		return Controller
	}
	return Issuing
}

// Rotate makes a new CA beside the ones there are, and answers its label. Agents and controllers trust both: a new issuing CA
// signs as soon as every controller knows it, a new controller CA vouches for controllers to each agent that has learnt of
// it. Those that were away find the old one until it expires or is retired.
func (a *Authorities) Rotate(ctx context.Context, r Role) (string, error) {
	name, err := r.name()
	if err != nil {
		return "", err
	}
	from := a.options.Clock().Add(settling)
	if r == Controller {
		from = a.options.Clock().Add(a.options.overlap())
	}
	made, err := a.newGeneration(name, from)
	if err != nil {
		return "", err
	}
	err = a.change(ctx, name, func(stored []material) ([]material, error) { return append(stored, made), nil })
	if err != nil {
		return "", fmt.Errorf("cannot rotate the %s CA: %w", r, err)
	}
	return label(made.Certificate), nil
}

// ErrInUse says that a CA cannot be retired: it is the newest one of its kind, or the next one is not in use yet.
var ErrInUse = errors.New("the CA is in use")

// Retire ends the trust in a CA before it expires, which is what a CA whose key was stolen needs. Agents whose certificates it
// signed, or that trust no newer controller CA, are lost by it. The error is ErrInUse, or says that there is no such CA.
func (a *Authorities) Retire(ctx context.Context, wanted string) error {
	found := false
	for _, name := range []string{issuingName, controllerName} {
		err := a.change(ctx, name, func(stored []material) ([]material, error) {
			at := slices.IndexFunc(stored, func(m material) bool { return label(m.Certificate) == wanted })
			if at < 0 {
				return nil, errUnchanged
			}
			found = true
			if at == len(stored)-1 {
				return nil, fmt.Errorf("%w: it is the newest %s CA; rotate first", ErrInUse, role(name))
			}
			if next := stored[len(stored)-1].UsedFrom; name == issuingName && next.After(a.options.Clock()) {
				return nil, fmt.Errorf("%w: the next one signs from %s on", ErrInUse, next.Format(time.RFC3339))
			}
			if name == controllerName { // nobody is left to be shown the one before
				stored[len(stored)-1].UsedFrom = a.options.Clock().UTC()
			}
			return slices.Delete(stored, at, at+1), nil
		})
		if err != nil {
			return fmt.Errorf("cannot retire %s: %w", wanted, err)
		}
	}
	if !found {
		return fmt.Errorf("there is no CA %s", wanted)
	}
	return nil
}

// Authority describes one CA.
type Authority struct {
	Role     Role      `json:"role"`
	Label    string    `json:"label"`
	Subject  string    `json:"subject"`
	Serial   string    `json:"serial"`
	NotAfter time.Time `json:"not_after"`
	Imported bool      `json:"imported"` // an operator's
	KeyHere  bool      `json:"key_here"` // false where the key stays with the operator
	// Lax is set where agents take any certificate of it for a controller's.
	Lax bool `json:"lax"`
	// Signs is set for the one that signs agents' certificates, or that is shown to agents that know it.
	Signs bool `json:"signs"`
	// From is when an issuing CA that is new begins to sign.
	From time.Time `json:"from,omitzero"`
	// Server is the operator's certificate for controllers; nil where they are made here.
	Server *x509.Certificate `json:"-"`
	// ServerNotAfter is when Server ends.
	ServerNotAfter time.Time `json:"server_not_after,omitzero"`
}

// Describe answers all CAs, the issuing ones first, each kind oldest first.
func (a *Authorities) Describe() (all []Authority) {
	issuing, controller := a.current()
	now := a.options.Clock()
	for _, of := range []struct {
		role  Role
		known *authority
		signs string
	}{
		{Issuing, issuing, issuing.signer(now).label},
		{Controller, controller, strings.TrimSuffix(trust(controller.generations, now).ServerLabel, "."+DefaultServerName)},
	} {
		for _, g := range of.known.generations {
			d := Authority{Role: of.role, Label: g.label, Subject: g.certificate.Subject.String(), Serial: Serial(g.certificate),
				NotAfter: g.certificate.NotAfter, Imported: g.imported, KeyHere: g.key != nil, Lax: g.lax, Signs: g.label == of.signs}
			if of.role == Issuing && g.usedFrom.After(now) {
				d.From = g.usedFrom
			}
			if g.server != nil {
				d.Server, d.ServerNotAfter = g.server.Leaf, g.server.Leaf.NotAfter
			}
			all = append(all, d)
		}
	}
	return all
}
