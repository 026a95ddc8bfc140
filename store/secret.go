package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/octavo-lb/octavo/lb"
)

// secretFields scans a secret without its material.
type secretFields struct {
	lb.Secret
	notAfter nullTime
}

const secretColumns = `"ref", "kind", "digest", "not_after", "failure"`

func (f *secretFields) destinations() []any {
	return []any{&f.Ref, &f.Kind, &f.Digest, &f.notAfter, &f.Failure}
}

func (f *secretFields) secret() lb.Secret {
	s := f.Secret
	if f.notAfter.t != nil {
		s.NotAfter = *f.notAfter.t
	}
	return s
}

// addSecrets reads the versions of what a tree refers to. A tree that refers to nothing costs no statement.
func (r *reader) addSecrets(ctx context.Context, tree *lb.Tree) error {
	if used, err := tree.UsedSecrets(); err == nil && len(used) == 0 {
		return nil
	}
	var f secretFields
	err := r.each(ctx, `SELECT `+secretColumns+` FROM "secret" WHERE "loadbalancer_id" = ? ORDER BY "ref"`, []any{tree.LB.ID},
		func() { tree.Secrets = append(tree.Secrets, f.secret()) }, f.destinations()...)
	if err != nil {
		return fmt.Errorf("cannot read the secrets of load balancer %s: %w", tree.LB.ID, err)
	}
	return nil
}

// PutSecrets keeps versions of secrets for the transaction's load balancer, in place of others of the same reference.
// Agents hear of a new version only if the transaction raises the generation, too.
func (tx *Tx) PutSecrets(ctx context.Context, secrets ...lb.Secret) error {
	b, err := tx.locked()
	if err != nil {
		return err
	}
	for _, s := range secrets {
		_, err := tx.r.exec(ctx, `INSERT INTO "secret" ("loadbalancer_id", "checked_at", "sealed", `+secretColumns+`) VALUES `+placeholders(8)+
			tx.r.dialect.onConflict([]string{"loadbalancer_id", "ref"}, "checked_at", "sealed", "kind", "digest", "not_after", "failure"),
			b.id, formatTime(tx.now), notNil(s.Sealed), s.Ref, s.Kind, s.Digest, timeOrNull(s.NotAfter), s.Failure)
		if err != nil {
			return fmt.Errorf("cannot keep a secret of load balancer %s: %w", b.id, err)
		}
	}
	return nil
}

// SetSecretFailure stores why a secret of the transaction's load balancer could not be fetched again, empty for no reason.
func (tx *Tx) SetSecretFailure(ctx context.Context, ref, why string) error {
	b, err := tx.locked()
	if err == nil {
		_, err = tx.r.exec(ctx, `UPDATE "secret" SET "failure" = ? WHERE "loadbalancer_id" = ? AND "ref" = ?`, why, b.id, ref)
	}
	if err != nil {
		return fmt.Errorf("cannot store the failure of a secret: %w", err)
	}
	return nil
}

// KeepSecrets forgets all secrets of the transaction's load balancer but those with these references.
func (tx *Tx) KeepSecrets(ctx context.Context, refs ...string) error {
	b, err := tx.locked()
	if err != nil {
		return err
	}
	statement := `DELETE FROM "secret" WHERE "loadbalancer_id" = ?`
	if len(refs) > 0 {
		statement += ` AND "ref" NOT IN ` + placeholders(len(refs))
	}
	if _, err := tx.r.exec(ctx, statement, append([]any{b.id}, anys(refs)...)...); err != nil {
		return fmt.Errorf("cannot drop secrets of load balancer %s: %w", b.id, err)
	}
	return nil
}

// SealedSecret reads the material of a version that a load balancer has. ErrNotFound.
func (s *Store) SealedSecret(ctx context.Context, lbID, digest string) ([]byte, error) {
	return s.read.sealedSecret(ctx, lbID, digest)
}

// SealedSecret reads the material of a version that the transaction's load balancer has. ErrNotFound.
func (tx *Tx) SealedSecret(ctx context.Context, digest string) ([]byte, error) {
	b, err := tx.locked()
	if err != nil {
		return nil, err
	}
	return tx.r.sealedSecret(ctx, b.id, digest)
}

func (r *reader) sealedSecret(ctx context.Context, lbID, digest string) (sealed []byte, err error) {
	err = r.row(ctx, `SELECT "sealed" FROM "secret" WHERE "loadbalancer_id" = ? AND "digest" = ?`, []any{lbID, digest}, &sealed)
	if err != nil {
		return nil, fmt.Errorf("secret %s of load balancer %s: %w", digest, lbID, err)
	}
	return sealed, nil
}

// ClaimSecrets gives the caller the load balancer of which a secret was last looked at longest ago, before the time, for
// looking at them: no other node will until as much time has passed again. ErrNothingDue.
func (s *Store) ClaimSecrets(ctx context.Context, before time.Time) (lbID string, err error) {
	for {
		err := s.read.row(ctx, `SELECT "loadbalancer_id" FROM "secret" WHERE "checked_at" < ? ORDER BY "checked_at" LIMIT 1`,
			[]any{formatTime(before)}, &lbID)
		if errors.Is(err, ErrNotFound) {
			return "", ErrNothingDue
		}
		claimed := false
		if err == nil {
			err = s.Write(ctx, func(tx *Tx) error {
				n, err := tx.r.exec(ctx, `UPDATE "secret" SET "checked_at" = ? WHERE "loadbalancer_id" = ? AND "checked_at" < ?`,
					formatTime(tx.now), lbID, formatTime(before))
				claimed = n > 0
				return err
			})
		}
		if err != nil {
			return "", fmt.Errorf("cannot look for secrets that are due: %w", err)
		}
		if claimed {
			return lbID, nil
		}
	}
}
