package config

import (
	"slices"
	"strings"
)

// upstreamOnly are keys that upstream has and that have nothing to do in Octavo, because what they tune is not there:
// processes and threads, a message bus between the controllers, an agent that is dialled, jobs in TaskFlow. "*" is the
// whole section.
var upstreamOnly = map[string]string{
	"task_flow":                      "*",
	"oslo_messaging":                 "*",
	"oslo_messaging_kafka":           "*",
	"oslo_messaging_amqp":            "*",
	"oslo_concurrency":               "*",
	"oslo_reports":                   "*",
	"oslo_limit":                     "*",
	"cors":                           "*",
	"healthcheck":                    "*",
	"profiler":                       "*",
	"audit_middleware_notifications": "*",
	"coordination":                   "*",
	"DEFAULT": "octavia_plugins rpc_response_timeout executor_thread_pool_size rpc_conn_pool_size " +
		"conn_pool_min_size conn_pool_ttl rpc_ping_enabled use_syslog syslog_log_facility use_journal use_stderr " +
		"log_options graceful_shutdown_timeout log_config_append log_date_format watch_log_file logging_context_format_string " +
		"logging_default_format_string logging_debug_format_suffix logging_exception_prefix logging_user_identity_format " +
		"default_log_levels publish_errors instance_format instance_uuid_format rate_limit_interval rate_limit_burst " +
		"rate_limit_except_level fatal_deprecations log_rotate_interval log_rotate_interval_type max_logfile_count " +
		"max_logfile_size_mb log_rotation_type use_eventlog log_color api_paste_config tempdir config_source verbose",
	"api_settings": "api_handler api_v1_enabled api_v2_enabled bind_workers",
	"database": "sqlite_synchronous slave_connection mysql_sql_mode mysql_wsrep_sync_wait pool_timeout connection_debug " +
		"connection_trace use_db_reconnect db_retry_interval db_inc_retry_interval db_max_retry_interval db_max_retries " +
		"connection_parameters synchronous_reader use_tpool min_pool_size backend mysql_enable_ndb idle_timeout asyncio_connection asyncio_slave_connection",
	"keystone_authtoken": "auth_version delay_auth_decision http_connect_timeout http_request_max_retries cache " +
		"memcached_servers memcache_security_strategy memcache_secret_key memcache_pool_dead_retry memcache_pool_maxsize " +
		"memcache_pool_socket_timeout memcache_pool_unused_timeout memcache_pool_conn_get_timeout memcache_use_advanced_pool " +
		"memcache_sasl_enabled memcache_username memcache_password memcache_tls_enabled memcache_tls_cafile " +
		"memcache_tls_certfile memcache_tls_keyfile memcache_tls_allowed_ciphers include_service_catalog enforce_token_bind " +
		"service_token_roles service_token_roles_required service_type signing_dir trust_id domain_id domain_name",
	"service_auth": "trust_id domain_id domain_name collect_timing split_loggers version min_version max_version " +
		"connect_retries connect_retry_delay status_code_retries status_code_retry_delay retriable_status_codes tenant",
	"neutron": "trust_id domain_id domain_name collect_timing split_loggers version min_version max_version connect_retries " +
		"connect_retry_delay status_code_retries status_code_retry_delay retriable_status_codes",
	"controller_worker": "workers amp_active_retries amp_active_wait_sec image_driver distributor_driver " +
		"statistics_drivers user_data_config_drive amphora_delete_retries amphora_delete_retry_interval " +
		"db_commit_retry_attempts db_commit_retry_initial_delay db_commit_retry_backoff db_commit_retry_max amp_ssh_access_allowed cert_generator",
	"health_manager": "health_update_threads stats_update_threads sock_rlimit health_update_driver stats_update_driver event_streamer_driver " +
		"status_update_threads sync_provisioning_status",
	"house_keeping": "cert_rotate_threads cert_interval spare_check_interval spare_amphora_pool_size",
	"haproxy_amphora": "base_path base_cert_dir haproxy_template bind_host bind_port lb_network_interface haproxy_cmd " +
		"respawn_count respawn_interval rest_request_conn_timeout rest_request_read_timeout " +
		"active_connection_max_retries active_connection_retry_interval active_connection_rety_interval " +
		"failover_connection_max_retries failover_connection_retry_interval build_active_retries build_retry_interval " +
		"api_db_commit_retry_attempts api_db_commit_retry_initial_delay api_db_commit_retry_backoff api_db_commit_retry_max " +
		"use_upstart connection_max_retries_active",
	"amphora_agent": "agent_server_ca agent_server_cert agent_server_network_dir agent_server_network_file " +
		"agent_request_read_timeout agent_tls_protocol logging_template_override amphora_id amphora_udp_driver",
	"cinder":       "volume_create_retry_interval volume_create_max_retries",
	"driver_agent": "status_max_processes stats_max_processes get_max_processes max_process_warning_percent provider_agent_shutdown_timeout enabled_provider_agents",
	"oslo_messaging_rabbit": "ssl_version kombu_ssl_version ssl_enforce_fips_mode heartbeat_rate heartbeat_in_pthread kombu_reconnect_delay " +
		"kombu_compression kombu_missing_consumer_retry_timeout kombu_reconnect_timeout kombu_failover_strategy rabbit_login_method " +
		"rabbit_retry_interval rabbit_retry_backoff rabbit_interval_max rabbit_max_retries rabbit_ha_queues rabbit_quorum_delivery_limit " +
		"rabbit_quroum_max_memory_length rabbit_quroum_max_memory_bytes rabbit_quorum_max_memory_length rabbit_quorum_max_memory_bytes " +
		"rabbit_transient_queues_ttl rabbit_transient_quorum_queue rabbit_qos_prefetch_count rabbit_stream_fanout direct_mandatory_flag " +
		"enable_cancel_on_failover use_queue_manager hostname processname conn_pool_min_size conn_pool_ttl rpc_conn_pool_size",
	"key_manager": "auth_type token username password user_id user_domain_id user_domain_name trust_id domain_id domain_name project_id " +
		"project_name project_domain_id project_domain_name reauthenticate auth_url fixed_key",
	"vault": "insecure certfile keyfile timeout collect_timing split_loggers",
	"barbican": "barbican_api_version auth_endpoint retry_delay number_of_retries send_service_user_token insecure certfile " +
		"keyfile timeout collect_timing split_loggers cafile",
	"barbican_service_user": "*",
	"oslo_policy": "policy_default_rule remote_content_type remote_ssl_verify_server_crt remote_ssl_ca_crt_file " +
		"remote_ssl_client_crt_file remote_ssl_client_key_file remote_timeout",
	"oslo_middleware": "secure_proxy_ssl_header http_basic_auth_user_file",
	"networking":      "lb_network_name",
}

func withoutEffect(section, key string) bool {
	keys, ok := upstreamOnly[section]
	return ok && (keys == "*" || slices.Contains(strings.Fields(keys), key))
}
