package firewall

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/lb"
)

// family is an IP version by the word that nftables has for it.
type family string

const (
	ipv4 family = "ip"
	ipv6 family = "ip6"
)

func familyOf(a netip.Addr) family {
	if a.Is4() {
		return ipv4
	}
	return ipv6
}

// frontend is what clients send to.
type frontend struct {
	protocol string
	address  netip.AddrPort
}

// service is one listener on its VIPs of one IP version. Addresses are translated to addresses of the same version only:
// the others have no part in it.
type service struct {
	listener string
	protocol string // udp or sctp
	family   family
	port     uint16
	vips     []netip.Addr
	allowed  []netip.Prefix
	closed   bool // to all that are not in allowed
	limit    int  // of flows; 0 for none

	algorithm string
	seed      uint32
	sticky    *stickiness
	members   []member // that flows may stay with
	choice    []member // that new flows go to
	ids       map[netip.AddrPort]string
	flows     map[Path]int
}

// member is a member behind a service.
type member struct {
	id       string
	endpoint netip.AddrPort
	weight   int
	mark     uint32
}

// stickiness is how clients stay with a member over their flows.
type stickiness struct {
	seconds int
	mask    netip.Addr // what of an address tells clients apart; invalid for all
}

// identifier is what an id must look like to be part of a name. Ids are the service's own, so that another one is a fault
// and not a user's wish.
var identifier = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z-]{0,63}$`)

func services(state *agentapi.State, seen Seen) ([]*service, error) {
	if state.Disabled {
		return nil, nil
	}
	vips, err := vipsOf(state)
	if err != nil {
		return nil, err
	}
	var all []*service
	taken := map[frontend]string{}
	for _, l := range state.Listeners {
		if !Datagram(l.Protocol) || !l.AdminStateUp || l.Deleting {
			continue
		}
		for _, f := range []family{ipv4, ipv6} {
			if len(vips[f]) == 0 {
				continue
			}
			s, err := newService(state, seen, l, f, vips)
			if err != nil {
				return nil, fmt.Errorf("listener %s: %w", l.ID, err)
			}
			front := frontend{s.protocol, netip.AddrPortFrom(s.vips[0], s.port)}
			if other, twice := taken[front]; twice {
				return nil, fmt.Errorf("listener %s: protocol_port %d is listener %s's", l.ID, l.ProtocolPort, other)
			}
			taken[front] = l.ID
			all = append(all, s)
		}
	}
	number(all)
	return all, nil
}

func vipsOf(state *agentapi.State) (map[family][]netip.Addr, error) {
	vips := map[family][]netip.Addr{}
	for _, v := range state.VIPs {
		a := v.Address.Addr().Unmap()
		if !a.IsValid() || a.Zone() != "" {
			return nil, fmt.Errorf("the VIP %q cannot be an address in a rule", v.Address)
		}
		if f := familyOf(a); !slices.Contains(vips[f], a) {
			vips[f] = append(vips[f], a)
		}
	}
	return vips, nil
}

func newService(state *agentapi.State, seen Seen, l lb.Listener, f family, vips map[family][]netip.Addr) (*service, error) {
	if !identifier.MatchString(l.ID) {
		return nil, fmt.Errorf("the id %q cannot be a name in a rule", l.ID)
	}
	s := &service{
		listener: l.ID, protocol: strings.ToLower(l.Protocol), family: f, vips: vips[f], limit: max(l.ConnectionLimit, 0),
		closed: len(l.AllowedCidrs) > 0, flows: seen.Flows, ids: map[netip.AddrPort]string{},
	}
	var err error
	if s.port, err = port(l.ProtocolPort); err != nil {
		return nil, err
	}
	if s.allowed, err = networks(l.AllowedCidrs, f); err != nil {
		return nil, err
	}
	i := slices.IndexFunc(state.Pools, func(p lb.Pool) bool {
		return l.DefaultPoolID != nil && p.ID == *l.DefaultPoolID && p.AdminStateUp && !p.Deleting
	})
	if i < 0 {
		return s, nil
	}
	if err := s.addPool(state, seen, state.Pools[i], vips); err != nil {
		return nil, fmt.Errorf("pool %s: %w", state.Pools[i].ID, err)
	}
	return s, nil
}

func (s *service) addPool(state *agentapi.State, seen Seen, p lb.Pool, vips map[family][]netip.Addr) error {
	if p.Protocol != strings.ToUpper(s.protocol) {
		return fmt.Errorf("protocol %s cannot be served by a listener of protocol %s", p.Protocol, strings.ToUpper(s.protocol))
	}
	s.algorithm, s.seed = p.LBAlgorithm, hash32(p.ID)
	if !slices.Contains([]string{"ROUND_ROBIN", "LEAST_CONNECTIONS", "SOURCE_IP", "SOURCE_IP_PORT"}, s.algorithm) {
		return fmt.Errorf("lb_algorithm %q cannot be served", s.algorithm)
	}
	var err error
	if s.sticky, err = newStickiness(p.SessionPersistence, s.family); err != nil {
		return err
	}
	var backups []member
	for _, m := range state.Members {
		if m.PoolID != p.ID || m.Deleting || !m.AdminStateUp {
			continue
		}
		e, err := endpoint(m.Address, m.ProtocolPort)
		if err != nil {
			return fmt.Errorf("member %s: %w", m.ID, err)
		}
		f := familyOf(e.Addr())
		if len(vips[f]) == 0 {
			return fmt.Errorf("member %s: address %s: no VIP is of its IP version, and %s cannot be translated to another", m.ID, e.Addr(), p.Protocol)
		}
		if f != s.family || seen.Down[Member{p.ID, m.ID}] {
			continue
		}
		target := member{id: m.ID, endpoint: e, weight: m.Weight}
		s.members = append(s.members, target)
		s.ids[e] = m.ID
		switch {
		case m.Weight <= 0:
		case m.Backup:
			backups = append(backups, target)
		default:
			s.choice = append(s.choice, target)
		}
	}
	if len(s.choice) == 0 {
		s.choice = backups
	}
	return nil
}

// defaultStickySeconds is how long a client is remembered whose pool does not say (octavia/common/jinja/lvs).
const defaultStickySeconds = 360

func newStickiness(p *lb.SessionPersistence, f family) (*stickiness, error) {
	if p == nil {
		return nil, nil
	}
	if p.Type != "SOURCE_IP" {
		return nil, fmt.Errorf("session_persistence: type %q is not for UDP and SCTP", p.Type)
	}
	s := &stickiness{seconds: defaultStickySeconds}
	if p.PersistenceTimeout != nil && *p.PersistenceTimeout > 0 {
		s.seconds = *p.PersistenceTimeout
	}
	if p.PersistenceGranularity == nil || *p.PersistenceGranularity == "" {
		return s, nil
	}
	mask, err := address(*p.PersistenceGranularity)
	if err != nil {
		return nil, fmt.Errorf("session_persistence: persistence_granularity: %w", err)
	}
	// Of the other IP version each address is a client.
	if familyOf(mask) == f {
		s.mask = mask
	}
	return s, nil
}

func address(text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err == nil && a.Zone() != "" {
		err = fmt.Errorf("the address %q has a zone", text)
	}
	return a.Unmap(), err
}

func endpoint(text string, number int) (netip.AddrPort, error) {
	a, err := address(text)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("address: %w", err)
	}
	p, err := port(number)
	return netip.AddrPortFrom(a, p), err
}

func port(number int) (uint16, error) {
	if number < 1 || number > 65535 {
		return 0, fmt.Errorf("protocol_port %d is no port", number)
	}
	return uint16(number), nil
}

// networks are those of one IP version, without those that are part of others.
func networks(cidrs []string, f family) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range cidrs {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("allowed_cidrs: %w", err)
		}
		if familyOf(p.Addr()) == f {
			all = append(all, p.Masked())
		}
	}
	slices.SortFunc(all, netip.Prefix.Compare)
	var out []netip.Prefix
	for _, p := range all {
		if len(out) == 0 || !out[len(out)-1].Contains(p.Addr()) {
			out = append(out, p)
		}
	}
	return out, nil
}
