package haproxy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/octavo-lb/octavo/haproxy"
)

func TestMetrics(t *testing.T) {
	t.Parallel()
	got := haproxy.Metrics(`# HELP haproxy_process_nbthread Number of started threads (global.nbthread)
# TYPE haproxy_process_nbthread gauge
haproxy_process_nbthread 2
# HELP haproxy_process_current_connections Number of active sessions.
# TYPE haproxy_process_current_connections gauge
haproxy_process_current_connections 7
haproxy_process_hard_max_connections 100
haproxy_process_pool_used_bytes 5
haproxy_process_limit_ssl_rate 0
haproxy_process_current_frontend_ssl_key_rate 0
# TYPE haproxy_frontend_status gauge
haproxy_frontend_status{proxy="l1",state="UP"} 1
haproxy_frontend_status{proxy="exporter",state="UP"} 1
haproxy_frontend_http_responses_total{proxy="l1",code="2xx"} 3
haproxy_backend_active_servers{proxy="p1:l1"} 2
haproxy_backend_active_servers{proxy="metrics"} 1
haproxy_backend_agg_server_status{proxy="p1:l1",state="UP"} 1
haproxy_server_weight{proxy="p1:l1",server="m1"} 1
haproxy_sticktable_size{name="p1:l1",type="ip"} 1
`)
	want := `# HELP octavia_loadbalancer_current_connections Number of active sessions.
# TYPE octavia_loadbalancer_current_connections gauge
octavia_loadbalancer_current_connections 7
octavia_memory_pool_used_bytes 5
octavia_loadbalancer_limit_ssl_rate 0
octavia_loadbalancer_current_frontend_ssl_key_rate 0
# TYPE octavia_listener_status gauge
octavia_listener_status{listener="l1",state="UP"} 1
octavia_listener_http_responses_total{listener="l1",code="2xx"} 3
octavia_pool_active_members{pool="p1:l1"} 2
octavia_member_weight{pool="p1:l1",member="m1"} 1
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics differ (-want +got):\n%s", diff)
	}
}
