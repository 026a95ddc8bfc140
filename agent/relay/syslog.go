package relay

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/octavo-lb/octavo/agentapi"
)

const (
	dialTimeout  = 5 * time.Second
	writeTimeout = 5 * time.Second
)

// sender sends lines to the first of its targets that can be reached. While none can, lines are lost.
type sender struct {
	facility int
	hostname string
	targets  []*target
}

func newSender(l *agentapi.Logging, log *agentapi.Log, hostname string, logger *slog.Logger) *sender {
	network := "udp"
	if l.Protocol == "TCP" {
		network = "tcp"
	}
	s := &sender{facility: local0 + log.Facility, hostname: hostname}
	for _, address := range log.Targets {
		s.targets = append(s.targets, &target{network: network, address: address, retries: l.Retries, interval: l.Interval, logger: logger})
	}
	return s
}

func (s *sender) run(ctx context.Context, lines <-chan line) {
	for l := range lines {
		text := s.format(l)
		for _, t := range s.targets {
			if t.send(ctx, text) {
				break
			}
		}
	}
	for _, t := range s.targets {
		t.close()
	}
}

// format is RFC 5424's. Octavia's amphorae have that host name, too.
func (s *sender) format(l line) string {
	facility := l.facility
	if l.program != "kernel" {
		facility = s.facility
	}
	return fmt.Sprintf("<%d>1 %s amphora-%s %s - - - %s", facility*8+int(l.severity),
		l.at.UTC().Format("2006-01-02T15:04:05.000000Z"), s.hostname, l.program, l.text)
}

// target is one syslog server.
type target struct {
	network, address string
	retries          int
	interval         time.Duration
	logger           *slog.Logger

	conn    net.Conn
	lost    chan struct{} // closed when the server has closed the connection
	resting time.Time     // it failed and is left alone until then
	failed  bool          // and has not been reached since
}

// send tells false if the line has to go elsewhere.
func (t *target) send(ctx context.Context, text string) bool {
	if t.network == "tcp" {
		// A line feed is what ends a message (RFC 6587, 3.4.2).
		text = strings.ReplaceAll(text, "\n", " ") + "\n"
	}
	if time.Now().Before(t.resting) {
		return false
	}
	retries := t.retries
	if t.failed {
		retries = 0 // lines have waited for it once
	}
	for ; ; retries-- {
		err := t.try(text)
		if err == nil {
			t.failed = false
			return true
		}
		if !t.failed {
			t.logger.Warn("a target of logs cannot be reached", "target", t.address, "err", err)
		}
		t.failed = true
		if retries <= 0 || !sleep(ctx, t.interval) {
			break
		}
	}
	t.resting = time.Now().Add(t.interval)
	return false
}

func (t *target) try(text string) error {
	select {
	case <-t.lost:
		t.close()
	default:
	}
	if t.conn == nil {
		if err := t.dial(); err != nil {
			return err
		}
	}
	_ = t.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := io.WriteString(t.conn, text); err != nil {
		t.close()
		return err
	}
	return nil
}

func (t *target) dial() error {
	c, err := net.DialTimeout(t.network, t.address, dialTimeout)
	if err != nil {
		return err
	}
	lost := make(chan struct{})
	t.conn, t.lost = c, lost
	if t.network == "tcp" {
		// A server says nothing but that it ends: then writing would succeed once more, for nobody.
		go func() {
			_, _ = io.Copy(io.Discard, c)
			close(lost)
		}()
	}
	return nil
}

func (t *target) close() {
	if t.conn != nil {
		t.conn.Close()
	}
	t.conn, t.lost = nil, nil
}

// sleep tells false when the context has ended instead.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
