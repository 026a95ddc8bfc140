package cloud

import (
	"context"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"

	"github.com/octavo-lb/octavo/plan"
)

// Image tells the id of the image that instances boot now. NotFound when nothing fits.
func (c *Client) Image(ctx context.Context, want plan.Image) (string, error) {
	ctx, cancel, s, err := c.begin(ctx)
	if err != nil {
		return "", err
	}
	defer cancel()
	return findImage(ctx, s.image, want)
}

// findImage takes the newest active image with the tag. The owner is compared here and not only there: an image that any
// project may share must not become an amphora because a service ignored a filter.
func findImage(ctx context.Context, client *gophercloud.ServiceClient, want plan.Image) (string, error) {
	if want.ID != "" {
		return want.ID, nil
	}
	pages, err := images.List(client, images.ListOpts{Tags: []string{want.Tag}, Owner: want.Owner,
		Status: images.ImageStatusActive, Sort: "created_at:desc"}).AllPages(ctx)
	if err != nil {
		return "", wrap(err, "look for an image with tag %s", want.Tag)
	}
	list, err := images.ExtractImages(pages)
	if err != nil {
		return "", wrap(err, "look for an image with tag %s", want.Tag)
	}
	var newest *images.Image
	for i := range list {
		image := &list[i]
		if image.Status != images.ImageStatusActive || want.Owner != "" && image.Owner != want.Owner {
			continue
		}
		if newest == nil || image.CreatedAt.After(newest.CreatedAt) {
			newest = image
		}
	}
	if newest == nil {
		return "", &Error{Kind: NotFound, Doing: "choose the amphora image", Message: "no active image has the tag " + want.Tag + ownedBy(want.Owner)}
	}
	return newest.ID, nil
}

func ownedBy(owner string) string {
	if owner == "" {
		return ""
	}
	return " and belongs to project " + owner
}
