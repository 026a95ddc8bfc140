// Package agentapi is the protocol between a controller and the agent in an amphora: JSON over HTTPS, always dialled by
// the agent. See docs/agent-protocol.md for the calls. Types only: both sides import it, it imports nothing of theirs.
package agentapi

import (
	"net/netip"
	"time"

	"github.com/octavo-lb/octavo/lb"
)

// The calls. All but PathEnroll need a client certificate from the issuing CA whose URI SAN is AmphoraURI(id); the
// amphora is always taken from the certificate, never from the request.
const (
	// PathEnroll takes an EnrollRequest (POST, Authorization: Bearer <one-time token>) and answers a Certificate. No client
	// certificate is needed here and only here: the token is. 403 when it is unknown, used or expired.
	PathEnroll = "/agent/v1/enroll"
	// PathState answers the wanted State (GET ?generation=N&wait=SECONDS): 200 as soon as one newer than N exists, 304
	// after the wait, at most 60 s. 410 tells an amphora that is to be deleted that nothing will follow.
	PathState = "/agent/v1/state"
	// PathReport takes a Report (POST) and answers a ReportAnswer.
	PathReport = "/agent/v1/report"
	// PathRenew takes an EnrollRequest (POST) and answers a Certificate.
	PathRenew = "/agent/v1/certificate"
	// PathDrained takes an empty POST from an amphora that was told to stand down, when its clients' connections have ended.
	PathDrained = "/agent/v1/drained"
	// PathProgram answers the agent program that the wanted state names (GET PathProgram + "/" + digest), as it is.
	PathProgram = "/agent/v1/programs"
	// PathSecret answers one secret that the wanted state refers to (GET PathSecret + "/" + digest), as a SecretBundle.
	PathSecret = "/agent/v1/secrets"
)

// StandDown is a header of the answer 410: another amphora waits to take this one's place, which should end its clients'
// connections in peace, take no new ones, and say when that is done (PathDrained). Its value is how long it may take.
const StandDown = "Octavo-Stand-Down"

// AmphoraURI is the URI SAN that binds a certificate to an amphora.
func AmphoraURI(id string) string { return "spiffe://octavo/amphora/" + id }

// Boot is the file that an instance gets on its config drive (openstack/latest/user_data, JSON): all that the agent
// needs to find its controller and to prove who it is. It holds no long-lived secret.
type Boot struct {
	AmphoraID   string    `json:"amphora_id"`
	Controllers []string  `json:"controllers"` // https://host:port, tried in turn
	ServerName  string    `json:"server_name"` // checked in the controller's certificate
	Token       string    `json:"token"`       // one-time enrolment token
	TokenExpiry time.Time `json:"token_expiry"`
	// ProgramKey is what signatures of agent programs are checked with: an Ed25519 public key in base64. Without it the agent
	// runs no program but that of its image.
	ProgramKey string `json:"program_key,omitempty"`
	// TimeZone is the zone of times in logs of tenants' traffic, as the variable TZ has it by POSIX: amphorae have no list of
	// zones. UTC when empty.
	TimeZone string `json:"time_zone,omitempty"`
	Trust
}

// Times that others must reckon with.
const (
	// ProgramTrial is how long another agent program may take until it has reported to a controller.
	ProgramTrial = 15 * time.Second
	// ReportDelay is how long a report that says nothing new may wait in a controller until it is stored.
	ReportDelay = 5 * time.Second
	// ControllerSearch is how long an agent may take to find another controller when one is gone without a word.
	ControllerSearch = 20 * time.Second
)

// EnrollRequest asks for a certificate for a key that never leaves the instance.
type EnrollRequest struct {
	CSR string `json:"csr"` // PEM
}

// Certificate is what the issuing CA signed, and what the agent trusts from now on.
type Certificate struct {
	Certificate string    `json:"certificate"` // PEM, leaf first
	RenewAfter  time.Time `json:"renew_after"`
	Trust
}

// State is what one amphora shall do. It is complete: what is not in it shall not be there.
type State struct {
	Version    int         `json:"version"` // of this format
	Generation int64       `json:"generation"`
	AmphoraID  string      `json:"amphora_id"`
	LB         string      `json:"loadbalancer_id"`
	ProjectID  string      `json:"project_id"`
	Interfaces []Interface `json:"interfaces"` // in the load balancing namespace; the management interface is not among them
	VIPs       []VIP       `json:"vips"`
	VRRP       *VRRP       `json:"vrrp,omitempty"` // nil for a load balancer of one amphora
	Disabled   bool        `json:"disabled"`       // the load balancer's admin_state_up is false: serve nothing
	// Listeners, Pools and so on are the enabled and disabled objects alike, without those being deleted; the renderers
	// leave out what is disabled. Addresses are canonical.
	Listeners []lb.Listener     `json:"listeners"`
	Pools     []lb.Pool         `json:"pools"`
	Members   []Member          `json:"members"`
	Monitors  []Monitor         `json:"monitors"`
	Policies  []lb.L7Policy     `json:"policies"`
	Rules     []Rule            `json:"rules"`
	Secrets   map[string]Secret `json:"secrets,omitempty"` // key manager reference → which version of it
	Logging   *Logging          `json:"logging,omitempty"`
	Options   map[string]string `json:"options,omitempty"` // tuning by the operator or the flavor
	// Program is the agent that the amphora is to run; nil for the one that it does.
	Program *Program `json:"program,omitempty"`
}

// Member, Monitor and Rule carry the parent that their wire form leaves out.
type Member struct {
	lb.Member
	PoolID string `json:"pool_id"`
}

type Monitor struct {
	lb.HealthMonitor
	PoolID string `json:"pool_id"`
}

