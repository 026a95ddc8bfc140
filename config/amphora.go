package config

import (
	"net/netip"
	"time"

	"github.com/octavo-lb/octavo/secrets"
)

// ControllerWorker is [controller_worker].
type ControllerWorker struct {
	FlavorID       string   `key:"amp_flavor_id" doc:"Compute flavor of amphorae."`
	ImageTag       string   `key:"amp_image_tag" doc:"Tag of the image of amphorae; the newest one with it is used."`
	ImageOwner     string   `key:"amp_image_owner_id" doc:"Project that the image must belong to."`
	SSHKeyName     string   `key:"amp_ssh_key_name" doc:"Key pair for logging in to amphorae."`
	Timezone       string   `key:"amp_timezone" default:"UTC" doc:"Time zone of amphorae."`
	BootNetworks   []string `key:"amp_boot_network_list" doc:"Networks that amphorae are booted with; the first one is the management network."`
	SecurityGroups []string `key:"amp_secgroup_list" doc:"Security groups of the management port."`
	Topology       string   `key:"loadbalancer_topology" default:"SINGLE" choices:"SINGLE|ACTIVE_STANDBY" doc:"Whether a load balancer has one amphora or two."`
	VolumeDriver   string   `key:"volume_driver" default:"volume_noop_driver" choices:"volume_noop_driver|volume_cinder_driver" doc:"Whether amphorae boot from volumes."`
	ComputeDriver  string   `key:"compute_driver" default:"compute_nova_driver" choices:"compute_nova_driver|compute_noop_driver" doc:"Where amphorae run."`
	NetworkDriver  string   `key:"network_driver" default:"allowed_address_pairs_driver" choices:"allowed_address_pairs_driver|network_noop_driver" doc:"Where networks are."`
	AmphoraDriver  string   `key:"amphora_driver" default:"amphora_haproxy_rest_driver" choices:"amphora_haproxy_rest_driver|amphora_noop_driver" doc:"How amphorae are told what to do."`
	ClientCA       PEM      `key:"client_ca" doc:"CA of client_cert, which agents trust in controllers: a file, or PEM or base64 of PEM itself. One is made when empty."`
	Events         bool     `key:"event_notifications" default:"true" doc:"Send notifications of what happens to load balancers."`
}

// HealthManager is [health_manager].
type HealthManager struct {
	BindIP            netip.Addr     `key:"bind_ip" default:"127.0.0.1" doc:"Address that agents reach this controller at (HTTPS)."`
	BindPort          int            `key:"bind_port" default:"5555" min:"0" max:"65535" doc:"Port that agents reach this controller at (HTTPS)."`
	Controllers       []string       `key:"controller_ip_port_list" doc:"ADDRESS:PORT of every controller, for new amphorae; bind_ip and bind_port when empty."`
	HeartbeatTimeout  time.Duration  `key:"heartbeat_timeout" default:"60" min:"1" doc:"Seconds without a report after which an amphora is dead."`
	HeartbeatInterval time.Duration  `key:"heartbeat_interval" default:"10" min:"1" doc:"Seconds between reports of which nothing is new."`
	CheckInterval     time.Duration  `key:"health_check_interval" default:"3" min:"1" doc:"Seconds between looks for dead amphorae."`
	FailoverThreads   int            `key:"failover_threads" default:"10" min:"1" doc:"Failovers at once."`
	FailoverThreshold *int           `key:"failover_threshold" min:"1" doc:"Amphorae that may be dead at once before failovers stop; empty for any number."`
	HeartbeatKey      secrets.Secret `key:"heartbeat_key" doc:"Key of the heartbeats of Octavia's own agents; not used by ours."`
}

// HouseKeeping is [house_keeping].
type HouseKeeping struct {
	CleanupInterval time.Duration `key:"cleanup_interval" default:"30" min:"1" doc:"Seconds between clean-ups."`
	AmphoraExpiry   time.Duration `key:"amphora_expiry_age" default:"604800" min:"0" doc:"Seconds that a deleted amphora's record is kept."`
	LBExpiry        time.Duration `key:"load_balancer_expiry_age" default:"604800" min:"0" doc:"Seconds that a deleted load balancer's record is kept."`
	CertBuffer      time.Duration `key:"cert_expiry_buffer" default:"1209600" min:"0" doc:"Seconds before its end at which an agent's certificate is renewed; where it is not set, after two thirds of its life."`
}

