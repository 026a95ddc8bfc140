package cloud

import (
	"context"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servergroups"
)

// EnsureServerGroup finds the server group by its name or makes it, and returns its id.
func (c *Client) EnsureServerGroup(ctx context.Context, name, policy string) (string, error) {
	ctx, cancel, s, err := c.begin(ctx)
	if err != nil {
		return "", err
	}
	defer cancel()
	found, err := findServerGroups(ctx, s.compute, name)
	if err != nil {
		return "", err
	}
	if len(found) > 0 {
		return found[0], nil
	}
	compute := *s.compute
	if strings.HasPrefix(policy, "soft-") {
		compute.Microversion = "2.15" // the first to know soft policies
	}
	made, err := servergroups.Create(ctx, &compute, servergroups.CreateOpts{Name: name, Policies: []string{policy}}).Extract()
	if err != nil {
		return "", wrap(err, "create server group %s", name)
	}
	return made.ID, nil
}

// DeleteServerGroup deletes the server groups of that name.
func (c *Client) DeleteServerGroup(ctx context.Context, name string) error {
	ctx, cancel, s, err := c.begin(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	found, err := findServerGroups(ctx, s.compute, name)
	if err != nil && !IsNotFound(err) { // some clouds have none at all
		return err
	}
	for _, id := range found {
		err := wrap(servergroups.Delete(ctx, s.compute, id).ExtractErr(), "delete server group %s", name)
		if err != nil && !IsNotFound(err) {
			return err
		}
	}
	return nil
}

func findServerGroups(ctx context.Context, compute *gophercloud.ServiceClient, name string) ([]string, error) {
	list, err := listServerGroups(ctx, compute)
	var ids []string
	for _, g := range list {
		if g.Name == name {
			ids = append(ids, g.ID)
		}
	}
	return ids, err
}

// listServerGroups pages by offset: there are no links in this list.
func listServerGroups(ctx context.Context, compute *gophercloud.ServiceClient) ([]servergroups.ServerGroup, error) {
	const page = 1000
	var all []servergroups.ServerGroup
	for {
		pages, err := servergroups.List(compute, servergroups.ListOpts{Limit: page, Offset: len(all)}).AllPages(ctx)
		if err != nil {
			return nil, wrap(err, "list server groups")
		}
		list, err := servergroups.ExtractServerGroups(pages)
		if err != nil {
			return nil, wrap(err, "list server groups")
		}
		if len(all) > 0 && len(list) > 0 && list[0].ID == all[0].ID {
			return all, nil // the service does not know offsets
		}
		if all = append(all, list...); len(list) < page {
			return all, nil
		}
	}
}
