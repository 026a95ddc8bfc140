package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/api"
	"github.com/octavo-lb/octavo/ca"
	"github.com/octavo-lb/octavo/cloud/cloudfake"
	"github.com/octavo-lb/octavo/health/agenttest"
	"github.com/octavo-lb/octavo/identity"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/plan"
	"github.com/octavo-lb/octavo/policy"
	"github.com/octavo-lb/octavo/secrets"
	"github.com/octavo-lb/octavo/store"
	"github.com/octavo-lb/octavo/test/dbtest"
)

// root is who asks the API, whatever the request says.
type root struct{}

func (root) Identify(*http.Request) (identity.Caller, error) {
	return identity.Caller{ProjectID: "p", IsAdmin: true}, nil
}

// busy is a controller of all roles of whose cloud no call ever returns, and the agents that report to it.
type busy struct {
	*testing.T
	store   *store.Store
	front   string
	stuck   atomic.Int64 // calls to the cloud under way
	subnet  string
	network string
	ids     []string // of load balancers that agents serve
	agents  []*agenttest.Agent
}

const busyWorkers = 4

func newBusy(t *testing.T, dsn string) *busy {
	b := &busy{T: t}
	var hang atomic.Bool
	fake := cloudfake.New(cloudfake.Options{Before: func(ctx context.Context, _ string) error {
		if hang.Load() {
			b.stuck.Add(1)
			defer b.stuck.Add(-1)
			<-ctx.Done()
		}
		return ctx.Err()
	}})
	network, subnets := fake.AddNetwork(cloudfake.Network{Project: "p", Subnets: []cloudfake.Subnet{{CIDR: "192.168.0.0/16"}}})
	management, _ := fake.AddNetwork(cloudfake.Network{Project: cloudfake.ServiceProject, Subnets: []cloudfake.Subnet{{CIDR: "172.16.0.0/22"}}})
	b.network, b.subnet = network, subnets[0]
	fake.AddImage(cloudfake.ServiceProject, "octavia-amphora")
	client := fake.Client()
	_, err := client.Subnet(t.Context(), b.subnet) // signs in
	b.ok(err)
	agents, err := net.Listen("tcp", "127.0.0.1:0")
	b.ok(err)
	rules, err := policy.New(nil, policy.Options{})
	b.ok(err)
	quiet := slog.New(slog.DiscardHandler)
	keyFile := filepath.Join(t.TempDir(), "key")
	ctl, err := newController(t.Context(), controllerConfig{
		name: "busy", version: "1", hash: "x", roles: allRoles, database: dsn, store: store.Options{Logger: quiet}, ca: ca.Options{Logger: quiet}, keyFile: keyFile,
		cloud: client, settings: plan.Settings{ManagementNetwork: management, FlavorID: "amphora", Image: plan.Image{Tag: "octavia-amphora"}}.WithDefaults(),
		workers: busyWorkers, agents: agents, controllers: []string{"https://" + agents.Addr().String()}, log: quiet,
		api: api.Config{Auth: root{}, Policy: rules, Networks: client.Lookups(), Rules: lb.DefaultRules(), Providers: providers()},
	})
	b.ok(err)
	b.store = ctl.store
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	server := httptest.NewServer(ctl.api)
	go func() { done <- ctl.run(ctx) }()
	t.Cleanup(func() {
		cancel()
		server.CloseClientConnections()
		b.ok(<-done)
		server.Close()
	})
	b.front = server.URL + "/v2/lbaas/"
	hang.Store(true)
	keys, err := secrets.OpenKeyring(keyFile)
	b.ok(err)
	authorities, err := ca.Open(t.Context(), b.store, keys, ca.Options{Logger: quiet})
	b.ok(err)
	for range 20 {
		b.agent(authorities, "https://"+agents.Addr().String())
	}
	return b
}

