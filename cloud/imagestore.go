package cloud

import (
	"cmp"
	"context"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/imagedata"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
)

// DigestProperty is an image's property that says what its content is, as ALGORITHM:HEX. An image that has it and whose
// content the image service knows by another digest is never booted.
const DigestProperty = "octavo_digest"

// StoredImage is an image as the image service has it.
type StoredImage struct {
	ID, Name, Owner, Status string
	Tags                    []string
	Size                    int64
	CreatedAt               time.Time
	// Digest is what the service computed of the content, as ALGORITHM:HEX; empty while there is none.
	Digest     string
	Properties map[string]string
}

func storedImage(i *images.Image) StoredImage {
	s := StoredImage{ID: i.ID, Name: i.Name, Owner: i.Owner, Status: string(i.Status), Tags: i.Tags, Size: i.SizeBytes,
		CreatedAt: i.CreatedAt, Properties: map[string]string{}}
	for name, value := range i.Properties {
		if text, ok := value.(string); ok {
			s.Properties[name] = text
		}
	}
	if value := s.Properties["os_hash_value"]; value != "" {
		s.Digest = s.Properties["os_hash_algo"] + ":" + value
	}
	return s
}

// Genuine fails when the image does not hold what its property says. One that says nothing passes.
func (i StoredImage) Genuine() error {
	said := i.Properties[DigestProperty]
	if said == "" || said == i.Digest {
		return nil
	}
	return &Error{Kind: Invalid, Doing: "use image " + i.ID, Message: fmt.Sprintf("its content is not what was uploaded: %s says %s, the image service computed %s",
		DigestProperty, said, cmp.Or(i.Digest, "nothing"))}
}

// TaggedImages lists the images with a tag, of one owner or of any when it is empty, newest first, whatever their status.
func TaggedImages(ctx context.Context, client *gophercloud.ServiceClient, tag, owner string) ([]StoredImage, error) {
	pages, err := images.List(client, images.ListOpts{Tags: []string{tag}, Owner: owner, Sort: "created_at:desc"}).AllPages(ctx)
	if err != nil {
		return nil, wrap(err, "look for an image with tag %s", tag)
	}
	list, err := images.ExtractImages(pages)
	if err != nil {
		return nil, wrap(err, "look for an image with tag %s", tag)
	}
	var found []StoredImage
	for i := range list {
		// The owner is compared here and not only there: an image that any project may share must not become an amphora
		// because a service ignored a filter.
		if owner == "" || list[i].Owner == owner {
			found = append(found, storedImage(&list[i]))
		}
	}
	slices.SortStableFunc(found, func(a, b StoredImage) int { return b.CreatedAt.Compare(a.CreatedAt) })
	return found, nil
}

// FindStoredImage finds an image by its id or its name. NotFound; Conflict if several have the name.
func FindStoredImage(ctx context.Context, client *gophercloud.ServiceClient, key string) (StoredImage, error) {
	found, err := images.Get(ctx, client, key).Extract()
	if err == nil {
		return storedImage(found), nil
	}
	if err := wrap(err, "read image %s", key); KindOf(err) != NotFound && KindOf(err) != Invalid {
		return StoredImage{}, err
	}
	pages, err := images.List(client, images.ListOpts{Name: key}).AllPages(ctx)
	if err != nil {
		return StoredImage{}, wrap(err, "look for image %s", key)
	}
	list, err := images.ExtractImages(pages)
	switch {
	case err != nil:
		return StoredImage{}, wrap(err, "look for image %s", key)
	case len(list) == 0:
		return StoredImage{}, &Error{Kind: NotFound, Doing: "find image " + key, Message: "there is none of that id or name"}
	case len(list) > 1:
		return StoredImage{}, &Error{Kind: Conflict, Doing: "find image " + key, Message: fmt.Sprintf("%d images have that name: give the id", len(list))}
	}
	return storedImage(&list[0]), nil
}

// NewImage is an image to upload.
type NewImage struct {
	Name, Tag  string
	Owner      string // a project's id; empty for that of the account
	MinDisk    int    // GB
	Properties map[string]string
	Content    io.Reader
}

// UploadImage stores an image. It gets its tag, and so is chosen by nobody before, when all of it has arrived and the image
// service computed the digest that it has here. If that fails, nothing is left.
func UploadImage(ctx context.Context, client *gophercloud.ServiceClient, n NewImage) (StoredImage, error) {
	private := images.ImageVisibilityPrivate
	opts := ownedImage{images.CreateOpts{Name: n.Name, Visibility: &private, ContainerFormat: "bare", DiskFormat: "qcow2", MinDisk: n.MinDisk,
		Properties: n.Properties}, n.Owner}
	made, err := images.Create(ctx, client, opts).Extract()
	if err != nil {
		return StoredImage{}, wrap(err, "create image %s", n.Name)
	}
	stored, err := fillImage(ctx, client, made.ID, n)
	if err != nil {
		gone, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		if left := images.Delete(gone, client, made.ID).ExtractErr(); left != nil {
			return StoredImage{}, fmt.Errorf("%w; what arrived of it stays, without the tag: delete image %s", err, made.ID)
		}
		return StoredImage{}, err
	}
	return stored, nil
}

// ownedImage is an image that may be made for another project.
type ownedImage struct {
	images.CreateOpts
	owner string
}

// ToImageCreateMap implements images.CreateOptsBuilder.
func (o ownedImage) ToImageCreateMap() (map[string]any, error) {
	body, err := o.CreateOpts.ToImageCreateMap()
	if err == nil && o.owner != "" {
		body["owner"] = o.owner
	}
	return body, err
}

func fillImage(ctx context.Context, client *gophercloud.ServiceClient, id string, n NewImage) (StoredImage, error) {
	hash := sha512.New()
	if err := imagedata.Upload(ctx, client, id, io.TeeReader(n.Content, hash)).ExtractErr(); err != nil {
		return StoredImage{}, wrap(err, "upload the content of image %s", n.Name)
	}
	sent := "sha512:" + hex.EncodeToString(hash.Sum(nil))
	arrived, err := FindStoredImage(ctx, client, id)
	if err != nil {
		return StoredImage{}, err
	}
	// An image service may be set to another algorithm; then its word for what it has counts.
	if strings.HasPrefix(arrived.Digest, "sha512:") && arrived.Digest != sent {
		return StoredImage{}, &Error{Kind: Invalid, Doing: "upload image " + n.Name, Message: "what arrived is not what was sent: it has the digest " + arrived.Digest + " there, and " + sent + " here"}
	}
	patch := images.UpdateOpts{images.ReplaceImageTags{NewTags: []string{n.Tag}}}
	if arrived.Digest != "" {
		patch = append(patch, images.UpdateImageProperty{Op: images.AddOp, Name: DigestProperty, Value: arrived.Digest})
	}
	tagged, err := images.Update(ctx, client, id, patch).Extract()
	if err != nil {
		return StoredImage{}, wrap(err, "tag image %s", n.Name)
	}
	return storedImage(tagged), nil
}
