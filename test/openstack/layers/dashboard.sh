# Horizon with the load balancer panel.

layer_dashboard() {
    pkgs openstack-dashboard python3-octavia-dashboard
    say "dashboard: packages ready"
    if $packages_only; then return 0; fi
    # A drop-in read after Debian's own; local_settings.py stays as installed.
    cat >/etc/openstack-dashboard/local_settings.d/_9999_testbed.py <<EOF
# Written by the OpenStack testbed.
ALLOWED_HOSTS = ['*']
OPENSTACK_HOST = '$TESTBED_IP'
OPENSTACK_KEYSTONE_URL = 'http://$TESTBED_IP:$PORT_KEYSTONE/v3'
OPENSTACK_KEYSTONE_DEFAULT_ROLE = 'member'
# One process: sessions may live in its memory.
SESSION_ENGINE = 'django.contrib.sessions.backends.cache'
SESSION_COOKIE_NAME = 'ostb_session'
OPENSTACK_NEUTRON_NETWORK = {'enable_router': True, 'enable_quotas': True, 'enable_ipv6': False}
EOF
    [ -s /var/lib/openstack-dashboard/static/dashboard/manifest.json ] ||
        /usr/share/openstack-dashboard/manage.py compress --force >>"$LOG/horizon-compress.log" 2>&1
    TESTBED_UWSGI_EXTRA="static-map = /static=/var/lib/openstack-dashboard/static
chdir = /usr/share/openstack-dashboard"
    # (www-data owns the secret key that the package made.)
    wsgi horizon www-data "$PORT_HORIZON" /usr/share/openstack-dashboard/wsgi.py 1 4
    TESTBED_UWSGI_EXTRA=
    wait_for 90 horizon http_up "$PORT_HORIZON" /auth/login/
    say "dashboard: up (http://$TESTBED_IP:$PORT_HORIZON)"
}
