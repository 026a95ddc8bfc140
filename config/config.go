// Package config reads octavia.conf, by the rules of oslo.config, into one typed Config.
//
// Sections, keys and defaults are upstream's (octavia/common/config.py, octavia/certificates/common/local.py, and those
// of keystoneauth, keystonemiddleware and oslo's libraries), so that an existing deployment's file works. Keys of our own
// say so in their documentation. An option is one line: a field with its key, default, range and sentence (see option).
//
// What nobody knows is listed in Unknown, what only upstream knows in WithoutEffect; neither keeps anybody from starting.
// Values that cannot be used are all reported at once (Problems).
package config

import (
	"net/netip"
	"time"

	"github.com/octavo-lb/octavo/secrets"
)

// Config is the whole configuration. It is filled once, checked once and then only read.
type Config struct {
	Default          DefaultSection   `section:"DEFAULT"`
	API              APISettings      `section:"api_settings"`
	Database         Database         `section:"database"`
	KeystoneToken    KeystoneToken    `section:"keystone_authtoken"`
	ServiceAuth      ServiceAuth      `section:"service_auth"`
	ControllerWorker ControllerWorker `section:"controller_worker"`
	HealthManager    HealthManager    `section:"health_manager"`
	HouseKeeping     HouseKeeping     `section:"house_keeping"`
	HaproxyAmphora   HaproxyAmphora   `section:"haproxy_amphora"`
	AmphoraAgent     AmphoraAgent     `section:"amphora_agent"`
	KeepalivedVRRP   KeepalivedVRRP   `section:"keepalived_vrrp"`
	Certificates     Certificates     `section:"certificates"`
	KeyManager       KeyManager       `section:"key_manager"`
	Vault            Vault            `section:"vault"`
	Barbican         Barbican         `section:"barbican"`
	Networking       Networking       `section:"networking"`
	Compute          Compute          `section:"compute"`
	Nova             Nova             `section:"nova"`
	Cinder           Cinder           `section:"cinder"`
	Glance           Glance           `section:"glance"`
	Neutron          Neutron          `section:"neutron"`
	Quotas           Quotas           `section:"quotas"`
	Audit            Audit            `section:"audit"`
	DriverAgent      DriverAgent      `section:"driver_agent"`
	Notifications    Notifications    `section:"oslo_messaging_notifications"`
	Rabbit           Rabbit           `section:"oslo_messaging_rabbit"`
	Policy           Policy           `section:"oslo_policy"`
	Middleware       Middleware       `section:"oslo_middleware"`
	Octavo           Octavo           `section:"octavo"`

	// Unknown are keys of the files that mean nothing to anybody, as "[section] key (file:line)".
	Unknown []string
	// WithoutEffect are keys that upstream has and that have nothing to do here.
	WithoutEffect []string

	set map[string]string // where a key was set, by nameKey
}

// DefaultSection is [DEFAULT].
type DefaultSection struct {
	Host         string         `key:"host" doc:"Name of this controller; the machine's name when empty."`
	Debug        bool           `key:"debug" default:"false" doc:"Log at debug level."`
	LogFile      string         `key:"log_file" doc:"File to log to; standard error when empty."`
	LogDir       string         `key:"log_dir" doc:"Directory of log_file."`
	UseJSON      bool           `key:"use_json" default:"false" doc:"Log in JSON."`
	TransportURL secrets.Secret `key:"transport_url" doc:"Message broker for notifications."`
	Exchange     string         `key:"control_exchange" default:"octavia" doc:"Exchange of the message broker that notifications go through."`
}

