package cloud

import (
	"context"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/flavors"
)

// Flavor fails unless the service account may use the flavor with that id.
func (c *Client) Flavor(ctx context.Context, id string) error {
	ctx, cancel, s, err := c.begin(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	_, err = flavors.Get(ctx, s.compute, id).Extract()
	return wrap(err, "find flavor %s", id)
}
