package lb

import (
	"net/netip"
	"slices"
	"strings"
)

// Rules hold between the attributes of one object, between objects of one tree, and between objects and the deployment.
// The zero value forbids nothing that Octavia allows by default.
//
// Each Validate method takes the tree as it is in the transaction that writes, the object as it shall be, and as it was
// (nil when it is made). It completes what follows from other attributes and returns a *Fault for what cannot be. What
// the deployment restricts is asked of new values only: an object that was made under older settings can still be
// renamed.
type Rules struct {
	NoTLSTermination bool // TERMINATED_HTTPS listeners are not allowed
	NoPrometheus     bool // PROMETHEUS listeners are not allowed
	NoPing           bool // PING health monitors are not allowed

	ListenerTLS, PoolTLS TLSDefaults
	MinTLSVersion        string   // empty for no minimum
	ProhibitedCiphers    []string // OpenSSL names
	UDPMinDelay          int      // shortest delay of a UDP-CONNECT health monitor

	// DeniedMembers are networks of which no address can be a member: those of the control plane.
	DeniedMembers []netip.Prefix
	// AllowLocalMembers lifts the ban on members with link-local and loopback addresses and on a load balancer's own VIPs.
	AllowLocalMembers bool
}

// TLSDefaults are what a listener or pool with TLS gets where it does not say otherwise.
type TLSDefaults struct {
	Ciphers  string
	Versions []string
	ALPN     []string
}

// DefaultRules are Octavia's defaults (octavia/common/config.py).
func DefaultRules() Rules {
	tls := TLSDefaults{
		Ciphers: "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:" +
			"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:" +
			"ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:" +
			"DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305",
		Versions: []string{"TLSv1.2", "TLSv1.3"},
		ALPN:     []string{"h2", "http/1.1", "http/1.0"},
	}
	return Rules{ListenerTLS: tls, PoolTLS: tls, UDPMinDelay: 3}
}

// Capabilities is what a provider's data plane can serve. A nil list is everything.
type Capabilities struct {
	Listeners  []string // protocols
	Pools      []string // protocols
	Algorithms []string
	Monitors   []string // types
	// PolicyListeners are the protocols of listeners that can have L7 policies.
	PolicyListeners []string
}

// supports refuses a value that the provider cannot serve.
func supports(provider, what, value string, list []string) error {
	if list == nil || slices.Contains(list, value) {
		return nil
	}
	return Refuse(NotProvided, "Provider '%s' does not support a requested option: %s %s. Supported: %s",
		provider, what, value, strings.Join(list, ", "))
}

// tlsVersions are all there are, oldest first.
var tlsVersions = []string{"SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"}

// tls checks what the deployment says of ciphers and versions, each if it is new.
func (r *Rules) tls(ciphers, wereCiphers *string, versions, wereVersions []string) error {
	if ciphers != nil && !same(ciphers, wereCiphers) {
		var bad []string
		for c := range strings.SplitSeq(*ciphers, ":") {
			if slices.Contains(r.ProhibitedCiphers, c) {
				bad = append(bad, c)
			}
		}
		if bad != nil {
			return invalid("this deployment does not allow the ciphers %s", strings.Join(bad, ", "))
		}
	}
	if least := slices.Index(tlsVersions, r.MinTLSVersion); least > 0 && !slices.Equal(versions, wereVersions) {
		for _, v := range versions {
			if slices.Index(tlsVersions, v) < least {
				return invalid("TLS version %s is less than the minimum of this deployment, %s", v, r.MinTLSVersion)
			}
		}
	}
	return nil
}

// fill sets what is not set.
func (d TLSDefaults) fill(ciphers **string, versions, alpn *[]string) {
	if *ciphers == nil && d.Ciphers != "" {
		*ciphers = new(d.Ciphers)
	}
	if *versions == nil {
		*versions = slices.Clone(d.Versions)
	}
	if *alpn == nil {
		*alpn = slices.Clone(d.ALPN)
	}
}

// poolProtocols are the pool protocols that a listener protocol can be served by
// (octavia/common/constants.py VALID_LISTENER_POOL_PROTOCOL_MAP).
var poolProtocols = map[string][]string{
	"TCP":              {"HTTP", "HTTPS", "PROXY", "PROXYV2", "TCP"},
	"HTTP":             {"HTTP", "PROXY", "PROXYV2"},
	"HTTPS":            {"HTTPS", "PROXY", "PROXYV2", "TCP"},
	"TERMINATED_HTTPS": {"HTTP", "PROXY", "PROXYV2"},
	"UDP":              {"UDP"},
	"SCTP":             {"SCTP"},
	"PROMETHEUS":       {},
}

// leadsTo checks that a listener can hand its requests to a pool.
func (l *Listener) leadsTo(p *Pool) error {
	if l.Protocol == "PROMETHEUS" {
		return noChildren(l.Protocol)
	}
	if !slices.Contains(poolProtocols[l.Protocol], p.Protocol) {
		return invalid("a listener of protocol '%s' cannot use a pool of protocol '%s'", l.Protocol, p.Protocol)
	}
	return nil
}

func noChildren(protocol string) error {
	return Refuse(Validation, "Protocol %s listeners cannot have child objects.", protocol)
}

// isDatagram tells the protocols that are balanced packet by packet, without TLS or HTTP.
func isDatagram(protocol string) bool { return protocol == "UDP" || protocol == "SCTP" }

// transport is the layer below, in which two listeners of one port collide.
func transport(protocol string) string {
	if isDatagram(protocol) {
		return protocol
	}
	return "TCP"
}

func isSet(s *string) bool { return s != nil && *s != "" }

// same tells whether two values that may be null are equal.
func same[T comparable](a, b *T) bool { return a == b || a != nil && b != nil && *a == *b }
