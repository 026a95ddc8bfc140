# What can be set from outside, by environment variables of the same names, and
# where things are.  POSIX sh; sourced first by every script here.
#
# All that the testbed writes is in $TESTBED_STATE, apart from three places that
# the packages insist on: /etc/libvirt, /etc/openstack-dashboard and the kernel
# (bridges, network namespaces, iptables chains).  The packages' own files in
# /etc/keystone, /etc/neutron ... stay as installed.

TESTBED_STATE=${TESTBED_STATE:-/var/lib/openstack-testbed}
TESTBED_IP=${TESTBED_IP:-127.0.0.1}           # every API, MariaDB and RabbitMQ listen here only
TESTBED_REGION=${TESTBED_REGION:-RegionOne}
TESTBED_PASSWORD=${TESTBED_PASSWORD:-secret}  # one password for everything: a throw-away cloud

# The program under test, for building an image.
OCTAVO=${OCTAVO:-$here/../../bin/octavo}

# Address ranges.  They are routed on this machine, so they must hold nothing that
# it talks to (its package mirror!); 198.18.0.0/15 is set apart for tests.
#
# External network (flat, bridge br-ex; the host holds the gateway address).
TESTBED_EXT_CIDR=${TESTBED_EXT_CIDR:-198.19.0.0/24}
TESTBED_EXT_GW=${TESTBED_EXT_GW:-198.19.0.1}
TESTBED_EXT_POOL=${TESTBED_EXT_POOL:-198.19.0.100-198.19.0.199}
# Management network of the layer "management"; the host joins it through o-hm0.
TESTBED_MGMT_CIDR=${TESTBED_MGMT_CIDR:-198.19.64.0/20}
TESTBED_MGMT_POOL=${TESTBED_MGMT_POOL:-198.19.64.100-198.19.79.250}
TESTBED_MGMT_HOST_IP=${TESTBED_MGMT_HOST_IP:-198.19.64.2}
# Tenant network.
TESTBED_PRIVATE_CIDR=${TESTBED_PRIVATE_CIDR:-192.168.21.0/24}

PORT_MYSQL=${PORT_MYSQL:-3306}
PORT_RABBIT=${PORT_RABBIT:-5672}
PORT_RABBIT_DIST=${PORT_RABBIT_DIST:-25672}
PORT_MEMCACHED=${PORT_MEMCACHED:-11211}
PORT_KEYSTONE=5000 PORT_NEUTRON=9696 PORT_GLANCE=9292 PORT_PLACEMENT=8778
PORT_NOVA=8774 PORT_BARBICAN=9311 PORT_OCTAVIA=9876
PORT_HORIZON=${PORT_HORIZON:-8880}

# Debian's tools and interpreter only, whatever the caller's PATH holds.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C.UTF-8
DEBIAN_FRONTEND=noninteractive
export PATH LC_ALL DEBIAN_FRONTEND
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY PYTHONPATH PYTHONHOME

ETC=$TESTBED_STATE/etc LOG=$TESTBED_STATE/log RUN=$TESTBED_STATE/run DATA=$TESTBED_STATE/data
NODE=$(hostname)
MYSQL_SOCK=$RUN/mysqld.sock

# In the order in which they come up.  What is not in the second list comes only
# when asked for: Octavo makes its own management network and image.
LAYERS="identity network image compute secrets dashboard management amphora"
DEFAULT_LAYERS="identity network image compute secrets"
# Daemons in start order; "down" goes through them backwards.
DAEMONS="memcached mariadb keystone rabbitmq neutron-server neutron-linuxbridge-agent
neutron-l3-agent neutron-dhcp-agent glance-api placement-api nova-conductor nova-scheduler
nova-api libvirtd nova-compute barbican-api horizon"

say()  { printf '%s [%4ds] %s\n' "$(date +%H:%M:%S)" "$(( $(date +%s) - ${T0:-$(date +%s)} ))" "$*"; }
die()  { say "ERROR: $*" >&2; exit 1; }
