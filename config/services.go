package config

import (
	"net/netip"
	"strings"
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
	CACertificate  PEM              `key:"ca_certificate" doc:"Certificate of the CA that issues agents' certificates: a file, or PEM or base64 of PEM itself. One is made when empty."`
	CAPrivateKey   PEM              `key:"ca_private_key" doc:"Key of ca_certificate, in any form in which OpenSSL writes keys: a file, or PEM or base64 of PEM itself."`
	CAPassphrase   secrets.Secret   `key:"ca_private_key_passphrase" doc:"Passphrase of ca_private_key."`
	KeyPassphrases []secrets.Secret `key:"server_certs_key_passphrase" doc:"Passphrases of the keys that Octavia stored for amphorae, for taking over its database; newest first."`
	AllowSharedCA  bool             `key:"allow_shared_ca" default:"false" doc:"Accept one CA for agents and controllers, although whoever steals its key can pose as any of them. A key of Octavo."`
	SigningDigest  string           `key:"signing_digest" default:"sha256" choices:"sha256|sha384|sha512" doc:"Digest of signatures."`
	Validity       time.Duration    `key:"cert_validity_time" default:"2592000" min:"60" doc:"Seconds that an agent's certificate is valid."`
}

// KeyManager is [key_manager] of castellan, for cert_manager = castellan_cert_manager.
type KeyManager struct {
	Backend string `key:"backend" old:"api_class" default:"barbican" choices:"barbican|vault|castellan.key_manager.barbican_key_manager.BarbicanKeyManager|castellan.key_manager.vault_key_manager.VaultKeyManager" doc:"Where castellan_cert_manager finds tenants' certificates."`
}

// Vault is [vault] of castellan.
type Vault struct {
	URL        string         `key:"vault_url" default:"http://127.0.0.1:8200" doc:"Address of Vault or OpenBao."`
	Token      secrets.Secret `key:"root_token_id" doc:"Token to read with; better an AppRole, whose tokens end and are renewed."`
	RoleID     secrets.Secret `key:"approle_role_id" doc:"AppRole to log in with."`
	SecretID   secrets.Secret `key:"approle_secret_id" doc:"Secret id of the AppRole, not wrapped."`
	Mount      string         `key:"kv_mountpoint" default:"secret" doc:"Mount point of the key/value store."`
	Path       string         `key:"kv_path" doc:"Folder in the key/value store; empty for none."`
	Version    int            `key:"kv_version" default:"2" min:"1" max:"2" doc:"Version of the key/value store."`
	Namespace  string         `key:"namespace" doc:"Namespace of Vault Enterprise or OpenBao."`
	UseTLS     bool           `key:"use_ssl" default:"false" doc:"Refuse to start unless vault_url is https."`
	CAFile     string         `key:"ssl_ca_crt_file" old:"cafile" doc:"CA certificates in PEM to check Vault with; the system's when empty."`
	UnscopedID bool           `key:"allow_unscoped_ids" default:"false" doc:"Take references in castellan's form, ids that name no project: everybody who knows one can use that secret. A key of Octavo."`
}

// Barbican is [barbican] of castellan.
type Barbican struct {
	Endpoint     string `key:"barbican_endpoint" doc:"Address to use in place of the catalog's."`
	EndpointType string `key:"barbican_endpoint_type" default:"public" choices:"public|internal|admin" doc:"Interface in the catalog."`
	RegionName   string `key:"barbican_region_name" doc:"Region of the endpoint."`
	VerifySSL    bool   `key:"verify_ssl" default:"true" doc:"Check Barbican's certificate."`
	CAFile       string `key:"verify_ssl_path" doc:"CA certificates in PEM to check Barbican with; the system's when empty."`
}

// UsesVault tells that tenants' certificates are in Vault.
func (c *Config) UsesVault() bool {
	return c.Certificates.CertManager == "castellan_cert_manager" && strings.Contains(c.KeyManager.Backend, "vault")
}

// KeyManagerEndpoint is where Barbican is found.
func (c *Config) KeyManagerEndpoint() ServiceEndpoint {
	if c.Certificates.CertManager != "castellan_cert_manager" {
		return c.Certificates.ServiceEndpoint
	}
	b := &c.Barbican
	return ServiceEndpoint{Endpoint: b.Endpoint, EndpointType: b.EndpointType, RegionName: b.RegionName, CAFile: b.CAFile, Insecure: !b.VerifySSL}
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
	Drivers      []string       `key:"driver" multi:"true" choices:"messagingv2|messaging|log|noop" doc:"How notifications are sent: messagingv2 to RabbitMQ in oslo.messaging's envelope, messaging without it, log to the log; no notifications are made when empty."`
	TransportURL secrets.Secret `key:"transport_url" doc:"Message broker, rabbit://USER:PASSWORD@HOST:PORT,.../VIRTUAL_HOST?ssl=1; [DEFAULT] transport_url when empty."`
	Topics       []string       `key:"topics" default:"notifications" doc:"Topics that notifications are sent to, as TOPIC.info."`
	Retry        int            `key:"retry" default:"-1" min:"-1" doc:"Further attempts to send a notification before it is given up; -1 for no limit."`
}

// Rabbit is [oslo_messaging_rabbit]: how the brokers of notifications are spoken to.
type Rabbit struct {
	TLS         bool          `key:"ssl" old:"rabbit_use_ssl" default:"false" doc:"Speak TLS to the brokers, as ?ssl=1 in transport_url does."`
	CAFile      string        `key:"ssl_ca_file" old:"kombu_ssl_ca_certs" doc:"CA certificates in PEM to check brokers with; the system's when empty."`
	CertFile    string        `key:"ssl_cert_file" old:"kombu_ssl_certfile" doc:"Client certificate in PEM."`
	KeyFile     string        `key:"ssl_key_file" old:"kombu_ssl_keyfile" doc:"Key of ssl_cert_file in PEM."`
	CheckHost   bool          `key:"ssl_enforce_hostname_verification" default:"true" doc:"Check that a broker's certificate is for its host; false is oslo.messaging's default."`
	Durable     bool          `key:"amqp_durable_queues" old:"rabbit_durable_queues" default:"false" doc:"Exchange and queues outlive a broker's restart; as all services of a cloud have it."`
	AutoDelete  bool          `key:"amqp_auto_delete" default:"false" doc:"Queues go with their last consumer; as all services of a cloud have it."`
	QuorumQueue bool          `key:"rabbit_quorum_queue" default:"false" doc:"Queues are quorum queues; as all services of a cloud have it."`
	Heartbeat   time.Duration `key:"heartbeat_timeout_threshold" default:"60" min:"0" doc:"Seconds without a sign of life after which a broker is given up."`
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
