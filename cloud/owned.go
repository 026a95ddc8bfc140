package cloud

import (
	"context"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servergroups"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/security/groups"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"

	"github.com/octavo-lb/octavo/plan"
)

// Object is something in the cloud that has a name of this service's.
type Object struct {
	Kind      plan.Kind
	ID        string
	Name      string
	LB        string // the load balancer that it belongs to by its name, or else
	AmphoraID string // the amphora
}

// Owned lists the objects whose names this service gives: those that no load balancer has are orphans. A VIP port of which
// somebody else has made another device's is not among them.
func (c *Client) Owned(ctx context.Context, kind plan.Kind) ([]Object, error) {
	ctx, cancel, s, err := c.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	var owned []Object
	add := func(id, name string) {
		if lbID, amphoraID := plan.Belongs(kind, name); lbID != "" || amphoraID != "" {
			owned = append(owned, Object{kind, id, name, lbID, amphoraID})
		}
	}
	switch kind {
	case plan.PortKind:
		list, err := listPorts(ctx, s.network, ports.ListOpts{})
		for _, p := range list {
			lbID, _ := plan.Belongs(kind, p.Name)
			ours := p.DeviceOwner == plan.Owner && p.DeviceID == plan.VIPDeviceID(lbID)
			if lbID != "" && ours || lbID == "" && p.ProjectID == s.projectID {
				add(p.ID, p.Name)
			}
		}
		return owned, err
	case plan.SecurityGroupKind:
		pages, err := groups.List(s.network, groups.ListOpts{ProjectID: s.projectID}).AllPages(ctx)
		if err != nil {
			return nil, wrap(err, "list security groups")
		}
		list, err := groups.ExtractGroups(pages)
		for _, g := range list {
			add(g.ID, g.Name)
		}
		return owned, wrap(err, "list security groups")
	case plan.ServerGroupKind:
		list, err := listServerGroups(ctx, s.compute)
		for _, g := range list {
			add(g.ID, g.Name)
		}
		return owned, err
	default:
		list, err := listServers(ctx, s.compute, servers.ListOpts{})
		for _, server := range list {
			add(server.ID, server.Name)
		}
		return owned, err
	}
}

// Delete deletes one object by its id. That it is gone is no error; what is being deleted already is left to it.
func (c *Client) Delete(ctx context.Context, o Object) error {
	ctx, cancel, s, err := c.begin(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	switch o.Kind {
	case plan.PortKind:
		err = ports.Delete(ctx, s.network, o.ID).ExtractErr()
	case plan.SecurityGroupKind:
		err = groups.Delete(ctx, s.network, o.ID).ExtractErr()
	case plan.ServerGroupKind:
		err = servergroups.Delete(ctx, s.compute, o.ID).ExtractErr()
	default:
		err = servers.Delete(ctx, s.compute, o.ID).ExtractErr()
	}
	if err = wrap(err, "delete %s %s", o.Kind, o.Name); IsNotFound(err) {
		return nil
	}
	return err
}
