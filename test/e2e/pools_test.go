package e2e

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/agent/instancetest"
)

// patient is a member whose check is answered as a test wants.
type patient struct {
	name   string
	status atomic.Int32
	checks atomic.Int32
}

func (p *patient) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/check" {
		fmt.Fprint(w, p.name)
		return
	}
	p.checks.Add(1)
	if r.Method != http.MethodPut || r.Host != "check.example" || r.Proto != "HTTP/1.1" || r.URL.RawQuery != "a=b" {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	w.WriteHeader(int(p.status.Load()))
}

func newPatient(name string, status int) *patient {
	p := &patient{name: name}
	p.status.Store(int32(status))
	return p
}

// statuses of a pool's members, by name.
func (s *stage) statuses(t testing.TB, poolID string) map[string]string {
	t.Helper()
	var answer struct {
		Members []struct {
			Name   string
			Status string `json:"operating_status"`
		}
	}
	s.send(t, "GET", "pools/"+poolID+"/members", nil, &answer)
	all := map[string]string{}
	for _, one := range answer.Members {
		all[one.Name] = one.Status
	}
	return all
}

// judged fails until members have these statuses.
func (s *stage) judged(t testing.TB, poolName string, want ...string) {
	t.Helper()
	id := s.idOf(t, "pools", poolName)
	eventually(t, 30*time.Second, "the members of "+poolName+" are "+strings.Join(want, " "), func() error {
		now := s.statuses(t, id)
		for i := 0; i < len(want); i += 2 {
			if now[want[i]] != want[i+1] {
				return fmt.Errorf("they are %v", now)
			}
		}
		return nil
	})
}

