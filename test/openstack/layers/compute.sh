# Placement, Nova and libvirt; QEMU emulates the processor.

layer_compute() {
    # Not nova-compute-qemu: it pulls emulators for every architecture, and
    # libvirt then spends a minute probing them.
    pkgs placement-api nova-api nova-conductor nova-scheduler nova-compute nova-compute-kvm \
         python3-libvirt libvirt-daemon-system libvirt-clients qemu-system-x86 qemu-utils genisoimage
    say "compute: packages ready"
    if $packages_only; then return 0; fi
    rabbit_up
    provision compute
    db placement nova_api nova_cell0 nova

    mkdir -p "$ETC/placement"
    conf placement/placement.conf placement <<EOF
[DEFAULT]
use_stderr = true

[api]
auth_strategy = keystone

[placement_database]
connection = $(db_url placement)
max_pool_size = 5
$(common_sections placement placement)
EOF
    once placement-db "$(pkgver placement-common)" placement-manage \
        --config-file "$ETC/placement/placement.conf" db sync >>"$LOG/placement-manage.log" 2>&1 ||
        die "placement db sync failed"
    wsgi placement-api placement "$PORT_PLACEMENT" /usr/bin/placement-api 1 4 \
        OS_PLACEMENT_CONFIG_DIR="$ETC/placement"

    mkdir -p "$DATA/nova-state/instances"; chown nova "$DATA/nova-state" "$DATA/nova-state/instances"
    conf nova.conf nova <<EOF
[DEFAULT]
$(transport)
use_stderr = true
host = $NODE
my_ip = $TESTBED_IP
state_path = $DATA/nova-state
enabled_apis = osapi_compute
compute_driver = libvirt.LibvirtDriver
vif_plugging_timeout = 60
vif_plugging_is_fatal = true
# Guests that ran when the testbed stopped run again after the next start.
resume_guests_state_on_host_boot = true
# A small machine that runs many idle guests.
ram_allocation_ratio = 4.0
cpu_allocation_ratio = 64.0
disk_allocation_ratio = 16.0
reserved_host_memory_mb = 512
shutdown_timeout = 10
# Less background work.
report_interval = 30
service_down_time = 120
heal_instance_info_cache_interval = 600
sync_power_state_interval = 120
running_deleted_instance_poll_interval = 0
osapi_compute_workers = 1
mkisofs_cmd = genisoimage

[image_cache]
manager_interval = -1

[api_database]
connection = $(db_url nova_api)
max_pool_size = 5

[conductor]
workers = 1

[scheduler]
workers = 1

[filter_scheduler]
track_instance_changes = false
enabled_filters = ComputeFilter,ComputeCapabilitiesFilter,ImagePropertiesFilter,ServerGroupAntiAffinityFilter,ServerGroupAffinityFilter

[quota]
instances = -1
cores = -1
ram = -1
server_groups = -1
server_group_members = -1

[vnc]
enabled = false

[glance]
region_name = $TESTBED_REGION

[libvirt]
virt_type = qemu
connection_uri = qemu:///system
cpu_mode = none
# Guests are throw-away: no flushing to disk.
disk_cachemodes = file=unsafe
images_type = qcow2
inject_partition = -2

[nova_sys_admin]
helper_command = privsep-helper

[vif_plug_linux_bridge_privileged]
helper_command = privsep-helper

[os_vif_linux_bridge]
# The agent's own rules filter; os-vif must not add its own.
iptables_top_regex =
use_ipv6 = false

$(common_sections nova nova)
$(client_section neutron nova)
$(client_section placement nova)
EOF
    nm="nova-manage --config-file $ETC/nova.conf"
    once nova-db "$(pkgver nova-common)" sh -ec "
        $nm api_db sync
        $nm cell_v2 map_cell0 --database_connection '$(db_url nova_cell0)'
        $nm db sync
        $nm cell_v2 list_cells | grep -q ' cell1 ' || $nm cell_v2 create_cell --name cell1" \
        >>"$LOG/nova-manage.log" 2>&1 || die "nova schema failed (see $LOG/nova-manage.log)"
    say "compute: schema ready"

    libvirt_up
    svc_start nova-conductor nova -- nova-conductor --config-file "$ETC/nova.conf"
    svc_start nova-scheduler nova -- nova-scheduler --config-file "$ETC/nova.conf"
    # Two processes of one thread: nova patches itself for eventlet, which does
    # not mix with uwsgi threads.
    wsgi nova-api nova "$PORT_NOVA" /usr/bin/nova-api-wsgi 2 1 \
        "OS_NOVA_CONFIG_FILES=/etc/nova/api-paste.ini;$ETC/nova.conf"
    svc_start nova-compute root -- nova-compute --config-file "$ETC/nova.conf"
    wait_for 60 placement http_up "$PORT_PLACEMENT"
    wait_for 90 nova-api http_up "$PORT_NOVA"
    wait_for 90 nova-compute sh -c "mariadb --no-defaults -u root -S $MYSQL_SOCK -BN -e \
        'SELECT host FROM nova.compute_nodes WHERE deleted=0' | grep -q ."
    [ -n "$(sql -e 'SELECT host FROM nova_api.host_mappings')" ] ||
        $nm cell_v2 discover_hosts >>"$LOG/nova-manage.log" 2>&1
    provision flavors
    say "compute: up (http://$TESTBED_IP:$PORT_NOVA/v2.1)"
}

# libvirt without systemd: no virtlogd (stdio to files), no cgroups, and QEMU
# as root, so that image files need no change of owner.
libvirt_up() {
    [ -e /etc/libvirt/qemu.conf.dist ] || cp -p /etc/libvirt/qemu.conf /etc/libvirt/qemu.conf.dist
    cat >/etc/libvirt/qemu.conf <<EOF
# Written by the OpenStack testbed; the package's file is qemu.conf.dist.
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
EOF
    cat >"$ETC/libvirtd.conf" <<EOF
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_group = "libvirt"
unix_sock_rw_perms = "0770"
log_outputs = "3:stderr"
EOF
    mkdir -p /run/libvirt
    svc_start libvirtd root -- libvirtd --config "$ETC/libvirtd.conf"
    wait_for 30 libvirtd virsh -c qemu:///system version
}