func (b *busy) ok(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// agent stores a load balancer with an amphora, and enrols its agent.
func (b *busy) agent(authorities *ca.Authorities, url string) {
	b.Helper()
	o := &lb.LoadBalancer{Meta: lb.Meta{ID: uuid.NewString(), ProjectID: "p", AdminStateUp: true, Tags: []string{}}, Topology: "SINGLE", Provider: "amphora",
		VipNetworkID: &b.network, VipSubnetID: &b.subnet, VipPortOwned: true, VipVnicType: "normal", AdditionalVips: []lb.VIP{}}
	a := &store.Amphora{ID: uuid.NewString(), Role: plan.Standalone, Interfaces: []store.Interface{}, Capabilities: []string{}}
	expiry := time.Now().Add(time.Hour)
	token, hash := authorities.EnrolToken(a.ID, expiry)
	a.EnrolHash, a.EnrolExpiry = hash, &expiry
	b.ok(b.store.Write(b.Context(), func(tx *store.Tx) error {
		if err := store.Insert(b.Context(), tx, o); err != nil {
			return err
		}
		return tx.InsertAmphora(b.Context(), a)
	}))
	agent := agenttest.New(agentapi.Boot{AmphoraID: a.ID, Controllers: []string{url}, ServerName: ca.DefaultServerName, Trust: authorities.Trust(),
		Token: token.Reveal(), TokenExpiry: expiry})
	b.Cleanup(agent.CloseIdle)
	b.ok(agent.Enrol(b.Context()))
	b.ids, b.agents = append(b.ids, o.ID), append(b.agents, agent)
}

// ask makes a request, and tells whether it was answered as it should be.
func (b *busy) ask(ctx context.Context, method, path string, body any) bool {
	text, _ := json.Marshal(body)
	q, err := http.NewRequestWithContext(ctx, method, b.front+path, bytes.NewReader(text))
	if err != nil {
		return false
	}
	q.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return err == nil && answer.StatusCode < 300
}

// TestHeartbeatsArriveWhileAllElseIsBusy lets every worker and many requests of the API wait for a cloud that never answers, and many
// more requests compete for the database: agents, which share the process and the database with all that, are heard long before
// anybody takes them for silent.
func TestHeartbeatsArriveWhileAllElseIsBusy(t *testing.T) {
	for _, database := range []string{"sqlite", "mariadb"} {
		t.Run(database, func(t *testing.T) {
			b := newBusy(t, dbtest.DSN(t, database))
			const lasts, interval = 3 * time.Second, 100 * time.Millisecond
			patience := plan.Settings{}.WithDefaults().DeadAfter / 6
			ctx, cancel := context.WithCancel(t.Context())
			var load sync.WaitGroup
			defer load.Wait()
			defer cancel()
			var answered, refused atomic.Int64
			ask := func(method, path string, body any) {
				if b.ask(ctx, method, path, body) {
					answered.Add(1)
				} else if ctx.Err() == nil {
					refused.Add(1)
				}
			}
			for range 20 {
				load.Go(func() {
					b.ask(ctx, "POST", "loadbalancers", m{"loadbalancer": m{"vip_subnet_id": b.subnet, "project_id": "p"}})
				})
			}
			for i := range 40 {
				load.Go(func() {
					for n := 0; ctx.Err() == nil; n++ {
						if i%2 == 0 {
							ask("GET", "loadbalancers", nil)
						} else {
							ask("PUT", "loadbalancers/"+b.ids[i/2], m{"loadbalancer": m{"description": fmt.Sprint(n)}})
						}
					}
				})
			}
			for b.stuck.Load() < busyWorkers+20 {
				time.Sleep(time.Millisecond)
			}
			var longest, reports atomic.Int64
			var all sync.WaitGroup
			end := time.Now().Add(lasts)
			for _, a := range b.agents {
				all.Go(func() {
					for n := 0; time.Now().Before(end); n++ {
						began := time.Now()
						// Every other report has news, and is stored before it is answered.
						_, err := a.Report(t.Context(), agentapi.Report{Version: "1", VRRPState: []string{"MASTER", "BACKUP"}[n/2%2]})
						if err != nil {
							t.Errorf("report %d: %v", n, err)
							return
						}
						took := time.Since(began)
						for was := longest.Load(); int64(took) > was && !longest.CompareAndSwap(was, int64(took)); was = longest.Load() {
						}
						reports.Add(1)
						time.Sleep(interval)
					}
				})
			}
			all.Wait()
			t.Logf("%d reports of %d agents, the longest took %v; beside %d requests of the API, %d refused, and %d calls that hang", reports.Load(), len(b.agents),
				time.Duration(longest.Load()).Round(time.Millisecond), answered.Load(), refused.Load(), b.stuck.Load())
			if took := time.Duration(longest.Load()); took > patience {
				t.Errorf("a report took %v, more than %v", took, patience)
			}
			if b.stuck.Load() < busyWorkers+20 || answered.Load() < 40 {
				t.Errorf("there was no load: %d requests answered, %d calls hang", answered.Load(), b.stuck.Load())
			}
			time.Sleep(time.Second)
			silent, err := b.store.SilentSince(t.Context(), time.Now().Add(-6*time.Second)) // what has no news is stored within 5 s
			b.ok(err)
			if len(silent) > 0 {
				t.Errorf("%d of %d agents were heard, and it was not stored", len(b.agents)-len(silent), len(b.agents))
			}
		})
	}
}

type m map[string]any
