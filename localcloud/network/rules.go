package network

import (
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/state"
)

// protocols are the names that Neutron knows.
var protocols = map[string]uint8{"ah": 51, "dccp": 33, "egp": 8, "esp": 50, "gre": 47, "hopopt": 0, "icmp": 1, "igmp": 2,
	"ip": 0, "ipip": 4, "ipv6-encap": 41, "ipv6-frag": 44, "ipv6-icmp": 58, "icmpv6": 58, "ipv6-nonxt": 59, "ipv6-opts": 60,
	"ipv6-route": 43, "ospf": 89, "pgm": 113, "rsvp": 46, "sctp": 132, "tcp": 6, "udp": 17, "udplite": 136, "vrrp": 112}

// protocolNumber answers 0 for any protocol.
func protocolNumber(name string, ipv6 bool) (uint8, bool) {
	name = strings.ToLower(name)
	if name == "any" {
		return 0, true
	}
	if ipv6 && name == "icmp" {
		return 58, true
	}
	if n, ok := protocols[name]; ok {
		return n, true
	}
	n, err := strconv.ParseUint(name, 10, 8)
	return uint8(n), err == nil
}

func noRule(id string) error {
	return httpx.NotFound("SecurityGroupRuleNotFound", "Security group rule %s does not exist", id)
}

func (s *Service) ruleFor(r state.Reader, id string, who httpx.Caller) (SecurityGroupRule, error) {
	return find(r, id, func(rule SecurityGroupRule) bool {
		_, err := s.groupFor(r, rule.SecurityGroupID, who)
		return err == nil
	}, noRule)
}

func viewRule(rule SecurityGroupRule, g SecurityGroup) SecurityGroupRule {
	rule.NormalizedCIDR, rule.BelongsToDefault = rule.RemoteIPPrefix, g.Name == defaultGroupName
	if rule.NormalizedCIDR != nil {
		masked := rule.NormalizedCIDR.Masked()
		rule.NormalizedCIDR = &masked
	}
	return rule
}

func (s *Service) listRules(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	if err := s.ensureDefault(who); err != nil {
		return err
	}
	is := early(r)
	var visible []SecurityGroupRule
	for _, g := range state.List(s.state, func(g *SecurityGroup) bool { return who.Sees(g.ProjectID) && is("security_group_id", g.ID) }) {
		visible = append(visible, s.viewGroup(g).Rules...)
	}
	page, err := httpx.Select(r, visible, httpx.Strict)
	if err != nil {
		return err
	}
	return page.Write(w, "security_group_rules")
}

func (s *Service) answerRule(w http.ResponseWriter, status int, rule SecurityGroupRule) error {
	g, err := state.Get[SecurityGroup](s.state, rule.SecurityGroupID)
	if err != nil {
		return noRule(rule.ID)
	}
	return httpx.Write(w, status, map[string]any{"security_group_rule": viewRule(rule, g)})
}

func (s *Service) showRule(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	rule, err := s.ruleFor(s.state, r.PathValue("id"), who)
	if err != nil {
		return err
	}
	return s.answerRule(w, http.StatusOK, rule)
}

func (s *Service) createRule(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	rule := SecurityGroupRule{EtherType: "IPv4"}
	if _, err := read(w, r, who, "security_group_rule", &rule); err != nil {
		return err
	}
	if err := rule.check(); err != nil {
		return err
	}
	err := s.state.Update(func(tx *state.Tx) error {
		g, err := s.groupFor(tx, rule.SecurityGroupID, who)
		if err != nil {
			return err
		}
		if err := room(tx, "security_group_rule", g.ProjectID); err != nil {
			return err
		}
		if rule.RemoteGroupID != nil {
			if _, err := s.groupFor(tx, *rule.RemoteGroupID, who); err != nil {
				return err
			}
		}
		for _, other := range rulesOf(tx, g.ID) {
			if rule.same(other) {
				return httpx.Conflict("SecurityGroupRuleExists", "Security group rule already exists. Rule id is %s.", other.ID)
			}
		}
		rule.ProjectID, rule.TenantID = g.ProjectID, g.TenantID
		rule.stamp(s.now())
		return tx.Put(rule)
	})
	if err != nil {
		return err
	}
	s.apply(r.Context(), dirty{groups: ids(rule.SecurityGroupID)})
	return s.answerRule(w, http.StatusCreated, rule)
}