// HaproxyAmphora is [haproxy_amphora].
type HaproxyAmphora struct {
	ConnectionLogging      bool          `key:"connection_logging" default:"true" doc:"Log tenants' traffic, if there is a place for it: tenant_log_targets, or files in amphorae (disable_local_log_storage = false)."`
	UserLogFormat          string        `key:"user_log_format" default:"{{ project_id }} {{ lb_id }} %f %ci %cp %t %{+Q}r %ST %B %U %[ssl_c_verify] %{+Q}[ssl_c_s_dn] %b %s %Tt %tsc" doc:"Format of the log of tenants' traffic."`
	StickSize              string        `key:"haproxy_stick_size" default:"10k" doc:"Entries of a stick table; k, m and g multiply."`
	TimeoutClientData      time.Duration `key:"timeout_client_data" default:"50000" unit:"ms" min:"0" doc:"Milliseconds that a client may be idle."`
	TimeoutMemberConnect   time.Duration `key:"timeout_member_connect" default:"5000" unit:"ms" min:"0" doc:"Milliseconds to connect to a member."`
	TimeoutMemberData      time.Duration `key:"timeout_member_data" default:"50000" unit:"ms" min:"0" doc:"Milliseconds that a member may be idle."`
	TimeoutTCPInspect      time.Duration `key:"timeout_tcp_inspect" default:"0" unit:"ms" min:"0" doc:"Milliseconds to wait for more content to inspect."`
	DefaultConnectionLimit int           `key:"default_connection_limit" default:"50000" min:"1" doc:"Connections of a listener whose connection_limit is -1."`
	ConnectionMaxRetries   int           `key:"connection_max_retries" default:"120" min:"1" doc:"With connection_retry_interval: how long a new amphora may take until its first report."`
	ConnectionRetry        time.Duration `key:"connection_retry_interval" default:"5" min:"0" doc:"Seconds; see connection_max_retries."`
	ClientCert             PEM           `key:"client_cert" doc:"Certificate and key that controllers prove themselves with to agents: a file, or PEM or base64 of PEM itself. They are made when empty."`
	ServerCA               PEM           `key:"server_ca" doc:"CA of the agents' certificates: it must be that of ca_certificate, or vouch for it."`
	BuildRateLimit         int           `key:"build_rate_limit" default:"-1" doc:"Amphorae that one controller builds at once; -1 for any number."`
}

// AmphoraAgent is [amphora_agent]: what agents are told about logs.
type AmphoraAgent struct {
	AdminLogTargets  []string      `key:"admin_log_targets" doc:"ADDRESS:PORT of syslog servers for what happens to load balancers; the first that can be reached gets it all."`
	TenantLogTargets []string      `key:"tenant_log_targets" doc:"ADDRESS:PORT of syslog servers for tenants' traffic; the first that can be reached gets it all."`
	UserFacility     int           `key:"user_log_facility" default:"0" min:"0" max:"7" doc:"LOG_LOCAL facility of tenants' traffic."`
	AdminFacility    int           `key:"administrative_log_facility" default:"1" min:"0" max:"7" doc:"LOG_LOCAL facility of amphorae's own logs."`
	LogProtocol      string        `key:"log_protocol" default:"UDP" choices:"UDP|TCP" doc:"How logs are sent."`
	LogRetryCount    int           `key:"log_retry_count" default:"5" min:"0" doc:"Further attempts to reach a log server that fails, before the next one gets the messages."`
	LogRetryInterval time.Duration `key:"log_retry_interval" default:"2" min:"0" doc:"Seconds between attempts; for so long a log server that failed is left alone."`
	LogQueueSize     int           `key:"log_queue_size" default:"10000" min:"1" doc:"Messages that wait for a log server at most."`
	ForwardAllLogs   bool          `key:"forward_all_logs" default:"false" doc:"Send the kernel's messages to admin_log_targets, too."`
	NoLocalLogs      bool          `key:"disable_local_log_storage" default:"true" doc:"Keep no logs in amphorae. Octavia's default is false."`
}

// KeepalivedVRRP is [keepalived_vrrp].
type KeepalivedVRRP struct {
	AdvertInterval time.Duration `key:"vrrp_advert_int" default:"1" min:"0.01" max:"40" doc:"Seconds between advertisements; fractions are allowed."`
	CheckInterval  time.Duration `key:"vrrp_check_interval" default:"5" min:"1" doc:"Seconds between checks of an amphora's own service."`
	FailCount      int           `key:"vrrp_fail_count" default:"2" min:"1" doc:"Failed checks until an amphora stands back."`
	SuccessCount   int           `key:"vrrp_success_count" default:"2" min:"1" doc:"Successful checks until it takes part again."`
	GARPInterval   time.Duration `key:"vrrp_garp_refresh_interval" default:"5" min:"0" doc:"Seconds between gratuitous ARPs of the master."`
	GARPCount      int           `key:"vrrp_garp_refresh_count" default:"2" min:"0" doc:"Gratuitous ARPs each time."`
}
