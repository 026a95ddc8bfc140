package app

import (
	"fmt"
	"strings"

	"github.com/octavo-lb/octavo/config"
)

// idle are keys that are read and checked, and that nothing acts on, with the reason.
var idle = []struct{ section, keys, why string }{
	{"keystone_authtoken", "interface", "auth_url is used as it is"},
	{"service_auth", "service_type service_name", "each service has its own section for that"},
	{"health_manager", "failover_threads", "[octavo] workers bounds all work together"},
	{"health_manager", "heartbeat_key", "agents prove themselves by certificates"},
	{"house_keeping", "cleanup_interval amphora_expiry_age load_balancer_expiry_age", "what is deleted is gone at once, and keeps no record"},
	{"haproxy_amphora", "haproxy_stick_size", "a sticky pool remembers 100,000 clients"},
	{"haproxy_amphora", "default_connection_limit", "what bounds a listener without a limit is its instance's memory"},
	{"keepalived_vrrp", "vrrp_check_interval vrrp_fail_count vrrp_success_count", "agents tell keepalived at once whether they can serve"},
	{"keepalived_vrrp", "vrrp_garp_refresh_interval vrrp_garp_refresh_count", "a master announces its addresses every five seconds, twice"},
	{"networking", "max_retries retry_interval retry_backoff retry_max port_detach_timeout", "what fails is tried again, ever more slowly, until it succeeds"},
	{"networking", "allow_invisible_resource_usage", "networks are looked up with their user's own rights"},
	{"compute", "max_retries retry_interval retry_backoff retry_max", "what fails is tried again, ever more slowly, until it succeeds"},
	{"nova", "random_amphora_name_length", "an instance is found again by its name, amphora-ID, whatever was killed while it was made"},
	{"cinder", "service_name endpoint region_name endpoint_type ca_certificates_file insecure availability_zone volume_create_timeout",
		"Nova makes the volumes that amphorae boot from"},
	{"audit", "enabled audit_map_file ignore_req_list", "there is no audit of requests; a proxy's log has them"},
	{"oslo_middleware", "enable_proxy_headers_parsing", "links in answers follow [api_settings] api_base_uri"},
	{"certificates", "server_certs_key_passphrase", "what is stored is sealed with [octavo] key_file"},
}

// idleKeys are those of them that the operator set.
func idleKeys(cfg *config.Config) (keys []string) {
	if n, s := &cfg.Neutron.Auth, &cfg.ServiceAuth.Auth; n.Username != s.Username || n.UserID != s.UserID || n.AuthURL != s.AuthURL ||
		n.ProjectName != s.ProjectName || n.ProjectID != s.ProjectID || n.CredentialID != s.CredentialID {
		keys = append(keys, "[neutron] username and its like (the account of [service_auth] is used everywhere)")
	}
	for _, i := range idle {
		for key := range strings.FieldsSeq(i.keys) {
			if cfg.IsSet(i.section, key) {
				keys = append(keys, fmt.Sprintf("[%s] %s (%s)", i.section, key, i.why))
			}
		}
	}
	return keys
}
