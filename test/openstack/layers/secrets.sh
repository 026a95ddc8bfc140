# Barbican.

layer_secrets() {
    pkgs barbican-api python3-barbicanclient openssl
    say "secrets: packages ready"
    if $packages_only; then return 0; fi
    provision secrets
    db barbican
    # The WSGI script takes no configuration argument; oslo.config looks in
    # ~/.barbican first.
    install -d -o barbican -m 750 "$DATA/barbican-api" "$DATA/barbican-api/.barbican"
    [ -s "$DATA/barbican.kek" ] || (umask 077; openssl rand -base64 32 >"$DATA/barbican.kek")
    conf barbican.conf barbican <<EOF
[DEFAULT]
use_stderr = true
host_href = http://$TESTBED_IP:$PORT_BARBICAN
sql_connection = $(db_url barbican)
db_auto_create = false

[queue]
enable = false

[secretstore]
enabled_secretstore_plugins = store_crypto

[crypto]
enabled_crypto_plugins = simple_crypto

[simple_crypto_plugin]
kek = '$(cat "$DATA/barbican.kek")'
$(common_sections barbican barbican)
EOF
    ln -sf "$ETC/barbican.conf" "$DATA/barbican-api/.barbican/barbican.conf"
    once barbican-db "$(pkgver barbican-common)" env HOME="$DATA/barbican-api" \
        barbican-manage db upgrade >>"$LOG/barbican-manage.log" 2>&1 ||
        die "barbican schema failed (see $LOG/barbican-manage.log)"
    wsgi barbican-api barbican "$PORT_BARBICAN" /usr/bin/barbican-wsgi-api 1 4
    wait_for 60 barbican http_up "$PORT_BARBICAN"
    say "secrets: up (http://$TESTBED_IP:$PORT_BARBICAN)"
}
