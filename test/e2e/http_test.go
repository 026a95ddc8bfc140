package e2e

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptrace"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// speaker is a member that does what a client asks for by the path.
func speaker(name string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, name) })
	mux.HandleFunc("/login", func(w http.ResponseWriter, _ *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "session", Value: name + "-" + rand.Text()})
		fmt.Fprint(w, name)
	})
	mux.HandleFunc("/headers", func(w http.ResponseWriter, r *http.Request) { _ = r.Header.Write(w) })
	mux.HandleFunc("/digest", func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		n, err := io.Copy(sum, r.Body)
		fmt.Fprintf(w, "%d %x %v", n, sum.Sum(nil), err)
	})
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) {
		for range 64 {
			_, _ = w.Write(make([]byte, 1<<20))
		}
	})
	mux.HandleFunc("/slow", func(w http.ResponseWriter, _ *http.Request) {
		for i := range 5 {
			fmt.Fprint(w, i)
			_ = http.NewResponseController(w).Flush()
			time.Sleep(300 * time.Millisecond)
		}
	})
	mux.HandleFunc("/silent", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(10 * time.Second):
		}
	})
	mux.HandleFunc("/refused", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusRequestEntityTooLarge) })
	mux.HandleFunc("/socket", upgraded)
	return mux
}

// RFC 6455's own example of a key and what a server makes of it.
const (
	offers  = "dGhlIHNhbXBsZSBub25jZQ=="
	accepts = "s3pPLBMiTxaQ9kYGzzhZRbK+xOo="
)