// APISettings is [api_settings].
type APISettings struct {
	BindHost         netip.Addr    `key:"bind_host" default:"127.0.0.1" doc:"Address that the API listens on."`
	BindPort         int           `key:"bind_port" default:"9876" min:"0" max:"65535" doc:"Port that the API listens on."`
	AuthStrategy     string        `key:"auth_strategy" default:"keystone" choices:"noauth|keystone|testing" doc:"How callers are identified."`
	NoAuthAnywhere   bool          `key:"noauth_anywhere" default:"false" doc:"Allow auth_strategy noauth and testing on addresses that others can reach. A key of Octavo."`
	TLSCertFile      string        `key:"tls_cert_file" doc:"Certificate chain in PEM; the API speaks HTTPS when it is set. A key of Octavo."`
	TLSKeyFile       string        `key:"tls_key_file" doc:"Key of tls_cert_file in PEM. A key of Octavo."`
	AllowPagination  bool          `key:"allow_pagination" default:"true" doc:"Let callers ask for pages."`
	AllowSorting     bool          `key:"allow_sorting" default:"true" doc:"Let callers ask for an order."`
	AllowFiltering   bool          `key:"allow_filtering" default:"true" doc:"Let callers filter lists."`
	AllowFields      bool          `key:"allow_field_selection" default:"true" doc:"Let callers choose the fields of an answer."`
	PaginationMax    string        `key:"pagination_max_limit" default:"1000" doc:"Most items in one answer; infinite or a negative number for no limit."`
	BaseURI          string        `key:"api_base_uri" doc:"Base of the links in answers; taken from the request when empty."`
	AllowTLS         bool          `key:"allow_tls_terminated_listeners" default:"true" doc:"Allow listeners that terminate TLS."`
	AllowPing        bool          `key:"allow_ping_health_monitors" default:"true" doc:"Allow health monitors of type PING."`
	AllowPrometheus  bool          `key:"allow_prometheus_listeners" default:"true" doc:"Allow listeners of protocol PROMETHEUS."`
	UDPConnectMin    int           `key:"udp_connect_min_interval_health_monitor" default:"3" doc:"Smallest delay in seconds of UDP-CONNECT monitors; negative for no limit."`
	HealthcheckOn    bool          `key:"healthcheck_enabled" default:"false" doc:"Answer at /healthcheck."`
	HealthcheckCache time.Duration `key:"healthcheck_refresh_interval" default:"5" min:"0" doc:"Seconds that an answer at /healthcheck is kept."`

	Providers       map[string]string `key:"enabled_provider_drivers" default:"amphora:The Octavia Amphora driver.,octavia:Deprecated alias of the Octavia Amphora driver." doc:"Providers that callers may choose, with their descriptions."`
	DefaultProvider string            `key:"default_provider_driver" default:"amphora" doc:"Provider when the caller chooses none."`

	ListenerCiphers     string   `key:"default_listener_ciphers" default:"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305" doc:"Ciphers of new TLS listeners, in OpenSSL's format."`
	PoolCiphers         string   `key:"default_pool_ciphers" default:"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305" doc:"Ciphers of new TLS pools, in OpenSSL's format."`
	ProhibitedCiphers   string   `key:"tls_cipher_prohibit_list" old:"tls_cipher_blacklist" doc:"Ciphers that nobody may use, separated by colons."`
	ListenerTLSVersions []string `key:"default_listener_tls_versions" default:"TLSv1.2,TLSv1.3" choices:"SSLv3|TLSv1|TLSv1.1|TLSv1.2|TLSv1.3" doc:"TLS versions of new listeners."`
	PoolTLSVersions     []string `key:"default_pool_tls_versions" default:"TLSv1.2,TLSv1.3" choices:"SSLv3|TLSv1|TLSv1.1|TLSv1.2|TLSv1.3" doc:"TLS versions of new pools."`
	MinimumTLSVersion   string   `key:"minimum_tls_version" choices:"SSLv3|TLSv1|TLSv1.1|TLSv1.2|TLSv1.3" doc:"Oldest TLS version that anybody may use; empty for any."`
	ListenerALPN        []string `key:"default_listener_alpn_protocols" default:"h2,http/1.1,http/1.0" choices:"h2|http/1.1|http/1.0" doc:"ALPN protocols of new listeners."`
	PoolALPN            []string `key:"default_pool_alpn_protocols" default:"h2,http/1.1,http/1.0" choices:"h2|http/1.1|http/1.0" doc:"ALPN protocols of new pools."`

	ImmutableWhilePending bool `key:"immutable_while_pending" default:"false" doc:"Refuse changes of a load balancer that is still converging with 409, as Octavia does. A key of Octavo."`
}

