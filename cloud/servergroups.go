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
	if err != nil {
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
	pages, err := servergroups.List(compute, nil).AllPages(ctx)
	if err != nil {
		return nil, wrap(err, "look for server group %s", name)
	}
	list, err := servergroups.ExtractServerGroups(pages)
	if err != nil {
		return nil, wrap(err, "look for server group %s", name)
	}
	var ids []string
	for _, g := range list {
		if g.Name == name {
			ids = append(ids, g.ID)
		}
	}
	return ids, nil
}
