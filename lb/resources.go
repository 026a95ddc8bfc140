package lb

// LoadBalancer is a VIP and what is served behind it.
type LoadBalancer struct {
	Meta
	Name             string   `json:"name" attr:"rw,max=255" doc:"A name for people; need not be unique."`
	Description      string   `json:"description" attr:"rw,max=255,kind=text" doc:"A description for people."`
	VipAddress       string   `json:"vip_address" attr:"c,kind=ip" doc:"The address clients connect to."`
	VipPortID        *string  `json:"vip_port_id" attr:"c,null,kind=uuid,ref=port" doc:"The port that holds the VIP address."`
	VipSubnetID      *string  `json:"vip_subnet_id" attr:"c,null,kind=uuid,ref=subnet" doc:"The subnet of the VIP address."`
	VipNetworkID     *string  `json:"vip_network_id" attr:"c,null,kind=uuid,ref=network" doc:"The network of the VIP address."`
	VipQosPolicyID   *string  `json:"vip_qos_policy_id" attr:"rw,null,kind=uuid,ref=qos_policy,since=2.1" doc:"The QoS policy of the VIP port."`
	VipSgIDs         []string `json:"vip_sg_ids" attr:"rw,kind=uuid,ref=security_group,since=2.29" doc:"Security groups set on the VIP port in place of the service's own."`
	VipVnicType      string   `json:"vip_vnic_type" attr:"r,default=normal,since=2.28" doc:"The VNIC type of the VIP port, normal or direct."`
	AdditionalVips   []VIP    `json:"additional_vips" attr:"c,since=2.26" doc:"Further VIPs of the same network."`
	Provider         string   `json:"provider" attr:"c,max=64" doc:"The provider that serves the load balancer."`
	FlavorID         *string  `json:"flavor_id" attr:"c,null,kind=uuid,ref=flavor,since=2.6" doc:"The flavor of the load balancer."`
	AvailabilityZone *string  `json:"availability_zone" attr:"c,null,max=255,ref=availability_zone,since=2.14" doc:"The availability zone of the load balancer."`

	// Topology is SINGLE or ACTIVE_STANDBY.
	Topology string `json:"-"`
	// ObservedGeneration is the newest generation that is in force on every amphora.
	ObservedGeneration int64 `json:"-"`
	// Failure is why the last attempt to converge failed, empty when it did not.
	Failure string `json:"-"`
	// VipPortOwned tells that the service made the VIP port and so deletes it; a port that the user brought stays.
	VipPortOwned bool `json:"-"`
}

// VIP is one of a load balancer's additional addresses.
type VIP struct {
	SubnetID  string  `json:"subnet_id" attr:"c,required,kind=uuid,ref=subnet" doc:"The subnet of the address."`
	IPAddress string  `json:"ip_address" attr:"c,kind=ip" doc:"The address."`
	PortID    *string `json:"port_id" attr:"c,null,kind=uuid,ref=port" doc:"The port that holds the address."`
}

