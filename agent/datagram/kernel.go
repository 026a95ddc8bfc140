package datagram

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/octavo-lb/octavo/firewall"
)

// kernel is the kernel in the load balancer's namespace.
type kernel struct{ namespace Namespace }

// nftPatience is how long a transaction may take.
const nftPatience = 20 * time.Second

// nft hands a script over as one transaction: all of it is in force afterwards or, with an error, nothing.
func (k kernel) nft(ctx context.Context, option, text string) error {
	ctx, cancel := context.WithTimeout(ctx, nftPatience)
	defer cancel()
	args := []string{"-f", "-"}
	if option != "" {
		args = append([]string{option}, args...)
	}
	return k.namespace.Do(func() error {
		cmd := exec.CommandContext(ctx, "nft", args...)
		cmd.Stdin = strings.NewReader(text)
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("nft refuses the rules for UDP and SCTP: %w: %s", err, firstLines(string(out)))
		}
		return nil
	})
}

// firstLines is what of nft's output goes into an error: the complaint, and where it points.
func firstLines(text string) string {
	lines := strings.SplitN(strings.TrimSpace(text), "\n", 4)
	for i := range lines {
		lines[i] = fmt.Sprintf("%.200s", strings.TrimSpace(lines[i]))
	}
	return strings.Join(lines[:min(len(lines), 3)], " | ")
}

func table() *nftables.Table {
	return &nftables.Table{Name: firewall.Table, Family: nftables.TableFamilyINet}
}

// ask calls f with a connection to nf_tables.
func (k kernel) ask(f func(*nftables.Conn) error) error {
	err := k.namespace.Do(func() error {
		c, err := nftables.New()
		if err != nil {
			return err
		}
		return f(c)
	})
	if err != nil {
		return fmt.Errorf("asking the kernel for its rules: %w", err)
	}
	return nil
}

// names finds out what is in the table; there need not be one.
func (k kernel) names() (firewall.Names, error) {
	var n firewall.Names
	err := k.ask(func(c *nftables.Conn) error {
		chains, err := c.ListChainsOfTableFamily(nftables.TableFamilyINet)
		if err != nil {
			return err
		}
		for _, chain := range chains {
			if chain.Table.Name == firewall.Table {
				n.Chains = append(n.Chains, chain.Name)
			}
		}
		if n.Chains == nil {
			return nil // there is no table
		}
		sets, err := c.GetSets(table())
		if err != nil {
			return err
		}
		for _, s := range sets {
			switch {
			case s.Anonymous:
			case s.IsMap:
				n.Maps = append(n.Maps, s.Name)
			default:
				n.Sets = append(n.Sets, s.Name)
			}
		}
		objects, err := c.GetNamedObjects(table())
		for _, o := range objects {
			if o, ok := o.(*nftables.NamedObj); ok && o.Type == nftables.ObjTypeCounter {
				n.Counters = append(n.Counters, o.Name)
			}
		}
		return err
	})
	return n, err
}

type counter struct{ packets, bytes int64 }

func (k kernel) counters() (map[string]counter, error) {
	all := map[string]counter{}
	err := k.ask(func(c *nftables.Conn) error {
		objects, err := c.GetNamedObjects(table())
		for _, o := range objects {
			if o, ok := o.(*nftables.NamedObj); ok {
				if n, ok := o.Obj.(*expr.Counter); ok {
					all[o.Name] = counter{int64(n.Packets), int64(n.Bytes)}
				}
			}
		}
		return err
	})
	return all, err
}

// forward makes the namespace pass on packets, or stop doing so. The rules let through what they translated and nothing
// else, and have to be there as long as it does.
func (k kernel) forward(on bool) error {
	if on {
		raiseFlowLimit()
	}
	return k.namespace.Do(func() error {
		for _, s := range forwarding(on) {
			err := os.WriteFile(filepath.Join("/proc/sys/net", s[0]), []byte(s[1]), 0)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("setting net/%s to %s: %w", s[0], s[1], err)
			}
		}
		doubtNeighbours()
		return nil
	})
}

// doubtNeighbours makes the kernel ask after ten seconds, not after up to a minute, whether a neighbour is still there. Of a
// member that does not answer datagrams there is no other sign of life.
func doubtNeighbours() {
	for name, value := range map[string]string{"base_reachable_time_ms": "10000", "delay_first_probe_time": "1"} {
		files, _ := filepath.Glob("/proc/sys/net/ipv[46]/neigh/*/" + name)
		for _, f := range files {
			_ = os.WriteFile(f, []byte(value), 0) // an interface may just be leaving
		}
	}
}

func forwarding(on bool) [][2]string {
	// Changing ip_forward changes whether redirects are believed.
	distrust := [2]string{"ipv4/conf/all/accept_redirects", "0"}
	if !on {
		return [][2]string{{"ipv4/ip_forward", "0"}, distrust, {"ipv6/conf/all/forwarding", "0"}}
	}
	return [][2]string{
		{"ipv4/ip_forward", "1"},
		distrust,
		{"ipv6/conf/all/forwarding", "1"},
		// How long a flow may be silent until its next packet may go to another member. One that has gone both ways for some
		// time gets the five minutes that IPVS has; a question and its answer get less, because there may be many.
		{"netfilter/nf_conntrack_udp_timeout", "60"},
		{"netfilter/nf_conntrack_udp_timeout_stream", "300"},
	}
}

const bytesPerFlow = 512

// raiseFlowLimit lets flows take an eighth of the memory. The limit is the whole machine's and can be changed only where
// the agent has one for itself, which is why a failure is none.
func raiseFlowLimit() {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return
	}
	limit := info.Totalram * uint64(info.Unit) / 8 / bytesPerFlow
	for name, value := range map[string]uint64{"nf_conntrack_max": limit, "nf_conntrack_buckets": limit / 2} {
		path := filepath.Join("/proc/sys/net/netfilter", name)
		var now uint64
		if text, err := os.ReadFile(path); err != nil {
			continue
		} else if _, err := fmt.Sscan(string(text), &now); err != nil || now >= value {
			continue
		}
		_ = os.WriteFile(path, fmt.Append(nil, value), 0)
	}
}
