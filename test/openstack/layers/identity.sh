# MariaDB, memcached, Keystone.

layer_identity() {
    pkgs mariadb-server mariadb-client keystone memcached uwsgi-plugin-python3 python3-pymysql \
         python3-memcache python3-openstackclient python3-openstacksdk iproute2 curl procps
    say "identity: packages ready"
    if $packages_only; then return 0; fi

    need_port memcached "$PORT_MEMCACHED"
    svc_start memcached memcache -- memcached -l "$TESTBED_IP" -p "$PORT_MEMCACHED" -m 32 -U 0 -t 1

    need_port mariadb "$PORT_MYSQL"
    if [ ! -d "$TESTBED_STATE/mysql/mysql" ]; then
        rm -rf "$TESTBED_STATE/mysql"; install -d -o mysql -g mysql -m 750 "$TESTBED_STATE/mysql"
        mariadb-install-db --no-defaults --user=mysql --datadir="$TESTBED_STATE/mysql" \
            --skip-test-db --auth-root-authentication-method=socket >"$LOG/mariadb-install.log" 2>&1
    fi
    # Durability is given up on purpose (flush, doublewrite, binlog): schema
    # migrations are thousands of small commits.
    svc_start mariadb mysql -- mariadbd --no-defaults --datadir="$TESTBED_STATE/mysql" \
        --socket="$MYSQL_SOCK" --pid-file="$RUN/mysqld-own.pid" --bind-address="$TESTBED_IP" \
        --port="$PORT_MYSQL" --skip-name-resolve --skip-log-bin --performance-schema=OFF \
        --innodb-buffer-pool-size=128M --innodb-flush-log-at-trx-commit=0 \
        --innodb-doublewrite=0 --innodb-flush-method=nosync --innodb-log-file-size=48M \
        --aria-pagecache-buffer-size=16M --key-buffer-size=8M --max-connections=400
    wait_for 60 mariadb sql -e 'SELECT 1'
    db keystone

    conf keystone.conf keystone <<EOF
[DEFAULT]
use_stderr = true

[database]
connection = $(db_url keystone)
max_pool_size = 5

[identity]
# bcrypt's default cost makes every password login 0.3 s of CPU.
password_hash_rounds = 4

[token]
provider = fernet
# Long runs of tests outlive the default hour.
expiration = 86400

[fernet_tokens]
key_repository = $DATA/keystone/fernet-keys

[fernet_receipts]
key_repository = $DATA/keystone/fernet-keys

[credential]
key_repository = $DATA/keystone/credential-keys

[cache]
enabled = true
backend = dogpile.cache.memcached
memcache_servers = $TESTBED_IP:$PORT_MEMCACHED

[oslo_messaging_notifications]
driver = noop
EOF
    km="keystone-manage --config-file $ETC/keystone.conf"
    install -d -o keystone -g keystone -m 750 "$DATA/keystone" \
        "$DATA/keystone/fernet-keys" "$DATA/keystone/credential-keys"
    [ -e "$DATA/keystone/fernet-keys/1" ] ||
        $km fernet_setup --keystone-user keystone --keystone-group keystone >>"$LOG/keystone-manage.log" 2>&1
    [ -e "$DATA/keystone/credential-keys/1" ] ||
        $km credential_setup --keystone-user keystone --keystone-group keystone >>"$LOG/keystone-manage.log" 2>&1
    once keystone-db "$(pkgver keystone)" $km db_sync >>"$LOG/keystone-manage.log" 2>&1 ||
        die "keystone db_sync failed"
    once keystone-bootstrap "$TESTBED_IP $TESTBED_REGION" $km bootstrap --bootstrap-password "$TESTBED_PASSWORD" \
        --bootstrap-region-id "$TESTBED_REGION" \
        --bootstrap-admin-url "http://$TESTBED_IP:$PORT_KEYSTONE/v3" \
        --bootstrap-internal-url "http://$TESTBED_IP:$PORT_KEYSTONE/v3" \
        --bootstrap-public-url "http://$TESTBED_IP:$PORT_KEYSTONE/v3" >>"$LOG/keystone-manage.log" 2>&1 ||
        die "keystone bootstrap failed"
    wsgi keystone keystone "$PORT_KEYSTONE" /usr/bin/keystone-wsgi-public 1 8 \
        OS_KEYSTONE_CONFIG_FILES="$ETC/keystone.conf"
    wait_for 60 keystone http_up "$PORT_KEYSTONE" /v3
    provision identity

    write_rc openrc.admin admin admin
    write_rc openrc.demo demo demo
    write_rc openrc.octavia octavia service
    { echo "clouds:"
      cloud_entry admin admin admin; cloud_entry demo demo demo
      cloud_entry alt_demo alt_demo alt_demo; cloud_entry octavia octavia service
      for u in lb-none lb-observer lb-member; do cloud_entry $u $u demo; done
      for u in lb-global-observer lb-quota-admin lb-admin; do cloud_entry $u $u service; done
    } >"$TESTBED_STATE/clouds.yaml"
    say "identity: up (http://$TESTBED_IP:$PORT_KEYSTONE/v3)"
}
