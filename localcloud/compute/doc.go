// Package compute is localcloud's Nova: servers, flavors, key pairs and server groups, as far as the ordinary clients and
// the controller use them. A server is an instance (package instance) in a network namespace; its record says what it
// shall be, and Start makes every server so that is not, whatever ended the process before.
package compute

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/octavo-lb/octavo/localcloud/fabric"
	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/state"
)

// Network is what compute asks of the network service. An *httpx.Error is the caller's fault.
type Network interface {
	// AttachPort gives the server the port want.PortID, or a port on want.NetworkID: one that was made for the server
	// before and is not among taken, or else a new one.
	AttachPort(who httpx.Caller, serverID string, want PortRequest, taken []string) (Port, error)
	// ReleasePort takes from the server a port that was there before it. Unknown ports are no error.
	ReleasePort(serverID, portID string) error
	// RemovePort deletes a port that AttachPort made. Unknown ports are no error.
	RemovePort(portID string) error
	// Port answers a port as it is now; state.ErrNotFound.
	Port(portID string) (Port, error)
	// Networks are the ids of those that the caller's server could be on when it names none.
	Networks(who httpx.Caller) []string
	// Plug wires the port to a link of that name in the namespace, which is down then. It may be repeated.
	Plug(portID string, ns *fabric.Namespace, link string) error
	Unplug(portID string) error
	// Settle waits until what a plugged port, whose link is up, sends and gets is forwarded.
	Settle(portID string) error
}

// PortRequest is one wish of a server's "networks".
type PortRequest struct {
	NetworkID string
	PortID    string
	FixedIP   string
	// SecurityGroups are names or ids; none means the project's default group. Ports that exist keep theirs.
	SecurityGroups []string
}

// Port is what a server needs to know of its port.
type Port struct {
	ID, NetworkID, NetworkName, MAC string
	MTU                             int
	Addresses                       []Address
	Floating                        []netip.Addr // floating IPs that lead to it
	SecurityGroups                  []string     // names
}

// Address is a fixed IP with its subnet's length, gateway and routes.
type Address struct {
	SubnetID string
	Prefix   netip.Prefix
	Gateway  netip.Addr // invalid when there is none
	Routes   []Route
}

// Route is a host route of a subnet.
type Route struct {
	Destination netip.Prefix
	NextHop     netip.Addr
}

// Images is what compute asks of the image service.
type Images interface {
	// Image answers the image if the caller may use it; an *httpx.Error otherwise.
	Image(who httpx.Caller, id string) (Image, error)
}

// Image is what compute needs to know of an image.
type Image struct {
	ID, Name string
	Program  string // which of Options.Programs it runs
}

// Options are what New needs.
type Options struct {
	State   *state.Store
	Tokens  httpx.Authenticator
	Network Network
	Images  Images
	Dir     string // where the instances' directories are
	Hide    []string
	Tag     string
	// Programs are the command lines that images run, by name.
	Programs map[string][]string
	Clock    func() time.Time // nil: time.Now
	Logger   *slog.Logger
}

// Service answers the API and keeps the servers as they shall be.
type Service struct {
	Options
	ctx    context.Context // of everything that is done for servers
	locks  locks
	builds chan struct{} // as many as may be built at the same time
	work   sync.WaitGroup
}

// New makes the service, which does nothing until Start.
func New(o Options) *Service {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return &Service{Options: o, ctx: context.Background(), locks: newLocks(), builds: make(chan struct{}, 8)}
}
