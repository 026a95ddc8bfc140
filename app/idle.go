package app

import (
	"fmt"
	"strings"

	"github.com/octavo-lb/octavo/config"
)

// idle are keys that are read and checked, and that nothing acts on yet, by section.
var idle = map[string]string{
	"keystone_authtoken": "interface",
	"service_auth":       "service_type service_name",
	"controller_worker":  "amp_timezone",
	"health_manager":     "failover_threads heartbeat_key",
	"house_keeping":      "cleanup_interval amphora_expiry_age load_balancer_expiry_age",
	"haproxy_amphora":    "haproxy_stick_size default_connection_limit build_rate_limit",
	"keepalived_vrrp":    "vrrp_check_interval vrrp_fail_count vrrp_success_count vrrp_garp_refresh_interval vrrp_garp_refresh_count",
	"networking":         "max_retries retry_interval retry_backoff retry_max port_detach_timeout allow_invisible_resource_usage",
	"compute":            "max_retries retry_interval retry_backoff retry_max",
	"nova":               "random_amphora_name_length insecure",
	"cinder":             "service_name endpoint region_name endpoint_type ca_certificates_file insecure availability_zone volume_create_timeout",
	"glance":             "insecure",
	"audit":              "enabled audit_map_file ignore_req_list",
	"oslo_middleware":    "enable_proxy_headers_parsing",
	"certificates":       "server_certs_key_passphrase insecure",
}

// idleKeys are those of them that the operator set.
func idleKeys(cfg *config.Config) (keys []string) {
	if n, s := &cfg.Neutron.Auth, &cfg.ServiceAuth.Auth; n.Username != s.Username || n.UserID != s.UserID || n.AuthURL != s.AuthURL ||
		n.ProjectName != s.ProjectName || n.ProjectID != s.ProjectID || n.CredentialID != s.CredentialID {
		keys = append(keys, "[neutron] username and its like (the account of [service_auth] is used everywhere)")
	}
	for _, section := range cfg.Sections() {
		for key := range strings.FieldsSeq(idle[section]) {
			if cfg.IsSet(section, key) {
				keys = append(keys, fmt.Sprintf("[%s] %s", section, key))
			}
		}
	}
	return keys
}