// Database is [database].
type Database struct {
	Connection    secrets.Secret `key:"connection" default:"sqlite:///var/lib/octavo/octavo.db" doc:"URL in SQLAlchemy's form: sqlite:///FILE, mysql+pymysql://... or postgresql://..."`
	MaxPoolSize   int            `key:"max_pool_size" default:"10" min:"1" doc:"Connections that are kept open."`
	MaxOverflow   int            `key:"max_overflow" default:"20" min:"0" doc:"Connections beyond max_pool_size in a rush."`
	RecycleTime   time.Duration  `key:"connection_recycle_time" default:"3600" min:"0" doc:"Seconds after which a connection is replaced."`
	MaxRetries    int            `key:"max_retries" default:"10" min:"-1" doc:"Attempts to connect at the start; -1 for no limit."`
	RetryInterval time.Duration  `key:"retry_interval" default:"10" min:"0" doc:"Seconds between attempts to connect."`
}

// Quotas is [quotas]. -1 is unlimited.
type Quotas struct {
	LoadBalancer  int `key:"default_load_balancer_quota" default:"-1" min:"-1" doc:"Load balancers of a project without a quota of its own."`
	Listener      int `key:"default_listener_quota" default:"-1" min:"-1" doc:"Listeners of a project."`
	Member        int `key:"default_member_quota" default:"-1" min:"-1" doc:"Members of a project."`
	Pool          int `key:"default_pool_quota" default:"-1" min:"-1" doc:"Pools of a project."`
	HealthMonitor int `key:"default_health_monitor_quota" default:"-1" min:"-1" doc:"Health monitors of a project."`
	L7Policy      int `key:"default_l7policy_quota" default:"-1" min:"-1" doc:"L7 policies of a project."`
	L7Rule        int `key:"default_l7rule_quota" default:"-1" min:"-1" doc:"L7 rules of a project."`
}

// Octavo is [octavo]: what upstream has no place for.
type Octavo struct {
	DataDir string `key:"data_dir" default:"/var/lib/octavo" doc:"Directory for what a controller keeps outside of the database."`
	KeyFile string `key:"key_file" default:"$data_dir/keys" doc:"Keys that seal what is secret in the database; made when missing, and the same file on all controllers."`
	Workers int    `key:"workers" default:"64" min:"1" doc:"Load balancers that one process works on at once."`

	AgentUpdateKey string `key:"agent_update_key" doc:"File with the public key that amphorae check agent programs with, as octavo agent key makes it; empty for amphorae whose agent is replaced with the image only. The private key is for the operator to keep, not for controllers."`

	MetricsAddress string `key:"metrics_address" default:"127.0.0.1:9878" doc:"ADDRESS:PORT at which Prometheus finds /metrics; empty for none."`

	DeleteOrphans bool          `key:"delete_orphans" default:"false" doc:"Delete objects of the cloud that have names of load balancers' and belong to none; they are logged otherwise. Never while Octavia works in the same project."`
	NoopDelay     time.Duration `key:"noop_delay" default:"0" min:"0" doc:"Seconds until a change is in force where nothing serves load balancers: with noop drivers and providers."`

	OutsideProviders []string `key:"outside_providers" doc:"Those of enabled_provider_drivers that are programs outside of the service: they say over the sockets of [driver_agent] what is in force. A noop provider in this list settles when it is told to."`

	ProviderTimeout time.Duration `key:"provider_timeout" default:"900" min:"1" doc:"Seconds that such a program may be silent about what it is to do, until the load balancer is in ERROR; it is ACTIVE again as soon as the program says so."`
}
