package cloud

import (
	"context"

	"github.com/gophercloud/gophercloud/v2"
)

// KeyManager answers a client for the key manager's v1 API with the service account. The error tells that there is none in
// the catalog: nothing else depends on it.
func (c *Client) KeyManager(ctx context.Context) (*gophercloud.ServiceClient, error) {
	_, cancel, s, err := c.begin(ctx)
	if err != nil {
		return nil, err
	}
	cancel()
	const kind = "key-manager"
	endpoint, err := c.endpoint(s.catalog, kind)
	if err != nil {
		return nil, err
	}
	return serviceClient(s.provider, kind, endpoint, "v1/"), nil
}

// Neutron answers a client for the network service with the service account, and the id of that account's project, for what
// is done once and not for load balancers.
func (c *Client) Neutron(ctx context.Context) (client *gophercloud.ServiceClient, projectID string, err error) {
	_, cancel, s, err := c.begin(ctx)
	if err != nil {
		return nil, "", err
	}
	cancel()
	return s.network, s.projectID, nil
}
