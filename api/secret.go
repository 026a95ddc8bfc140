package api

import (
	"context"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/octavo-lb/octavo/lb"
)

// Secrets reads what tenants keep in the key manager.
type Secrets interface {
	// Admit fetches what a caller refers to, sealed, after making sure that the caller, who has this token of this project,
	// may read it and that the service may, too. What the caller can mend is a *lb.Fault; any other error means that it could not be found out.
	Admit(ctx context.Context, token, project string, want lb.Secret) (lb.Secret, error)
	// CheckRevocations makes sure that revocation lists are of the authorities that they go with. A *lb.Fault says that they
	// are not.
	CheckRevocations(lists, authorities lb.Secret) error
}

// What one request asks of the key manager at a time, and how long it waits.
const (
	secretsAtOnce  = 8
	secretsTimeout = 20 * time.Second
)

// admit fetches what an object refers to and did not before. The copies are written with it: from then on the load balancer
// depends on the key manager no more.
func (s *Server) admit(c *call, now, was []lb.Secret) error {
	fresh := slices.DeleteFunc(now, func(want lb.Secret) bool { return slices.ContainsFunc(was, sameUse(want)) })
	if len(fresh) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(c.Context(), secretsTimeout)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(secretsAtOnce)
	admitted := make([]lb.Secret, len(fresh))
	for i, want := range fresh {
		group.Go(func() (err error) {
			admitted[i], err = s.Secrets.Admit(ctx, c.who.Token, c.who.ProjectID, want)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return s.withoutKeyManager(c, err)
	}
	c.secrets = append(c.secrets, admitted...)
	return nil
}

func sameUse(a lb.Secret) func(lb.Secret) bool {
	return func(b lb.Secret) bool { return a.Ref == b.Ref && a.Kind == b.Kind }
}

// withoutKeyManager asks to try again later where it could not be found out whether a reference is good.
func (s *Server) withoutKeyManager(c *call, err error) error {
	if lb.AsFault(err) != nil || c.Context().Err() != nil {
		return err
	}
	c.log.Warn("the key manager does not answer", "err", err)
	return lb.Refuse(lb.Unavailable, "The key manager does not answer now. Please try again.")
}

// admitListener and admitPool fetch what is new of before. Revocation lists come together with the authorities that they go
// with, whichever is new: it must be seen that they fit.

func (s *Server) admitListener(c *call, now *lb.Listener, before []lb.Secret) error {
	return s.admitUse(c, now.Secrets(), before, now.ClientCRLContainerRef, now.ClientCATLSContainerRef)
}

func (s *Server) admitPool(c *call, now *lb.Pool, before []lb.Secret) error {
	return s.admitUse(c, now.Secrets(), before, now.CRLContainerRef, now.CATLSContainerRef)
}

func (s *Server) admitUse(c *call, now, before []lb.Secret, crl, ca *string) error {
	isNew := func(kind string, ref *string) bool {
		return ref != nil && !slices.ContainsFunc(before, sameUse(lb.Secret{Ref: *ref, Kind: kind}))
	}
	if isNew(lb.RevocationSecret, crl) || isNew(lb.AuthoritySecret, ca) {
		before = slices.DeleteFunc(slices.Clone(before), func(s lb.Secret) bool { return s.Kind != lb.CertificateSecret })
	}
	if err := s.admit(c, now, before); err != nil {
		return err
	}
	return s.checkRevocations(c, crl, ca)
}

func (s *Server) checkRevocations(c *call, crl, ca *string) error {
	if crl == nil || ca == nil {
		return nil
	}
	lists := slices.IndexFunc(c.secrets, sameUse(lb.Secret{Ref: *crl, Kind: lb.RevocationSecret}))
	authorities := slices.IndexFunc(c.secrets, sameUse(lb.Secret{Ref: *ca, Kind: lb.AuthoritySecret}))
	if lists < 0 || authorities < 0 {
		return nil // neither is new
	}
	return s.Secrets.CheckRevocations(c.secrets[lists], c.secrets[authorities])
}

// admitDrafts does so for all that a request makes.
func (s *Server) admitDrafts(c *call, listeners []listenerDraft, pools []poolDraft, before []lb.Secret) error {
	for i := range listeners {
		l := &listeners[i]
		if err := s.admitListener(c, &l.Listener, before); err != nil {
			return err
		}
		if l.pool != nil && l.pool.full != nil {
			if err := s.admitPool(c, &l.pool.full.Pool, before); err != nil {
				return err
			}
		}
	}
	for i := range pools {
		if err := s.admitPool(c, &pools[i].Pool, before); err != nil {
			return err
		}
	}
	return nil
}

// admitGraph does so for a load balancer that there is already.
func (s *Server) admitGraph(c *call, g *graph, id string) error {
	t, err := s.Store.Tree(c.Context(), id)
	if err != nil {
		return s.kinds.loadBalancer.absent(id, err)
	}
	used, err := t.UsedSecrets()
	if err != nil {
		return err
	}
	return s.admitDrafts(c, g.listeners, g.pools, slices.Collect(maps.Values(used)))
}

// putSecrets writes what was admitted for the request, below the load balancer that is in the tree.
func (e *edit) putSecrets() error {
	if len(e.call.secrets) == 0 {
		return nil
	}
	if _, err := e.tree.UsedSecrets(); err != nil {
		return err
	}
	return e.tx.PutSecrets(e.Context(), e.call.secrets...)
}

// absentKeyManager stands in where there is no key manager.
type absentKeyManager struct{}

func (absentKeyManager) Admit(_ context.Context, _, _ string, want lb.Secret) (lb.Secret, error) {
	return lb.Secret{}, lb.Refuse(lb.InvalidReference, "Could not retrieve certificate: %s: this deployment has no key manager", want.Ref)
}

func (absentKeyManager) CheckRevocations(lb.Secret, lb.Secret) error { return nil }
