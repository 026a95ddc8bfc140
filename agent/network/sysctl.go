package network

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// sysctls of the namespace. They are what lets HAProxy run without any privilege.
func sysctls() [][2]string {
	return [][2]string{
		{"net/ipv4/ip_unprivileged_port_start", "0"}, // bind port 80
		{"net/ipv4/ping_group_range", "0 2147483647"},
		{"net/ipv4/ip_nonlocal_bind", "1"}, // listen on a VIP that the other amphora holds at the moment
		{"net/ipv6/ip_nonlocal_bind", "1"},
		{"net/ipv4/ip_local_port_range", "2048 65535"},
		{"net/ipv4/tcp_tw_reuse", "1"},
		{"net/ipv4/tcp_mtu_probing", "1"}, // a client's path may lose what is too long without a word
		{"net/core/somaxconn", "65535"},
		{"net/ipv4/tcp_max_syn_backlog", "65535"},
		{"net/ipv4/conf/all/arp_ignore", "1"},   // answer for an address on its own interface only
		{"net/ipv4/conf/all/arp_announce", "2"}, // and ask with an address of that interface
		{"net/ipv4/conf/all/rp_filter", "2"},    // a client may come in by another interface than its route's
		{"net/ipv4/conf/default/rp_filter", "2"},
		{"net/ipv4/conf/all/promote_secondaries", "1"}, // an address that goes takes no others of its subnet along
		{"net/ipv4/conf/default/promote_secondaries", "1"},
		{"net/ipv4/conf/all/send_redirects", "0"}, // clients and members may be neighbours and must not find out
		{"net/ipv4/conf/default/send_redirects", "0"},
		{"net/ipv4/conf/all/accept_redirects", "0"},
		{"net/ipv4/conf/default/accept_redirects", "0"},
		{"net/ipv6/conf/all/accept_redirects", "0"},
		{"net/ipv6/conf/default/accept_redirects", "0"},
		{"net/ipv6/conf/all/accept_ra", "0"}, // the state says every route
		{"net/ipv6/conf/default/accept_ra", "0"},
		{"net/ipv6/conf/default/accept_dad", "0"}, // the network service has seen to it that addresses are unique
		{"net/ipv4/conf/default/arp_notify", "1"},
		{"net/ipv6/conf/default/ndisc_notify", "1"},
	}
}

// setSysctls writes the values of the namespace that the calling thread is in. A kernel without one of them is fine.
func setSysctls() error {
	for _, s := range sysctls() {
		err := os.WriteFile(filepath.Join("/proc/sys", s[0]), []byte(s[1]), 0)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("setting %s to %s: %w", s[0], s[1], err)
		}
	}
	return nil
}
