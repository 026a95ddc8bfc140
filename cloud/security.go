package cloud

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/security/groups"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/security/rules"

	"github.com/octavo-lb/octavo/plan"
)

// SecurityGroup finds a security group by its name, with its rules. NotFound.
func (c *Client) SecurityGroup(ctx context.Context, name string) (plan.SecurityGroup, error) {
	ctx, cancel, s, err := c.begin(ctx)
	if err != nil {
		return plan.SecurityGroup{}, err
	}
	defer cancel()
	ids, err := findGroups(ctx, s, name)
	if err != nil {
		return plan.SecurityGroup{}, err
	}
	if len(ids) == 0 {
		return plan.SecurityGroup{}, &Error{Kind: NotFound, Doing: "find security group " + name, Message: "there is none"}
	}
	found, err := listRules(ctx, s.network, ids[0])
	group := plan.SecurityGroup{ID: ids[0], Name: name}
	for _, f := range found {
		group.Rules = append(group.Rules, f.Rule)
	}
	return group, err
}

// EnsureSecurityGroup finds the group by its name or makes it, opens what is to be open and then closes what is not: the
// group has exactly the wanted rules afterwards.
func (c *Client) EnsureSecurityGroup(ctx context.Context, want plan.SecurityGroup) (plan.SecurityGroup, error) {
	ctx, cancel, s, err := c.begin(ctx)
	if err != nil {
		return plan.SecurityGroup{}, err
	}
	defer cancel()
	ids, err := findGroups(ctx, s, want.Name)
	if err != nil {
		return plan.SecurityGroup{}, err
	}
	if len(ids) == 0 {
		g, err := groups.Create(ctx, s.network, groups.CreateOpts{Name: want.Name, Description: "Load balancer " + want.Name}).Extract()
		if err != nil {
			return plan.SecurityGroup{}, wrap(err, "create security group %s", want.Name)
		}
		ids = []string{g.ID}
	}
	want.ID = ids[0]
	found, err := listRules(ctx, s.network, want.ID)
	if err != nil {
		return plan.SecurityGroup{}, err
	}
	return want, reconcileRules(ctx, s.network, want, found)
}

func reconcileRules(ctx context.Context, network *gophercloud.ServiceClient, want plan.SecurityGroup, found []foundRule) error {
	for _, r := range want.Rules {
		if slices.ContainsFunc(found, func(f foundRule) bool { return f.Rule == r }) {
			continue
		}
		err := wrap(rules.Create(ctx, network, wireRule(want.ID, r)).Err, "open security group %s", want.Name)
		if err != nil && !exists(err) {
			return err
		}
	}
	for _, f := range found {
		if slices.Contains(want.Rules, f.Rule) {
			continue
		}
		err := wrap(rules.Delete(ctx, network, f.id).ExtractErr(), "close security group %s", want.Name)
		if err != nil && !IsNotFound(err) {
			return err
		}
	}
	return nil
}

// exists tells that somebody else made the rule meanwhile.
func exists(err error) bool {
	e, ok := err.(*Error)
	return ok && e.Kind == Conflict && strings.Contains(e.Type, "Exists")
}

// DeleteSecurityGroup deletes all groups of that name. Conflict while ports have one.
func (c *Client) DeleteSecurityGroup(ctx context.Context, name string) error {
	ctx, cancel, s, err := c.begin(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	ids, err := findGroups(ctx, s, name)
	if err != nil {
		return err
	}
	for _, id := range ids {
		err := wrap(groups.Delete(ctx, s.network, id).ExtractErr(), "delete security group %s", name)
		if err != nil && !IsNotFound(err) {
			return err
		}
	}
	return nil
}

// findGroups looks in the service's own project only: a user may have given the name to a group with other rules.
func findGroups(ctx context.Context, s *services, name string) ([]string, error) {
	pages, err := groups.List(s.network, groups.ListOpts{Name: name, ProjectID: s.projectID}).AllPages(ctx)
	if err != nil {
		return nil, wrap(err, "look for security group %s", name)
	}
	list, err := groups.ExtractGroups(pages)
	if err != nil {
		return nil, wrap(err, "look for security group %s", name)
	}
	var ids []string
	for _, g := range list {
		if g.Name == name && g.ProjectID == s.projectID {
			ids = append(ids, g.ID)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

type foundRule struct {
	plan.Rule
	id string
}

func listRules(ctx context.Context, network *gophercloud.ServiceClient, groupID string) ([]foundRule, error) {
	pages, err := rules.List(network, rules.ListOpts{SecGroupID: groupID}).AllPages(ctx)
	if err != nil {
		return nil, wrap(err, "list the rules of security group %s", groupID)
	}
	list, err := rules.ExtractRules(pages)
	if err != nil {
		return nil, wrap(err, "list the rules of security group %s", groupID)
	}
	found := make([]foundRule, 0, len(list))
	for _, r := range list {
		found = append(found, foundRule{readRule(groupID, r), r.ID})
	}
	return found, nil
}

// readRule gives rules that mean the same the same form. One that this package would not make becomes one that is never
// wanted, and so is closed.
func readRule(groupID string, r rules.SecGroupRule) plan.Rule {
	found := plan.Rule{Egress: r.Direction == "egress", IPv6: r.EtherType == "IPv6", Protocol: protocolName(r.Protocol),
		Port: r.PortRangeMin, Peers: r.RemoteGroupID == groupID}
	if prefix, err := netip.ParsePrefix(r.RemoteIPPrefix); err == nil && prefix.Bits() > 0 {
		found.Remote = prefix.Masked()
	}
	if r.PortRangeMin != r.PortRangeMax || r.RemoteGroupID != "" && r.RemoteGroupID != groupID || r.RemoteAddressGroupID != "" {
		found.Protocol = "foreign"
	}
	return found
}

// protocolName reads numbers as the names that Neutron has for them.
func protocolName(p string) string {
	switch p = strings.ToLower(p); p {
	case "6":
		return "tcp"
	case "17":
		return "udp"
	case "132":
		return "sctp"
	case "vrrp":
		return "112"
	case "ah":
		return "51"
	case "any":
		return ""
	}
	return p
}

func wireRule(groupID string, r plan.Rule) rules.CreateOpts {
	o := rules.CreateOpts{Direction: rules.DirIngress, EtherType: rules.EtherType4, SecGroupID: groupID,
		PortRangeMin: r.Port, PortRangeMax: r.Port, Protocol: rules.RuleProtocol(r.Protocol)}
	if r.Egress {
		o.Direction = rules.DirEgress
	}
	if r.IPv6 {
		o.EtherType = rules.EtherType6
	}
	if r.Remote.IsValid() {
		o.RemoteIPPrefix = r.Remote.String()
	}
	if r.Peers {
		o.RemoteGroupID = groupID
	}
	return o
}
