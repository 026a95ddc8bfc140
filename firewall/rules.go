package firewall

import (
	"fmt"
	"net/netip"
	"slices"
)

// Counter names the counters of a listener: flows that began, and bytes from and to clients with their IP headers.
func Counter(listener string) (flows, in, out string) {
	return "flows-" + listener, "in-" + listener, "out-" + listener
}

// write makes objects and chains of services.
func (r *Ruleset) write(services []*service, sources sourceTable) {
	for _, s := range services {
		r.addObjects(s)
	}
	r.chains = []chain{
		// What is not balanced here is not tracked: HAProxy's connections need none of it, and there may be many.
		{"untracked-in", "type filter hook prerouting priority raw; policy accept;", []string{untracked}},
		{"untracked-out", "type filter hook output priority raw; policy accept;", []string{untracked}},
		{"answers", "type filter hook prerouting priority mangle; policy accept;", []string{
			fmt.Sprintf("ct direction reply ct status dnat meta mark set %#x", AnswerMark),
		}},
	}
	for _, s := range services {
		if s.sticky != nil && len(s.members) > 0 {
			r.chains = append(r.chains, s.remembering())
		}
		r.chains = append(r.chains, s.choosing())
	}
	r.chains = append(r.chains,
		chain{"services", "type nat hook prerouting priority dstnat; policy accept;", entries(services)},
		chain{"passing", "", passing(services)},
		// The amphora is no router: what was not translated does not get through.
		chain{"forward", "type filter hook forward priority filter; policy drop;", []string{"ct status dnat goto passing"}},
		chain{"sources", "type nat hook postrouting priority srcnat; policy accept;", sources.rules(services)},
		// Clients in a member's subnet are not to be told of a shorter way.
		chain{"redirects", "type filter hook output priority filter; policy accept;", []string{
			"icmp type redirect drop", "icmpv6 type nd-redirect drop",
		}},
	)
}

const untracked = "meta l4proto != { icmp, ipv6-icmp, udp, sctp } notrack"

// maxClients is how many clients a pool remembers on one listener.
const maxClients = 262144

func (r *Ruleset) addObjects(s *service) {
	flows, in, out := Counter(s.listener)
	add := func(kind, name, text string) {
		if o := (object{kind, name, text}); !r.hasObject(o) {
			r.objects = append(r.objects, o)
		}
	}
	for _, name := range []string{flows, in, out} {
		add("counter", name, "")
	}
	if s.sticky != nil {
		add("map", s.clients(), fmt.Sprintf("typeof %s saddr : meta mark\nflags dynamic,timeout\nsize %d\n", s.family, maxClients))
	}
	if s.limit > 0 {
		add("set", s.limiter(), "typeof meta l4proto\nflags dynamic\nsize 1\n")
	}
}

func (s *service) clients() string { return fmt.Sprintf("clients-%s-%s", s.listener, s.family) }

// limiter counts from its first flow, so that another limit is another set.
func (s *service) limiter() string { return fmt.Sprintf("limit-%s-%d", s.listener, s.limit) }

func (s *service) name() string { return fmt.Sprintf("listener-%s-%s", s.listener, s.family) }

// entries lead the first packet of a flow to its listener. What a map is asked for while it is being replaced is not in it
// (the kernel looks at the new generation's elements with the old generation's rules), so that what is not in the map meets
// rules without one: no packet may slip through, and no later one of its flow would be translated either.
func entries(services []*service) []string {
	var rules, plain []string
	for _, f := range []family{ipv4, ipv6} {
		var list []string
		for _, s := range services {
			if s.family != f {
				continue
			}
			for _, vip := range s.vips {
				list = append(list, fmt.Sprintf("%s . %s . %d : goto %s", vip, s.protocol, s.port, s.name()))
				plain = append(plain, fmt.Sprintf("%s daddr %s %s dport %d goto %s", f, vip, s.protocol, s.port, s.name()))
			}
		}
		if list != nil {
			rules = append(rules, fmt.Sprintf("%s daddr . meta l4proto . th dport vmap %s", f, elements(list)))
		}
	}
	return append(rules, plain...)
}

