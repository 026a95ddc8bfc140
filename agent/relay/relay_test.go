package relay

import (
	"bufio"
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/agentapi"
)

func newRelay(t *testing.T) (*Relay, string, *bytes.Buffer) {
	dir := t.TempDir()
	var said bytes.Buffer
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.FixedZone("", 3600))
	r := New(dir, "a1", func() time.Time { return at }, slog.New(slog.NewTextHandler(&said, nil)))
	t.Cleanup(r.Stop)
	return r, dir, &said
}

// server is a syslog server of TCP, which can be stopped and started again at the same address.
type server struct {
	listener net.Listener
	conns    []net.Conn
	lines    chan string
}

func startServer(t *testing.T, address string) *server {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{listener: l, lines: make(chan string, 100)}
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.conns = append(s.conns, c)
			go func() {
				for lines := bufio.NewScanner(c); lines.Scan(); {
					s.lines <- lines.Text()
				}
			}()
		}
	}()
	t.Cleanup(func() { l.Close(); <-accepted; s.hangUp() })
	return s
}

func (s *server) hangUp() {
	for _, c := range s.conns {
		c.Close()
	}
}

func (s *server) stop() { s.listener.Close(); s.hangUp() }

// await sends lines until one arrives: those that are sent while nobody has noticed yet that a server is gone may be lost.
func (s *server) await(t *testing.T, r *Relay, text string) string {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		r.Flow(text)
		select {
		case line := <-s.lines:
			return line
		case <-time.After(20 * time.Millisecond):
		}
	}
	t.Fatalf("%q did not arrive", text)
	return ""
}

func TestTheNextTargetTakesOver(t *testing.T) {
	first, second := startServer(t, "127.0.0.1:0"), startServer(t, "127.0.0.1:0")
	r, _, _ := newRelay(t)
	address := first.listener.Addr().String()
	err := r.Want(&agentapi.Logging{Protocol: "TCP", Interval: 100 * time.Millisecond,
		Flow: &agentapi.Log{Targets: []string{address, second.listener.Addr().String()}, Facility: 2}})
	if err != nil {
		t.Fatal(err)
	}
	want := "<150>1 2026-01-02T02:04:05.000006Z amphora-a1 haproxy - - - one"
	if got := first.await(t, r, "one\n"); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	first.stop()
	second.await(t, r, "two")
	again := startServer(t, address)
	again.await(t, r, "three")
}

func TestLinesWaitForTheOnlyTarget(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	r, _, said := newRelay(t)
	logging := &agentapi.Logging{Protocol: "TCP", Interval: 50 * time.Millisecond, Retries: 1000, Queue: 2, Flow: &agentapi.Log{Targets: []string{address}}}
	if err := r.Want(logging); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		r.Flow(fmt.Sprint("line ", i))
		time.Sleep(5 * time.Millisecond)
	}
	s := startServer(t, address)
	for i := range 3 { // one that is being sent and two that wait
		if got, want := <-s.lines, fmt.Sprint("line ", i); !strings.HasSuffix(got, want) {
			t.Errorf("%q instead of %q", got, want)
		}
	}
	r.Flow("later")
	if got := <-s.lines; !strings.HasSuffix(got, "later") {
		t.Errorf("%q, but more than two must not have waited", got)
	}
	if strings.Count(said.String(), "cannot be reached") != 1 {
		t.Errorf("it said:\n%s", said)
	}
}

func TestAdminLogHasTheProgramsOwnMessages(t *testing.T) {
	r, dir, _ := newRelay(t)
	logger := slog.New(r.Handler("octavo-agent")).With("lb", "lb1")
	logger.Warn("nobody hears this")
	if err := r.Want(&agentapi.Logging{Admin: &agentapi.Log{Local: true, Kernel: true}}); err != nil {
		t.Fatal(err)
	}
	logger.Debug("too much")
	logger.Error("it failed", "err", "a\nb")
	r.Admin("haproxy", Notice, "server down\n")
	if l, ok := parseKernel("30,1234,5678,-;system says\n SUBSYSTEM=x\n"); ok {
		r.fromKernel(l)
	}
	r.Flow("a request")
	r.Stop()
	got, err := os.ReadFile(filepath.Join(dir, "admin.log"))
	const at = "2026-01-02T02:04:05Z "
	want := at + "octavo-agent: msg=\"it failed\" lb=lb1 err=\"a\\nb\"\n" + at + "haproxy: server down\n" + at + "kernel: system says\n"
	if err != nil || string(got) != want {
		t.Errorf("%v:\n%swant\n%s", err, got, want)
	}
	if _, err := os.Stat(filepath.Join(dir, "flow.log")); err == nil {
		t.Error("requests were logged, too")
	}
}

func TestFacilityAndSeverityOfTheKernel(t *testing.T) {
	l, ok := parseKernel("30,1234,5678,-;system says\n")
	s := newSender(&agentapi.Logging{}, &agentapi.Log{Facility: 1}, "a1", nil)
	if got := s.format(l); !ok || !strings.HasPrefix(got, "<30>1 ") {
		t.Errorf("%q", got)
	}
	l, _ = parseKernel("4,1234,5678,-;out of memory\n")
	if got := s.format(l); !strings.HasPrefix(got, "<4>1 ") {
		t.Errorf("%q", got)
	}
}

func TestTargetsThatAreNone(t *testing.T) {
	r, _, _ := newRelay(t)
	err := r.Want(&agentapi.Logging{Flow: &agentapi.Log{Targets: []string{"tcp://here"}}})
	if err == nil || !strings.Contains(err.Error(), `"tcp://here" is not HOST:PORT`) {
		t.Error(err)
	}
}
