package lb

import (
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// httpHeaders and tlsHeaders are what insert_headers may name (octavia_lib constants).
var (
	httpHeaders = []string{"X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Proto"}
	tlsHeaders  = []string{"X-SSL-Client-Verify", "X-SSL-Client-Has-Cert", "X-SSL-Client-DN", "X-SSL-Client-CN",
		"X-SSL-Issuer", "X-SSL-Client-SHA1", "X-SSL-Client-Not-Before", "X-SSL-Client-Not-After"}
)

// ValidateListener checks a listener. See Rules. Of several mistakes the one is told that Octavia tells.
func (r *Rules) ValidateListener(t *Tree, can Capabilities, l, was *Listener) error {
	ifNew := func(check func() error) func() error {
		if was == nil {
			return check
		}
		return func() error { return nil }
	}
	for _, check := range []func() error{
		func() error { return l.checkDefaultPool(t) },
		l.checkHeaders,
		ifNew(func() error { return r.allowed(t, can, l) }),
		l.checkTLS,
		ifNew(func() error { return l.checkSlot(t) }),
		func() error { return l.checkCIDRs(&t.LB) },
		func() error { return r.listenerTLS(l, was) },
		l.checkHSTS,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// Slot is what two listeners of a load balancer cannot share: the port, and the protocol below the listener's.
func (l *Listener) Slot() string { return transport(l.Protocol) + "/" + strconv.Itoa(l.ProtocolPort) }

// allowed asks whether deployment and provider serve the protocol.
func (r *Rules) allowed(t *Tree, can Capabilities, l *Listener) error {
	switch {
	case r.NoTLSTermination && l.terminatesTLS():
		return disabled("protocol", l.Protocol)
	case r.NoPrometheus && l.Protocol == "PROMETHEUS":
		return disabled("protocol", l.Protocol)
	}
	return supports(t.LB.Provider, "listener protocol", l.Protocol, can.Listeners)
}

func (l *Listener) checkSlot(t *Tree) error {
	for i := range t.Listeners {
		o := &t.Listeners[i]
		if o.ID != l.ID && !o.Deleting && o.Slot() == l.Slot() {
			return Refuse(Duplicate, "Another Listener on this Load Balancer is already using protocol %s and protocol_port %d",
				o.Protocol, l.ProtocolPort)
		}
	}
	return nil
}

func disabled(option, value string) error {
	return Refuse(DisabledOption, "The selected %s is not allowed in this deployment: %s", option, value)
}

func (l *Listener) hasTLSRefs() bool {
	return isSet(l.DefaultTLSContainerRef) || isSet(l.ClientCATLSContainerRef) || len(l.SniContainerRefs) > 0
}

// terminatesTLS tells whether clients speak TLS with the listener itself.
func (l *Listener) terminatesTLS() bool {
	return l.Protocol == "TERMINATED_HTTPS" || l.Protocol == "PROMETHEUS" && l.hasTLSRefs()
}

func (l *Listener) checkHeaders() error {
	if len(l.InsertHeaders) == 0 {
		return nil
	}
	names := slices.Sorted(maps.Keys(l.InsertHeaders))
	if isDatagram(l.Protocol) {
		return invalid("%s listeners do not support TLS or header insertion", l.Protocol)
	}
	if l.Protocol != "HTTP" && l.Protocol != "TERMINATED_HTTPS" {
		return badOption("insert-headers", "a "+l.Protocol+" protocol listener.")
	}
	var strange, ofTLS []string
	for _, name := range names {
		switch {
		case slices.Contains(tlsHeaders, name):
			ofTLS = append(ofTLS, name)
		case !slices.Contains(httpHeaders, name):
			strange = append(strange, name)
		}
	}
	switch {
	case strange != nil:
		return badOption(quoted(strange), "insert_headers")
	case ofTLS != nil && l.Protocol != "TERMINATED_HTTPS":
		return badOption(quoted(ofTLS), l.Protocol+" protocol listener.")
	}
	return nil
}

func (l *Listener) checkTLS() error {
	hasCertificate := isSet(l.DefaultTLSContainerRef) || len(l.SniContainerRefs) > 0
	hasCA := isSet(l.ClientCATLSContainerRef)
	switch {
	case l.hasTLSRefs() && isDatagram(l.Protocol):
		return invalid("%s listeners do not support TLS or header insertion", l.Protocol)
	case l.hasTLSRefs() && !l.terminatesTLS():
		return invalid("%s listeners take no certificate references", l.Protocol)
	case hasCA && !hasCertificate:
		return invalid("client_ca_tls_container_ref needs default_tls_container_ref or sni_container_refs as well")
	case l.terminatesTLS() && !hasCertificate:
		return invalid("a %s listener needs default_tls_container_ref or sni_container_refs", l.Protocol)
	case l.ClientAuthentication != "NONE" && !hasCA:
		return invalid("client_authentication %s needs client_ca_tls_container_ref", l.ClientAuthentication)
	case isSet(l.ClientCRLContainerRef) && !hasCA:
		return invalid("client_crl_container_ref needs client_ca_tls_container_ref")
	}
	return nil
}

// listenerTLS fills in the deployment's defaults and checks its limits.
func (r *Rules) listenerTLS(l, was *Listener) error {
	if l.Protocol == "TERMINATED_HTTPS" {
		r.ListenerTLS.fill(&l.TLSCiphers, &l.TLSVersions, &l.AlpnProtocols)
	}
	if was == nil {
		was = &Listener{}
	}
	return r.tls(l.TLSCiphers, was.TLSCiphers, l.TLSVersions, was.TLSVersions)
}

func (l *Listener) checkHSTS() error {
	switch {
	case (l.HstsIncludeSubdomains || l.HstsPreload) && l.HstsMaxAge == nil:
		return invalid("hsts_include_subdomains and hsts_preload need hsts_max_age")
	case l.HstsMaxAge != nil && l.Protocol != "TERMINATED_HTTPS":
		return invalid("hsts_max_age is for listeners of protocol TERMINATED_HTTPS only")
	}
	return nil
}

// checkCIDRs refuses networks from which nobody could connect.
func (l *Listener) checkCIDRs(b *LoadBalancer) error {
	if len(l.AllowedCidrs) > 0 && len(b.VipSgIDs) > 0 {
		return invalid("allowed_cidrs cannot be used on a load balancer with vip_sg_ids")
	}
	vips := b.addresses()
	for _, cidr := range l.AllowedCidrs {
		p, err := netip.ParsePrefix(cidr)
		if err != nil {
			return invalid("allowed_cidrs: %s is no network", cidr)
		}
		if len(vips) > 0 && !slices.ContainsFunc(vips, func(a netip.Addr) bool { return a.Is4() == p.Addr().Is4() }) {
			return invalid("CIDR %s IP version incompatible with all VIPs %s IP version.", cidr, quoted(addressText(vips)))
		}
	}
	return nil
}

func addressText(list []netip.Addr) []string {
	out := make([]string, len(list))
	for i, a := range list {
		out[i] = a.String()
	}
	return out
}

// quoted writes a list as Octavia's faults do.
func quoted(list []string) string { return "['" + strings.Join(list, "', '") + "']" }

func (l *Listener) checkDefaultPool(t *Tree) error {
	if l.DefaultPoolID == nil {
		return nil
	}
	p := t.Pool(*l.DefaultPoolID)
	if l.Protocol == "PROMETHEUS" {
		return noChildren(l.Protocol)
	}
	if p == nil {
		return gone(t.Pools, "Pool", *l.DefaultPoolID)
	}
	return l.leadsTo(p)
}

// addresses are all VIPs that are known yet.
func (b *LoadBalancer) addresses() []netip.Addr {
	var out []netip.Addr
	if a, err := netip.ParseAddr(b.VipAddress); err == nil {
		out = append(out, a.Unmap())
	}
	for _, v := range b.AdditionalVips {
		if a, err := netip.ParseAddr(v.IPAddress); err == nil {
			out = append(out, a.Unmap())
		}
	}
	return out
}
