package cloud

import (
	"context"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"

	"github.com/octavo-lb/octavo/plan"
)

// Image tells the id of the image that instances boot now. NotFound when nothing fits, Invalid when what fits is not what
// its uploader said.
func (c *Client) Image(ctx context.Context, want plan.Image) (string, error) {
	ctx, cancel, s, err := c.begin(ctx)
	if err != nil {
		return "", err
	}
	defer cancel()
	return findImage(ctx, s.image, want)
}

// TaggedImages lists the images with a tag as TaggedImages does with a client of the image service.
func (c *Client) TaggedImages(ctx context.Context, tag, owner string) ([]StoredImage, error) {
	ctx, cancel, s, err := c.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	return TaggedImages(ctx, s.image, tag, owner)
}

// findImage takes the newest active image with the tag. If that one is not genuine no older one is taken: somebody has to
// look into it.
func findImage(ctx context.Context, client *gophercloud.ServiceClient, want plan.Image) (string, error) {
	if want.ID != "" {
		return want.ID, nil
	}
	list, err := TaggedImages(ctx, client, want.Tag, want.Owner)
	if err != nil {
		return "", err
	}
	for _, image := range list {
		if image.Status == string(images.ImageStatusActive) {
			return image.ID, image.Genuine()
		}
	}
	return "", &Error{Kind: NotFound, Doing: "choose the amphora image", Message: "no active image has the tag " + want.Tag + ownedBy(want.Owner)}
}

func ownedBy(owner string) string {
	if owner == "" {
		return ""
	}
	return " and belongs to project " + owner
}
