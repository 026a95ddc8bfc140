# Neutron: server, Linux bridge agent, L3 and DHCP agents; RabbitMQ, which they talk
# through.
layer_network() {
    pkgs rabbitmq-server neutron-server neutron-linuxbridge-agent neutron-l3-agent \
         neutron-dhcp-agent sudo ebtables ipset iptables conntrack dnsmasq-base \
         iputils-arping iputils-ping bridge-utils
    say "network: packages ready"
    if $packages_only; then return 0; fi
    rabbit_up
    db neutron

    # Security groups are iptables rules on bridged packets.
    [ -e /proc/sys/net/bridge/bridge-nf-call-iptables ] || modprobe br_netfilter 2>/dev/null ||
        say "WARNING: no br_netfilter in this kernel: security groups will not filter"

    # Bridge of the external network.  The host itself is the gateway, so that
    # floating IPs are reachable from it; nothing is forwarded further.
    range_is_free "$TESTBED_EXT_CIDR" br-ex
    ip link show br-ex >/dev/null 2>&1 || ip link add br-ex type bridge
    ip addr show dev br-ex | grep -q " $TESTBED_EXT_GW/" ||
        ip addr add "$TESTBED_EXT_GW/${TESTBED_EXT_CIDR#*/}" dev br-ex
    ip link set br-ex up

    mkdir -p "$DATA/neutron-state"; chown neutron "$DATA/neutron-state"
    conf neutron.conf neutron <<EOF
[DEFAULT]
$(transport)
use_stderr = true
host = $NODE
bind_host = $TESTBED_IP
bind_port = $PORT_NEUTRON
state_path = $DATA/neutron-state
core_plugin = ml2
service_plugins = router,qos
auth_strategy = keystone
# Few processes: one API worker, RPC served by its parent.
api_workers = 1
rpc_workers = 0
rpc_state_report_workers = 0
allow_overlapping_ips = true
max_allowed_address_pair = 100
dhcp_agents_per_network = 1
global_physnet_mtu = 1500
# Without the compute layer these notifications fail, which is only logged.
notify_nova_on_port_status_changes = true
notify_nova_on_port_data_changes = true
interface_driver = linuxbridge

[experimental]
# Zed refuses to load the driver without this.
linuxbridge = true

[agent]
# The agents run as root and need no sudo in front of ip, iptables ...
root_helper =
root_helper_daemon =
report_interval = 30

[privsep]
helper_command = privsep-helper

[quotas]
default_quota = -1
quota_network = -1
quota_subnet = -1
quota_port = -1
quota_router = -1
quota_floatingip = -1
quota_security_group = -1
quota_security_group_rule = -1
$(common_sections neutron neutron)
$(client_section nova nova)
$(client_section placement placement)
EOF
    # Tenant networks are of type "local": a bridge on this machine and nothing
    # else, so no tunnel traffic can leave it.
    conf ml2.ini neutron <<EOF
[ml2]
type_drivers = flat,local
tenant_network_types = local
mechanism_drivers = linuxbridge
extension_drivers = port_security,qos

[ml2_type_flat]
flat_networks = public

EOF
    conf linuxbridge_agent.ini root <<EOF
[securitygroup]
firewall_driver = iptables
enable_ipset = true

[linux_bridge]
bridge_mappings = public:br-ex

[vxlan]
enable_vxlan = false

[agent]
extensions = qos
# Ports become ACTIVE sooner; a scan is one directory listing.
polling_interval = 1
EOF
    conf l3_agent.ini neutron <<EOF
[DEFAULT]
interface_driver = linuxbridge
agent_mode = legacy
# Guests read a config drive; no metadata proxy per router.
enable_metadata_proxy = false
EOF
    conf dhcp_agent.ini neutron <<EOF
[DEFAULT]
interface_driver = linuxbridge
enable_isolated_metadata = false
EOF
    # ebtables on nf_tables (1.8.9) refuses to delete a rule with --among-src by
    # its text, and the bridge agent then retries for ever: no port would ever
    # be updated.  Deleting by number works, so the agent is given this.
    mkdir -p "$TESTBED_STATE/bin"
    cat >"$TESTBED_STATE/bin/ebtables" <<'EOF'
#!/bin/sh
case " $* " in *" -D "*" --among-"*)
    table=nat chain= all="$*"
    spec=${all#*-D }; chain=${spec%% *}; spec=${spec#* }
    n=$(/usr/sbin/ebtables -t $table --concurrent -L "$chain" --Ln | grep -F -e "$spec" | head -1 | sed 's/[^0-9].*//')
    [ -z "$n" ] || exec /usr/sbin/ebtables -t $table --concurrent -D "$chain" "$n" ;;
esac
exec /usr/sbin/ebtables "$@"
EOF
    chmod 755 "$TESTBED_STATE/bin/ebtables"
    once neutron-db "$(pkgver neutron-common)" neutron-db-manage --config-file "$ETC/neutron.conf" \
        --config-file "$ETC/ml2.ini" upgrade heads >>"$LOG/neutron-db.log" 2>&1 ||
        die "neutron-db-manage failed (see $LOG/neutron-db.log)"
    say "network: schema ready"
    need_port neutron-server "$PORT_NEUTRON"
    c="--config-file $ETC/neutron.conf"
    svc_start neutron-server neutron -- neutron-server $c --config-file "$ETC/ml2.ini"
    wait_for 120 neutron-server http_up "$PORT_NEUTRON"
    svc_start neutron-linuxbridge-agent root PATH="$TESTBED_STATE/bin:$PATH" -- neutron-linuxbridge-agent $c \
        --config-file "$ETC/linuxbridge_agent.ini"
    svc_start neutron-dhcp-agent root -- neutron-dhcp-agent $c --config-file "$ETC/dhcp_agent.ini"
    svc_start neutron-l3-agent root -- neutron-l3-agent $c --config-file "$ETC/l3_agent.ini"
    provision network
    say "network: up (http://$TESTBED_IP:$PORT_NEUTRON)"
}

rabbit_up() {
    need_port rabbitmq "$PORT_RABBIT"
    # Busy-waiting schedulers off (+sbwt none): an idle broker then costs nothing.
    cat >"$ETC/rabbitmq-env.conf" <<EOF
NODENAME=ostb@localhost
NODE_IP_ADDRESS=$TESTBED_IP
NODE_PORT=$PORT_RABBIT
DIST_PORT=$PORT_RABBIT_DIST
CONFIG_FILE=$ETC/rabbitmq
MNESIA_BASE=$DATA/rabbitmq
LOG_BASE=$LOG/rabbitmq
ENABLED_PLUGINS_FILE=$ETC/rabbitmq-plugins
SERVER_ADDITIONAL_ERL_ARGS="+sbwt none +sbwtdcpu none +sbwtdio none +S 1:1 -kernel inet_dist_use_interface {127,0,0,1}"
EOF
    printf 'vm_memory_high_watermark.absolute = 512MB\ndisk_free_limit.absolute = 100MB\n' >"$ETC/rabbitmq.conf"
    printf '[].\n' >"$ETC/rabbitmq-plugins"
    install -d -o rabbitmq -g rabbitmq "$LOG/rabbitmq" "$DATA/rabbitmq"
    svc_start rabbitmq rabbitmq RABBITMQ_CONF_ENV_FILE="$ETC/rabbitmq-env.conf" ERL_EPMD_ADDRESS=127.0.0.1 \
        -- /usr/lib/rabbitmq/bin/rabbitmq-server
    wait_for 60 rabbitmq tcp_busy "$PORT_RABBIT"
}
