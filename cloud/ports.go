package cloud

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/qos/policies"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/plan"
)

// wirePort is what is read of a port.
type wirePort struct {
	ID             string              `json:"id"`
	Name           string              `json:"name"`
	ProjectID      string              `json:"project_id"`
	NetworkID      string              `json:"network_id"`
	MACAddress     string              `json:"mac_address"`
	DeviceID       string              `json:"device_id"`
	DeviceOwner    string              `json:"device_owner"`
	AdminStateUp   bool                `json:"admin_state_up"`
	SecurityGroups []string            `json:"security_groups"`
	FixedIPs       []ports.IP          `json:"fixed_ips"`
	Allowed        []ports.AddressPair `json:"allowed_address_pairs"`
	QosPolicyID    *string             `json:"qos_policy_id"`
}

func (w wirePort) port() plan.Port {
	p := plan.Port{ID: w.ID, Name: w.Name, ProjectID: w.ProjectID, NetworkID: w.NetworkID, MAC: w.MACAddress,
		DeviceID: w.DeviceID, DeviceOwner: w.DeviceOwner, Down: !w.AdminStateUp, SecurityGroups: w.SecurityGroups,
		QosPolicyID: w.QosPolicyID}
	if p.QosPolicyID == nil {
		p.QosPolicyID = new("")
	}
	for _, f := range w.FixedIPs {
		address, _ := netip.ParseAddr(f.IPAddress)
		p.FixedIPs = append(p.FixedIPs, lb.FixedIP{SubnetID: f.SubnetID, Address: address})
	}
	for _, pair := range w.Allowed {
		if prefix, err := netip.ParsePrefix(pair.IPAddress); err == nil {
			p.Allowed = append(p.Allowed, prefix.Addr())
		} else if address, err := netip.ParseAddr(pair.IPAddress); err == nil {
			p.Allowed = append(p.Allowed, address)
		}
	}
	return p
}

// Port reads a port. NotFound.
func (c *Client) Port(ctx context.Context, id string) (plan.Port, error) {
	ctx, cancel, s, err := c.begin(ctx)
	if err != nil {
		return plan.Port{}, err
	}
	defer cancel()
	return getPort(ctx, s.network, id)
}

func getPort(ctx context.Context, network *gophercloud.ServiceClient, id string) (plan.Port, error) {
	var w wirePort
	err := ports.Get(ctx, network, id).ExtractInto(&w)
	return w.port(), wrap(err, "read port %s", id)
}

// EnsurePort finds the port by its id or else by its name, makes it if there is none, and changes what is not as wanted:
// addresses (one that is still wanted is kept), security groups, allowed address pairs, QoS policy, administrative state,
// and the device that it belongs to. What is nil or empty in want is left as it is.
func (c *Client) EnsurePort(ctx context.Context, want plan.Port) (plan.Port, error) {
	ctx, cancel, s, err := c.begin(ctx)
	if err != nil {
		return plan.Port{}, err
	}
	defer cancel()
	found, err := findPorts(ctx, s, want)
	if err != nil {
		return plan.Port{}, err
	}
	if len(found) == 0 {
		return createPort(ctx, s.network, want)
	}
	if found[0].ID == want.ID {
		if err := dropTwins(ctx, s.network, found[1:]); err != nil {
			return plan.Port{}, err
		}
	}
	return updatePort(ctx, s.network, found[0], want)
}

// dropTwins deletes further ports of a name whose right bearer is known. They come of a list that did not show yet what
// had been made just before.
func dropTwins(ctx context.Context, network *gophercloud.ServiceClient, twins []plan.Port) error {
	for _, p := range twins {
		if strings.HasPrefix(p.DeviceOwner, "compute:") {
			continue
		}
		err := wrap(ports.Delete(ctx, network, p.ID).ExtractErr(), "delete the second port named %s", p.Name)
		if err != nil && !IsNotFound(err) {
			return err
		}
	}
	return nil
}

// findPorts looks for a port by id and by name, in the project that it belongs to: a port of that name in another one is
// somebody else's. Of several of that name (made by two that lost each other's answers) all are found, the one with the
// id first and the others in the same order by everybody.
func findPorts(ctx context.Context, s *services, want plan.Port) ([]plan.Port, error) {
	project := want.ProjectID
	if project == "" {
		project = s.projectID
	}
	found, err := listPorts(ctx, s.network, ports.ListOpts{Name: want.Name, NetworkID: want.NetworkID, ProjectID: project})
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(p plan.Port) bool { return p.Name != want.Name || p.ProjectID != project })
	if want.ID == "" {
		return found, nil
	}
	if i := slices.IndexFunc(found, func(p plan.Port) bool { return p.ID == want.ID }); i >= 0 {
		found[0], found[i] = found[i], found[0]
		return found, nil
	}
	// Its owner may have given it another name.
	byID, err := getPort(ctx, s.network, want.ID)
	switch {
	case IsNotFound(err):
		return found, nil
	case err != nil:
		return nil, err
	case byID.ProjectID != project || byID.DeviceID != want.DeviceID && want.DeviceID != "":
		return found, nil
	}
	return slices.Insert(found, 0, byID), nil
}

