package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/test/dbtest"
)

// TestReadsOfADelayedReplica lets controllers write to one database server and read from another that shows everything a second
// later, as behind a proxy that sends reads to replicas. A worker that acts on what it read, and a reader of the change log,
// are late by that second and miss nothing: in the end all is in force and known, and nobody has been asking in vain
// meanwhile.
func TestReadsOfADelayedReplica(t *testing.T) {
	const delay = time.Second
	primary, replica, err := dbtest.StartDelayedReplica(delay)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { primary.Close(); replica.Close() })
	dsn, err := primary.NewDatabase("octavo")
	if err != nil {
		t.Fatal(err)
	}
	var statements atomic.Int64
	open := func() (*Store, *sql.DB) {
		t.Helper()
		s, err := Open(t.Context(), dsn, Options{Poll: 50 * time.Millisecond, Trace: func(context.Context, string, time.Duration, error) { statements.Add(1) }})
		if err != nil {
			t.Fatal(err)
		}
		at, err := parseDSN(replica.DSN("octavo"))
		if err != nil {
			t.Fatal(err)
		}
		current := s.readDB
		if s.readDB, err = at.openMySQL(); err != nil {
			t.Fatal(err)
		}
		s.read.queryer = s.readDB
		t.Cleanup(func() { s.Close() })
		return s, current
	}
	one, current := open()
	two, _ := open()
	within := func(d time.Duration, what string, is func() error) {
		t.Helper()
		for end := time.Now().Add(d); ; time.Sleep(10 * time.Millisecond) {
			err := is()
			if err == nil {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("not within %v: %s: %v", d, what, err)
			}
		}
	}
	within(30*time.Second, "the replica has the schema", func() error { _, err := two.LastChange(t.Context()); return err })

	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	var mu sync.Mutex
	known := map[string]int64{}
	news := two.Subscribe(ctx)
	running.Go(func() {
		for id := range news {
			if tree, err := two.Tree(ctx, id); err == nil {
				mu.Lock()
				known[id] = tree.LB.Generation
				mu.Unlock()
			} else if ctx.Err() == nil {
				t.Errorf("a change of %s is told of before it can be read: %v", id, err)
			}
		}
	})
	running.Go(func() {
		for ctx.Err() == nil {
			if err := converge(ctx, two); err != nil && !errors.Is(err, ErrNothingDue) && ctx.Err() == nil {
				t.Errorf("worker: %v", err)
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	before := statements.Load()
	var ids []string
	for range 5 {
		b := &lb.LoadBalancer{Meta: lb.Meta{ID: uuid.NewString(), AdminStateUp: true, Tags: []string{}}, AdditionalVips: []lb.VIP{}}
		if err := one.Write(ctx, func(tx *Tx) error { return Insert(ctx, tx, b) }); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, b.ID)
	}
	for i := range 60 {
		err := one.Write(ctx, func(tx *Tx) error {
			b, err := tx.Lock(ctx, ids[i%5])
			if err != nil {
				return err
			}
			b.Name = fmt.Sprint(i)
			return Update(ctx, tx, b)
		})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(25 * time.Millisecond)
	}
	if tree, err := two.Tree(ctx, ids[4]); err == nil && tree.LB.Name == "59" {
		t.Error("the replica is not late")
	}
	within(20*time.Second, "all is in force and known", func() error {
		for i, id := range ids {
			var generation, cloud int64
			if err := current.QueryRowContext(ctx, "SELECT generation, cloud_generation FROM load_balancer WHERE id = ?", id).Scan(&generation, &cloud); err != nil {
				return err
			}
			mu.Lock()
			heard := known[id]
			mu.Unlock()
			if generation != 13 || cloud != generation || heard != generation {
				return fmt.Errorf("load balancer %d has generation %d, %d is in force and %d known", i, generation, cloud, heard)
			}
		}
		return nil
	})
	if n := statements.Load() - before; n > 3000 {
		t.Errorf("that took %d statements", n)
	}
}

// converge brings one load balancer that is due in force, as a worker would.
func converge(ctx context.Context, s *Store) error {
	lease, err := s.Acquire(ctx, "worker", time.Minute)
	if err != nil {
		return err
	}
	tree, err := s.Tree(ctx, lease.LB)
	if err != nil {
		return err
	}
	err = lease.Write(ctx, func(tx *Tx) error { return tx.SetCloudGeneration(ctx, tree.LB.Generation) })
	if err != nil && !errors.Is(err, ErrFenced) {
		return err
	}
	return lease.Release(ctx, time.Time{})
}