// upgraded says back what comes after the switch of protocols, as a WebSocket's two ends go on without HTTP.
func upgraded(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "websocket" {
		http.Error(w, "no upgrade", http.StatusBadRequest)
		return
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: "+accepts+"\r\n\r\n")
	_, _ = io.Copy(conn, buffered)
}

// TestHTTP speaks to listeners of HTTP as clients do, and tries what listeners and pools can be told.
func TestHTTP(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	one, two := s.web(t, speaker("one")), s.web(t, speaker("two"))
	both := []m{member(one), member(two)}
	persistent := func(port int, attributes m) m {
		return m{"protocol": "HTTP", "protocol_port": port, "default_pool": pool(both, m{"session_persistence": attributes})}
	}
	lb, ip := s.balancer(t,
		m{"name": "plain", "protocol": "HTTP", "protocol_port": 80, "default_pool": pool(both, m{"name": "plain"}),
			"insert_headers": m{"X-Forwarded-For": "true", "X-Forwarded-Port": "true", "X-Forwarded-Proto": "true"}},
		persistent(81, m{"type": "SOURCE_IP"}), persistent(82, m{"type": "HTTP_COOKIE"}), persistent(83, m{"type": "APP_COOKIE", "cookie_name": "session"}),
		m{"protocol": "HTTP", "protocol_port": 84, "default_pool": pool(both), "timeout_client_data": 700, "timeout_member_data": 900, "timeout_member_connect": 500},
		m{"protocol": "HTTP", "protocol_port": 85, "default_pool": pool(both), "connection_limit": 1},
		m{"protocol": "PROMETHEUS", "protocol_port": 8088})
	at := func(port int, path string) string { return fmt.Sprintf("http://%s:%d%s", ip, port, path) }
	client := fresh()

	t.Run("insert_headers", func(t *testing.T) {
		resp, err := client.Get(at(80, "/headers"))
		got := body(t, resp, err)
		for _, want := range []string{"X-Forwarded-Port: 80\r\n", "X-Forwarded-Proto: http\r\n"} {
			if !strings.Contains(got, want) {
				t.Errorf("the member got %q, not %q", got, want)
			}
		}
		if _, after, _ := strings.Cut(got, "X-Forwarded-For: "); net.ParseIP(strings.TrimSpace(strings.Split(after+"\r\n", "\r\n")[0])) == nil {
			t.Errorf("the member got no client's address: %q", got)
		}
	})
	t.Run("persistence", func(t *testing.T) {
		for port, jars := range map[int]bool{81: false, 82: true, 83: true} {
			for range 4 {
				client := fresh()
				if jars {
					client.Jar, _ = cookiejar.New(nil)
				}
				resp, err := client.Get(at(port, "/login"))
				first := body(t, resp, err)
				for range 6 {
					resp, err := client.Get(at(port, "/"))
					if got := body(t, resp, err); got != first {
						t.Errorf("port %d: %s answered a client of %s", port, got, first)
					}
				}
			}
		}
		if err := served(client, at(83, "/"), "one", "two"); err != nil {
			t.Errorf("who has no cookie goes anywhere: %v", err)
		}
	})
	t.Run("keep-alive", func(t *testing.T) { keptAlive(t, at(80, "/")) })
	t.Run("HTTP/1.0", func(t *testing.T) {
		if got := raw(t, ip+":80", "GET / HTTP/1.0\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.0 200") && !strings.HasPrefix(got, "HTTP/1.1 200") {
			t.Errorf("answered %q", got)
		}
	})
	t.Run("pipelining", func(t *testing.T) {
		got := raw(t, ip+":80", strings.Repeat("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 3)+"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		if n := strings.Count(got, "HTTP/1.1 200"); n != 4 {
			t.Errorf("%d of 4 requests were answered: %q", n, got)
		}
	})
	t.Run("bodies", func(t *testing.T) { bodies(t, at(80, "")) })
	t.Run("expect-continue", func(t *testing.T) { expects(t, at(80, "")) })
	t.Run("WebSocket", func(t *testing.T) { socket(t, ip+":80") })
	t.Run("timeouts", func(t *testing.T) {
		began := time.Now()
		resp, err := client.Get(at(84, "/silent"))
		if body(t, resp, err); resp.StatusCode != http.StatusGatewayTimeout || time.Since(began) > 5*time.Second {
			t.Errorf("a member that says nothing: %s after %v", resp.Status, time.Since(began))
		}
		began = time.Now()
		got := raw(t, ip+":84", "GET / HTTP/1.1\r\nHost: a\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 408") || time.Since(began) > 5*time.Second {
			t.Errorf("a client that says no more: %q after %v", got, time.Since(began))
		}
	})
	t.Run("connection_limit", func(t *testing.T) { limited(t, ip+":85") })
	t.Run("PROMETHEUS", func(t *testing.T) {
		resp, err := client.Get(at(8088, "/metrics"))
		if got := body(t, resp, err); !strings.Contains(got, "octavia_listener_") {
			t.Errorf("no metrics of listeners: %.300s", got)
		}
		resp, err = client.Get(at(8088, "/"))
		if body(t, resp, err); resp.StatusCode != http.StatusNotFound {
			t.Errorf("another path is answered %s", resp.Status)
		}
	})
	t.Run("admin_state_up", func(t *testing.T) {
		refused := func() error {
			if _, err := get(fresh(), at(80, "/")); !errors.Is(err, os.ErrDeadlineExceeded) && err != nil && strings.Contains(err.Error(), "refused") {
				return nil
			} else {
				return fmt.Errorf("answered %v", err)
			}
		}
		status := func(want int) func() error {
			return func() error {
				resp, err := fresh().Get(at(80, "/"))
				if err != nil {
					return err
				}
				if resp.Body.Close(); resp.StatusCode != want {
					return errors.New(resp.Status)
				}
				return nil
			}
		}
		for _, c := range []struct {
			kind, path string
			off        func() error
		}{
			{"listener", "listeners/" + s.idOf(t, "listeners", "plain"), refused},
			{"pool", "pools/" + s.idOf(t, "pools", "plain"), status(503)},
			{"loadbalancer", "loadbalancers/" + lb.ID, refused},
		} {
			s.change(t, lb, c.kind, c.path, m{"admin_state_up": false})
			eventually(t, 10*time.Second, "a disabled "+c.kind+" serves nobody", c.off)
			s.change(t, lb, c.kind, c.path, m{"admin_state_up": true})
			eventually(t, 10*time.Second, "an enabled "+c.kind+" serves", status(200))
		}
	})
}

// keptAlive sends many requests over one connection.
func keptAlive(t *testing.T, url string) {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 1}}
	defer client.CloseIdleConnections()
	var dialled atomic.Int32
	trace := &httptrace.ClientTrace{ConnectDone: func(string, string, error) { dialled.Add(1) }}
	for range 50 {
		req, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		body(t, resp, err)
	}
	if n := dialled.Load(); n != 1 {
		t.Errorf("50 requests took %d connections", n)
	}
}

// raw sends bytes and reads until the connection ends.
func raw(t *testing.T, address, text string) string {
	t.Helper()
	c, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the connection was left open after %q", answer)
	}
	return string(answer)
}

