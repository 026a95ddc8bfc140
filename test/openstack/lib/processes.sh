# Daemons without a service manager: started, found again, stopped.
#
# A pid file alone could name a recycled pid, so the start time of the process
# is kept beside it.  Every daemon leads its own session and carries TESTBED_STATE
# in its environment; "down" uses both to find the helpers (dnsmasq, privsep)
# that daemons leave behind.  (The environment is no proof for the daemons
# themselves: setproctitle overwrites it.)

session() {  # the processes of the session that process $1 belongs to
    _s=$(ps -o sid= -p "$1" | tr -d ' ')
    [ -z "$_s" ] || ps -o pid= -s "$_s" | tr -d ' '
}
started() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

svc_pid() {
    [ -s "$RUN/$1.pid" ] && [ -s "$RUN/$1.start" ] || return 1
    _p=$(cat "$RUN/$1.pid")
    [ "$(started "$_p")" = "$(cat "$RUN/$1.start")" ] || return 1
    echo "$_p"
}

# What a daemon was started with: its command and the contents of every file or
# directory under $ETC that the command names.
fingerprint() {
    { echo "$*"
      echo "$*" | tr ' ;=' '\n\n\n' | grep "^$ETC/" | sort -u | while read -r _e; do
          cat "$_e" "$_e.conf" "$_e"/* 2>/dev/null || :
      done; } | md5sum | cut -d' ' -f1
}

# svc_start NAME USER [VAR=value ...] -- COMMAND [ARG ...]
# Does nothing when it already runs with this command and configuration;
# restarts it when they changed.
svc_start() {
    _n=$1 _u=$2; shift 2
    _fp=$(fingerprint "$@")
    if svc_pid "$_n" >/dev/null; then
        [ "$(cat "$RUN/$_n.sum" 2>/dev/null)" = "$_fp" ] && return 0
        say "$_n: configuration changed, restarting"
        svc_stop "$_n"
    fi
    _env=''
    while [ "$1" != -- ]; do _env="$_env $1"; shift; done
    shift
    _home=$DATA/$_n; mkdir -p "$_home"; chown "$_u" "$_home"
    rm -f "$RUN/$_n.pid" "$RUN/$_n.start"
    # shellcheck disable=SC2086
    start-stop-daemon --start --quiet --background --make-pidfile --pidfile "$RUN/$_n.pid" \
        --chuid "$_u" --chdir "$_home" --output "$LOG/$_n.log" --startas /usr/bin/env -- \
        -i PATH="$PATH" LC_ALL=C.UTF-8 HOME="$_home" TESTBED_SVC="$_n" TESTBED_STATE="$TESTBED_STATE" \
        $_env "$@" || die "cannot start $_n"
    _i=0
    until [ -s "$RUN/$_n.pid" ] || [ $_i -ge 50 ]; do sleep 0.1; _i=$((_i+1)); done
    started "$(cat "$RUN/$_n.pid")" >"$RUN/$_n.start"
    echo "$_fp" >"$RUN/$_n.sum"
}

svc_stop() {  # svc_stop NAME [TENTHS_OF_SECONDS]
    _p=$(svc_pid "$1") || { rm -f "$RUN/$1.pid" "$RUN/$1.start"; return 0; }
    _all=$(session "$_p")
    kill -TERM "$_p" 2>/dev/null || :
    _i=0
    while [ -d "/proc/$_p" ] && [ $_i -lt "${2:-100}" ]; do sleep 0.1; _i=$((_i+1)); done
    if [ -d "/proc/$_p" ]; then kill -KILL "$_p" 2>/dev/null || :; fi
    # Workers and helpers of the same session.
    for _c in $_all; do kill -KILL "$_c" 2>/dev/null || :; done
    rm -f "$RUN/$1.pid" "$RUN/$1.start"
}

# Every process of the testbed: sessions led by its daemons, and helpers that
# left them but still carry the marker or name its directory.
all_pids() {
    for _n in $DAEMONS; do _p=$(svc_pid "$_n") && session "$_p"; done
    for _d in /proc/[0-9]*; do
        [ -r "$_d/environ" ] || continue
        _e=$(tr '\0' '\n' 2>/dev/null <"$_d/environ" | grep -E '^TESTBED_(SVC|STATE)=')
        if [ "$_e" != "${_e#*TESTBED_SVC=}" ] && echo "$_e" | grep -qx "TESTBED_STATE=$TESTBED_STATE"; then echo "${_d#/proc/}"
        else
            case "$(tr '\0' ' ' 2>/dev/null <"$_d/cmdline")" in
                *privsep-helper*"$TESTBED_STATE/"*|dnsmasq*"$TESTBED_STATE/"*) echo "${_d#/proc/}" ;;
            esac
        fi
    done
    # QEMU is started by libvirtd with a clean environment.
    for _f in /run/libvirt/qemu/instance-*.pid; do
        if [ -e "$_f" ]; then cat "$_f"; echo; fi
    done
} 2>/dev/null

# wait_for SECONDS WHAT COMMAND...
wait_for() {
    _t=$(( $(date +%s) + $1 )) _w=$2; shift 2
    until "$@" >/dev/null 2>&1; do
        [ "$(date +%s)" -lt "$_t" ] || die "timed out waiting for $_w (logs: $LOG)"
        sleep 0.3
    done
}
http_up()  { curl -s -o /dev/null --max-time 5 "http://$TESTBED_IP:$1${2:-/}"; }
tcp_busy() { ss -ltnH "sport = :$1" | grep -q .; }
# A port taken by somebody else must not be mistaken for our own daemon.
need_port() {
    svc_pid "$1" >/dev/null && return 0
    tcp_busy "$2" && die "port $2 (for $1) is already taken: $(ss -ltnpH "sport = :$2" | head -1)"
    return 0
}
# A range that holds an address of this machine, of its gateway or of its package
# mirror must not be taken: all traffic to them would end here.
range_is_free() {  # range_is_free CIDR OUR_INTERFACE
    _mirrors=$(apt-get indextargets --format '$(SITE)' 2>/dev/null | sort -u |
        sed 's|^[a-z]*://||; s|[:/].*||' | while read -r _h; do getent ahostsv4 "$_h" | awk '{print $1; exit}'; done)
    { ip -4 -o addr show | awk -v own="$2" '$2 != own {print $2, $4}'
      ip -4 route show default | awk '{print "gateway", $3}'
      for _m in $_mirrors; do echo "mirror $_m"; done; } |
    python3 -c '
import ipaddress, sys
ours = ipaddress.ip_network(sys.argv[1])
for line in sys.stdin:
    what, address = line.split()
    if ours.overlaps(ipaddress.ip_network(address, strict=False)):
        sys.exit(f"the range {ours} holds {address} ({what}) of this machine")
' "$1" || die "choose other ranges (lib/settings.sh)"
}
