package health_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/health"
	"github.com/octavo-lb/octavo/health/agenttest"
	"github.com/octavo-lb/octavo/lb"
)

// An amphora that was broken into sends what it can; the others must not notice.
func TestAgentThatSendsWithoutEndHarmsNobodyElse(t *testing.T) {
	w := newWorld(t, quiet)
	evil, good := w.newBalancer(1), w.newBalancer(1)
	attacker := w.enrolled(evil.amphorae[0])
	victim := w.enrolled(good.amphorae[0])
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var attack sync.WaitGroup
	defer attack.Wait()
	defer cancel()
	big := evil.good(1)
	big.Failure = strings.Repeat("x", 1<<20)
	var taken, refused atomic.Int64
	for range 20 {
		attack.Go(func() {
			for ctx.Err() == nil {
				if _, err := attacker.Report(ctx, big); agenttest.Code(err) == http.StatusServiceUnavailable {
					refused.Add(1)
				} else if ctx.Err() == nil {
					taken.Add(1)
				}
			}
		})
	}
	began := time.Now()
	for range 50 {
		send(t, victim, good.good(1))
	}
	eventually(t, "the attacker is refused", func() bool { return refused.Load() > 20 })
	if most := 20 + 3*int64(time.Since(began)/time.Second+1); taken.Load() > most {
		t.Errorf("%d large reports were read, where %d should be the most", taken.Load(), most)
	}
}

// An agent may speak only of what is its load balancer's.
func TestReportOnOthersObjectsChangesNothing(t *testing.T) {
	w := newWorld(t)
	mine, other := w.newBalancer(1), w.newBalancer(1)
	mine.inCloud()
	other.inCloud()
	a := w.enrolled(mine.amphorae[0])
	send(t, w.enrolled(other.amphorae[0]), other.good(other.tree().LB.Generation))
	r := mine.good(mine.tree().LB.Generation)
	for _, m := range other.members {
		r.Members = append(r.Members, agentapi.MemberHealth{ID: m, PoolID: other.pool, Status: lb.OperError})
	}
	r.Listeners = append(r.Listeners, agentapi.ListenerHealth{ID: other.listener, Status: lb.OperError, BytesIn: 1e9})
	send(t, a, r)
	other.wants("lb ONLINE", "pool ONLINE", "member0 ONLINE", "listener ONLINE")
	counters, err := w.store.StatisticsOfListeners(t.Context(), other.listener)
	must(t, err)
	if counters[other.listener].BytesIn != 0 {
		t.Errorf("counters %+v", counters)
	}
}

func TestBodiesMadeToHarmAreRefused(t *testing.T) {
	w := newWorld(t, quiet)
	a := w.enrolled(w.newBalancer(1).amphorae[0])
	client, err := a.HTTP()
	must(t, err)
	for name, body := range map[string]io.Reader{
		"not JSON":     strings.NewReader("\x00\x01"),
		"deep":         strings.NewReader(strings.Repeat("[", 1<<20)),
		"many members": strings.NewReader(`{"members":[` + strings.Repeat("{},", 1<<20) + `{}]}`),
		"many names":   strings.NewReader(`{"daemons":{` + strings.Repeat(`"a":"",`, 1<<18) + `"a":""}}`),
	} {
		response, err := client.Post(w.url+agentapi.PathReport, "application/json", body)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		response.Body.Close()
		if response.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d", name, response.StatusCode)
		}
	}
}

func TestLogShowsNoTokenAndNoKey(t *testing.T) {
	var log buffer
	w := newWorld(t, func(o *health.Options) {
		o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	b := w.newBalancer(1)
	a := w.enrolled(b.amphorae[0])
	token := a.Boot.Token
	thief := w.agent(b.amphorae[0])
	if err := thief.Enrol(t.Context()); agenttest.Code(err) != http.StatusForbidden {
		t.Fatal(err)
	}
	csr, err := a.CSR()
	must(t, err)
	must(t, a.Renew(t.Context()))
	text := log.String()
	if !strings.Contains(text, "enrolled") || !strings.Contains(text, "refused") {
		t.Fatalf("the log does not show what happened:\n%s", text)
	}
	_, secret, _ := strings.Cut(token, ".")
	for name, shown := range map[string]string{"token": secret, "token's hash": w.amphora(b.amphorae[0]).EnrolHash, "request": csr} {
		if strings.Contains(text, shown) {
			t.Errorf("the %s is in the log", name)
		}
	}
}

// buffer is one that several goroutines may write to.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
