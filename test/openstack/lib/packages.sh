# Debian packages, installed without starting anything.

pkgs() {
    # shellcheck disable=SC2046
    [ -z "$(for p in "$@"; do dpkg-query -W -f '${Status}' "$p" 2>/dev/null |
            grep -q 'ok installed' || echo "$p"; done)" ] && return 0
    # Packages must not start daemons with their stock settings.
    _policy=
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        _policy=/usr/sbin/policy-rc.d
        printf '#!/bin/sh\nexit 101\n' >$_policy; chmod 755 $_policy
    fi
    apt_install "$@" || { apt-get -q update >>"$LOG/apt.log" 2>&1; apt_install "$@"; } ||
        { rm -f $_policy; die "apt-get install $* failed (see $LOG/apt.log)"; }
    rm -f $_policy
}
apt_install() {
    apt-get -q -y -o DPkg::Lock::Timeout=900 -o Dpkg::Options::=--force-confdef \
        -o Dpkg::Options::=--force-confold --no-install-recommends install "$@" >>"$LOG/apt.log" 2>&1
}
