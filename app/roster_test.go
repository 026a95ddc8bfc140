package app

import (
	"bytes"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/store"
	"github.com/octavo-lb/octavo/store/storetest"
	"github.com/octavo-lb/octavo/test/dbtest"
)

// examined is what octavo doctor says of controllers and connections, with a configuration.
func examined(t *testing.T, st *store.Store, config string, now time.Time) string {
	t.Helper()
	var out bytes.Buffer
	d := &doctor{now: now, config: config}
	d.examineControllers(t.Context(), st)
	d.examineCapacity(t.Context(), st)
	if err := d.print(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func scraped(t *testing.T, st *store.Store, clock func() time.Time) string {
	t.Helper()
	m := newMetrics("1", "x")
	m.registry.MustRegister(&fleet{store: st, clock: clock})
	answer := httptest.NewRecorder()
	m.handler().ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestControllersCompareTheirConfigurations changes a key of one controller's octavia.conf, one that may differ and one that must
// not: the others log it once, and so do octavo doctor and the metrics tell, until it is undone or the controller is gone.
func TestControllersCompareTheirConfigurations(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, dsn string) {
		var added time.Duration
		clock := func() time.Time { return time.Now().Add(added) }
		st := storetest.OpenDSN(t, dsn, store.Options{Clock: clock})
		same := load(t, "").Hash()
		renamed, changed := load(t, "[DEFAULT]\nhost = two\n").Hash(), load(t, "[health_manager]\nheartbeat_timeout = 90\n").Hash()
		var log bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&log, nil))
		one := &roster{store: st, self: store.Controller{Name: "one", Version: "1", Config: same}, clock: clock, log: logger}
		two := &roster{store: st, self: store.Controller{Name: "two", Version: "1", Config: renamed}, clock: clock, log: slog.New(slog.DiscardHandler)}
		step := func(what, logged, advised string, passed time.Duration, calls ...*roster) {
			t.Helper()
			added += passed
			log.Reset()
			for _, r := range append(calls, one, one) {
				if err := r.call(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			got := log.String()
			if logged == "" && got != "" || !strings.Contains(got, logged) || strings.Count(got, "\n") > 1 {
				t.Errorf("%s: logged %q, want %q once", what, got, logged)
			}
			if got := examined(t, st, same, clock()); !strings.Contains(got, advised) {
				t.Errorf("%s: doctor says %q, want %q", what, got, advised)
			}
		}
		step("alone", "", "ok       controllers: 1 run", 0)
		step("two that differ in their names", "", "ok       controllers: 2 run", 0, two)
		two.self.Config = changed
		step("two that differ", `level=WARN msg="controllers do not have the same configuration" config=`+same+` others="two (`+changed+`)"`,
			"warning  controllers: 1 of 2 do not run with this configuration", 0, two)
		if text := scraped(t, st, clock); !strings.Contains(text, `octavo_controllers{config="`+changed+`",version="1"} 1`) ||
			!strings.Contains(text, `octavo_controllers{config="`+same+`",version="1"} 1`) {
			t.Errorf("the metrics lack a controller:\n%s", text)
		}
		two.self.Version = "2"
		step("an upgrade", `others="two (version 2)"`, "warning  controllers: they are of 2 versions", 0, two)
		two.self = store.Controller{Name: "two", Version: "1", Config: same}
		step("undone", "level=INFO", "ok       controllers: 2 run", 0, two)
		two.self.Config = changed
		step("changed again", "level=WARN", "warning", 0, two)
		step("gone", "level=INFO", "ok       controllers: 1 run", rollGone+time.Second)
		if err := st.ForgetController(t.Context(), "one"); err != nil {
			t.Fatal(err)
		}
		if got := examined(t, st, same, clock()); !strings.Contains(got, "warning  controllers: none runs") {
			t.Errorf("without one doctor says %q", got)
		}
		if got := examined(t, st, "", clock()); got != "" {
			t.Errorf("of a service without a configuration doctor says %q", got)
		}
	})
}

// TestOperatorsLearnWhatUnlimitedIs: agents say how many connections they carry, and operators see it.
func TestOperatorsLearnWhatUnlimitedIs(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, dsn string) {
		st := storetest.OpenDSN(t, dsn, store.Options{})
		limits := func(doctor string, metrics ...string) {
			t.Helper()
			if got := examined(t, st, "", time.Now()); !strings.Contains(got, doctor) || doctor == "" && got != "" {
				t.Errorf("doctor says %q, want %q", got, doctor)
			}
			text := scraped(t, st, time.Now)
			for _, want := range metrics {
				if !strings.Contains(text, "\n"+want+"\n") {
					t.Errorf("the metrics lack %s:\n%s", want, text)
				}
			}
		}
		balancer := func(limit int, carries int64) {
			t.Helper()
			meta := func() lb.Meta { return lb.Meta{ID: uuid.NewString(), Tags: []string{}, AdminStateUp: true} }
			b := &lb.LoadBalancer{Meta: meta(), Topology: "SINGLE", AdditionalVips: []lb.VIP{}}
			a := &store.Amphora{ID: uuid.NewString(), Role: "STANDALONE", Interfaces: []store.Interface{}, Capabilities: []string{}}
			err := st.Write(t.Context(), func(tx *store.Tx) error {
				if err := store.Insert(t.Context(), tx, b); err != nil {
					return err
				}
				l := &lb.Listener{Meta: meta(), LoadBalancerID: b.ID, Protocol: "HTTP", ProtocolPort: 80, ConnectionLimit: limit}
				if err := store.Insert(t.Context(), tx, l); err != nil {
					return err
				}
				if err := tx.InsertAmphora(t.Context(), a); err != nil {
					return err
				}
				return tx.Report(t.Context(), a.ID, agentapi.Report{Boot: "b", Sequence: 1, MaxConnections: carries})
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		balancer(-1, 0) // an older agent does not say
		limits("")
		balancer(-1, 13107)
		balancer(13107, 104857)
		limits("ok       connections: amphorae carry 13107 to 104857 at once", "octavo_amphora_max_connections 13107", "octavo_listeners_beyond_capacity 0")
		balancer(50_000, 26214)
		limits("warning  connections: 1 listeners allow more at once", "octavo_listeners_beyond_capacity 1")
	})
}
