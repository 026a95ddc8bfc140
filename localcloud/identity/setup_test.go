package identity

import (
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/octavo-lb/octavo/localcloud/state"
)

// cloud is a Keystone at a real address, with a clock that the test moves.
type cloud struct {
	*Service
	url  string
	path string

	stop func()

	mu  sync.Mutex
	now time.Time
}

func (c *cloud) clock() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *cloud) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newCloud(t *testing.T) *cloud {
	t.Helper()
	c := &cloud{now: time.Now(), path: filepath.Join(t.TempDir(), "state.db")}
	c.start(t)
	err := c.Ensure(Seed{
		Projects: []string{"admin", "demo", "service"},
		Roles:    []string{"admin", "member", "reader", "load-balancer_member"},
		Users: []SeedUser{
			{"admin", "adminpw", map[string][]string{"admin": {"admin"}, "demo": {"admin"}}},
			{"demo", "demopw", map[string][]string{"demo": {"member", "load-balancer_member"}}},
			{"octavia", "octaviapw", map[string][]string{"service": {"admin"}}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// start opens the state and serves it until the test ends or restart is called.
func (c *cloud) start(t *testing.T) {
	t.Helper()
	st, err := state.Open(c.path)
	if err != nil {
		t.Fatal(err)
	}
	c.Service, err = New(Options{State: st, Clock: c.clock, Logger: slog.New(slog.DiscardHandler), HashCost: bcrypt.MinCost,
		Services: []CatalogService{
			{"identity", "keystone", "/identity"}, {"network", "neutron", "/network"}, {"compute", "nova", "/compute/v2.1"},
			{"image", "glance", "/image"}, {"load-balancer", "octavia", "/load-balancer"},
		}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(c.Handler())
	c.url = server.URL
	c.stop = sync.OnceFunc(func() { server.Close(); st.Close() })
	t.Cleanup(c.stop)
}

func (c *cloud) restart(t *testing.T) {
	t.Helper()
	c.stop()
	c.start(t)
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