// bodies sends and receives large ones, by length and in chunks, and slow ones.
func bodies(t *testing.T, url string) {
	client := fresh()
	client.Timeout = time.Minute
	large := make([]byte, 32<<20)
	_, _ = rand.Read(large)
	want := fmt.Sprintf("%d %x <nil>", len(large), sha256.Sum256(large))
	for name, reader := range map[string]io.Reader{"by length": bytes.NewReader(large), "in chunks": io.MultiReader(bytes.NewReader(large))} {
		resp, err := client.Post(url+"/digest", "application/octet-stream", reader)
		if got := body(t, resp, err); got != want {
			t.Errorf("%s: the member got %s", name, got)
		}
	}
	resp, err := client.Get(url + "/large")
	if got := body(t, resp, err); len(got) != 64<<20 {
		t.Errorf("%d bytes of a large answer", len(got))
	}
	resp, err = client.Get(url + "/slow")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	began, first := time.Now(), make([]byte, 1)
	if _, err := io.ReadFull(resp.Body, first); err != nil || time.Since(began) > time.Second {
		t.Errorf("the first byte of a slow answer came after %v: %v", time.Since(began), err)
	}
	rest, err := io.ReadAll(resp.Body)
	if string(rest) != "1234" {
		t.Errorf("the rest of a slow answer is %q, %v", rest, err)
	}
	reader, writer := io.Pipe()
	go func() {
		for i := range 5 {
			fmt.Fprint(writer, i)
			time.Sleep(200 * time.Millisecond)
		}
		writer.Close()
	}()
	resp, err = client.Post(url+"/digest", "text/plain", reader)
	if got := body(t, resp, err); got != fmt.Sprintf("5 %x <nil>", sha256.Sum256([]byte("01234"))) {
		t.Errorf("of a slow body the member got %s", got)
	}
}

// expects sends its body when it is told to, and not when it is told not to.
func expects(t *testing.T, url string) {
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, ExpectContinueTimeout: 8 * time.Second}}
	for path, want := range map[string]int{"/digest": 200, "/refused": 413} {
		var told atomic.Bool
		trace := &httptrace.ClientTrace{Got100Continue: func() { told.Store(true) }}
		req, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodPost, url+path, strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Expect", "100-continue")
		began := time.Now()
		resp, err := client.Do(req)
		if body(t, resp, err); resp.StatusCode != want || told.Load() != (want == 200) || time.Since(began) > 5*time.Second {
			t.Errorf("%s: %s, told to go on: %v, after %v", path, resp.Status, told.Load(), time.Since(began))
		}
	}
}

// socket switches protocols and then speaks both ways for a while.
func socket(t *testing.T, address string) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprint(c, "GET /socket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "+offers+"\r\n\r\n")
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("answered %v, %v", resp, err)
	}
	for i := range 20 {
		line := fmt.Sprintln("frame", i)
		fmt.Fprint(c, line)
		if got, err := r.ReadString('\n'); got != line {
			t.Fatalf("%q came back as %q, %v", line, got, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// limited holds the one connection that a listener takes; the next is served when it ends.
func limited(t *testing.T, address string) {
	held, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	fmt.Fprint(held, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if _, err := http.ReadResponse(bufio.NewReader(held), nil); err != nil {
		t.Fatal(err)
	}
	impatient := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	if got, err := get(impatient, "http://"+address+"/"); err == nil {
		t.Errorf("a second connection was served by %s", got)
	}
	held.Close()
	eventually(t, 10*time.Second, "the next one is served", func() error {
		_, err := get(impatient, "http://"+address+"/")
		return err
	})
}
