package storetest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/store"
	"github.com/octavo-lb/octavo/store/storetest"
	"github.com/octavo-lb/octavo/test/dbtest"
)

const childVariable = "OCTAVO_STORETEST_CHILD"

func TestMain(m *testing.M) {
	if dsn := os.Getenv(childVariable); dsn != "" {
		fmt.Fprintln(os.Stderr, writeForever(dsn))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeForever makes load balancers, deletes every second one and prints the ids of those whose commit it was told of.
func writeForever(dsn string) error {
	ctx := context.Background()
	s, err := store.Open(ctx, dsn, store.Options{})
	if err != nil {
		return err
	}
	for n := 0; ; n++ {
		tree := storetest.Sample("p")
		if err := s.Write(ctx, func(tx *store.Tx) error { return storetest.Insert(ctx, tx, tree) }); err != nil {
			return err
		}
		if n%2 == 1 {
			err := s.Write(ctx, func(tx *store.Tx) error {
				if _, err := tx.Lock(ctx, tree.LB.ID); err != nil {
					return err
				}
				err := store.Delete[lb.LoadBalancer](ctx, tx, tree.LB.ID)
				return errors.Join(err, tx.SetCloudGeneration(ctx, 2))
			})
			if err != nil {
				return err
			}
			continue
		}
		fmt.Println(tree.LB.ID)
	}
}

func TestKilledWriterLeavesAConsistentDatabase(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, dsn string) {
		var told []string
		for round := range 4 {
			told = append(told, killWriterAfter(t, dsn, 5+7*round)...)
			s, err := store.Open(t.Context(), dsn, store.Options{}) // reads a SQLite file through
			if err != nil {
				t.Fatal(err)
			}
			checkAll(t, s, told)
			storetest.Create(t, s, "after the crash", nil)
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// killWriterAfter runs the writer, kills it in the midst of its work once it has told of n commits, and returns those.
func killWriterAfter(t *testing.T, dsn string, n int) []string {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childVariable+"="+dsn)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	watchdog := time.AfterFunc(time.Minute, func() { child.Process.Kill() })
	defer watchdog.Stop()
	var told []string
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		told = append(told, lines.Text())
		if len(told) == n {
			child.Process.Kill()
		}
	}
	child.Wait()
	if len(told) < n {
		t.Fatalf("the writer ended after %d of %d commits", len(told), n)
	}
	return told
}

// checkAll looks whether every commit that was told of is there, and nothing by halves.
func checkAll(t *testing.T, s *store.Store, told []string) {
	t.Helper()
	for _, id := range told {
		if _, err := store.Get[lb.LoadBalancer](t.Context(), s, id); err != nil {
			t.Errorf("a commit is lost: %v", err)
		}
	}
	ids, err := s.LoadBalancerIDs(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		tree, err := s.Tree(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(metas(tree)); got != 8 || tree.LB.Deleting {
			t.Errorf("load balancer %s has %d objects, deleting: %v", id, got, tree.LB.Deleting)
		}
	}
}
