package housekeeping_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/housekeeping"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/store"
	"github.com/octavo-lb/octavo/store/storetest"
)

var errUnusable = errors.New("it was deleted")

// keyManager has a version of every secret, and can be away.
type keyManager struct {
	version string
	fail    error
	calls   int
	stale   bool
}

func (k *keyManager) Fetch(_ context.Context, want lb.Secret) (lb.Secret, error) {
	k.calls++
	want.Digest, want.Sealed = want.Ref+k.version, []byte(k.version)
	return want, k.fail
}
func (k *keyManager) Unusable(err error) bool { return errors.Is(err, errUnusable) }
func (k *keyManager) Stale([]byte) bool       { return k.stale }

// vault is a store with load balancers that use the same secret, and the time.
type vault struct {
	*testing.T
	store   *store.Store
	keys    *keyManager
	renewal *housekeeping.Renewal
	added   time.Duration
}

func newVault(t *testing.T) *vault {
	v := &vault{T: t, keys: &keyManager{version: "1"}}
	clock := func() time.Time { return time.Now().Add(v.added) }
	v.store = storetest.Open(t, store.Options{Clock: clock})
	v.renewal = &housekeeping.Renewal{Store: v.store, KeyManager: v.keys, Clock: clock, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}
	return v
}

func (v *vault) balancer() string {
	v.Helper()
	made := storetest.Create(v.T, v.store, "p", func(tree *lb.Tree) { tree.Listeners[0].DefaultTLSContainerRef = new("cert") })
	v.write(made.LB.ID, func(tx *store.Tx) error {
		return tx.PutSecrets(v.Context(), lb.Secret{Ref: "cert", Kind: lb.CertificateSecret, Digest: "cert1", Sealed: []byte("1")},
			lb.Secret{Ref: "unused", Kind: lb.CertificateSecret, Digest: "u"})
	})
	return made.LB.ID
}

func (v *vault) write(id string, do func(tx *store.Tx) error) {
	v.Helper()
	if err := v.store.Write(v.Context(), func(tx *store.Tx) error {
		_, err := tx.Lock(v.Context(), id)
		return errors.Join(err, do(tx))
	}); err != nil {
		v.Fatal(err)
	}
}

// pass looks at what is due after another round.
func (v *vault) pass() error {
	v.added += 6 * time.Minute
	return v.renewal.Pass(v.Context())
}

func (v *vault) state(id string) string {
	v.Helper()
	tree, err := v.store.Tree(v.Context(), id)
	if err != nil {
		v.Fatal(err)
	}
	out := fmt.Sprint("generation ", tree.LB.Generation)
	for _, s := range tree.Secrets {
		out += fmt.Sprintf(" %s=%s %s", s.Ref, s.Digest, s.Failure)
	}
	return out
}

func TestRenewedSecretReachesEveryLoadBalancerThatUsesIt(t *testing.T) {
	v := newVault(t)
	first, second := v.balancer(), v.balancer()
	if err := v.pass(); err != nil {
		t.Fatal(err)
	}
	if got, want := v.state(first), "generation 1 cert=cert1 "; got != want {
		t.Errorf("nothing new: %q, want %q", got, want)
	}
	v.keys.version, v.keys.calls = "2", 0
	if err := v.renewal.Pass(t.Context()); err != nil || v.keys.calls > 0 {
		t.Errorf("asked %d times before it is due (%v)", v.keys.calls, err)
	}
	if err := v.pass(); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{first, second} {
		if got, want := v.state(id), "generation 2 cert=cert2 "; got != want {
			t.Errorf("renewed: %q, want %q", got, want)
		}
	}
	if v.keys.calls != 1 {
		t.Errorf("one secret of two load balancers was fetched %d times", v.keys.calls)
	}
}

func TestSecretThatIsGoneStaysInUse(t *testing.T) {
	v := newVault(t)
	id := v.balancer()
	v.keys.fail = errUnusable
	if err := v.pass(); err != nil {
		t.Fatal(err)
	}
	if got, want := v.state(id), "generation 1 cert=cert1 it was deleted"; got != want {
		t.Errorf("deleted: %q, want %q", got, want)
	}
	v.keys.fail = nil
	if err := v.pass(); err != nil {
		t.Fatal(err)
	}
	if got, want := v.state(id), "generation 1 cert=cert1 "; got != want {
		t.Errorf("back again: %q, want %q", got, want)
	}
}

func TestDeadKeyManagerChangesNothing(t *testing.T) {
	v := newVault(t)
	id := v.balancer()
	before := v.state(id)
	v.keys.fail = errors.New("connection refused")
	if err := v.pass(); err == nil {
		t.Error("an outage was not told of")
	}
	if got := v.state(id); got != before {
		t.Errorf("%q, want %q", got, before)
	}
}

func TestSecretIsSealedAgainWithANewerKey(t *testing.T) {
	v := newVault(t)
	id := v.balancer()
	v.keys.stale = true
	v.write(id, func(tx *store.Tx) error {
		return tx.PutSecrets(t.Context(), lb.Secret{Ref: "cert", Kind: lb.CertificateSecret, Digest: "cert1", Sealed: []byte("old key")})
	})
	if err := v.pass(); err != nil {
		t.Fatal(err)
	}
	if sealed, err := v.store.SealedSecret(t.Context(), id, "cert1"); err != nil || string(sealed) != "1" {
		t.Errorf("sealed as %q (%v)", sealed, err)
	}
	if got, want := v.state(id), "generation 1 cert=cert1 "; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestSecretThatNobodyUsesAnyMoreIsForgotten(t *testing.T) {
	v := newVault(t)
	id := v.balancer()
	tree, err := v.store.Tree(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	v.write(id, func(tx *store.Tx) error {
		tree.Listeners[0].DefaultTLSContainerRef = nil
		return store.Update(t.Context(), tx, &tree.Listeners[0])
	})
	if err := v.pass(); err != nil {
		t.Fatal(err)
	}
	for _, digest := range []string{"cert1", "u"} {
		if _, err := v.store.SealedSecret(t.Context(), id, digest); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %v, want not found", digest, err)
		}
	}
}
