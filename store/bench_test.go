package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/test/dbtest"
)

// benchRows is how many load balancers the benchmarks run among.
const benchRows = 100_000

// bench is a database with many load balancers of two projects, and one of them with all below it.
type bench struct {
	*Store
	ids  []string // by creation
	tree *lb.Tree
}

func BenchmarkStore(b *testing.B) {
	for _, kind := range dbtest.Kinds() {
		b.Run(kind, func(b *testing.B) {
			s, err := Open(b.Context(), dbtest.DSN(b, kind), Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			filled := fill(b, s)
			for _, c := range benchCases {
				b.Run(c.name, func(b *testing.B) { measure(b, func(ctx context.Context) error { return c.run(ctx, filled) }) })
			}
		})
	}
}

// benchCases are what requests of users, workers and agents come to.
var benchCases = []struct {
	name string
	run  func(ctx context.Context, s bench) error
}{
	{"show", func(ctx context.Context, s bench) error {
		if _, err := Get[lb.LoadBalancer](ctx, s, s.tree.LB.ID); err != nil {
			return err
		}
		_, err := RefsOfLoadBalancers(ctx, s, s.tree.LB.ID)
		return err
	}},
	{"tree", func(ctx context.Context, s bench) error { _, err := s.Tree(ctx, s.tree.LB.ID); return err }},
	{"list first 100 of project", listing(Query{ProjectID: "project1", Limit: 100})},
	{"list first 1000 of project", listing(Query{ProjectID: "project1", Limit: 1000})},
	{"list 100 after marker", func(ctx context.Context, s bench) error {
		return listing(Query{ProjectID: "project0", Limit: 100, Marker: s.ids[benchRows/2]})(ctx, s)
	}},
	{"list 100 of all by name after marker", func(ctx context.Context, s bench) error {
		return listing(Query{Limit: 100, Sort: []SortKey{{Name: "name"}}, Marker: s.ids[benchRows/2]})(ctx, s)
	}},
	{"list by name", listing(Query{ProjectID: "project0", Filters: []Filter{{Name: "name", Values: []string{"lb-5000"}}}, Limit: 1000})},
	{"list by tag", listing(Query{ProjectID: "project0", Tags: []string{"absent"}, Limit: 1000})},
	{"list 100 by status ACTIVE", listing(Query{ProjectID: "project0", Limit: 100,
		Filters: []Filter{{Name: "provisioning_status", Values: []string{"ACTIVE"}}}})},
	{"list 100 by status ERROR", listing(Query{ProjectID: "project0", Limit: 100,
		Filters: []Filter{{Name: "provisioning_status", Values: []string{"ERROR"}}}})},
	{"update", func(ctx context.Context, s bench) error {
		return s.Write(ctx, func(tx *Tx) error {
			tree, err := tx.LockTree(ctx, s.tree.LB.ID)
			if err != nil {
				return err
			}
			tree.Members[0].Weight++
			return Update(ctx, tx, &tree.Members[0])
		})
	}},
	{"create", func(ctx context.Context, s bench) error {
		return s.Write(ctx, func(tx *Tx) error {
			return Insert(ctx, tx, &lb.LoadBalancer{Name: "new", Provider: "octavia"})
		})
	}},
	{"usage", func(ctx context.Context, s bench) error {
		_, err := s.Usage(ctx, "project0", LoadBalancer)
		return err
	}},
	{"acquire and release", func(ctx context.Context, s bench) error {
		if err := s.Wake(ctx, s.tree.LB.ID); err != nil {
			return err
		}
		lease, err := s.Acquire(ctx, "worker", time.Minute)
		if err != nil {
			return err
		}
		return lease.Release(ctx, time.Time{})
	}},
}

func listing(q Query) func(ctx context.Context, s bench) error {
	return func(ctx context.Context, s bench) error {
		page, err := List[lb.LoadBalancer](ctx, s, q)
		if err != nil {
			return err
		}
		ids := make([]string, len(page.Items))
		for i := range page.Items {
			ids[i] = page.Items[i].ID
		}
		_, err = RefsOfLoadBalancers(ctx, s, ids...)
		return err
	}
}

// fill writes past the rule of one load balancer for each transaction, which would take minutes.
func fill(b *testing.B, s *Store) bench {
	ctx, filled := b.Context(), bench{Store: s}
	start := s.now().Add(-benchRows * time.Second)
	const perTx = 5000
	for done := 0; done < benchRows; done += perTx {
		err := s.Write(ctx, func(tx *Tx) error {
			tx.balance = &balancer{inserted: true, due: tx.now}
			defer func() { tx.balance = nil }()
			for i := done; i < done+perTx; i += rowsPerInsert {
				var rows []*lb.LoadBalancer
				for j := i; j < i+rowsPerInsert; j++ {
					rows = append(rows, benchBalancer(j, start.Add(time.Duration(j)*time.Second)))
					filled.ids = append(filled.ids, rows[len(rows)-1].ID)
				}
				if err := insertRows(ctx, tx, balancers, rows); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	// Nothing is due: all are in force.
	if _, err := s.writeDB.ExecContext(ctx, `UPDATE "load_balancer" SET "due_at" = NULL`); err != nil {
		b.Fatal(err)
	}
	// Servers do this by themselves after a while.
	upkeep := map[string]string{"postgresql": "VACUUM ANALYZE", "mysql": `ANALYZE TABLE "load_balancer"`}[s.dialect.name]
	if _, err := s.writeDB.ExecContext(ctx, cmp.Or(upkeep, "SELECT 1")); err != nil {
		b.Fatal(err)
	}
	filled.tree = fillTree(b, s, filled.ids[benchRows/2])
	return filled
}

func benchBalancer(n int, created time.Time) *lb.LoadBalancer {
	o := &lb.LoadBalancer{Name: fmt.Sprint("lb-", n), VipAddress: "192.0.2.1", VipVnicType: "normal", Provider: "octavia"}
	o.ID, o.ProjectID, o.OperatingStatus, o.AdminStateUp = uuid.NewString(), fmt.Sprint("project", n%2), lb.Online, true
	o.CreatedAt, o.Generation, o.Created, o.ObservedGeneration = created, 1, 1, 1
	o.VipPortID, o.VipSubnetID, o.VipNetworkID = &o.ID, &o.ID, &o.ID
	return o
}

// fillTree gives a load balancer two listeners with a pool of ten members each.
func fillTree(b *testing.B, s *Store, id string) *lb.Tree {
	ctx := b.Context()
	err := s.Write(ctx, func(tx *Tx) error {
		if _, err := tx.Lock(ctx, id); err != nil {
			return err
		}
		for range 2 {
			pool := &lb.Pool{LoadBalancerID: id, Name: "pool", Protocol: "HTTP", LBAlgorithm: "ROUND_ROBIN"}
			if err := Insert(ctx, tx, pool); err != nil {
				return err
			}
			listener := &lb.Listener{LoadBalancerID: id, Protocol: "HTTP", DefaultPoolID: &pool.ID}
			if err := Insert(ctx, tx, listener); err != nil {
				return err
			}
			if err := Insert(ctx, tx, &lb.HealthMonitor{PoolID: pool.ID, Type: "HTTP"}); err != nil {
				return err
			}
			for range 10 {
				if err := Insert(ctx, tx, &lb.Member{PoolID: pool.ID, Address: "198.51.100.1"}); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	tree, err := s.Tree(ctx, id)
	if err != nil {
		b.Fatal(err)
	}
	return tree
}

// measure runs do for as long as the benchmark wants and adds the median to its figures.
func measure(b *testing.B, do func(ctx context.Context) error) {
	took := make([]time.Duration, 0, 1024)
	for b.Loop() {
		start := time.Now()
		if err := do(b.Context()); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
}