// Listener is a port of the VIP and the protocol spoken on it.
type Listener struct {
	Meta
	LoadBalancerID          string            `json:"loadbalancer_id" attr:"c,root,hidden,required,kind=uuid,ref=loadbalancer" doc:"The load balancer that the listener belongs to."`
	Name                    string            `json:"name" attr:"rw,max=255" doc:"A name for people; need not be unique."`
	Description             string            `json:"description" attr:"rw,max=255,kind=text" doc:"A description for people."`
	Protocol                string            `json:"protocol" attr:"c,required,enum=HTTP|HTTPS|TCP|TERMINATED_HTTPS|UDP|SCTP|PROMETHEUS" doc:"The protocol of the listener."`
	ProtocolPort            int               `json:"protocol_port" attr:"c,required,min=1,max=65535" doc:"The port of the listener."`
	ConnectionLimit         int               `json:"connection_limit" attr:"rw,default=-1,min=-1,max=2147483647" doc:"Connections allowed at once, -1 for no limit."`
	DefaultPoolID           *string           `json:"default_pool_id" attr:"rw,null,kind=uuid,ref=pool" doc:"The pool for requests that no L7 policy redirects."`
	InsertHeaders           map[string]string `json:"insert_headers" attr:"rw,max=255" doc:"Headers set on requests towards members."`
	TimeoutClientData       int               `json:"timeout_client_data" attr:"rw,default=50000,min=0,max=2073600000,since=2.1" doc:"Client inactivity timeout in milliseconds."`
	TimeoutMemberConnect    int               `json:"timeout_member_connect" attr:"rw,default=5000,min=0,max=2073600000,since=2.1" doc:"Member connect timeout in milliseconds."`
	TimeoutMemberData       int               `json:"timeout_member_data" attr:"rw,default=50000,min=0,max=2073600000,since=2.1" doc:"Member inactivity timeout in milliseconds."`
	TimeoutTCPInspect       int               `json:"timeout_tcp_inspect" attr:"rw,default=0,min=0,max=2073600000,since=2.1" doc:"Time to wait for more TCP content to inspect, in milliseconds."`
	DefaultTLSContainerRef  *string           `json:"default_tls_container_ref" attr:"rw,null,max=255,ref=secret" doc:"The key manager's reference of the server certificate."`
	SniContainerRefs        []string          `json:"sni_container_refs" attr:"rw,max=255,ref=secret" doc:"References of further certificates, chosen by server name."`
	ClientCATLSContainerRef *string           `json:"client_ca_tls_container_ref" attr:"rw,null,max=255,ref=secret,since=2.8" doc:"The reference of the CA that client certificates are checked against."`
	ClientAuthentication    string            `json:"client_authentication" attr:"rw,default=NONE,enum=NONE|OPTIONAL|MANDATORY,since=2.8" doc:"Whether clients show a certificate."`
	ClientCRLContainerRef   *string           `json:"client_crl_container_ref" attr:"rw,null,max=255,ref=secret,since=2.8" doc:"The reference of the revocation list of client certificates."`
	AllowedCidrs            []string          `json:"allowed_cidrs" attr:"rw,null,kind=cidr,since=2.12" doc:"Networks that may connect; null for all."`
	TLSCiphers              *string           `json:"tls_ciphers" attr:"rw,null,max=2048,kind=ciphers,since=2.15" doc:"Ciphers in OpenSSL's format."`
	TLSVersions             []string          `json:"tls_versions" attr:"rw,null,enum=SSLv3|TLSv1|TLSv1.1|TLSv1.2|TLSv1.3,since=2.17" doc:"TLS versions that are accepted."`
	AlpnProtocols           []string          `json:"alpn_protocols" attr:"rw,null,enum=http/1.0|http/1.1|h2,since=2.20" doc:"ALPN protocols that are offered."`
	HstsMaxAge              *int              `json:"hsts_max_age" attr:"rw,null,min=0,max=2147483647,since=2.27" doc:"max-age of the Strict-Transport-Security header in seconds; null for no header."`
	HstsIncludeSubdomains   bool              `json:"hsts_include_subdomains" attr:"rw,default=false,since=2.27" doc:"Whether the header holds for subdomains."`
	HstsPreload             bool              `json:"hsts_preload" attr:"rw,default=false,since=2.27" doc:"Whether the header allows preloading."`
}

