# A management network as an operator would have made it by hand: for trying Octavo
# with --no-create.  By default Octavo makes its own.

layer_management() {
    if $packages_only; then return 0; fi
    range_is_free "$TESTBED_MGMT_CIDR" o-hm0
    _hm=$(provision management) || exit 1
    eval "$(echo "$_hm" | grep '^HM_PORT=' | tr ' ' '\n')"
    host_port
    say "management: up (host on lb-mgmt-net as $HM_IP)"
}

# The host's own interface on lb-mgmt-net: a veth pair whose far end carries the
# name the Linux bridge agent expects of a port's tap device.  The agent then
# plugs it into the bridge, applies the port's security group and reports it up,
# as it would for a server.
host_port() {
    tap=tap$(echo "$HM_PORT" | cut -c1-11)
    # A pair left from an earlier cloud has another tap name.
    [ -e "/sys/class/net/$tap" ] || ip link del o-hm0 2>/dev/null || :
    [ -e /sys/class/net/o-hm0 ] ||
        ip link add o-hm0 address "$HM_MAC" mtu "$HM_MTU" type veth peer name "$tap" mtu "$HM_MTU"
    ip addr show dev o-hm0 | grep -q " $HM_IP " || ip addr add "$HM_IP" dev o-hm0
    ip link set "$tap" up; ip link set o-hm0 up
    wait_for 60 "the bridge agent to plug $tap" test -e "/sys/class/net/$tap/master"
    # The bridge lives in the host's own network stack, which would answer ARP
    # for o-hm0's address with the bridge's MAC as well.  Guests that believe it
    # reach the host past the port and its security group.
    echo 1 >"/proc/sys/net/ipv4/conf/brq$(echo "$HM_NET" | cut -c1-11)/arp_ignore"
}