// choosing is what the first packet of a flow meets. A packet that is refused leaves nothing in the kernel's table of
// flows, so that the next one is a first packet again.
func (s *service) choosing() chain {
	c := chain{name: s.name()}
	add := func(format string, args ...any) { c.rules = append(c.rules, fmt.Sprintf(format, args...)) }
	if s.closed {
		switch {
		case len(s.allowed) == 0:
			add("drop")
			return c
		case s.allowed[0].Bits() > 0:
			add("%s saddr != %s drop", s.family, elements(texts(s.allowed, netip.Prefix.String)))
		}
	}
	if len(s.choice) == 0 {
		add("reject")
		return c
	}
	if s.limit > 0 {
		add("add @%s { meta l4proto ct count over %d } reject", s.limiter(), s.limit)
	}
	choice := "meta mark set " + s.pick()
	if s.sticky != nil {
		client := s.client("saddr")
		add("meta mark set %s map @%s", client, s.clients())
		// A member that takes no new flows, or is gone, loses its clients.
		add("meta mark != %s %s", elements(texts(s.choice, member.number)), choice)
		add("delete @%s { %s : meta mark }", s.clients(), client)
		add("add @%s { %s timeout %ds : meta mark }", s.clients(), client, s.sticky.seconds)
	} else {
		add("%s", choice)
	}
	flows, _, _ := Counter(s.listener)
	add("ct mark set meta mark")
	add("counter name %q", flows)
	add("meta l4proto %s dnat %s to meta mark map %s", s.protocol, s.family, elements(texts(s.choice, func(m member) string {
		return fmt.Sprintf("%s : %s . %d", m.number(), m.endpoint.Addr(), m.endpoint.Port())
	})))
	// As with entries: nothing slips through.
	first := s.choice[0]
	add("ct mark set %s", first.number())
	add("meta l4proto %s dnat %s to %s", s.protocol, s.family, first.endpoint)
	return c
}

// pick is the mark of the member that a new flow goes to.
func (s *service) pick() string {
	if len(s.choice) == 1 {
		return s.choice[0].number()
	}
	var shares []share
	by := "numgen inc"
	switch s.algorithm {
	case "SOURCE_IP":
		shares, by = hashing(s.choice), fmt.Sprintf("jhash %s saddr", s.family)
	case "SOURCE_IP_PORT":
		shares, by = hashing(s.choice), fmt.Sprintf("jhash %s saddr . th sport", s.family)
	case "LEAST_CONNECTIONS":
		shares = levelling(s.choice, func(m member) int { return s.flows[Path{s.listener, m.id}] })
	default:
		shares = turns(s.choice)
	}
	var list []string
	at := 0
	for _, t := range shares {
		key := fmt.Sprint(at)
		if t.turns > 1 {
			key = fmt.Sprintf("%d-%d", at, at+t.turns-1)
		}
		list = append(list, fmt.Sprintf("%s : %#x", key, t.mark))
		at += t.turns
	}
	by += fmt.Sprintf(" mod %d", at)
	if by[0] == 'j' {
		by += fmt.Sprintf(" seed %#x", s.seed)
	}
	return by + " map " + elements(list)
}

// remembering renews the memory of a client with each of its packets: it is forgotten when it has been silent.
func (s *service) remembering() chain {
	return chain{name: "remember-" + s.listener + "-" + string(s.family), rules: []string{
		fmt.Sprintf("update @%s { %s timeout %ds : ct mark }", s.clients(), s.clientOfFlow(), s.sticky.seconds), "accept",
	}}
}

// client is what tells clients apart in a packet's address.
func (s *service) client(field string) string {
	text := string(s.family) + " " + field
	if s.sticky.mask.IsValid() {
		text += " & " + s.sticky.mask.String()
	}
	return text
}

func (s *service) clientOfFlow() string { return "ct original " + s.client("saddr") }

// passing counts what gets through, in both directions.
func passing(services []*service) []string {
	var in, out, remember []string
	for _, s := range services {
		_, inName, outName := Counter(s.listener)
		for _, m := range s.members {
			in = append(in, fmt.Sprintf("%s : %q", m.number(), inName))
			out = append(out, fmt.Sprintf("%s : %q", m.number(), outName))
			if s.sticky != nil {
				remember = append(remember, fmt.Sprintf("%s : goto %s", m.number(), s.remembering().name))
			}
		}
	}
	if in == nil {
		return []string{"drop"}
	}
	rules := []string{
		"ct direction reply counter name ct mark map " + elements(out) + " accept",
		"counter name ct mark map " + elements(in),
	}
	if remember != nil {
		rules = append(rules, "ct mark vmap "+elements(remember))
	}
	return append(rules, "accept")
}

// rules give packets to members the amphora's own address.
func (t sourceTable) rules(services []*service) []string {
	var rules []string
	for _, f := range []family{ipv4, ipv6} {
		var list []string
		for _, s := range services {
			for _, m := range s.members {
				source, known := t.to(m.endpoint.Addr())
				text := fmt.Sprintf("%s : %s", m.endpoint.Addr(), source)
				if known && s.family == f && !slices.Contains(list, text) {
					list = append(list, text)
				}
			}
		}
		if list != nil {
			rules = append(rules, fmt.Sprintf("ct status dnat snat %s to %s daddr map %s", f, f, elements(list)))
		}
	}
	return append(rules, "ct status dnat masquerade")
}

func (m member) number() string { return fmt.Sprintf("%#x", m.mark) }

func texts[T any](list []T, text func(T) string) []string {
	out := make([]string, len(list))
	for i, e := range list {
		out[i] = text(e)
	}
	return out
}
