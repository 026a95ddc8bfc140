// Package keepalived writes keepalived's configuration for an amphora of an active-standby pair: which of the two has the
// VIPs is settled between them by VRRP. It is pure: state in, text out.
package keepalived

import (
	"bytes"
	_ "embed"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"text/template"
	"time"

	"github.com/octavo-lb/octavo/agentapi"
)

// Environment is what the text depends on besides the wanted state.
type Environment struct {
	Interface string // that the VIPs live on
	// TrackFile holds a number that keepalived adds to the priority; -254 lets the other amphora have the VIPs.
	TrackFile string
}

// Fault is what the track file holds while the amphora cannot serve, Fit while it can.
const (
	Fault = "-254\n"
	Fit   = "0\n"
)

//go:embed keepalived.conf.tmpl
var configText string

// Build writes the configuration for a wanted state. It is empty for an amphora that stands alone, and when there is nothing
// to serve. Nothing a user wrote gets into the text but addresses that were parsed and are written anew.
func Build(state *agentapi.State, env Environment) (string, error) {
	if state.VRRP == nil || state.Disabled || len(state.VIPs) == 0 {
		return "", nil
	}
	v, err := newView(state, env)
	if err != nil {
		return "", fmt.Errorf("vrrp: %w", err)
	}
	t, err := template.New("keepalived.conf").Parse(configText)
	if err != nil {
		return "", fmt.Errorf("parsing the template of keepalived.conf: %w", err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, v); err != nil {
		return "", fmt.Errorf("writing keepalived.conf: %w", err)
	}
	return out.String(), nil
}

const joining = "\n# Until it is read again.\n"

// Joining is a configuration for a keepalived that is being started, which keeps quiet for so long. One that runs must not read
// that: it would let go of the VIPs for as long.
func Joining(config string, quiet time.Duration) string {
	if quiet <= 0 {
		return config
	}
	return fmt.Sprintf("%s%sglobal_defs {\n    vrrp_startup_delay %.1f\n}\n", config, joining, min(quiet, time.Minute).Seconds())
}

// Joined is the configuration that Joining made another one of.
func Joined(config string) string {
	config, _, _ = strings.Cut(config, joining)
	return config
}

// Capabilities are the names of what Build can express, as an agent reports them.
func Capabilities() []string { return []string{"topology:ACTIVE_STANDBY"} }

type view struct {
	LB, Amphora string
	Environment
	RouterID, Priority int
	Interval           string // seconds
	Address            netip.Addr
	Peers              []netip.Addr
	VIPs               []netip.Prefix // of the family that VRRP speaks
	Others             []netip.Prefix
}

var identifier = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z-]{0,63}$`)

func newView(s *agentapi.State, env Environment) (*view, error) {
	r := s.VRRP
	for _, id := range []string{s.LB, s.AmphoraID} {
		if !identifier.MatchString(id) {
			return nil, fmt.Errorf("the id %q cannot be a name in keepalived.conf", id)
		}
	}
	switch {
	case !identifier.MatchString(env.Interface):
		return nil, fmt.Errorf("the interface %q cannot be a name in keepalived.conf", env.Interface)
	case r.RouterID < 1 || r.RouterID > 255:
		return nil, fmt.Errorf("router_id %d is not between 1 and 255", r.RouterID)
	case r.Priority < 1 || r.Priority > 254:
		return nil, fmt.Errorf("priority %d is not between 1 and 254", r.Priority)
	case !r.Address.IsValid():
		return nil, fmt.Errorf("the amphora has no address to speak from")
	}
	// VRRP counts in hundredths of a second.
	hundredths := min(max(r.Interval/10, 1), 4095)
	v := &view{
		LB: s.LB, Amphora: s.AmphoraID, Environment: env, RouterID: r.RouterID, Priority: r.Priority,
		Interval: fmt.Sprintf("%d.%02d", hundredths/100, hundredths%100), Address: r.Address, Peers: r.Peers,
	}
	if len(v.Peers) == 0 {
		v.Peers = []netip.Addr{nobody(r.Address)}
	}
	for _, vip := range s.VIPs {
		address := vip.Address.Addr()
		alone := netip.PrefixFrom(address, address.BitLen())
		if address.Is6() == r.Address.Is6() {
			v.VIPs = append(v.VIPs, alone)
		} else {
			v.Others = append(v.Others, alone)
		}
	}
	return v, nil
}

// nobody is an address that nobody has (RFC 5737, RFC 6666), for a pair whose other amphora is not known (yet): without a
// peer keepalived would speak to all of the tenant's network, where other load balancers have the same router id.
func nobody(like netip.Addr) netip.Addr {
	if like.Is6() {
		return netip.MustParseAddr("100::1")
	}
	return netip.MustParseAddr("192.0.2.254")
}