func listPorts(ctx context.Context, network *gophercloud.ServiceClient, o ports.ListOpts) ([]plan.Port, error) {
	pages, err := ports.List(network, o).AllPages(ctx)
	if err != nil {
		return nil, wrap(err, "list ports named %q", o.Name)
	}
	var list []wirePort
	if err := ports.ExtractPortsInto(pages, &list); err != nil {
		return nil, wrap(err, "list ports named %q", o.Name)
	}
	found := make([]plan.Port, 0, len(list))
	for _, w := range list {
		found = append(found, w.port())
	}
	slices.SortFunc(found, func(a, b plan.Port) int { return strings.Compare(a.ID, b.ID) })
	return found, nil
}

func createPort(ctx context.Context, network *gophercloud.ServiceClient, want plan.Port) (plan.Port, error) {
	up := !want.Down
	create := ports.CreateOpts{NetworkID: want.NetworkID, Name: want.Name, ProjectID: want.ProjectID, AdminStateUp: &up,
		DeviceID: want.DeviceID, DeviceOwner: want.DeviceOwner, AllowedAddressPairs: pairs(want.Allowed)}
	if len(want.FixedIPs) > 0 {
		create.FixedIPs = wireIPs(want.FixedIPs)
	}
	if want.SecurityGroups != nil {
		create.SecurityGroups = &want.SecurityGroups
	}
	extended := policies.PortCreateOptsExt{CreateOptsBuilder: create}
	if want.QosPolicyID != nil {
		extended.QoSPolicyID = *want.QosPolicyID
	}
	var w wirePort
	err := ports.Create(ctx, network, extended).ExtractInto(&w)
	return w.port(), wrap(err, "create port %s", want.Name)
}

func updatePort(ctx context.Context, network *gophercloud.ServiceClient, found, want plan.Port) (plan.Port, error) {
	var update ports.UpdateOpts
	extended := policies.PortUpdateOptsExt{}
	changed := false
	if ips, ok := mergeIPs(found.FixedIPs, want.FixedIPs); !ok {
		update.FixedIPs, changed = wireIPs(ips), true
	}
	if want.SecurityGroups != nil && !sameSet(found.SecurityGroups, want.SecurityGroups) {
		update.SecurityGroups, changed = &want.SecurityGroups, true
	}
	if want.Allowed != nil && !sameSet(found.Allowed, want.Allowed) {
		wanted := pairs(want.Allowed)
		update.AllowedAddressPairs, changed = &wanted, true
	}
	if found.Down != want.Down {
		up := !want.Down
		update.AdminStateUp, changed = &up, true
	}
	if want.DeviceID != "" && (found.DeviceID != want.DeviceID || found.DeviceOwner != want.DeviceOwner) {
		// While it is the service's device, the compute service plugs the port into nobody's instance.
		update.DeviceID, update.DeviceOwner, changed = &want.DeviceID, &want.DeviceOwner, true
	}
	if want.QosPolicyID != nil && *found.QosPolicyID != *want.QosPolicyID {
		extended.QoSPolicyID, changed = want.QosPolicyID, true
	}
	if !changed {
		return found, nil
	}
	extended.UpdateOptsBuilder = update
	var w wirePort
	err := ports.Update(ctx, network, found.ID, extended).ExtractInto(&w)
	return w.port(), wrap(err, "update port %s", found.Name)
}

// mergeIPs tells whether the found addresses are the wanted ones; if not, what to ask for: found addresses that are
// wanted stay. Wanting none in particular is content with any.
func mergeIPs(found, want []lb.FixedIP) (ask []lb.FixedIP, same bool) {
	if len(want) == 0 {
		return nil, true
	}
	rest := slices.Clone(found)
	same = true
	for _, w := range want {
		i := slices.IndexFunc(rest, func(f lb.FixedIP) bool {
			return (f.SubnetID == w.SubnetID || w.SubnetID == "") && (f.Address == w.Address || !w.Address.IsValid())
		})
		if i < 0 {
			same = false
			ask = append(ask, w)
			continue
		}
		ask = append(ask, rest[i])
		rest = slices.Delete(rest, i, i+1)
	}
	return ask, same && len(rest) == 0
}

// DeletePort deletes the port with the id and all that have the name. A port that is not this service's, whatever its
// id or name, is left alone.
func (c *Client) DeletePort(ctx context.Context, p plan.Port) error {
	ctx, cancel, s, err := c.begin(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	found, err := findPorts(ctx, s, p)
	if err != nil {
		return err
	}
	for _, f := range found {
		err := wrap(ports.Delete(ctx, s.network, f.ID).ExtractErr(), "delete port %s", f.Name)
		if err != nil && !IsNotFound(err) {
			return err
		}
	}
	return nil
}

func pairs(addresses []netip.Addr) []ports.AddressPair {
	list := make([]ports.AddressPair, 0, len(addresses))
	for _, a := range addresses {
		list = append(list, ports.AddressPair{IPAddress: a.String()})
	}
	return list
}

func wireIPs(ips []lb.FixedIP) []ports.IP {
	list := make([]ports.IP, 0, len(ips))
	for _, f := range ips {
		ip := ports.IP{SubnetID: f.SubnetID}
		if f.Address.IsValid() {
			ip.IPAddress = f.Address.String()
		}
		list = append(list, ip)
	}
	return list
}
