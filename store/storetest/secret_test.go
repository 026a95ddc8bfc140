package storetest_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/store"
	"github.com/octavo-lb/octavo/store/storetest"
)

func withCertificate(t *lb.Tree) {
	t.Listeners[0].DefaultTLSContainerRef = new("http://keys/v1/secrets/1")
}

func TestTreeHasTheVersionsOfItsSecrets(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		made := storetest.Create(t, s, "p", withCertificate)
		expires := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
		first := lb.Secret{Ref: "http://keys/v1/secrets/1", Kind: lb.CertificateSecret, Digest: "d1", Sealed: []byte{0, 1}, NotAfter: expires}
		write(t, s, made.LB.ID, func(tx *store.Tx) error { return tx.PutSecrets(t.Context(), first) })
		second := first
		second.Digest, second.Sealed = "d2", []byte{2}
		write(t, s, made.LB.ID, func(tx *store.Tx) error { return tx.PutSecrets(t.Context(), second) })

		want := second
		want.Sealed = nil
		if got := tree(t, s, made.LB.ID).Secrets; len(got) != 1 || got[0].Ref != want.Ref || got[0].Digest != "d2" || !got[0].NotAfter.Equal(expires) {
			t.Errorf("the tree has %+v, want %+v", got, want)
		}
		sealed, err := s.SealedSecret(t.Context(), made.LB.ID, "d2")
		if err != nil || !slices.Equal(sealed, []byte{2}) {
			t.Errorf("the material is %v (%v)", sealed, err)
		}
		if _, err := s.SealedSecret(t.Context(), made.LB.ID, "d1"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the version before: %v, want not found", err)
		}
		other := storetest.Create(t, s, "p", nil)
		if _, err := s.SealedSecret(t.Context(), other.LB.ID, "d2"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("another load balancer's: %v, want not found", err)
		}
	})
}

func TestSecretsAreClaimedOnceUntilTheyAreDueAgain(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		made := storetest.Create(t, s, "p", withCertificate)
		write(t, s, made.LB.ID, func(tx *store.Tx) error {
			return tx.PutSecrets(t.Context(), lb.Secret{Ref: "a", Kind: lb.CertificateSecret, Digest: "d"}, lb.Secret{Ref: "b", Kind: lb.AuthoritySecret, Digest: "e"})
		})
		if _, err := s.ClaimSecrets(t.Context(), time.Now().Add(-time.Minute)); !errors.Is(err, store.ErrNothingDue) {
			t.Errorf("just stored: %v, want nothing due", err)
		}
		later := time.Now().Add(time.Millisecond)
		time.Sleep(2 * time.Millisecond)
		if id, err := s.ClaimSecrets(t.Context(), later); id != made.LB.ID || err != nil {
			t.Fatalf("claimed %q (%v), want %s", id, err, made.LB.ID)
		}
		if _, err := s.ClaimSecrets(t.Context(), later); !errors.Is(err, store.ErrNothingDue) {
			t.Errorf("claimed twice: %v", err)
		}
		write(t, s, made.LB.ID, func(tx *store.Tx) error {
			return errors.Join(tx.KeepSecrets(t.Context(), "b"), tx.SetSecretFailure(t.Context(), "b", "away"))
		})
		if got := tree(t, s, made.LB.ID).Secrets; len(got) != 1 || got[0].Ref != "b" || got[0].Failure != "away" {
			t.Errorf("after dropping a: %+v", got)
		}
	})
}

func TestSecretsGoWithTheirLoadBalancer(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		made := storetest.Create(t, s, "p", withCertificate)
		write(t, s, made.LB.ID, func(tx *store.Tx) error {
			return tx.PutSecrets(t.Context(), lb.Secret{Ref: "a", Kind: lb.CertificateSecret, Digest: "d"})
		})
		write(t, s, made.LB.ID, func(tx *store.Tx) error { return store.Delete[lb.LoadBalancer](t.Context(), tx, made.LB.ID) })
		settle(t, s, made.LB.ID)
		if _, err := s.SealedSecret(t.Context(), made.LB.ID, "d"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the secret of a deleted load balancer: %v, want not found", err)
		}
	})
}
