package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// traffic is a number of clients that send requests until they are stopped, and remember every one that failed.
type traffic struct {
	done   chan struct{}
	wg     sync.WaitGroup
	sent   atomic.Int64
	mu     sync.Mutex
	served map[string]int
	failed []string
	last   time.Time     // when an impatient request succeeded last
	gap    time.Duration // the longest time in which none did
}

const (
	// breath is the pause between two requests of a client: without it the clients take all of the machine's time, also what
	// the change needs that they are there to see.
	breath = 2 * time.Millisecond
	// impatience is after what time a client gives up that is there to see for how long nobody is served.
	impatience = 200 * time.Millisecond
)

// send starts the clients: half keep their connections alive, half open one for each request. They wait for as long as
// clients do; one more gives up soon and does not count, but for tr.gap: one that waits for an answer that is lost, or for
// its kernel to ask again, cannot tell whether others would be served.
func send(t testing.TB, url string, clients int) *traffic {
	t.Helper()
	tr := &traffic{done: make(chan struct{}), served: map[string]int{}}
	for i := range clients {
		client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
			DisableKeepAlives: i%2 == 1, MaxIdleConnsPerHost: 1,
			DialContext: (&net.Dialer{Timeout: 8 * time.Second}).DialContext,
		}}
		tr.repeat(client, func() { tr.one(client, url) })
	}
	impatient := &http.Client{Timeout: impatience, Transport: &http.Transport{DisableKeepAlives: true}}
	tr.repeat(impatient, func() { tr.look(impatient, url) })
	t.Cleanup(func() { tr.stop() })
	return tr
}

func (tr *traffic) repeat(client *http.Client, ask func()) {
	tr.wg.Go(func() {
		defer client.CloseIdleConnections()
		for {
			select {
			case <-tr.done:
				return
			case <-time.After(breath):
				ask()
			}
		}
	})
}

func (tr *traffic) look(client *http.Client, url string) {
	if _, err := get(client, url); err != nil {
		return
	}
	now := time.Now()
	if !tr.last.IsZero() {
		tr.gap = max(tr.gap, now.Sub(tr.last))
	}
	tr.last = now
}

func (tr *traffic) one(client *http.Client, url string) {
	body, err := get(client, url)
	tr.sent.Add(1)
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if err != nil {
		tr.failed = append(tr.failed, fmt.Sprintf("%s request %d: %v", time.Now().Format("15:04:05.000"), tr.sent.Load(), err))
		return
	}
	tr.served[body]++
}

// stop ends the clients, after which gap may be read, and returns how many requests were sent and those that failed.
func (tr *traffic) stop() (int64, []string) {
	select {
	case <-tr.done:
	default:
		close(tr.done)
	}
	tr.wg.Wait()
	return tr.sent.Load(), tr.failed
}

// mustNotHaveFailed stops the clients and fails the test if any request did, or if fewer than least were sent.
func (tr *traffic) mustNotHaveFailed(t testing.TB, least int64) {
	t.Helper()
	for tr.sent.Load() < least {
		time.Sleep(10 * time.Millisecond)
	}
	sent, failed := tr.stop()
	t.Logf("%d requests, %d failed, served by %v", sent, len(failed), tr.served)
	if len(failed) > 0 {
		t.Errorf("%d of %d requests failed, first:\n%s", len(failed), sent, strings.Join(failed[:min(5, len(failed))], "\n"))
	}
}

func get(client *http.Client, url string) (string, error) {
	resp, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", resp.Status, body)
	}
	return strings.TrimSpace(string(body)), nil
}

func post(t testing.TB, client *http.Client, url string) {
	t.Helper()
	resp, err := client.Post(url, "text/plain", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode >= 300 {
		t.Fatalf("POST %s: %s", url, resp.Status)
	}
}
