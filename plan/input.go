package plan

import (
	"cmp"
	"time"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/lb"
)

// Input is all that Next knows. Whoever carries the steps out keeps it up to date: rows and Seen with what a step found,
// Done and Held with how it ended.
type Input struct {
	Tree *lb.Tree
	// CloudGeneration is the newest generation for which the cloud's objects were right.
	CloudGeneration int64
	Amphorae        []Amphora // oldest first
	Settings        Settings
	// Pretend tells that nothing serves the load balancer, and that it counts as in force all the same: the data plane of
	// users who develop against the API.
	Pretend bool
	// Outside tells that a program outside of the service serves it, and says by itself what is in force.
	Outside bool
	// Awaited is since when that program has been silent about what is wanted.
	Awaited time.Time

	Now time.Time
	// Watching is since when reports are taken in without a gap, as far as this process knows: silence before it proves
	// nothing about an amphora.
	Watching time.Time
	// Since is when this process first saw the tree's generation.
	Since time.Time
	// Applied is when this process first saw every amphora at the tree's generation; zero while one is not.
	Applied time.Time
	// Settled is the Digest for which all steps were done last, if nobody else had the load balancer's lease since then;
	// what it covers is not looked at again. Empty when that is not known.
	Settled string

	Seen Seen
	// Done are the steps, by their String, that need not be done again in this run; Held those that could not be done.
	Done, Held map[string]bool
}

// Amphora is a row of an amphora.
type Amphora struct {
	ID         string
	Role       string // Standalone, Master or Backup
	Attempt    int    // how many before it, in a row, did not last
	ComputeID  string
	VRRPPortID string
	MgmtPortID string
	Priority   int // of VRRP
	Interfaces []Interface
	Created    time.Time
	Started    time.Time // when its instance was asked for; zero before
	Reported   time.Time // when it reported last; zero if never
	Applied    int64
	Failure    string // why it could not apply FailedGeneration
	FailedGen  int64
	Deleting   bool
	// Replacing tells that an operator wants another one in its place.
	Replacing bool
	// Program is the agent that it is to run; nil for the one that it does.
	Program *agentapi.Program
	// Drained tells of one that is being deleted that it has let its clients go; Retired is since when it is.
	Drained bool
	Retired time.Time
}

// Interface is a port of an amphora and what its agent is told of it.
type Interface struct {
	agentapi.Interface
	PortID    string   `json:"port_id"`
	NetworkID string   `json:"network_id"`
	SubnetIDs []string `json:"subnet_ids"`
	// Attached tells that the instance has it. Before that only NetworkID is sure, which is stored first, so that the port
	// is found by its name whatever happens next.
	Attached bool `json:"attached"`
}

// The roles of amphorae.
const (
	Standalone = "STANDALONE"
	Master     = "MASTER"
	Backup     = "BACKUP"
)

// Seen is what was found in the cloud, and in the fleet, in this run.
type Seen struct {
	Subnets       map[string]Subnet // by id
	GroupID       string            // of the load balancer's security group
	ServerGroupID string
	Servers       map[string]Server // by amphora
	Fleet         *Fleet
}

// Fleet counts the amphorae of all load balancers that have ever reported.
type Fleet struct {
	Total, Silent int
}

// Settings are the operator's choices.
type Settings struct {
	// ManagementNetwork is where agents reach the controllers; ManagementGroups are the security groups of their ports.
	ManagementNetwork string
	ManagementGroups  []string
	Image             Image
	FlavorID          string
	KeyName           string
	AvailabilityZone  string
	// Volume is what amphorae boot from, unless it has no size.
	Volume Volume
	// AntiAffinity is the policy of a server group for each active-standby pair; empty for none.
	AntiAffinity string

	// DeadAfter is how long an amphora may be silent.
	DeadAfter time.Duration
	// BootTimeout is how long an instance may take until its agent's first report.
	BootTimeout time.Duration
	// ApplyTimeout is how long a reporting agent may take to apply a generation.
	ApplyTimeout time.Duration
	// Drain is how long an agent may still answer requests over an interface that it was told to let go of.
	Drain time.Duration
	// StableAfter is how old an amphora must get for its end not to count as a failed attempt.
	StableAfter time.Duration
	// Silent amphorae are taken for a broken network rather than dead ones when they are at least SilentMin and more than
	// SilentShare (0 to 1) of all.
	SilentMin   int
	SilentShare float64
	// PretendDelay is how long a generation takes to be in force where nothing serves it.
	PretendDelay time.Duration
	// ProviderTimeout is how long a program outside of the service may be silent about what is wanted.
	ProviderTimeout time.Duration
	// VRRPInterval is the time between a master's advertisements.
	VRRPInterval time.Duration
	// Logging is what agents are told about logs; nil for none. A change is seen by an amphora with the next generation.
	Logging *agentapi.Logging
}

// Choices are what the flavor and the availability zone of a load balancer say about its amphorae, in the words of their
// profiles (octavia/api/drivers/amphora_driver/flavor_schema.py and availability_zone_schema.py).
type Choices struct {
	FlavorID          string `json:"compute_flavor"`
	ImageTag          string `json:"amp_image_tag"`
	AvailabilityZone  string `json:"compute_zone"`
	ManagementNetwork string `json:"management_network"`
}

// For are the settings for a load balancer with these choices: what it does not choose stays.
func (s Settings) For(c Choices) Settings {
	s.FlavorID = cmp.Or(c.FlavorID, s.FlavorID)
	s.Image.Tag = cmp.Or(c.ImageTag, s.Image.Tag)
	s.AvailabilityZone = cmp.Or(c.AvailabilityZone, s.AvailabilityZone)
	s.ManagementNetwork = cmp.Or(c.ManagementNetwork, s.ManagementNetwork)
	return s
}

// WithDefaults fills in what is zero.
func (s Settings) WithDefaults() Settings {
	for _, d := range []struct {
		value    *time.Duration
		standard time.Duration
	}{
		{&s.DeadAfter, time.Minute}, {&s.BootTimeout, 5 * time.Minute}, {&s.ApplyTimeout, 2 * time.Minute}, {&s.Drain, 5 * time.Second},
		{&s.StableAfter, time.Hour}, {&s.VRRPInterval, time.Second}, {&s.ProviderTimeout, 15 * time.Minute},
	} {
		if *d.value <= 0 {
			*d.value = d.standard
		}
	}
	if s.SilentMin <= 0 {
		s.SilentMin = 3
	}
	if s.SilentShare <= 0 {
		s.SilentShare = 0.2
	}
	return s
}
