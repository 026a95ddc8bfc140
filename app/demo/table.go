package demo

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/loadbalancers"
	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/pools"
)

// tally counts who answered.
type tally struct {
	mu     sync.Mutex
	served map[string]int
	failed int
}

// waitAnswers waits until every member has answered.
func (s *session) waitAnswers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	t := tally{served: map[string]int{}}
	for {
		err := t.request(ctx, s.floatingIP)
		if len(t.served) >= len(members) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("answered by %v only, last error: %w", t.served, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (t *tally) request(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	body, err := fetch(ctx, "http://"+address+"/")
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.failed++
		return err
	}
	t.served[body]++
	return nil
}

func fetch(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	req.Close = true // a new connection for each request, so that round robin shows
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1024))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("answer %s", resp.Status)
	}
	return strings.TrimSpace(string(body)), err
}

// show prints where everything is, then keeps a table of the members while it sends requests of its own.
func (s *session) show(ctx context.Context) error {
	clouds, err := filepath.Abs(s.Clouds)
	if err != nil {
		clouds = s.Clouds
	}
	fmt.Fprintf(s.Out, `
  lb1 answers on %s, from this machine on its floating IP:
      curl http://%s/
  The API is at %s; talk to it with:
      export OS_CLIENT_CONFIG_FILE=%s OS_CLOUD=%s
      openstack loadbalancer status show lb1
  Ctrl-C ends the demo and takes everything away.

`, s.vip, s.floatingIP, strings.TrimSuffix(s.lb.Endpoint, "/"), clouds, s.Cloud)

	t := &tally{served: map[string]int{}}
	go t.send(ctx, s.floatingIP)
	tick := time.NewTicker(s.interval())
	defer tick.Stop()
	last, lines := 0, 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		table, total := s.table(ctx, t, last)
		if ctx.Err() != nil {
			return nil
		}
		last = total
		if s.Live && lines > 0 {
			fmt.Fprintf(s.Out, "\x1b[%dA\x1b[J", lines)
		}
		fmt.Fprint(s.Out, table)
		lines = strings.Count(table, "\n")
	}
}

func (s *session) interval() time.Duration {
	if s.Live {
		return time.Second
	}
	return 10 * time.Second
}

// send makes about fifty requests a second until ctx ends.
func (t *tally) send(ctx context.Context, address string) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = t.request(ctx, address)
		}
	}
}

// table renders one picture of the load balancer, and returns the number of requests so far.
func (s *session) table(ctx context.Context, t *tally, last int) (string, int) {
	var b strings.Builder
	lb, err := loadbalancers.Get(ctx, s.lb, s.lbID).Extract()
	if err != nil {
		return fmt.Sprintf("  %v\n", err), last
	}
	pages, err := pools.ListMembers(s.lb, s.poolID, pools.ListMembersOpts{}).AllPages(ctx)
	if err != nil {
		return fmt.Sprintf("  %v\n", err), last
	}
	all, err := pools.ExtractMembers(pages)
	if err != nil {
		return fmt.Sprintf("  %v\n", err), last
	}
	slices.SortFunc(all, func(a, b pools.Member) int { return strings.Compare(a.Name, b.Name) })

	t.mu.Lock()
	defer t.mu.Unlock()
	total := t.failed
	for _, n := range t.served {
		total += n
	}
	fmt.Fprintf(&b, "  lb1 %s %s   %d requests, %.0f/s, %d failed\n", lb.ProvisioningStatus, lb.OperatingStatus,
		total, float64(total-last)/s.interval().Seconds(), t.failed)
	fmt.Fprintf(&b, "  %-10s %-16s %-6s %-12s %8s\n", "member", "address", "weight", "health", "served")
	for _, m := range all {
		fmt.Fprintf(&b, "  %-10s %-16s %-6d %-12s %8d\n", m.Name, m.Address, m.Weight, m.OperatingStatus, t.served[m.Name])
	}
	return b.String(), total
}

// IsTerminal tells whether f can be redrawn.
func IsTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
