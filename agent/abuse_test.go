package agent_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"

	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// byHand is what a HAProxy does by itself with what strangers send: nothing is said but where to listen and what to wait for.
const byHand = `
defaults
    mode http
    timeout client 2s
    timeout server 2s
    timeout connect 5s
frontend fe
    bind 10.0.0.100:81
    default_backend be
backend be
    server m1 10.0.0.13:8002
`

const ours = header + `
listeners: [{id: l1, protocol: HTTP, protocol_port: 80, default_pool_id: p1, timeout_client_data: 2000, timeout_member_data: 2000}]
pools: [{id: p1, protocol: HTTP, lb_algorithm: ROUND_ROBIN}]
members: [{id: m1, pool_id: p1, address: 10.0.0.13, protocol_port: 8001}]
`

// recorder is a member that keeps what reaches it, one connection for each request.
type recorder struct {
	mu  sync.Mutex
	got []string
}

func record(t *testing.T, l net.Listener) *recorder {
	r := &recorder{}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go r.serve(c)
		}
	}()
	return r
}

func (r *recorder) serve(c net.Conn) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	var seen bytes.Buffer
	request, err := http.ReadRequest(bufio.NewReader(io.TeeReader(c, &seen)))
	if err == nil {
		_, err = io.Copy(io.Discard, request.Body)
	}
	if err == nil {
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, seen.String())
}

// madeUp is what HAProxy makes up for a WebSocket over HTTP/2.
var madeUp = regexp.MustCompile(`(?i)sec-websocket-key: \S+`)

// of is what reached the member of one case; the tag is in every path of it.
func (r *recorder) of(tag string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var mine []string
	for _, one := range r.got {
		if strings.Contains(one, tag) {
			mine = append(mine, madeUp.ReplaceAllString(one, "key: made up"))
		}
	}
	slices.Sort(mine)
	return strings.Join(mine, "\n---\n")
}

// side is one of the two that are compared.
type side struct {
	address string
	member  *recorder
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
}

// outcome is all that a stranger and a member see.
type outcome struct {
	Answer string
	Early  bool // the connection was closed before a timeout would have done it
	Member string
}

func (o outcome) String() string {
	return fmt.Sprintf("%q, closed early: %v, the member got %q", o.Answer, o.Early, o.Member)
}

// duel is our listener and a plain one, side by side.
type duel struct {
	*world
	sides [2]side
}

func newDuel(t *testing.T) *duel {
	w := newWorld(t)
	d := &duel{world: w}
	for i, port := range []int{80, 81} {
		d.sides[i] = side{fmt.Sprintf("10.0.0.100:%d", port), record(t, w.net.Listen(t, fmt.Sprintf("10.0.0.13:%d", 8001+i))), w.net.Dial}
	}
	w.instance.StartAgent(t)
	w.put(t, ours)
	config := filepath.Join(t.TempDir(), "plain.cfg")
	if err := os.WriteFile(config, []byte(byHand), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := w.instance.Command("ip", "netns", "exec", "amphora-haproxy", "haproxy", "-db", "-f", config)
	var said lockedText
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &said, &said, 100*time.Millisecond // HAProxy itself ends with the instance
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("plain HAProxy said: %s", said.String())
		}
	})
	d.bothServe(t)
	return d
}

// bothServe fails unless an ordinary request is answered on either side.
func (d *duel) bothServe(t *testing.T) {
	t.Helper()
	for _, s := range d.sides {
		eventually(t, 10*time.Second, s.address+" serves", func() bool {
			got := s.try("GET /ordinary HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "/ordinary")
			return strings.HasPrefix(got.Answer, "HTTP/1.1 200")
		})
	}
}

// try sends bytes to one side and waits for the end of the connection.
func (s side) try(text, tag string) outcome {
	began := time.Now()
	c, err := s.dial(context.Background(), "tcp", s.address)
	if err != nil {
		return outcome{Answer: err.Error()}
	}
	defer c.Close()
	_ = c.SetDeadline(began.Add(8 * time.Second))
	_, _ = io.WriteString(c, text)
	answer, err := io.ReadAll(c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		answer = append(answer, " and open for 8 s"...)
	}
	early := time.Since(began) < time.Second
	time.Sleep(50 * time.Millisecond) // the member may still be writing down what it got
	return outcome{string(answer), early, s.member.of(tag)}
}

// compare tries all cases on both sides at once. What depends on the order of things in time is tried again before it
// counts.
func (d *duel) compare(t *testing.T, cases []string, try func(s side, i int, tag string) outcome) {
	t.Helper()
	var wg sync.WaitGroup
	for i, name := range cases {
		wg.Go(func() {
			var got [2]outcome
			for attempt := range 3 {
				tag := fmt.Sprintf("/case-%d-%d-%s", i, attempt, strings.Repeat("x", 8))
				var pair sync.WaitGroup
				for j, s := range d.sides {
					pair.Go(func() {
						got[j] = try(s, i, tag)
						got[j].Answer = strings.ReplaceAll(got[j].Answer, tag, "/TAG")
						got[j].Member = strings.ReplaceAll(got[j].Member, tag, "/TAG")
					})
				}
				if pair.Wait(); got[0] == got[1] {
					return
				}
			}
			t.Errorf("%s\n   we: %v\nplain: %v", name, got[0], got[1])
		})
	}
	wg.Wait()
}

type lockedText struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
