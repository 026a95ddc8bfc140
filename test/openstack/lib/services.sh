# What the OpenStack services have in common: databases, WSGI servers, sections of
# configuration files, credentials.

sql() { mariadb --no-defaults -u root -S "$MYSQL_SOCK" -BN "$@"; }
db() {  # db NAME... : create a schema and a user of the same name
    for _d in "$@"; do
        sql -e "CREATE DATABASE IF NOT EXISTS $_d CHARACTER SET utf8mb3;
                CREATE USER IF NOT EXISTS '${_d%%_*}'@'localhost' IDENTIFIED BY '$TESTBED_PASSWORD';
                CREATE USER IF NOT EXISTS '${_d%%_*}'@'127.0.0.1' IDENTIFIED BY '$TESTBED_PASSWORD';
                GRANT ALL ON $_d.* TO '${_d%%_*}'@'localhost';
                GRANT ALL ON $_d.* TO '${_d%%_*}'@'127.0.0.1';"
    done
}
db_url() { echo "mysql+pymysql://${1%%_*}:$TESTBED_PASSWORD@$TESTBED_IP:$PORT_MYSQL/$1?charset=utf8"; }
# once NAME VERSION COMMAND... : run a slow, idempotent step only when its
# package version changed since it last succeeded (schema migrations).
once() {
    _f=$DATA/done.$1 _v=$2; shift 2
    [ "$(cat "$_f" 2>/dev/null)" = "$_v" ] && return 0
    "$@" || return 1
    echo "$_v" >"$_f"
}
pkgver() { dpkg-query -W -f '${Version}' "$1"; }

# wsgi NAME USER PORT SCRIPT PROCESSES THREADS [VAR=value ...]
wsgi() {
    _wn=$1 _wu=$2 _wp=$3 _ws=$4 _wc=$5 _wt=$6; shift 6
    need_port "$_wn" "$_wp"
    # rem-header/chunked options: without them uwsgi's plain HTTP socket breaks
    # pipelined replies (keystone) and chunked uploads (glance).
    cat >"$ETC/$_wn-uwsgi.ini" <<EOF
[uwsgi]
plugins = python3
http-socket = $TESTBED_IP:$_wp
wsgi-file = $_ws
master = true
lazy-apps = true
need-app = true
processes = $_wc
threads = $_wt
enable-threads = true
thunder-lock = true
die-on-term = true
no-orphans = true
buffer-size = 65535
listen = 100
rem-header = Content-Length
add-header = Connection: close
http-raw-body = true
http-chunked-input = true
wsgi-manage-chunked-input = true
disable-logging = true
${TESTBED_UWSGI_EXTRA:-}
EOF
    svc_start "$_wn" "$_wu" "$@" -- uwsgi --ini "$ETC/$_wn-uwsgi.ini"
}

# Sections every service's configuration ends with.
common_sections() {  # common_sections SERVICE_USER DB_NAME
    cat <<EOF

[database]
connection = $(db_url "$2")
max_pool_size = 5
max_overflow = 20
connection_recycle_time = 3600

[keystone_authtoken]
www_authenticate_uri = http://$TESTBED_IP:$PORT_KEYSTONE
auth_url = http://$TESTBED_IP:$PORT_KEYSTONE
memcached_servers = $TESTBED_IP:$PORT_MEMCACHED
auth_type = password
username = $1
password = $TESTBED_PASSWORD
user_domain_name = Default
project_name = service
project_domain_name = Default
region_name = $TESTBED_REGION
service_token_roles = service
service_token_roles_required = false

[oslo_concurrency]
lock_path = $TESTBED_STATE/lock

[oslo_messaging_notifications]
driver = noop

[oslo_messaging_rabbit]
heartbeat_in_pthread = false
EOF
}
client_section() {  # client_section NAME SERVICE_USER : credentials for calling another service
    cat <<EOF

[$1]
auth_url = http://$TESTBED_IP:$PORT_KEYSTONE
auth_type = password
username = $2
password = $TESTBED_PASSWORD
user_domain_name = Default
project_name = service
project_domain_name = Default
region_name = $TESTBED_REGION
EOF
}
transport() { echo "transport_url = rabbit://guest:guest@$TESTBED_IP:$PORT_RABBIT/"; }

# Where /etc is handed to a service user, keep it readable by that user only.
conf() {  # conf FILE OWNER <stdin
    cat >"$ETC/$1"; chown "$2" "$ETC/$1"; chmod 640 "$ETC/$1"
}

write_rc() {  # write_rc FILE USER PROJECT
    cat >"$TESTBED_STATE/$1" <<EOF
unset \${!OS_@} 2>/dev/null || :
export OS_AUTH_URL=http://$TESTBED_IP:$PORT_KEYSTONE/v3
export OS_IDENTITY_API_VERSION=3
export OS_REGION_NAME=$TESTBED_REGION
export OS_USERNAME=$2
export OS_PASSWORD=$TESTBED_PASSWORD
export OS_PROJECT_NAME=$3
export OS_USER_DOMAIN_NAME=Default
export OS_PROJECT_DOMAIN_NAME=Default
EOF
}
cloud_entry() {  # cloud_entry CLOUD USER PROJECT
    cat <<EOF
  $1:
    region_name: $TESTBED_REGION
    identity_api_version: 3
    auth:
      auth_url: http://$TESTBED_IP:$PORT_KEYSTONE/v3
      username: $2
      password: $TESTBED_PASSWORD
      project_name: $3
      user_domain_name: Default
      project_domain_name: Default
EOF
}
