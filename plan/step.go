package plan

import (
	"fmt"
	"strings"
	"time"
)

// Step is one thing to do. Doing it twice does no harm. String says what it is in words for the log, and is the same for
// the same step: Input's Done and Held are keyed by it.
type Step interface{ fmt.Stringer }

// ReadSubnet puts a subnet into Seen, with Missing set if there is none.
type ReadSubnet struct{ ID string }

// EnsureVIP makes the port that holds the VIPs and stores its addresses and ids in the load balancer. A port that the user
// brought is looked at and not changed.
type EnsureVIP struct {
	Port  Port
	Owned bool
}

// EnsureGroup makes the security group, with exactly these rules, and puts its id into Seen.
type EnsureGroup struct{ Group SecurityGroup }

// EnsureServerGroup makes the server group and puts its id into Seen.
type EnsureServerGroup struct{ Name, Policy string }

// AddAmphora stores a new amphora. Nothing is made in the cloud by it.
type AddAmphora struct {
	Role     string
	Attempt  int
	Priority int
	Why      string
}

// EnsurePort makes a port that an amphora's instance boots with, and stores its id and, if it carries the VIP, the
// interface.
type EnsurePort struct {
	Amphora string
	VIP     bool
	Port    Port
}

// EnsureServer makes the instance, after storing the hash of the token that it enrols with, and stores its id.
type EnsureServer struct {
	Amphora string
	Server  Server
}

// ShowServer puts an instance into Seen.
type ShowServer struct{ Amphora, ID string }

// Plug gives the instance a port in a network that members are in, and stores the interface. What is known of the port's
// network is stored before the port is made.
type Plug struct {
	Amphora   string
	ComputeID string
	Port      Port
}

// Unplug takes that port away again.
type Unplug struct {
	Amphora   string
	ComputeID string
	Port      Port
}

// Retire marks an amphora as being deleted.
type Retire struct{ Amphora, Why string }

// Fence takes an amphora that is being deleted off the VIP's network, whatever state its instance is in.
type Fence struct {
	Amphora string
	Port    Port
}

// DeleteServer deletes an amphora's instance, and puts into Seen what is left of it.
type DeleteServer struct {
	Amphora string
	Server  Server
}

// DeletePorts deletes what ports are left of an amphora.
type DeletePorts struct {
	Amphora string
	Ports   []Port
}

// ForgetAmphora drops the row of an amphora of which nothing is left.
type ForgetAmphora struct{ Amphora string }

// ReleaseVIP deletes the VIP port of a load balancer that its user deleted. A port that the user brought stays.
type ReleaseVIP struct {
	Port  Port
	Owned bool
}

// DeleteGroup deletes the security group.
type DeleteGroup struct{ Name string }

// DeleteServerGroup deletes the server group.
type DeleteServerGroup struct{ Name string }

// ForgetLoadBalancer drops all rows of a load balancer of which nothing is left.
type ForgetLoadBalancer struct{}

// SetInForce stores that the cloud's objects are right for a generation, and that nothing is wrong.
type SetInForce struct{ Generation int64 }

// Settle tells that all was found right: the worker remembers it as Input.Settled for its next run.
type Settle struct{ Digest string }

// CountFleet puts the fleet's state into Seen.
type CountFleet struct{}

// Wait asks for another look at some time.
type Wait struct {
	Until time.Time
	For   string
}

// Forsake gives up waiting for a provider outside of the process to end what it called pending.
type Forsake struct{}

// Report tells of something that keeps the load balancer from being in force and that no step can change.
type Report struct {
	Reason string
	// User tells that the user must change something, or that the operator must: trying again soon is of no use.
	User bool
}

func (s Forsake) String() string            { return "forsake the provider's pending words" }
func (s ReadSubnet) String() string         { return "read subnet " + s.ID }
func (s EnsureGroup) String() string        { return "ensure security group " + s.Group.Name }
func (s EnsureServerGroup) String() string  { return "ensure server group " + s.Name }
func (s AddAmphora) String() string         { return "add an amphora as " + s.Role + ": " + s.Why }
func (s EnsureServer) String() string       { return "ensure server " + s.Server.Name }
func (s ShowServer) String() string         { return "show the server of amphora " + s.Amphora }
func (s Retire) String() string             { return "retire amphora " + s.Amphora + ": " + s.Why }
func (s Fence) String() string              { return "fence amphora " + s.Amphora }
func (s DeleteServer) String() string       { return "delete server " + s.Server.Name }
func (s DeletePorts) String() string        { return "delete the ports of amphora " + s.Amphora }
func (s ForgetAmphora) String() string      { return "forget amphora " + s.Amphora }
func (s ReleaseVIP) String() string         { return "release port " + s.Port.Name }
func (s DeleteGroup) String() string        { return "delete security group " + s.Name }
func (s DeleteServerGroup) String() string  { return "delete server group " + s.Name }
func (s ForgetLoadBalancer) String() string { return "forget the load balancer" }
func (s SetInForce) String() string         { return fmt.Sprint("set generation ", s.Generation, " in force") }
func (s Settle) String() string             { return "settle" }
func (s CountFleet) String() string         { return "count the fleet" }
func (s Wait) String() string               { return "wait for " + s.For }
func (s Report) String() string             { return "report: " + s.Reason }

// EnsureVIP and EnsurePort may be due twice in a run, with more known of the port the second time.
func (s EnsureVIP) String() string  { return "ensure port " + describe(s.Port) }
func (s EnsurePort) String() string { return "ensure port " + describe(s.Port) }
func (s Plug) String() string       { return "plug port " + describe(s.Port) + " into amphora " + s.Amphora }
func (s Unplug) String() string     { return "unplug port " + s.Port.Name + " from amphora " + s.Amphora }

func describe(p Port) string {
	var b strings.Builder
	b.WriteString(p.Name)
	for _, f := range p.FixedIPs {
		b.WriteString(" subnet " + f.SubnetID)
	}
	if p.SecurityGroups != nil {
		b.WriteString(" groups " + strings.Join(p.SecurityGroups, ","))
	}
	return b.String()
}
