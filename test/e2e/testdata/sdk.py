"""Calls every method of openstacksdk's load balancer proxy against the API at argv[1], with the amphora argv[2] of load
balancer argv[3]. Prints the methods that it did not call."""
import inspect
import sys

import openstack
from openstack.load_balancer.v2 import _proxy

URL, AMPHORA, BALANCER = sys.argv[1:4]
NETWORK, SUBNET = "6b8f5b6e-0000-4000-8000-000000000001", "6b8f5b6e-0000-4000-8000-000000000002"
PROJECT = "1" * 32

connection = openstack.connection.Connection(
    auth_type="none", load_balancer_api_version="2", load_balancer_endpoint_override=URL)
connection.session.additional_headers["X-Project-Id"] = PROJECT
lb = connection.load_balancer

methods = [n for n, f in inspect.getmembers(_proxy.Proxy, inspect.isfunction) if n in vars(_proxy.Proxy) and n[0] != "_"]
called, depth = set(), 0


def watched(name, method):
    def call(*args, **kwargs):
        global depth
        if depth == 0:
            called.add(name)
        depth += 1
        try:
            result = method(*args, **kwargs)
            return list(result) if inspect.isgenerator(result) else result
        finally:
            depth -= 1
    return call


for name in methods:
    setattr(lb, name, watched(name, getattr(lb, name)))


def same(what, got, want):
    if got != want:
        sys.exit(f"{what} is {got!r}, want {want!r}")


def mark(o):
    return o.id or o.name  # availability zones have no id


def life(one, many, update, create, before=(), **change):
    """Makes an object, finds it in every way, changes it, and returns it with what deletes it."""
    made = getattr(lb, "create_" + one)(*before, **create)
    key = mark(made)
    same(one + " found", getattr(lb, "find_" + one)(*ordered(made.name or key, before)).name, made.name)
    same(one + " got", getattr(lb, "get_" + one)(*ordered(key, before)).name, made.name)
    same(one + " listed", key in [mark(o) for o in getattr(lb, many)(*before)], True)
    changed = getattr(lb, "update_" + one)(*ordered(key, before), **update)
    for name, value in update.items():
        same(f"{one}.{name}", getattr(changed, name), value)
    return made, lambda: getattr(lb, "delete_" + one)(*ordered(key, before))


def ordered(key, before):
    return (key, *before)


made, delete_lb = life("load_balancer", "load_balancers", {"name": "sdk2", "description": "d"},
                       {"name": "sdk", "vip_subnet_id": SUBNET, "vip_network_id": NETWORK, "tags": ["a"]})
same("status", lb.wait_for_load_balancer(made.id, interval=0.1, wait=20).provisioning_status, "ACTIVE")
same("statistics", lb.get_load_balancer_statistics(made.id).bytes_in, 0)
lb.failover_load_balancer(made.id)
listener, delete_listener = life("listener", "listeners", {"connection_limit": 7}, {
    "name": "l", "protocol": "HTTP", "protocol_port": 80, "load_balancer_id": made.id, "insert_headers": {"X-Forwarded-For": "true"}})
same("listener's statistics", lb.get_listener_statistics(listener.id).total_connections, 0)
pool, delete_pool = life("pool", "pools", {"lb_algorithm": "LEAST_CONNECTIONS"}, {
    "name": "p", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "listener_id": listener.id, "session_persistence": {"type": "SOURCE_IP"}})
member, delete_member = life("member", "members", {"weight": 5}, {
    "name": "m", "address": "192.0.2.7", "protocol_port": 80, "subnet_id": SUBNET}, (pool.id,))
monitor, delete_monitor = life("health_monitor", "health_monitors", {"delay": 9}, {
    "name": "h", "type": "HTTP", "delay": 5, "timeout": 3, "max_retries": 2, "pool_id": pool.id})
policy, delete_policy = life("l7_policy", "l7_policies", {"redirect_url": "http://b.example/"}, {
    "name": "y", "action": "REDIRECT_TO_URL", "redirect_url": "http://a.example/", "listener_id": listener.id})
rule, delete_rule = life("l7_rule", "l7_rules", {"rule_value": "/b"}, {
    "type": "PATH", "compare_type": "STARTS_WITH", "value": "/a"}, (policy.id,))
profile, delete_flavor_profile = life("flavor_profile", "flavor_profiles", {"name": "fp2"}, {
    "name": "fp", "provider_name": "noop_driver", "flavor_data": '{"a": 1}'})
flavor, delete_flavor = life("flavor", "flavors", {"description": "d"}, {"name": "f", "flavor_profile_id": profile.id})
zones, delete_zone_profile = life("availability_zone_profile", "availability_zone_profiles", {"name": "zp2"}, {
    "name": "zp", "provider_name": "noop_driver", "availability_zone_data": '{"compute_zone": "z"}'})
zone, delete_zone = life("availability_zone", "availability_zones", {"description": "d"}, {
    "name": "z", "availability_zone_profile_id": zones.id})

same("providers", sorted(p.name for p in lb.providers()), ["amphora", "noop_driver", "noop_driver-alt", "octavia"])
same("capabilities", [c.name for c in lb.provider_flavor_capabilities("noop_driver")], ["amp_image_tag"])
same("quota", lb.update_quota(PROJECT, load_balancers=5).load_balancers, 5)
same("quota", lb.get_quota(PROJECT).load_balancers, 5)
same("quotas", len(lb.quotas()), 1)
same("default quota", lb.get_quota_default().load_balancers, -1)
lb.delete_quota(PROJECT)

same("amphorae", [a.id for a in lb.amphorae()], [AMPHORA])
same("amphora", lb.get_amphora(AMPHORA).loadbalancer_id, BALANCER)
same("amphora", lb.find_amphora(AMPHORA).id, AMPHORA)
lb.configure_amphora(AMPHORA)
lb.failover_amphora(AMPHORA)

for delete in (delete_rule, delete_policy, delete_monitor, delete_member, delete_pool, delete_listener, delete_lb,
               delete_flavor, delete_flavor_profile, delete_zone, delete_zone_profile):
    delete()
print(" ".join(sorted(set(methods) - called)))
