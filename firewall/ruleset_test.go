package firewall_test

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/octavo-lb/octavo/firewall"
)

// TestSinceTouchesOnlyWhatChanged: a member's weight is a matter of one chain; counters and the rest stay as they are.
func TestSinceTouchesOnlyWhatChanged(t *testing.T) {
	t.Parallel()
	before := build(t, udp)
	after := build(t, strings.Replace(udp, "10.0.0.11,", "10.0.0.11, weight: 2,", 1))
	want := `flush chain inet octavo listener-l1-ip
table inet octavo {
	chain listener-l1-ip {
		meta mark set numgen inc mod 3 map { 0 : 0x94c002d4, 1 : 0x9f9bb9f5, 2 : 0x94c002d4 }
		ct mark set meta mark
		counter name "flows-l1"
		meta l4proto udp dnat ip to meta mark map { 0x94c002d4 : 10.0.0.11 . 53, 0x9f9bb9f5 : 10.0.0.12 . 5353 }
		ct mark set 0x94c002d4
		meta l4proto udp dnat ip to 10.0.0.11:53
	}
}
`
	if diff := cmp.Diff(want, after.Since(before)); diff != "" {
		t.Errorf("the change differs (-want +got):\n%s", diff)
	}
	if text := after.Since(build(t, strings.Replace(udp, "10.0.0.11,", "10.0.0.11, weight: 2,", 1))); text != "" {
		t.Errorf("there is something to do though nothing has changed:\n%s", text)
	}
}

// TestChanges goes from each golden case to some others, and asks the kernel: what is in the table afterwards must be what a
// table made from nothing has, whether the rules before were known, only their names, or nothing.
func TestChanges(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	var rules []*firewall.Ruleset
	var wanted []string
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		rules = append(rules, build(t, string(text)))
		wanted = append(wanted, tableAfter(t, rules[len(rules)-1].Text()))
	}
	for from, old := range rules {
		t.Run(filepath.Base(files[from]), func(t *testing.T) {
			t.Parallel()
			for _, step := range []int{1, 2, 5, 11} {
				to := (from + step) % len(rules)
				ways := map[string]string{"known": rules[to].Since(old)}
				if step == 1 {
					ways["by name"] = rules[to].Since(firewall.Existing(names(old.Text())))
					ways["replaced"] = rules[to].Replacement()
				}
				for how, text := range ways {
					if diff := cmp.Diff(wanted[to], tableAfter(t, old.Text(), text)); diff != "" {
						t.Errorf("to %s, %s: (-want +got)\n%s\nby\n%s", files[to], how, diff, text)
					}
				}
			}
		})
	}
}

// names reads the names of what a table has from its text.
func names(text string) firewall.Names {
	var n firewall.Names
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) == 3 && f[2] == "{" {
			switch f[0] {
			case "counter":
				n.Counters = append(n.Counters, f[1])
			case "map":
				n.Maps = append(n.Maps, f[1])
			case "set":
				n.Sets = append(n.Sets, f[1])
			case "chain":
				n.Chains = append(n.Chains, f[1])
			}
		}
	}
	return n
}

// tableAfter puts texts into force, one after the other, in a network namespace of their own, and lists the table: its
// parts in the order of their names, because the kernel has them in the order in which they were made.
func tableAfter(t *testing.T, texts ...string) string {
	t.Helper()
	script := "set -e\n"
	for _, text := range texts {
		script += "nft -f - <<'END'\n" + text + "END\n"
	}
	cmd := exec.Command("unshare", "-n", "bash", "-c", script+"nft list table inet octavo 2>/dev/null || :")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s\n%s", err, out, script)
	}
	parts := strings.Split(string(out), "\n\n")
	for i := range parts {
		parts[i] = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(parts[i]), "table inet octavo {\n\t"), "\n}")
	}
	slices.Sort(parts)
	return strings.Join(parts, "\n")
}

// TestCountersSurvive what changes around them, and end with their listener.
func TestCountersSurvive(t *testing.T) {
	t.Parallel()
	first := build(t, udp)
	second := build(t, strings.Replace(udp, "listeners: [", "listeners: [{id: l2, protocol: UDP, protocol_port: 54, default_pool_id: p1},", 1))
	for _, text := range []string{second.Since(first), first.Since(second)} {
		if strings.Contains(text, "counter flows-l1 {") || strings.Contains(text, "delete counter inet octavo flows-l1") {
			t.Errorf("the counters of l1 are touched by\n%s", text)
		}
	}
	if text := first.Since(second); !strings.Contains(text, "delete counter inet octavo flows-l2\n") {
		t.Errorf("the counters of l2 are kept by\n%s", text)
	}
}

