package plug

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"time"
)

// table is the name of this machine's rules for the interface.
const table = "octavo_management"

// protect drops what comes in by the interface and is not for the agents' port, and what comes for its addresses another
// way. A Linux bridge of the network lets frames for any of this machine's addresses in; nothing comes in by it. Security groups do the same where Neutron applies them to such ports, which not all
// drivers do. It is one transaction.
func protect(ctx context.Context, p Port) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	closed := ""
	if p.Kind == "bridge" {
		if used, err := p.bridgeIsUsed(); err != nil {
			return err
		} else if !used {
			closed = p.bridge()
		}
	}
	cmd := exec.CommandContext(ctx, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules(p, closed))
	var said bytes.Buffer
	cmd.Stderr = &said
	err := cmd.Run()
	if errors.Is(err, exec.ErrNotFound) {
		return errors.New("nft is missing: install the package nftables")
	}
	if err != nil {
		return fmt.Errorf("cannot close interface %s to all but the agents: nft: %s", p.Interface, strings.TrimSpace(said.String()))
	}
	return nil
}

// rules close the interface, and a bridge if one is named.
func rules(p Port, bridge string) string {
	var elsewhere strings.Builder
	if bridge != "" {
		fmt.Fprintf(&elsewhere, "\t\tiifname %q drop\n", bridge)
	}
	for _, a := range p.Addresses {
		fmt.Fprintf(&elsewhere, "\t\t%s daddr %v iifname != { %q, \"lo\" } drop\n", family(a), a.Addr(), p.Interface)
	}
	return fmt.Sprintf(`table inet %[1]s
delete table inet %[1]s
table inet %[1]s {
	chain input {
		type filter hook input priority filter; policy accept;
%[3]s		iifname != %[2]q accept
		ct state established,related accept
		icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
		tcp dport %[4]d accept
		drop
	}
	chain forward {
		type filter hook forward priority filter; policy accept;
		iifname %[2]q drop
		oifname %[2]q drop
	}
}
`, table, p.Interface, elsewhere.String(), p.Serves)
}

func family(p netip.Prefix) string {
	if p.Addr().Is6() {
		return "ip6"
	}
	return "ip"
}

// Unplug takes the interface and its rules away. That they are not there is no error.
func Unplug(ctx context.Context, p Port) error {
	if p.Kind == "ovs" {
		if _, err := vsctl(ctx, "--if-exists", "del-port", Bridge, p.Interface); err != nil {
			return fmt.Errorf("cannot take %s out of %s: %w", p.Interface, Bridge, err)
		}
	} else if err := removeVeth(p); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(fmt.Sprintf("table inet %[1]s\ndelete table inet %[1]s\n", table))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot remove the rules of interface %s: %w: %s", p.Interface, err, bytes.TrimSpace(out))
	}
	return nil
}
