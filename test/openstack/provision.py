#!/usr/bin/python3
"""Create the cloud objects a layer needs; safe to run again.

One process with the SDK instead of many `openstack` calls: each of those
costs one to two seconds of interpreter start.

usage: provision.py identity|network|management|image|compute|flavors|secrets
Settings come from the environment (exported by `up`).
"""
import os
import sys

import openstack

E = os.environ
IP, REGION, PW = E['TESTBED_IP'], E['TESTBED_REGION'], E['TESTBED_PASSWORD']


def connect(user='admin', project='admin'):
    return openstack.connection.Connection(
        auth=dict(auth_url=f"http://{IP}:{E['PORT_KEYSTONE']}/v3", username=user,
                  password=PW, project_name=project, user_domain_name='Default',
                  project_domain_name='Default'),
        region_name=REGION, identity_api_version='3')


def service(c, type_, name, url):
    ident = c.identity
    svc = next((s for s in ident.services() if s.type == type_), None) \
        or ident.create_service(type=type_, name=name)
    have = {e.interface: e for e in ident.endpoints(service_id=svc.id)}
    for iface in ('public', 'internal', 'admin'):
        if iface not in have:
            ident.create_endpoint(service_id=svc.id, interface=iface,
                                  region_id=REGION, url=url)
        elif have[iface].url != url:
            ident.update_endpoint(have[iface], url=url)


def role(c, name):
    return c.identity.find_role(name) or c.identity.create_role(name=name)


def project(c, name):
    return c.identity.find_project(name, domain_id='default') or \
        c.identity.create_project(name=name, domain_id='default')


def user(c, name, proj, *roles):
    u = c.identity.find_user(name, domain_id='default') or \
        c.identity.create_user(name=name, password=PW, domain_id='default',
                               default_project_id=proj.id)
    for r in roles:
        c.identity.assign_project_role_to_user(proj, u, role(c, r))
    return u


def service_user(c, name):
    return user(c, name, project(c, 'service'), 'admin', 'service')


def identity():
    c = connect()
    svc, demo, alt = project(c, 'service'), project(c, 'demo'), project(c, 'alt_demo')
    for r in ('service', 'creator', 'load-balancer_observer', 'load-balancer_global_observer',
              'load-balancer_member', 'load-balancer_quota_admin', 'load-balancer_admin'):
        role(c, r)
    user(c, 'admin', project(c, 'admin'), 'load-balancer_admin', 'creator')
    user(c, 'admin', demo, 'admin')
    user(c, 'demo', demo, 'member', 'load-balancer_member', 'creator')
    user(c, 'alt_demo', alt, 'member', 'load-balancer_member', 'creator')
    # One user per Octavia role, for policy tests; "lb-none" holds no such role.
    user(c, 'lb-none', demo, 'member')
    user(c, 'lb-observer', demo, 'reader', 'load-balancer_observer')
    user(c, 'lb-global-observer', svc, 'reader', 'load-balancer_global_observer')
    user(c, 'lb-member', demo, 'member', 'load-balancer_member')
    user(c, 'lb-quota-admin', svc, 'reader', 'load-balancer_quota_admin')
    user(c, 'lb-admin', svc, 'reader', 'load-balancer_admin')
    service_user(c, 'octavia')


def rules(c, sg, *wanted):
    have = {(r.protocol, r.port_range_min, r.direction, r.ether_type)
            for r in c.network.security_group_rules(security_group_id=sg.id)}
    for proto, port in wanted:
        if (proto, port, 'ingress', 'IPv4') not in have:
            c.network.create_security_group_rule(
                security_group_id=sg.id, direction='ingress', ethertype='IPv4',
                protocol=proto, port_range_min=port, port_range_max=port)


class Networks:
    """Networks, subnets and security groups, each found or made."""

    def __init__(self, c):
        self.c, self.n = c, c.network

    def net(self, name, proj, **kw):
        return next(self.n.networks(name=name, project_id=proj.id), None) or \
            self.n.create_network(name=name, project_id=proj.id, **kw)

    def subnet(self, name, net, cidr, **kw):
        return next(self.n.subnets(name=name, network_id=net.id), None) or \
            self.n.create_subnet(name=name, network_id=net.id, ip_version=4, cidr=cidr,
                                 project_id=net.project_id, **kw)

    def group(self, name, proj, *wanted):
        g = next(self.n.security_groups(name=name, project_id=proj.id), None) or \
            self.n.create_security_group(name=name, project_id=proj.id)
        rules(self.c, g, *wanted)
        return g


