// Package relay passes a load balancer's logs on: to syslog servers that are reached from the management side, where HAProxy
// is not, and to files.
package relay

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/octavo-lb/octavo/agentapi"
)

// Severity is how much a line matters (RFC 5424, 6.2.1).
type Severity int

const (
	Error   Severity = 3
	Warning Severity = 4
	Notice  Severity = 5
	Info    Severity = 6
)

const (
	// local0 is the number of the first of the facilities that are free for use.
	local0 = 16
	// queued is how many lines wait for a target that is slow, unless the state says. Those that come on top of it are lost:
	// logs must never slow traffic down.
	queued = 10_000
	// ending is how long lines that wait may take to be sent when they are to go elsewhere from now on.
	ending = 5 * time.Second
)

// Relay takes in lines. Its methods may be used concurrently.
type Relay struct {
	dir      string
	hostname string
	clock    func() time.Time
	logger   *slog.Logger

	mu     sync.Mutex
	wanted agentapi.Logging
	flow   []*output
	admin  []*output
	kernel bool
}

// New relays nothing until it is told to. Files are in the directory; the logger's lines must not come back to the relay.
func New(dir, hostname string, clock func() time.Time, logger *slog.Logger) *Relay {
	return &Relay{dir: dir, hostname: hostname, clock: clock, logger: logger}
}

// Want says what is to be logged and where to; nil is nothing.
func (r *Relay) Want(l *agentapi.Logging) error {
	if l == nil {
		l = &agentapi.Logging{}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if reflect.DeepEqual(*l, r.wanted) {
		return nil
	}
	for _, log := range []*agentapi.Log{l.Flow, l.Admin} {
		if err := valid(log); err != nil {
			return err
		}
	}
	r.stop()
	r.wanted = *l
	r.flow, r.admin = r.outputs(l, l.Flow, "flow.log"), r.outputs(l, l.Admin, "admin.log")
	r.kernel = l.Admin != nil && l.Admin.Kernel
	return nil
}

func valid(log *agentapi.Log) error {
	if log == nil {
		return nil
	}
	for _, t := range log.Targets {
		_, port, err := net.SplitHostPort(t)
		if err == nil {
			_, err = strconv.ParseUint(port, 10, 16)
		}
		if err != nil {
			return fmt.Errorf("logging: %q is not HOST:PORT", t)
		}
	}
	return nil
}

func (r *Relay) outputs(l *agentapi.Logging, log *agentapi.Log, file string) (all []*output) {
	if log == nil {
		return nil
	}
	add := func(run func(context.Context, <-chan line)) {
		ctx, cancel := context.WithCancel(context.Background())
		o := &output{lines: make(chan line, cmp.Or(l.Queue, queued)), cancel: cancel, done: make(chan struct{})}
		go func() {
			defer close(o.done)
			defer cancel()
			run(ctx, o.lines)
		}()
		all = append(all, o)
	}
	if len(log.Targets) > 0 {
		add(newSender(l, log, r.hostname, r.logger).run)
	}
	if log.Local {
		add((&logFile{dir: r.dir, name: file, logger: r.logger}).run)
	}
	return all
}

// Stop ends relaying. What waits is still sent if that can be done at once.
func (r *Relay) Stop() {
	r.mu.Lock()
	outputs := append(r.flow, r.admin...)
	r.stop()
	r.mu.Unlock()
	timeout := time.After(time.Second)
	for _, o := range outputs {
		select {
		case <-o.done:
		case <-timeout:
			return
		}
	}
}

func (r *Relay) stop() {
	for _, o := range append(r.flow, r.admin...) {
		close(o.lines)
		time.AfterFunc(ending, o.cancel)
	}
	r.flow, r.admin, r.wanted, r.kernel = nil, nil, agentapi.Logging{}, false
}

// Flow takes in HAProxy's line about a request or connection. It never waits.
func (r *Relay) Flow(text string) {
	r.take(&r.flow, line{program: "haproxy", severity: Info, text: text})
}

// Admin takes in a program's line about what happened. It never waits.
func (r *Relay) Admin(program string, s Severity, text string) {
	r.take(&r.admin, line{program: program, severity: s, text: text})
}

func (r *Relay) take(outputs *[]*output, l line) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(*outputs) == 0 {
		return
	}
	l.at, l.text = r.clock(), strings.TrimRight(l.text, "\r\n\x00")
	for _, o := range *outputs {
		select {
		case o.lines <- l:
		default:
		}
	}
}

// Listen takes in the flow lines that HAProxy writes to a socket, until the context ends.
func (r *Relay) Listen(ctx context.Context, path string) error {
	if err := os.RemoveAll(path); err != nil {
		return fmt.Errorf("listening for logs: %w", err)
	}
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err == nil {
		err = os.Chmod(path, 0o666) // HAProxy runs as another user
	}
	if err != nil {
		return fmt.Errorf("listening for logs: %w", err)
	}
	defer context.AfterFunc(ctx, func() { c.Close() })()
	buffer := make([]byte, 64<<10)
	for {
		n, err := c.Read(buffer)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("listening for logs: %w", err)
		}
		r.Flow(string(buffer[:n]))
	}
}

type line struct {
	facility int // the kernel's own lines keep theirs; 0 stands for that of the log
	severity Severity
	program  string
	at       time.Time
	text     string
}

// output is one place that lines go to.
type output struct {
	lines  chan line
	cancel context.CancelFunc // ends it though lines wait
	done   chan struct{}
}
