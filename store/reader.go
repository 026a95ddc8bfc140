package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/octavo-lb/octavo/lb"
)

// Reader is a *Store or, to read inside a transaction, a *Tx.
type Reader interface{ reader() *reader }

type queryer interface {
	QueryContext(ctx context.Context, statement string, args ...any) (*sql.Rows, error)
	ExecContext(ctx context.Context, statement string, args ...any) (sql.Result, error)
}

// reader runs statements, in a transaction or not.
type reader struct {
	dialect *dialect
	queryer queryer
	trace   func(ctx context.Context, statement string, took time.Duration, err error)
}

func (r *reader) query(ctx context.Context, statement string, args ...any) (*sql.Rows, error) {
	start := time.Now()
	rows, err := r.queryer.QueryContext(ctx, r.dialect.bind(statement), args...)
	if r.trace != nil {
		r.trace(ctx, statement, time.Since(start), err)
	}
	return rows, err
}

// exec answers how many rows were found.
func (r *reader) exec(ctx context.Context, statement string, args ...any) (int64, error) {
	start := time.Now()
	result, err := r.queryer.ExecContext(ctx, r.dialect.bind(statement), args...)
	if r.trace != nil {
		r.trace(ctx, statement, time.Since(start), err)
	}
	if err != nil {
		if isDuplicate(err) {
			err = fmt.Errorf("%w: %w", ErrConflict, err)
		}
		return 0, err
	}
	return result.RowsAffected()
}

// row scans the only row of a statement. ErrNotFound.
func (r *reader) row(ctx context.Context, statement string, args []any, destinations ...any) error {
	rows, err := r.query(ctx, statement, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return err
		}
		return ErrNotFound
	}
	if err := rows.Scan(destinations...); err != nil {
		return err
	}
	return rows.Close()
}

// each scans every row to the same destinations and calls do after each.
func (r *reader) each(ctx context.Context, statement string, args []any, do func(), destinations ...any) error {
	rows, err := r.query(ctx, statement, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(destinations...); err != nil {
			return err
		}
		do()
	}
	return rows.Err()
}

// selectAll reads the rows of a table; tail is the statement from WHERE on.
func selectAll[T any](ctx context.Context, r *reader, t *table, tail string, args ...any) ([]T, error) {
	var object T
	objects := []T{}
	err := r.each(ctx, t.selection+tail, args, func() { objects = append(objects, object) }, t.destinations(&object)...)
	if err != nil {
		return nil, fmt.Errorf("cannot read table %s: %w", t.name, err)
	}
	return objects, nil
}

func selectOne[T any](ctx context.Context, r *reader, t *table, id string) (T, error) {
	var object T
	err := r.row(ctx, t.selection+` WHERE o."id" = ?`, []any{id}, t.destinations(&object)...)
	if err != nil {
		return object, fmt.Errorf("%s %s: %w", t.kind, id, err)
	}
	return object, nil
}

// Get reads one resource with its provisioning status as of now, also one being deleted. ErrNotFound.
func Get[T Resource](ctx context.Context, r Reader, id string) (T, error) {
	return selectOne[T](ctx, r.reader(), tableOf[T](), id)
}

// OwnerOf tells which load balancer a resource belongs to. ErrNotFound.
func OwnerOf[T Resource](ctx context.Context, r Reader, id string) (lbID string, err error) {
	t := tableOf[T]()
	err = r.reader().row(ctx, `SELECT o.`+quote(t.owner)+t.from+` WHERE o."id" = ?`, []any{id}, &lbID)
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", t.kind, id, err)
	}
	return lbID, nil
}

// Tree reads a load balancer and all below it as of one moment. ErrNotFound.
func (s *Store) Tree(ctx context.Context, lbID string) (*lb.Tree, error) {
	var tree *lb.Tree
	err := s.snapshot(ctx, func(r *reader) error {
		balancer, err := selectOne[lb.LoadBalancer](ctx, r, balancers, lbID)
		if err != nil {
			return err
		}
		tree, err = r.treeBelow(ctx, balancer)
		return err
	})
	return tree, err
}

// snapshot runs reads that see the database as of one moment.
func (s *Store) snapshot(ctx context.Context, do func(r *reader) error) error {
	tx, err := s.readDB.BeginTx(ctx, &sql.TxOptions{Isolation: s.dialect.snapshot, ReadOnly: true})
	if err != nil {
		return fmt.Errorf("cannot begin to read: %w", err)
	}
	err = do(&reader{dialect: s.dialect, queryer: tx, trace: s.options.Trace})
	return errors.Join(err, tx.Rollback())
}

func (r *reader) treeBelow(ctx context.Context, balancer lb.LoadBalancer) (*lb.Tree, error) {
	const order = ` WHERE o."loadbalancer_id" = ? ORDER BY o."created_at", o."id"`
	tree := &lb.Tree{LB: balancer}
	id := balancer.ID
	var err error
	if tree.Listeners, err = selectAll[lb.Listener](ctx, r, listeners, order, id); err != nil {
		return nil, err
	}
	if tree.Pools, err = selectAll[lb.Pool](ctx, r, pools, order, id); err != nil {
		return nil, err
	}
	if tree.Members, err = selectAll[lb.Member](ctx, r, members, order, id); err != nil {
		return nil, err
	}
	if tree.Monitors, err = selectAll[lb.HealthMonitor](ctx, r, monitors, order, id); err != nil {
		return nil, err
	}
	tree.Policies, err = selectAll[lb.L7Policy](ctx, r, policies,
		` WHERE o."loadbalancer_id" = ? ORDER BY o."position", o."created_at", o."id"`, id)
	if err != nil {
		return nil, err
	}
	if tree.Rules, err = selectAll[lb.L7Rule](ctx, r, rules, order, id); err != nil {
		return nil, err
	}
	return tree, r.addSecrets(ctx, tree)
}