// Pool is a group of members and how requests are spread over them.
type Pool struct {
	Meta
	LoadBalancerID     string              `json:"loadbalancer_id" attr:"c,root,hidden,kind=uuid,ref=loadbalancer" doc:"The load balancer that the pool belongs to."`
	Name               string              `json:"name" attr:"rw,max=255" doc:"A name for people; need not be unique."`
	Description        string              `json:"description" attr:"rw,max=255,kind=text" doc:"A description for people."`
	Protocol           string              `json:"protocol" attr:"c,required,enum=HTTP|HTTPS|PROXY|PROXYV2|TCP|UDP|SCTP" doc:"The protocol towards members."`
	LBAlgorithm        string              `json:"lb_algorithm" attr:"rw,required,enum=ROUND_ROBIN|LEAST_CONNECTIONS|SOURCE_IP|SOURCE_IP_PORT" doc:"How a member is chosen."`
	SessionPersistence *SessionPersistence `json:"session_persistence" attr:"rw,null" doc:"How requests of one client stay with one member."`
	TLSContainerRef    *string             `json:"tls_container_ref" attr:"rw,null,max=255,ref=secret,since=2.8" doc:"The reference of the certificate shown to members."`
	CATLSContainerRef  *string             `json:"ca_tls_container_ref" attr:"rw,null,max=255,ref=secret,since=2.8" doc:"The reference of the CA that members' certificates are checked against."`
	CRLContainerRef    *string             `json:"crl_container_ref" attr:"rw,null,max=255,ref=secret,since=2.8" doc:"The reference of the revocation list of members' certificates."`
	TLSEnabled         bool                `json:"tls_enabled" attr:"rw,default=false,since=2.8" doc:"Whether connections to members use TLS."`
	TLSCiphers         *string             `json:"tls_ciphers" attr:"rw,null,max=2048,kind=ciphers,since=2.15" doc:"Ciphers in OpenSSL's format."`
	TLSVersions        []string            `json:"tls_versions" attr:"rw,null,enum=SSLv3|TLSv1|TLSv1.1|TLSv1.2|TLSv1.3,since=2.17" doc:"TLS versions towards members."`
	AlpnProtocols      []string            `json:"alpn_protocols" attr:"rw,null,enum=http/1.0|http/1.1|h2,since=2.24" doc:"ALPN protocols towards members."`
}

// SessionPersistence keeps a client with the member that first served it.
type SessionPersistence struct {
	Type                   string  `json:"type" attr:"rw,required,enum=SOURCE_IP|HTTP_COOKIE|APP_COOKIE" doc:"What tells clients apart."`
	CookieName             *string `json:"cookie_name" attr:"rw,null,max=255,kind=cookie_name" doc:"The application's cookie, for APP_COOKIE."`
	PersistenceTimeout     *int    `json:"persistence_timeout" attr:"rw,null,min=0,max=2147483647" doc:"Seconds until an idle client is forgotten, for UDP and SCTP."`
	PersistenceGranularity *string `json:"persistence_granularity" attr:"rw,null,kind=ip" doc:"The netmask that clients are grouped by, for UDP and SCTP."`
}

// Member is a server behind a pool.
type Member struct {
	Meta
	PoolID         string  `json:"-"`
	Name           string  `json:"name" attr:"rw,max=255" doc:"A name for people; need not be unique."`
	Address        string  `json:"address" attr:"c,required,kind=ip" doc:"The member's address."`
	ProtocolPort   int     `json:"protocol_port" attr:"c,required,min=1,max=65535" doc:"The member's port."`
	Weight         int     `json:"weight" attr:"rw,default=1,min=0,max=256" doc:"Share of requests; 0 takes no new ones."`
	Backup         bool    `json:"backup" attr:"rw,default=false,since=2.1" doc:"Whether the member serves only when the others are down."`
	SubnetID       *string `json:"subnet_id" attr:"c,null,kind=uuid,ref=subnet" doc:"The subnet that the member is reached through."`
	MonitorAddress *string `json:"monitor_address" attr:"rw,null,kind=ip" doc:"The address that health checks go to."`
	MonitorPort    *int    `json:"monitor_port" attr:"rw,null,min=1,max=65535" doc:"The port that health checks go to."`
	VnicType       string  `json:"vnic_type" attr:"r,default=normal,since=2.30" doc:"The VNIC type of the port that the member is reached through."`
	RequestSriov   bool    `json:"request_sriov" attr:"c,hidden,default=false,since=2.30" doc:"Whether the member is reached through an SR-IOV port."`
}

