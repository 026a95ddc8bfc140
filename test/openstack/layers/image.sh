# Glance, on plain files.

layer_image() {
    pkgs glance-api qemu-utils
    say "image: packages ready"
    if $packages_only; then return 0; fi
    db glance
    mkdir -p "$ETC/glance" "$DATA/images" "$DATA/glance-work"
    chown glance "$DATA/images" "$DATA/glance-work"
    ln -sf /etc/glance/glance-api-paste.ini "$ETC/glance/"
    conf glance/glance-api.conf glance <<EOF
[DEFAULT]
use_stderr = true
enabled_backends = local:file
enabled_import_methods = []
show_image_direct_url = false
worker_self_reference_url = http://$TESTBED_IP:$PORT_GLANCE

[glance_store]
default_backend = local

[local]
filesystem_store_datadir = $DATA/images

# Glance insists on these two working stores.
[os_glance_staging_store]
filesystem_store_datadir = $DATA/glance-work/staging

[os_glance_tasks_store]
filesystem_store_datadir = $DATA/glance-work/tasks

[paste_deploy]
flavor = keystone
$(common_sections glance glance)
EOF
    once glance-db "$(pkgver glance-common)" glance-manage --config-file "$ETC/glance/glance-api.conf" \
        db_sync >>"$LOG/glance-manage.log" 2>&1 || die "glance db_sync failed"
    wsgi glance-api glance "$PORT_GLANCE" /usr/bin/glance-wsgi-api 1 4 OS_GLANCE_CONFIG_DIR="$ETC/glance"
    wait_for 60 glance http_up "$PORT_GLANCE"
    provision image
    say "image: up (http://$TESTBED_IP:$PORT_GLANCE)"
}
