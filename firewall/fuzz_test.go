package firewall_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/octavo-lb/octavo/firewall"
	"github.com/octavo-lb/octavo/lb"
)

// vocabulary is every word that may be in the text: those of nftables that Build uses, names made of an id, and addresses,
// networks and numbers in their canonical form.
var vocabulary = regexp.MustCompile(`^(?:\s+|[{}:;,.&!=-]|"(?:flows|in|out)-l1"|@?(?:flows|in|out|clients|limit|remember|listener)-l1(?:-(?:ip6?|\d+))?` +
	`|untracked-(?:in|out)|0x[0-9a-f]{1,8}|\d+-\d+|\d+s|(?:` + strings.ReplaceAll(strings.ReplaceAll(`table inet octavo counter map set chain typeof saddr daddr
meta mark flags dynamic timeout size type filter hook prerouting output forward postrouting nat priority raw mangle dstnat
srcnat policy accept drop reject l4proto ipv6-icmp icmpv6 icmp udp sctp notrack ct direction reply status original numgen inc
mod jhash th sport dport seed add delete update goto name snat dnat to masquerade redirects redirect nd-redirect vmap ip6 ip
answers services passing sources count over`, "\n", " "), " ", "|") + `)\b|[0-9a-f:.]+(?:/\d+)?)`)

// FuzzStrings puts anything into every string that a user or the cloud gives: either no rules are written, or they consist
// of known words and nft takes them.
func FuzzStrings(f *testing.F) {
	f.Add("10.0.0.11", "10.0.0.0/8", "255.255.255.0", "fd00::1", "ROUND_ROBIN", "UDP")
	f.Add("fe80::1%eth0; flush ruleset", "10.0.0.0/8 } drop; add rule", "ffff::%x", "::ffff:10.0.0.1", "SOURCE_IP", "SCTP")
	f.Add("10.0.0.11\n", "::/0", "0.0.0.0", "10.0.0.1 : drop", "LEAST_CONNECTIONS", "UDP")
	f.Fuzz(func(t *testing.T, address, cidr, mask, other, algorithm, protocol string) {
		state, seen := parse(t, udp)
		state.VIPs = append(state.VIPs, state.VIPs[0])
		l, p, m := &state.Listeners[0], &state.Pools[0], state.Members
		l.Name, l.Description, l.AllowedCidrs, l.Protocol = address, cidr, []string{cidr}, protocol
		p.Name, p.Description, p.LBAlgorithm, p.Protocol = other, mask, algorithm, protocol
		p.SessionPersistence = &lb.SessionPersistence{Type: "SOURCE_IP", PersistenceGranularity: &mask, CookieName: &other}
		m[0].Name, m[0].Address, m[0].MonitorAddress = other, address, &other
		m[1].Address = other
		rules, err := firewall.Build(state, seen)
		if err != nil {
			return
		}
		text := rules.Text()
		for rest := text; rest != ""; {
			word := vocabulary.FindString(rest)
			if word == "" {
				t.Fatalf("%.40q is no word of rules in\n%s", rest, text)
			}
			rest = rest[len(word):]
		}
		if out, err := judge(t, text); err != nil {
			t.Errorf("nft refuses it: %v\n%s\n%s", err, out, text)
		}
	})
}
