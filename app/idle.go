package app

import (
	"fmt"
	"strings"

	"github.com/octavo-lb/octavo/config"
)

// idle are keys that are read and checked, and that nothing acts on yet, by section.
var idle = map[string]string{
	"api_settings":      "allow_pagination allow_sorting allow_filtering allow_field_selection",
	"database":          "connection_recycle_time",
	"controller_worker": "amp_timezone volume_driver",
	"health_manager":    "failover_threads heartbeat_key",
	"house_keeping":     "cleanup_interval amphora_expiry_age load_balancer_expiry_age cert_interval cert_expiry_buffer",
	"haproxy_amphora":   "connection_logging user_log_format haproxy_stick_size default_connection_limit build_rate_limit",
	"amphora_agent": "admin_log_targets tenant_log_targets user_log_facility administrative_log_facility log_protocol log_retry_count " +
		"log_retry_interval log_queue_size forward_all_logs disable_local_log_storage",
	"keepalived_vrrp":              "vrrp_check_interval vrrp_fail_count vrrp_success_count vrrp_garp_refresh_interval vrrp_garp_refresh_count",
	"networking":                   "max_retries retry_interval retry_backoff retry_max port_detach_timeout allow_invisible_resource_usage",
	"compute":                      "max_retries retry_interval retry_backoff retry_max",
	"nova":                         "random_amphora_name_length",
	"cinder":                       "availability_zone volume_size volume_type volume_create_timeout",
	"audit":                        "enabled audit_map_file ignore_req_list",
	"driver_agent":                 "status_socket_path stats_socket_path get_socket_path status_request_timeout stats_request_timeout get_request_timeout",
	"oslo_messaging_notifications": "driver transport_url topics retry",
	"oslo_middleware":              "max_request_body_size enable_proxy_headers_parsing",
	"certificates":                 "ca_certificate ca_private_key ca_private_key_passphrase server_certs_key_passphrase signing_digest",
}

// idleKeys are those of them that the operator set.
func idleKeys(cfg *config.Config) (keys []string) {
	for _, section := range cfg.Sections() {
		for key := range strings.FieldsSeq(idle[section]) {
			if cfg.IsSet(section, key) {
				keys = append(keys, fmt.Sprintf("[%s] %s", section, key))
			}
		}
	}
	return keys
}
