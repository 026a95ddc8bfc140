package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	_ "net/http/pprof" // on the service's default mux
	"os"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/api"
	"github.com/octavo-lb/octavo/cloud/noop"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/policy"
	"github.com/octavo-lb/octavo/store"
	"github.com/octavo-lb/octavo/worker"
)

// serviceArg makes the test binary the service that benchmarks ask: what it uses is apart from what its clients use.
const serviceArg = "serve-for-benchmarks"

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == serviceArg {
		if err := serve(os.Args[2], slices.Contains(os.Args[3:], "worker")); err != nil {
			fmt.Fprintln(os.Stderr, "service:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const (
	usagePath  = "/benchmark/usage"
	activePath = "/benchmark/active/" // answers when the load balancer is ACTIVE
)

// usage is what the service has used since its start.
type usage struct {
	CPU        time.Duration
	Statements int64
}

// serve prints its URL and answers until its standard input ends, which it does when the benchmark is gone. A worker has
// no cloud to wait for.
func serve(dsn string, withWorker bool) error {
	debug.SetGCPercent(400) // as app.Serve does
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var statements atomic.Int64
	count := func(context.Context, string, time.Duration, error) { statements.Add(1) }
	s, err := store.Open(ctx, dsn, store.Options{Trace: count})
	if err != nil {
		return err
	}
	defer s.Close()
	rules, err := policy.New(nil, policy.Options{})
	if err != nil {
		return err
	}
	n := newNetwork()
	h, err := api.New(api.Config{Store: s, Auth: tokens{}, Policy: rules, Networks: n, VIPs: n, Logger: slog.New(slog.DiscardHandler),
		Rules: lb.DefaultRules(), Providers: []api.Provider{{Name: "amphora"}}})
	if err != nil {
		return err
	}
	http.Handle("/", h)
	http.HandleFunc(usagePath, func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(usage{cpu(), statements.Load()})
	})
	http.HandleFunc(activePath+"{id}", func(w http.ResponseWriter, r *http.Request) {
		if err := waitActive(r.Context(), s, r.PathValue("id")); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	server := httptest.NewServer(nil)
	defer server.Close()
	fmt.Println(server.URL)
	if !withWorker {
		_, err := io.Copy(io.Discard, os.Stdin)
		return err
	}
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	return worker.New(worker.Options{Store: s, Cloud: noop.Cloud{}, Pretends: func(string) bool { return true }}).Run(ctx)
}

func waitActive(ctx context.Context, s *store.Store, id string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	changed := s.Subscribe(ctx)
	for {
		p, err := s.Progress(ctx, id)
		if err != nil || p.ObservedGeneration >= p.Generation {
			return err
		}
		select {
		case <-changed:
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
