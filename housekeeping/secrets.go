package housekeeping

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/store"
)

// KeyManager fetches tenants' secrets, sealed; *keymanager.Safe is one.
type KeyManager interface {
	// Fetch fetches with the service's rights.
	Fetch(ctx context.Context, want lb.Secret) (lb.Secret, error)
	// Unusable tells whether an error is the secret's fault, and not that of an outage.
	Unusable(err error) bool
	// Stale tells whether a secret is to be sealed again with a newer key.
	Stale(sealed []byte) bool
}

// Renewal looks now and then whether secrets that load balancers use have new versions, which agents are then told of. A
// secret that is gone, or not to be used any more, stays in use as it was last.
type Renewal struct {
	Store      *store.Store
	KeyManager KeyManager
	// Every is how often each secret is fetched; 5 minutes.
	Every  time.Duration
	Clock  func() time.Time
	Logger *slog.Logger
}

// Run looks until ctx ends. Nodes that do so side by side share the work.
func (r *Renewal) Run(ctx context.Context) {
	ticker := time.NewTicker(r.every() / 5)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := r.Pass(ctx); err != nil && ctx.Err() == nil {
			r.Logger.Warn("cannot look for renewed secrets, the known ones stay in use", "err", err)
		}
	}
}

func (r *Renewal) every() time.Duration {
	if r.Every > 0 {
		return r.Every
	}
	return 5 * time.Minute
}

// fetched is what came of fetching a secret, for all load balancers of one pass.
type fetched struct {
	secret lb.Secret
	err    error
}

type use struct{ ref, kind string }

// Pass looks at all secrets that are due. It ends at the first outage.
func (r *Renewal) Pass(ctx context.Context) error {
	known := map[use]fetched{}
	for {
		id, err := r.Store.ClaimSecrets(ctx, r.Clock().Add(-r.every()))
		if errors.Is(err, store.ErrNothingDue) {
			return nil
		}
		if err == nil {
			err = r.renew(ctx, id, known)
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) { // the load balancer may be gone by now
			return err
		}
	}
}

func (r *Renewal) renew(ctx context.Context, id string, known map[use]fetched) error {
	tree, err := r.Store.Tree(ctx, id)
	if err != nil {
		return err
	}
	used, err := tree.UsedSecrets()
	if err != nil {
		return err
	}
	for _, s := range used {
		if err := r.fetch(ctx, s, known); err != nil {
			return err
		}
	}
	return r.Store.Write(ctx, func(tx *store.Tx) error {
		tree, err := tx.LockTree(ctx, id)
		if err != nil {
			return err
		}
		return r.put(ctx, tx, tree, known)
	})
}

// fetch fetches a secret once in a pass. It fails if it cannot be told how the secret is.
func (r *Renewal) fetch(ctx context.Context, s lb.Secret, known map[use]fetched) error {
	key := use{s.Ref, s.Kind}
	if _, done := known[key]; done {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	got, err := r.KeyManager.Fetch(ctx, s)
	if err != nil && !r.KeyManager.Unusable(err) {
		return err
	}
	known[key] = fetched{got, err}
	return nil
}

// put brings what is stored for a load balancer up to date.
func (r *Renewal) put(ctx context.Context, tx *store.Tx, tree *lb.Tree, known map[use]fetched) error {
	used, err := tree.UsedSecrets()
	if err != nil {
		return err
	}
	renewed := false
	for ref, s := range used {
		news, ok := known[use{ref, s.Kind}]
		if !ok {
			continue // it came meanwhile, with the version of now
		}
		changed, err := r.putOne(ctx, tx, tree, ref, news)
		if err != nil {
			return err
		}
		renewed = renewed || changed
	}
	if err := tx.KeepSecrets(ctx, slices.Collect(maps.Keys(used))...); err != nil || !renewed {
		return err
	}
	return tx.Touch(ctx, tree.LB.ID)
}

// putOne tells whether there is a new version.
func (r *Renewal) putOne(ctx context.Context, tx *store.Tx, tree *lb.Tree, ref string, news fetched) (renewed bool, err error) {
	var old lb.Secret
	if i := slices.IndexFunc(tree.Secrets, func(s lb.Secret) bool { return s.Ref == ref }); i >= 0 {
		old = tree.Secrets[i]
	}
	why := ""
	if news.err != nil {
		why = news.err.Error()
	}
	switch {
	case why == "" && news.secret.Digest != old.Digest:
		r.Logger.Info("a secret was renewed", "lb", tree.LB.ID, "secret", ref)
		return true, tx.PutSecrets(ctx, news.secret)
	case why != old.Failure:
		if why != "" {
			r.Logger.Warn("a secret cannot be used any more, its last version stays in use", "lb", tree.LB.ID, "err", news.err)
		}
		return false, tx.SetSecretFailure(ctx, ref, why)
	case why == "":
		return false, r.sealAgain(ctx, tx, news.secret)
	}
	return false, nil
}

func (r *Renewal) sealAgain(ctx context.Context, tx *store.Tx, s lb.Secret) error {
	sealed, err := tx.SealedSecret(ctx, s.Digest)
	if err != nil || !r.KeyManager.Stale(sealed) {
		return err
	}
	return tx.PutSecrets(ctx, s)
}