// HealthMonitor says how the members of a pool are checked.
type HealthMonitor struct {
	Meta
	PoolID         string   `json:"pool_id" attr:"c,root,hidden,required,kind=uuid,ref=pool" doc:"The pool that is checked."`
	Name           string   `json:"name" attr:"rw,max=255" doc:"A name for people; need not be unique."`
	Type           string   `json:"type" attr:"c,required,enum=HTTP|HTTPS|PING|SCTP|TCP|TLS-HELLO|UDP-CONNECT" doc:"The kind of check."`
	Delay          int      `json:"delay" attr:"rw,required,min=0,max=2147483647" doc:"Seconds between checks."`
	Timeout        int      `json:"timeout" attr:"rw,required,min=0,max=2147483647" doc:"Seconds until a check has failed."`
	MaxRetries     int      `json:"max_retries" attr:"rw,required,min=1,max=10" doc:"Successes until a member is ONLINE."`
	MaxRetriesDown int      `json:"max_retries_down" attr:"rw,default=3,min=1,max=10" doc:"Failures until a member is in ERROR."`
	HTTPMethod     *string  `json:"http_method" attr:"rw,null,enum=GET|HEAD|POST|PUT|DELETE|TRACE|OPTIONS|CONNECT|PATCH" doc:"The method of an HTTP check."`
	URLPath        *string  `json:"url_path" attr:"rw,null,max=255,kind=url_path" doc:"The path of an HTTP check."`
	ExpectedCodes  *string  `json:"expected_codes" attr:"rw,null,max=64,kind=expected_codes" doc:"The answers that mean healthy: a code, a list or a range."`
	HTTPVersion    *float64 `json:"http_version" attr:"rw,null,enum=1.0|1.1,since=2.10" doc:"The HTTP version of the check."`
	DomainName     *string  `json:"domain_name" attr:"rw,null,min=1,max=255,kind=domain_name,since=2.10" doc:"The host name of an HTTP/1.1 check."`
}

// L7Policy acts on the requests of a listener that match all its rules.
type L7Policy struct {
	Meta
	ListenerID       string  `json:"listener_id" attr:"c,root,required,kind=uuid,ref=listener" doc:"The listener that the policy belongs to."`
	Name             string  `json:"name" attr:"rw,max=255" doc:"A name for people; need not be unique."`
	Description      string  `json:"description" attr:"rw,max=255,kind=text" doc:"A description for people."`
	Action           string  `json:"action" attr:"rw,required,enum=REDIRECT_TO_POOL|REDIRECT_TO_URL|REDIRECT_PREFIX|REJECT" doc:"What is done with a matching request."`
	RedirectPoolID   *string `json:"redirect_pool_id" attr:"rw,null,kind=uuid,ref=pool" doc:"The pool of REDIRECT_TO_POOL."`
	RedirectURL      *string `json:"redirect_url" attr:"rw,null,max=255,kind=url" doc:"The URL of REDIRECT_TO_URL."`
	RedirectPrefix   *string `json:"redirect_prefix" attr:"rw,null,max=255,kind=url" doc:"The prefix of REDIRECT_PREFIX."`
	RedirectHTTPCode *int    `json:"redirect_http_code" attr:"rw,null,enum=301|302|303|307|308,since=2.9" doc:"The code of a redirection."`
	Position         int     `json:"position" attr:"rw,default=2147483647,min=1,max=2147483647" doc:"The policy's place in its listener, from 1."`
}

// L7Rule is one condition of an L7 policy.
type L7Rule struct {
	Meta
	L7PolicyID  string  `json:"-"`
	Type        string  `json:"type" attr:"rw,required,enum=COOKIE|FILE_TYPE|HEADER|HOST_NAME|PATH|SSL_CONN_HAS_CERT|SSL_VERIFY_RESULT|SSL_DN_FIELD" doc:"What is looked at."`
	CompareType string  `json:"compare_type" attr:"rw,required,enum=CONTAINS|ENDS_WITH|EQUAL_TO|REGEX|STARTS_WITH" doc:"How it is compared."`
	Key         *string `json:"key" attr:"rw,null,max=255" doc:"The header, cookie or field that is looked at."`
	Value       string  `json:"value" attr:"rw,required,max=255" doc:"What it is compared with."`
	Invert      bool    `json:"invert" attr:"rw,default=false" doc:"Whether the condition is negated."`
}