// TestMonitors finds the member that is ill with every kind of monitor, and sends nothing to it.
func TestMonitors(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	_, certificate := instancetest.NewCA(t, "members").Issue("member")
	offers := &tls.Config{Certificates: []tls.Certificate{certificate}}
	well, ill := newPatient("well", 204), newPatient("ill", 503)
	wellPort, illPort := s.web(t, well), s.web(t, ill)
	secure, insecure := s.webTLS(t, offers, well), s.webTLS(t, offers, ill)
	closed, port := s.listen(t)
	closed.Close()
	every := m{"delay": 1, "timeout": 1, "max_retries": 1, "max_retries_down": 1}
	check := func(kind string, more m) m {
		all := m{"type": kind}
		for _, one := range []m{every, more} {
			for k, v := range one {
				all[k] = v
			}
		}
		return m{"healthmonitor": all, "name": kind}
	}
	asks := m{"http_method": "PUT", "url_path": "/check?a=b", "expected_codes": "200-204", "http_version": 1.1, "domain_name": "check.example"}
	two := func(good, bad int) []m { return []m{member(good, m{"name": "good"}), member(bad, m{"name": "bad"})} }
	slow := m{"type": "HTTP", "delay": 1, "timeout": 1, "max_retries": 3, "max_retries_down": 3, "url_path": "/check?a=b", "http_method": "PUT", "expected_codes": "200,204",
		"http_version": 1.1, "domain_name": "check.example"}
	healthy := newPatient("healthy", 200)
	healthyPort := s.web(t, healthy)
	kinds := []string{"HTTP", "TCP", "PING", "HTTPS", "TLS-HELLO"}
	lb, ip := s.balancer(t,
		m{"protocol": "HTTP", "protocol_port": 80, "default_pool": pool(two(wellPort, illPort), check("HTTP", asks))},
		m{"protocol": "HTTP", "protocol_port": 81, "default_pool": pool(two(wellPort, port), check("TCP", nil))},
		m{"protocol": "HTTP", "protocol_port": 82, "default_pool": pool([]m{member(wellPort, m{"name": "good"}),
			member(wellPort, m{"name": "bad", "address": "192.168.21.222"})}, check("PING", nil))},
		m{"protocol": "HTTPS", "protocol_port": 83, "default_pool": pool(two(secure, insecure), m{"protocol": "HTTPS"}, check("HTTPS", asks))},
		m{"protocol": "HTTPS", "protocol_port": 84, "default_pool": pool(two(secure, wellPort), m{"protocol": "HTTPS"}, check("TLS-HELLO", nil))},
		m{"protocol": "HTTP", "protocol_port": 85, "default_pool": pool([]m{
			member(illPort, m{"name": "good", "monitor_port": wellPort}), member(wellPort, m{"name": "bad", "monitor_address": "192.168.21.222"}),
		}, check("HTTP", asks), m{"name": "elsewhere"})},
		m{"protocol": "HTTP", "protocol_port": 86, "default_pool": pool([]m{member(healthyPort, m{"name": "one"}), member(illPort, m{"name": "spare", "backup": true, "monitor_port": wellPort})},
			m{"name": "slow", "healthmonitor": slow})},
	)
	for i, kind := range kinds {
		s.judged(t, kind, "good", "ONLINE", "bad", "ERROR")
		client, url := fresh(), fmt.Sprintf("http://%s:%d/", ip, 80+i)
		if kind == "HTTPS" || kind == "TLS-HELLO" {
			client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // the member's certificate is nobody's business here
			url = strings.Replace(url, "http", "https", 1)
		}
		if err := served(client, url, "well"); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	t.Run("monitor_address and monitor_port", func(t *testing.T) {
		s.judged(t, "elsewhere", "good", "ONLINE", "bad", "ERROR")
		if err := served(fresh(), "http://"+ip+":85/", "ill"); err != nil {
			t.Error(err)
		}
	})
	t.Run("max_retries, max_retries_down and backup", func(t *testing.T) {
		s.judged(t, "slow", "one", "ONLINE", "spare", "ONLINE")
		if err := served(fresh(), "http://"+ip+":86/", "healthy"); err != nil {
			t.Error(err)
		}
		turn := func(status int, shown, serves string) {
			before := healthy.checks.Load()
			healthy.status.Store(int32(status))
			s.judged(t, "slow", "one", shown)
			if n := healthy.checks.Load() - before; n < 3 || n > 6 {
				t.Errorf("%s after %d checks, not after 3", shown, n)
			}
			eventually(t, 5*time.Second, serves+" serves", func() error { return served(fresh(), "http://"+ip+":86/", serves) })
		}
		turn(500, "ERROR", "ill")
		turn(200, "ONLINE", "healthy")
	})
	t.Run("admin_state_up of a monitor", func(t *testing.T) {
		s.change(t, lb, "healthmonitor", "healthmonitors/"+s.monitorOf(t, "HTTP"), m{"admin_state_up": false})
		s.judged(t, "HTTP", "good", "NO_MONITOR", "bad", "NO_MONITOR")
		eventually(t, 10*time.Second, "who is not checked serves", func() error { return served(fresh(), "http://"+ip+"/", "well", "ill") })
	})
}

func (s *stage) monitorOf(t testing.TB, poolName string) string {
	t.Helper()
	var answer struct {
		Pool struct {
			MonitorID string `json:"healthmonitor_id"`
		}
	}
	s.send(t, "GET", "pools/"+s.idOf(t, "pools", poolName), nil, &answer)
	return answer.Pool.MonitorID
}

// TestPools spreads requests in every way, over members of every state, and tells them who the client is.
func TestPools(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ports := map[string]int{}
	for _, name := range []string{"one", "two", "three"} {
		ports[name] = s.web(t, speaker(name))
	}
	three := func(more ...m) []m {
		all := []m{member(ports["one"], m{"name": "one"}), member(ports["two"], m{"name": "two"}), member(ports["three"], m{"name": "three"})}
		for i := range more {
			for k, v := range more[i] {
				all[i][k] = v
			}
		}
		return all
	}
	tcp, tcpPort := s.listen(t)
	lb, ip := s.balancer(t,
		m{"protocol": "HTTP", "protocol_port": 80, "default_pool": pool(three(m{"weight": 6}, m{"weight": 3}, m{"weight": 1}), m{"name": "weighted"})},
		m{"protocol": "HTTP", "protocol_port": 81, "default_pool": pool(three(), m{"lb_algorithm": "SOURCE_IP"})},
		m{"protocol": "HTTP", "protocol_port": 82, "default_pool": pool(three(), m{"lb_algorithm": "LEAST_CONNECTIONS"})},
		m{"protocol": "HTTP", "protocol_port": 83, "default_pool": pool(three(m{"weight": 0}, m{"admin_state_up": false}))},
		m{"protocol": "TCP", "protocol_port": 84, "default_pool": pool([]m{member(tcpPort)}, m{"protocol": "TCP"})},
		m{"protocol": "TCP", "protocol_port": 85, "default_pool": pool([]m{member(tcpPort)}, m{"protocol": "PROXY"})},
		m{"protocol": "HTTP", "protocol_port": 86, "default_pool": pool([]m{member(tcpPort)}, m{"protocol": "PROXYV2"})},
		m{"protocol": "TCP", "protocol_port": 87, "default_pool": pool([]m{member(tcpPort)}, m{"protocol": "TCP"}), "timeout_client_data": 500, "timeout_member_data": 500},
	)
	at := func(port int) string { return fmt.Sprintf("http://%s:%d/", ip, port) }
	counted := func(port int) map[string]int {
		seen := map[string]int{}
		for range 60 {
			name, err := get(fresh(), at(port))
			if err != nil {
				t.Fatal(err)
			}
			seen[name]++
		}
		return seen
	}
	t.Run("weights", func(t *testing.T) {
		if seen := counted(80); seen["one"] < 34 || seen["one"] > 38 || seen["three"] < 5 || seen["three"] > 7 {
			t.Errorf("of 60 requests with the weights 6, 3 and 1: %v", seen)
		}
		pool := "pools/" + s.idOf(t, "pools", "weighted")
		s.send(t, "PUT", pool+"/members", m{"members": three(m{"weight": 1}, m{"weight": 1})[:2]}, nil)
		s.inForce(t, lb.ID)
		eventually(t, 10*time.Second, "a member that is left out of a batch is gone", func() error { return served(fresh(), at(80), "one", "two") })
	})
	t.Run("SOURCE_IP", func(t *testing.T) {
		if seen := counted(81); len(seen) != 1 {
			t.Errorf("one client was served by %v", seen)
		}
	})
	t.Run("LEAST_CONNECTIONS", func(t *testing.T) {
		asked := map[string]int{}
		for range 2 { // each keeps its member busy
			c, err := net.Dial("tcp", ip+":82")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			fmt.Fprint(c, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
			if _, err := c.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
		}
		const requests = 12
		most := 0
		for range requests {
			name, err := get(fresh(), at(82))
			if err != nil {
				t.Fatal(err)
			}
			asked[name]++
			most = max(most, asked[name])
		}
		// One that comes before HAProxy has taken the one ahead off its books finds all three busy.
		if most < requests*3/4 {
			t.Errorf("of three members two are busy, and these were asked: %v", asked)
		}
	})
	t.Run("weight 0 and admin_state_up", func(t *testing.T) {
		if seen := counted(83); seen["three"] != 60 {
			t.Errorf("who is drained or disabled got requests: %v", seen)
		}
	})
	t.Run("TCP", func(t *testing.T) { bothWays(t, ip+":84", tcp) })
	t.Run("PROXY", func(t *testing.T) {
		if got := told(t, ip+":85", "hello\n", tcp, 8); got != "PROXY TC" {
			t.Errorf("the member was told %q", got)
		}
		if got := told(t, ip+":86", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", tcp, 12); got != "\r\n\r\n\x00\r\nQUIT\n" {
			t.Errorf("the member was told %q", got)
		}
	})
	t.Run("timeouts of TCP", func(t *testing.T) {
		c, err := net.Dial("tcp", ip+":87")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		began := time.Now()
		_ = c.SetDeadline(began.Add(10 * time.Second))
		if _, err := io.ReadAll(c); err != nil && !errors.Is(err, io.EOF) && time.Since(began) > 5*time.Second {
			t.Errorf("an idle connection was left for %v: %v", time.Since(began), err)
		}
	})
}

// bothWays sends something large each way at the same time, and closes one way after the other.
func bothWays(t *testing.T, address string, member net.Listener) {
	payload := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
	done := make(chan error, 1)
	go func() {
		c, err := member.Accept()
		if err != nil {
			done <- err
			return
		}
		defer c.Close()
		sent := make(chan struct{})
		go func() {
			_, _ = c.Write(payload)
			close(sent)
		}()
		got, err := io.ReadAll(c) // until the client says that it has sent all
		if err == nil && !bytes.Equal(got, payload) {
			err = fmt.Errorf("the member got %d bytes", len(got))
		}
		<-sent
		fmt.Fprint(c, "bye")
		done <- err
	}()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	go func() {
		_, _ = c.Write(payload)
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, append(bytes.Clone(payload), "bye"...)) {
		t.Errorf("the client got %d bytes, %v", len(got), err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// told sends something and answers how what the member gets begins.
func told(t *testing.T, address, text string, member net.Listener, n int) string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	got, err := member.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	_ = got.SetDeadline(time.Now().Add(5 * time.Second))
	begin := make([]byte, n)
	_, _ = io.ReadFull(bufio.NewReader(got), begin)
	return string(begin)
}
