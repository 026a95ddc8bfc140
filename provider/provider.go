// Package provider lets programs outside of the process be providers, as Octavia's driver agent does: over three Unix
// sockets, with octavia-lib's protocol, they say what statuses the objects have that they serve, count what listeners
// carried, and read what objects are (octavia/api/drivers/driver_agent in Octavia).
//
// They cannot be called: what there is to do they learn from the API's stream of events.
package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/octavo-lb/octavo/store"
)

// Config is what the sockets are made of.
type Config struct {
	Store *store.Store
	// Serves tells of which providers' load balancers programs may speak here.
	Serves func(provider string) bool
	// Secrets opens certificates for those who read a listener or pool; nil leaves them out.
	Secrets Secrets
	Logger  *slog.Logger

	Status, Stats, Get Socket
}

// Secrets opens what the store keeps sealed; *keymanager.Safe does.
type Secrets interface {
	Open(sealed []byte, digest string) ([]byte, error)
}

// Socket is where one kind of request arrives, and how long a program may take to send one; 0 is 5 s.
type Socket struct {
	Path    string
	Timeout time.Duration
}

// Server serves the sockets.
type Server struct {
	Config
	doors []*door
}

// Listen opens the sockets, for the process's user and group only. Nothing is answered before Serve. It fails if another
// process answers there.
func Listen(c Config) (*Server, error) {
	s := &Server{Config: c}
	for _, d := range []*door{
		{key: "status_socket_path", socket: c.Status, answer: s.status},
		{key: "stats_socket_path", socket: c.Stats, answer: s.statistics},
		{key: "get_socket_path", socket: c.Get, answer: s.get},
	} {
		if err := d.open(); err != nil {
			s.Close()
			return nil, fmt.Errorf("[driver_agent] %s: %w", d.key, err)
		}
		s.doors = append(s.doors, d)
	}
	return s, nil
}

// Close takes the sockets away, for a server that is not to serve.
func (s *Server) Close() {
	for _, d := range s.doors {
		d.close()
	}
}

// Serve answers until ctx ends; then it finishes what was asked, and takes the sockets away.
func (s *Server) Serve(ctx context.Context) error {
	var g errgroup.Group
	for _, d := range s.doors {
		g.Go(func() error { return d.serve(ctx, s.Logger) })
	}
	return g.Wait()
}

// Codes of answers (octavia_lib/common/constants.py).
const (
	codeOK     = 200
	codeFailed = 500
)

// answer is what the status and statistics sockets say.
type answer struct {
	Code  int    `json:"status_code"`
	Fault string `json:"fault_string,omitempty"`
	// What is at fault: the list that it is in, and its id.
	StatusObject   string `json:"status_object,omitempty"`
	StatusObjectID string `json:"status_object_id,omitempty"`
	StatsObject    string `json:"stats_object,omitempty"`
	StatsObjectID  string `json:"stats_object_id,omitempty"`
}

// fault is a mistake of the program that asks.
type fault struct{ object, id, why string }

func (f *fault) Error() string { return f.why }

// faultOf tells what to answer. What is not the program's mistake is logged, and not shown.
func (s *Server) faultOf(err error) fault {
	if f, ok := errors.AsType[*fault](err); ok {
		return *f
	}
	s.Logger.Warn("cannot take in what a provider says", "err", err)
	return fault{why: "The service cannot take this in now; try again later."}
}

// section is one list of a message.
type section struct {
	name string
	kind store.Kind
}

// sections are in the order in which Octavia takes them in: children before what they belong to.
var sections = []section{
	{"members", store.Member}, {"healthmonitors", store.HealthMonitor}, {"pools", store.Pool}, {"l7rules", store.L7Rule},
	{"l7policies", store.L7Policy}, {"listeners", store.Listener}, {"loadbalancers", store.LoadBalancer},
}

// records reads one list of a message; there may be none.
func records[T any](message map[string]json.RawMessage, name string) ([]T, error) {
	raw, ok := message[name]
	if !ok {
		return nil, nil
	}
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, &fault{object: name, why: name + " must be a list of objects."}
	}
	out := make([]T, len(list))
	for i, r := range list {
		if err := json.Unmarshal(r, &out[i]); err != nil {
			var at struct{ ID string }
			_ = json.Unmarshal(r, &at)
			return nil, &fault{name, at.ID, fmt.Sprintf("An element of %s cannot be read: %v.", name, err)}
		}
	}
	return out, nil
}

func read(request []byte) (map[string]json.RawMessage, error) {
	var message map[string]json.RawMessage
	if json.Unmarshal(request, &message) != nil || message == nil {
		return nil, &fault{why: "The message must be a JSON object."}
	}
	return message, nil
}