type Rule struct {
	lb.L7Rule
	PolicyID string `json:"l7policy_id"`
}

// Interface is found by its MAC, never by name or order. The agent moves it into the load balancing namespace.
type Interface struct {
	MAC       string         `json:"mac"`
	MTU       int            `json:"mtu"`
	Addresses []netip.Prefix `json:"addresses"` // of the instance's own port
	Routes    []Route        `json:"routes"`
	Gateway   []netip.Addr   `json:"gateway"` // at most one of each family; set on the VIP interface only
	VIP       bool           `json:"vip"`     // VIPs live on this interface
}

// Route is a host route of a subnet.
type Route struct {
	Destination netip.Prefix `json:"destination"`
	NextHop     netip.Addr   `json:"nexthop"`
}

// VIP is an address that the load balancer answers on, with its subnet's prefix length.
type VIP struct {
	Address netip.Prefix `json:"address"`
}

// VRRP is the amphora's part in an active-standby pair.
type VRRP struct {
	RouterID int `json:"router_id"` // 1-255
	Priority int `json:"priority"`
	Interval int `json:"interval_ms"`
	// Join is how long to keep quiet after a start, in milliseconds: while the other amphora serves already, it may take a
	// moment until this one hears of that.
	Join      int          `json:"join_ms,omitempty"`
	Address   netip.Addr   `json:"address"`
	Peers     []netip.Addr `json:"peers"`
	PeerNames []string     `json:"peer_names"`
}

// Secret names the version of a secret that is in force; the material is fetched by digest (PathSecret).
type Secret struct {
	Digest string `json:"digest"` // hex SHA-256 of the bundle
	Kind   string `json:"kind"`   // certificate, ca, crl
}

// SecretBundle is the material itself. It is kept in memory-backed storage only.
type SecretBundle struct {
	PEM []byte `json:"pem"`
}

// Logging says where the load balancer's logs go; nil is nowhere.
type Logging struct {
	Flow   *Log   `json:"flow,omitempty"`   // a line for each request or connection
	Admin  *Log   `json:"admin,omitempty"`  // what happened to the load balancer, and what the agent has to say
	Format string `json:"format,omitempty"` // of flow lines, in HAProxy's language; empty for Octavia's
	// How targets are spoken to.
	Protocol string        `json:"protocol,omitempty"` // UDP (also when empty) or TCP
	Retries  int           `json:"retries,omitempty"`  // attempts to reach one that fails, before the next one gets the lines
	Interval time.Duration `json:"interval,omitempty"` // between attempts; for so long one that failed is left alone
	Queue    int           `json:"queue,omitempty"`    // lines that wait at most; 0 for the agent's choice
}

// Log says where the lines of one kind go.
type Log struct {
	Targets  []string `json:"targets,omitempty"` // HOST:PORT of syslog servers; the first that can be reached gets the lines
	Facility int      `json:"facility"`          // LOG_LOCAL0 to 7
	Local    bool     `json:"local,omitempty"`   // keep them in files in the amphora
	Kernel   bool     `json:"kernel,omitempty"`  // the kernel's messages, too
}

// Report is sent at once when Applied, Failure or any status changes, and every ReportAnswer.Interval otherwise.
type Report struct {
	Sequence     int64             `json:"sequence"` // grows by one with each report of one agent process
	Boot         string            `json:"boot"`     // random, new with each agent process
	Time         time.Time         `json:"time"`
	Applied      int64             `json:"applied"` // the generation in force
	Failure      string            `json:"failure"` // why a newer one could not be applied; empty otherwise
	FailedGen    int64             `json:"failed_generation"`
	Version      string            `json:"version"`
	Capabilities []string          `json:"capabilities"`
	VRRPState    string            `json:"vrrp_state,omitempty"` // MASTER, BACKUP or empty
	Members      []MemberHealth    `json:"members"`              // all with a verdict
	Listeners    []ListenerHealth  `json:"listeners"`
	Daemons      map[string]string `json:"daemons,omitempty"` // name → version
	// Program is the digest of the agent that runs. ProgramRefused is that of the wanted one if it does not, and
	// ProgramFailure why.
	Program        string `json:"program,omitempty"`
	ProgramRefused string `json:"program_refused,omitempty"`
	ProgramFailure string `json:"program_failure,omitempty"`
	Trust          string `json:"trust,omitempty"` // ID of the Trust in use
	// MaxConnections is how many connections the instance carries at once: what a listener without a limit of its own has.
	MaxConnections int64 `json:"max_connections,omitempty"`
}

// MemberHealth is one member as this amphora sees it in one pool.
type MemberHealth struct {
	ID     string             `json:"id"`
	PoolID string             `json:"pool_id"`
	Status lb.OperatingStatus `json:"status"`
	Detail string             `json:"detail,omitempty"` // what the last check said
}

// ListenerHealth is one listener as this amphora serves it. Counters are totals since the agent first served the
// listener in this amphora's life; they never go back within one Boot.
type ListenerHealth struct {
	ID                string             `json:"id"`
	Status            lb.OperatingStatus `json:"status"`
	ActiveConnections int64              `json:"active_connections"`
	TotalConnections  int64              `json:"total_connections"`
	RequestErrors     int64              `json:"request_errors"`
	BytesIn           int64              `json:"bytes_in"`
	BytesOut          int64              `json:"bytes_out"`
}

// ReportAnswer tells the agent how often to report.
type ReportAnswer struct {
	Interval time.Duration `json:"interval_ns"`
	// Renew asks the agent to renew its certificate now: a CA has changed.
	Renew bool `json:"renew,omitempty"`
}