def pool(text):
    first, last = text.split('-')
    return [{'start': first, 'end': last}]


def network():
    c = connect()
    service_user(c, 'neutron')
    service(c, 'network', 'neutron', f"http://{IP}:{E['PORT_NEUTRON']}")
    c = connect()       # a fresh token, whose catalogue has the new endpoint
    n, make = c.network, Networks(c)
    demo = project(c, 'demo')

    ext = make.net('ext_net', project(c, 'admin'), is_router_external=True,
                   provider_network_type='flat', provider_physical_network='public')
    make.subnet('ext_subnet', ext, E['TESTBED_EXT_CIDR'], gateway_ip=E['TESTBED_EXT_GW'],
                is_dhcp_enabled=False, allocation_pools=pool(E['TESTBED_EXT_POOL']))

    priv = make.net('private', demo)
    psub = make.subnet('private_subnet', priv, E['TESTBED_PRIVATE_CIDR'])
    rt = next(n.routers(name='router1', project_id=demo.id), None) or \
        n.create_router(name='router1', project_id=demo.id,
                        external_gateway_info={'network_id': ext.id})
    if not list(n.ports(device_id=rt.id, network_id=priv.id)):
        n.add_interface_to_router(rt, subnet_id=psub.id)
    dsg = next(n.security_groups(name='default', project_id=demo.id))
    rules(c, dsg, ('icmp', None), ('tcp', 22), ('tcp', 80))


def management():
    """What configure-resources would make, made by hand."""
    c = connect()
    n, make, svc = c.network, Networks(c), project(c, 'service')
    net = make.net('lb-mgmt-net', svc)
    # No gateway: nothing behind an amphora's management port should use it as
    # a way out, and there is no router on it.
    subnet = make.subnet('lb-mgmt-subnet', net, E['TESTBED_MGMT_CIDR'], gateway_ip=None,
                         allocation_pools=pool(E['TESTBED_MGMT_POOL']))
    # Amphorae are called by nobody; they call the controller's agent port.
    make.group('lb-mgmt-sec-grp', svc)
    group = make.group('lb-health-mgr-sec-grp', svc, ('icmp', None), ('tcp', 5555))
    port = next(n.ports(name='octavia-health-manager-listen-port'), None) or \
        n.create_port(name='octavia-health-manager-listen-port', network_id=net.id,
                      project_id=svc.id, device_owner='Octavia:health-mgr',
                      binding_host_id=E['NODE'], security_group_ids=[group.id],
                      fixed_ips=[{'subnet_id': subnet.id, 'ip_address': E['TESTBED_MGMT_HOST_IP']}])
    # For `up`: what the host side of that port must look like.
    print('HM_PORT=%s HM_MAC=%s HM_NET=%s HM_IP=%s/%s HM_MTU=%s' % (
        port.id, port.mac_address, net.id, port.fixed_ips[0]['ip_address'],
        subnet.cidr.split('/')[1], net.mtu))


def image():
    c = connect()
    service_user(c, 'glance')
    service(c, 'image', 'glance', f"http://{IP}:{E['PORT_GLANCE']}")


def compute():
    c = connect()
    service_user(c, 'placement')
    service_user(c, 'nova')
    service(c, 'placement', 'placement', f"http://{IP}:{E['PORT_PLACEMENT']}")
    service(c, 'compute', 'nova', f"http://{IP}:{E['PORT_NOVA']}/v2.1")


def flavors():
    c = connect()
    for name, ram, disk, cpu, public in (('amphora', 256, 2, 1, False),
                                         ('m1.tiny', 256, 2, 1, True)):
        f = c.compute.find_flavor(name, get_extra_specs=False) or c.compute.create_flavor(
            name=name, ram=ram, disk=disk, vcpus=cpu, is_public=public)
        if not public:
            p = project(c, 'service')
            if p.id not in {a['tenant_id'] for a in c.compute.get_flavor_access(f)}:
                c.compute.flavor_add_tenant_access(f, p.id)


def secrets():
    c = connect()
    service_user(c, 'barbican')
    service(c, 'key-manager', 'barbican', f"http://{IP}:{E['PORT_BARBICAN']}")


globals()[sys.argv[1]]()