func (s *Service) deleteRule(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	var rule SecurityGroupRule
	err := s.state.Update(func(tx *state.Tx) (err error) {
		if rule, err = s.ruleFor(tx, r.PathValue("id"), who); err != nil {
			return err
		}
		tx.Delete(rule)
		return nil
	})
	if err != nil {
		return err
	}
	s.apply(r.Context(), dirty{groups: ids(rule.SecurityGroupID)})
	s.revoke(r.Context(), s.inGroup(rule.SecurityGroupID))
	return httpx.NoContent(w)
}

// same tells whether two rules allow the same.
func (r SecurityGroupRule) same(other SecurityGroupRule) bool {
	return r.Direction == other.Direction && r.EtherType == other.EtherType &&
		reflect.DeepEqual([]any{r.Protocol, r.PortRangeMin, r.PortRangeMax, r.RemoteIPPrefix, r.RemoteGroupID},
			[]any{other.Protocol, other.PortRangeMin, other.PortRangeMax, other.RemoteIPPrefix, other.RemoteGroupID})
}

// check brings a new rule into its normal form and refuses what makes no sense.
func (r *SecurityGroupRule) check() error {
	if r.Protocol != nil {
		lower := strings.ToLower(*r.Protocol)
		r.Protocol = &lower
		if lower == "any" || lower == "" {
			r.Protocol = nil
		}
	}
	for _, version := range []string{"IPv4", "IPv6"} {
		if strings.EqualFold(r.EtherType, version) {
			r.EtherType = version
		}
	}
	switch {
	case r.Direction != "ingress" && r.Direction != "egress":
		return invalid("direction", "'%s' is not in ['ingress', 'egress']", r.Direction)
	case r.EtherType != "IPv4" && r.EtherType != "IPv6":
		return httpx.BadRequest("SecurityGroupRuleInvalidEtherType", "Security group rule for ethertype '%s' not supported. Allowed values are ['IPv4', 'IPv6'].", r.EtherType)
	case r.RemoteIPPrefix != nil && r.RemoteGroupID != nil:
		return httpx.BadRequest("SecurityGroupMultipleRemoteEntitiesInRule", "Only remote_ip_prefix or remote_group_id may be provided.")
	case r.RemoteAddressGroupID != nil:
		return httpx.NotFound("AddressGroupNotFound", "Address group %s could not be found.", *r.RemoteAddressGroupID)
	case r.RemoteIPPrefix != nil && r.RemoteIPPrefix.Addr().Is6() != (r.EtherType == "IPv6"):
		return httpx.BadRequest("SecurityGroupRuleParameterConflict", "Conflicting value ethertype %s for CIDR %v", r.EtherType, *r.RemoteIPPrefix)
	}
	return r.checkPorts()
}

func (r *SecurityGroupRule) checkPorts() error {
	number := uint8(0)
	if r.Protocol != nil {
		var ok bool
		if number, ok = protocolNumber(*r.Protocol, r.EtherType == "IPv6"); !ok {
			return httpx.BadRequest("SecurityGroupRuleInvalidProtocol", "Security group rule protocol %s not supported. Only protocol values and integer representations [0 to 255] are supported.", *r.Protocol)
		}
	}
	if number == 1 || number == 58 {
		return r.checkICMP()
	}
	if r.PortRangeMin == nil && r.PortRangeMax == nil {
		return nil
	}
	if !slices.Contains([]uint8{6, 17, 33, 132, 136}, number) {
		return httpx.BadRequest("SecurityGroupProtocolRequiredWithPorts", "Must also specify protocol if port range is given.")
	}
	if r.PortRangeMin == nil || r.PortRangeMax == nil || *r.PortRangeMin > *r.PortRangeMax || *r.PortRangeMin < 1 || *r.PortRangeMax > 65535 {
		return httpx.BadRequest("SecurityGroupInvalidPortRange", "For TCP/UDP protocols, port_range_min must be <= port_range_max, and both between 1 and 65535.")
	}
	return nil
}

func (r *SecurityGroupRule) checkICMP() error {
	for field, value := range map[string]*int{"port_range_min": r.PortRangeMin, "port_range_max": r.PortRangeMax} {
		if value != nil && (*value < 0 || *value > 255) {
			return httpx.BadRequest("SecurityGroupInvalidIcmpValue", "Invalid value for ICMP %s %d. It must be 0 to 255.", field, *value)
		}
	}
	if r.PortRangeMax != nil && r.PortRangeMin == nil {
		return httpx.BadRequest("SecurityGroupMissingIcmpType", "ICMP code (port-range-max) %d is provided but ICMP type (port-range-min) is missing.", *r.PortRangeMax)
	}
	return nil
}
