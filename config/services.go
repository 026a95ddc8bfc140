package config

import (
	"net/netip"
	"time"

	"github.com/octavo-lb/octavo/secrets"
)

// Certificates is [certificates]: the key manager that holds tenants' certificates, and the certificates of agents.
type Certificates struct {
	ServiceEndpoint
	CertManager    string           `key:"cert_manager" default:"barbican_cert_manager" choices:"barbican_cert_manager|castellan_cert_manager|local_cert_manager|noop_cert_manager" doc:"Where tenants' certificates are."`
	CertGenerator  string           `key:"cert_generator" default:"local_cert_generator" choices:"local_cert_generator" doc:"What signs agents' certificates."`
	BarbicanAuth   string           `key:"barbican_auth" default:"barbican_acl_auth" choices:"barbican_acl_auth" doc:"With whose rights secrets are read."`
	StoragePath    string           `key:"storage_path" default:"/var/lib/octavia/certificates/" doc:"Directory of the local certificate manager."`
	CACertificate  string           `key:"ca_certificate" doc:"Certificate of an issuing CA to start with, in PEM; one is made when empty."`
	CAPrivateKey   string           `key:"ca_private_key" doc:"Key of ca_certificate in PEM."`
	CAPassphrase   secrets.Secret   `key:"ca_private_key_passphrase" doc:"Passphrase of ca_private_key."`
	KeyPassphrases []secrets.Secret `key:"server_certs_key_passphrase" doc:"Passphrases of the keys that Octavia stored for amphorae, for taking over its database; newest first."`
	SigningDigest  string           `key:"signing_digest" default:"sha256" choices:"sha256|sha384|sha512" doc:"Digest of signatures."`
	Validity       time.Duration    `key:"cert_validity_time" default:"2592000" min:"60" doc:"Seconds that an agent's certificate is valid."`
}

// Networking is [networking].
type Networking struct {
	MaxRetries        int           `key:"max_retries" default:"15" min:"0" doc:"Attempts at a request that the network service could not serve."`
	RetryInterval     time.Duration `key:"retry_interval" default:"1" min:"0" doc:"Seconds before the second attempt."`
	RetryBackoff      time.Duration `key:"retry_backoff" default:"1" min:"0" doc:"Seconds more before each further one."`
	RetryMax          time.Duration `key:"retry_max" default:"10" min:"0" doc:"Most seconds between attempts."`
	PortDetachTimeout time.Duration `key:"port_detach_timeout" default:"300" min:"0" doc:"Seconds that unplugging a port may take."`
	AllowVIPNetwork   bool          `key:"allow_vip_network_id" default:"true" doc:"Let callers choose the VIP's network."`
	AllowVIPSubnet    bool          `key:"allow_vip_subnet_id" default:"true" doc:"Let callers choose the VIP's subnet."`
	AllowVIPPort      bool          `key:"allow_vip_port_id" default:"true" doc:"Let callers bring the VIP's port."`
	ValidVIPNetworks  []string      `key:"valid_vip_networks" doc:"Networks that a VIP may be on; empty for any."`
	DeniedVIPNetworks []string      `key:"denylist_vip_networks" doc:"Networks that no VIP may be on."`
	ReservedIPs       []netip.Addr  `key:"reserved_ips" default:"169.254.169.254" doc:"Addresses that no member may have."`
	AllowInvisible    bool          `key:"allow_invisible_resource_usage" default:"false" doc:"Let callers use networks that they cannot see."`
}

// Compute is [compute].
type Compute struct {
	MaxRetries    int           `key:"max_retries" default:"15" min:"0" doc:"Attempts at a request that the compute service could not serve."`
	RetryInterval time.Duration `key:"retry_interval" default:"1" min:"0" doc:"Seconds before the second attempt."`
	RetryBackoff  time.Duration `key:"retry_backoff" default:"1" min:"0" doc:"Seconds more before each further one."`
	RetryMax      time.Duration `key:"retry_max" default:"10" min:"0" doc:"Most seconds between attempts."`
}

// Audit is [audit].
type Audit struct {
	Enabled bool   `key:"enabled" default:"false" doc:"Record every request that changes something."`
	MapFile string `key:"audit_map_file" default:"/etc/octavia/octavia_api_audit_map.conf" doc:"How requests are named in the record."`
	Ignored string `key:"ignore_req_list" doc:"Methods that are not recorded, separated by commas."`
}

// DriverAgent is [driver_agent]: the sockets for providers outside of the process.
type DriverAgent struct {
	StatusSocket  string        `key:"status_socket_path" default:"/var/run/octavia/status.sock" doc:"Socket that takes statuses."`
	StatsSocket   string        `key:"stats_socket_path" default:"/var/run/octavia/stats.sock" doc:"Socket that takes statistics."`
	GetSocket     string        `key:"get_socket_path" default:"/var/run/octavia/get.sock" doc:"Socket that answers what objects are."`
	StatusTimeout time.Duration `key:"status_request_timeout" default:"5" min:"0" doc:"Seconds that a provider may take to send a status."`
	StatsTimeout  time.Duration `key:"stats_request_timeout" default:"5" min:"0" doc:"Seconds that a provider may take to send statistics."`
	GetTimeout    time.Duration `key:"get_request_timeout" default:"5" min:"0" doc:"Seconds that a provider may take to ask."`
}

// Notifications is [oslo_messaging_notifications].
type Notifications struct {
	Drivers      []string       `key:"driver" multi:"true" choices:"messagingv2|messaging|log|noop|routing|test" doc:"How notifications are sent."`
	TransportURL secrets.Secret `key:"transport_url" doc:"Message broker; [DEFAULT] transport_url when empty."`
	Topics       []string       `key:"topics" default:"notifications" doc:"Topics that notifications are sent to."`
	Retry        int            `key:"retry" default:"-1" min:"-1" doc:"Attempts to send a notification; -1 for no limit."`
}

// Policy is [oslo_policy].
type Policy struct {
	File               string   `key:"policy_file" default:"policy.yaml" doc:"Rules that replace the built-in ones; beside the configuration when relative."`
	Dirs               []string `key:"policy_dirs" default:"policy.d" multi:"true" doc:"Directories with further rules."`
	EnforceScope       bool     `key:"enforce_scope" default:"true" doc:"Refuse tokens whose scope does not fit."`
	EnforceNewDefaults bool     `key:"enforce_new_defaults" default:"false" doc:"Do without the load-balancer_* roles; they count beside Keystone's own otherwise."`
}

// Middleware is [oslo_middleware].
type Middleware struct {
	MaxBody      int  `key:"max_request_body_size" default:"114688" min:"1" doc:"Bytes of a request's body at most."`
	ProxyHeaders bool `key:"enable_proxy_headers_parsing" default:"false" doc:"Believe X-Forwarded-* headers."`
}