// TestJudge tells what becomes of flows when a state comes into force.
func TestJudge(t *testing.T) {
	t.Parallel()
	rules := build(t, strings.NewReplacer("5353}", "5353, weight: 0}\n"+
		"  - {id: m3, pool_id: p1, address: 10.0.0.13, protocol_port: 53}\n"+
		"  - {id: m4, pool_id: p1, address: 10.0.0.14, protocol_port: 53, admin_state_up: false}\n"+
		"  - {id: m5, pool_id: p1, address: 10.0.0.15, protocol_port: 53, backup: true}\ndown: [m3]",
		"protocol_port: 53, default_pool_id", "protocol_port: 53, allowed_cidrs: [192.0.2.0/24], default_pool_id").Replace(udp))
	for name, c := range map[string]struct {
		protocol, client, vip, member string
		path                          string
		fate                          firewall.Fate
	}{
		"to a member":              {"udp", "192.0.2.1", "10.0.0.100:53", "10.0.0.11:53", "m1", firewall.Kept},
		"drained":                  {"udp", "192.0.2.1", "10.0.0.100:53", "10.0.0.12:5353", "m2", firewall.Kept},
		"to a backup":              {"udp", "192.0.2.1", "10.0.0.100:53", "10.0.0.15:53", "m5", firewall.Kept},
		"down":                     {"udp", "192.0.2.1", "10.0.0.100:53", "10.0.0.13:53", "", firewall.Cut},
		"disabled":                 {"udp", "192.0.2.1", "10.0.0.100:53", "10.0.0.14:53", "", firewall.Cut},
		"removed":                  {"udp", "192.0.2.1", "10.0.0.100:53", "10.0.0.16:53", "", firewall.Cut},
		"not allowed any more":     {"udp", "198.51.100.1", "10.0.0.100:53", "10.0.0.11:53", "", firewall.Cut},
		"from before the listener": {"udp", "192.0.2.1", "10.0.0.100:53", "10.0.0.100:53", "", firewall.Cut},
		"of a removed listener":    {"udp", "192.0.2.1", "10.0.0.100:54", "10.0.0.11:53", "", firewall.Cut},
		"of another protocol":      {"sctp", "192.0.2.1", "10.0.0.100:53", "10.0.0.100:53", "", firewall.Foreign},
		"of the amphora itself":    {"udp", "10.0.0.50", "10.0.0.11:53", "10.0.0.11:53", "", firewall.Foreign},
	} {
		path, fate := rules.Judge(firewall.Flow{
			Protocol: c.protocol, Client: netip.MustParseAddr(c.client), VIP: netip.MustParseAddrPort(c.vip), Member: netip.MustParseAddrPort(c.member),
		})
		if fate != c.fate || path.Member != c.path {
			t.Errorf("%s: %v, fate %d", name, path, fate)
		}
	}
}

// TestBuildRefuses holds what no rules can express, and that the message names the object and the attribute.
func TestBuildRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ old, new, want string }{
		"zone":         {"10.0.0.11", "'fe80::1%x } ; flush ruleset'", "listener l1: pool p1: member m1: address: the address"},
		"no address":   {"10.0.0.11", "'10.0.0.11 }'", "listener l1: pool p1: member m1: address"},
		"other family": {"10.0.0.11", "'fd00::1'", "member m1: address fd00::1: no VIP is of its IP version, and UDP cannot be translated to another"},
		"port":         {"5353", "65536", "member m2: protocol_port 65536 is no port"},
		"algorithm":    {"ROUND_ROBIN", "RANDOM", `pool p1: lb_algorithm "RANDOM" cannot be served`},
		"pool":         {"protocol: UDP, lb", "protocol: TCP, lb", "pool p1: protocol TCP cannot be served by a listener of protocol UDP"},
		"cookie":       {"ROUND_ROBIN", "ROUND_ROBIN, session_persistence: {type: HTTP_COOKIE}", `session_persistence: type "HTTP_COOKIE" is not for UDP and SCTP`},
		"granularity": {"ROUND_ROBIN", "ROUND_ROBIN, session_persistence: {type: SOURCE_IP, persistence_granularity: '255.255.255.0 drop'}",
			"session_persistence: persistence_granularity"},
		"network":  {"protocol_port: 53, default", "protocol_port: 53, allowed_cidrs: ['10.0.0.0/8 } drop'], default", "listener l1: allowed_cidrs"},
		"id":       {"id: l1", `id: "l1 { }"`, "cannot be a name in a rule"},
		"one port": {"listeners: [", "listeners: [{id: l2, protocol: UDP, protocol_port: 53},", "listener l1: protocol_port 53 is listener l2's"},
	} {
		_, err := firewall.Build(parse(t, strings.Replace(udp, c.old, c.new, 1)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
