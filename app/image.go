package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/amphorae"

	"github.com/octavo-lb/octavo/cloud"
	"github.com/octavo-lb/octavo/image"
)

// ImageOptions are what the commands about amphora images in the image service have in common.
type ImageOptions struct {
	Account
	Tag   string // that amphora images have; amp_image_tag when empty
	Owner string // project that they belong to; amp_image_owner_id when empty, any if that is, too
	Out   io.Writer
}

// defaultTag is that of Octavia's deployment guide.
const defaultTag = "octavia-amphora"

// complete takes from octavia.conf, if there is one, what was not given.
func (o *ImageOptions) complete(s *session) {
	if s.config != nil {
		o.Tag = cmp.Or(o.Tag, s.config.ControllerWorker.ImageTag)
		o.Owner = cmp.Or(o.Owner, s.config.ControllerWorker.ImageOwner)
	}
	o.Tag = cmp.Or(o.Tag, defaultTag)
}

func (o *ImageOptions) open(ctx context.Context) (*session, *gophercloud.ServiceClient, error) {
	s, err := o.signIn(ctx)
	if err != nil {
		return nil, nil, err
	}
	o.complete(s)
	images, err := s.images()
	return s, images, err
}

// ImageUpload is an image file to upload.
type ImageUpload struct {
	ImageOptions
	File       string
	Name       string // made from the time when empty
	Properties map[string]string
}

// versionProperties are the packages whose versions an uploaded image shows, by property.
var versionProperties = map[string]string{
	"octavo_haproxy": "haproxy", "octavo_kernel": "linux-image-", "octavo_openssl": "libssl3", "octavo_keepalived": "keepalived", "octavo_nftables": "nftables",
}

// describeImage tells, as properties, what an image holds.
func describeImage(m image.Manifest, sha256 string) map[string]string {
	p := map[string]string{"octavo_sha256": sha256, "octavo_agent_sha256": m.Agent, "octavo_suite": m.Suite}
	for property, name := range versionProperties {
		if v := m.Version(name); v != "" {
			p[property] = v
		}
	}
	return p
}

// UploadImage puts an image into the image service, so that it is the one that amphorae boot from then on. One with a
// manifest beside it must be the one that the manifest is of.
func UploadImage(ctx context.Context, o ImageUpload) error {
	// An image without a disk controller that Debian's kernel for clouds knows would not find its config drive.
	properties := map[string]string{"hw_rng_model": "virtio"}
	var disk int64
	switch m, err := image.ReadManifest(o.File); {
	case err == nil:
		maps.Copy(properties, describeImage(m.Manifest, m.SHA256))
		disk = m.Disk
	case !errors.Is(err, fs.ErrNotExist):
		return err
	default:
		fmt.Fprintf(o.Out, "There is no %s: the image service will not tell what is in the image.\n", image.ManifestPath(o.File))
	}
	maps.Copy(properties, o.Properties)
	file, err := os.Open(o.File)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := mustBeQcow2(file); err != nil {
		return err
	}
	_, images, err := o.open(ctx)
	if err != nil {
		return err
	}
	name := cmp.Or(o.Name, "amphora-"+time.Now().UTC().Format("20060102-150405"))
	stored, err := cloud.UploadImage(ctx, images, cloud.NewImage{Name: name, Tag: o.Tag, Owner: o.Owner, MinDisk: int((disk + 1<<30 - 1) >> 30),
		Properties: properties, Content: file})
	if err != nil {
		return err
	}
	fmt.Fprintf(o.Out, "image   %s (%s, %.0f MB)\nowner   %s\ntag     %s\ndigest  %s\n", stored.ID, stored.Name, float64(stored.Size)/1e6, stored.Owner, o.Tag, stored.Digest)
	fmt.Fprintln(o.Out, "New amphorae boot from it. `octavo image rollout` replaces those that there are.")
	return nil
}

func mustBeQcow2(file *os.File) error {
	magic := make([]byte, 4)
	if _, err := file.ReadAt(magic, 0); err != nil || string(magic) != "QFI\xfb" {
		return fmt.Errorf("%s is not a qcow2 image", file.Name())
	}
	return nil
}

// ListImages shows the images with the tag, newest first, and how many amphorae run each.
func ListImages(ctx context.Context, o ImageOptions) error {
	s, images, err := o.open(ctx)
	if err != nil {
		return err
	}
	list, err := cloud.TaggedImages(ctx, images, o.Tag, o.Owner)
	if err != nil {
		return err
	}
	use, err := s.imageUse(ctx)
	if err != nil {
		fmt.Fprintf(o.Out, "How many amphorae run an image is not known: %v.\n", err)
	}
	w := tabwriter.NewWriter(o.Out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tNAME\tSTATUS\tMB\tAGE\tAMPHORAE\tHAPROXY\tKERNEL\t")
	boots := false
	for _, i := range list {
		note := ""
		if i.Status == "active" && !boots {
			note, boots = "<- new amphorae", true
		}
		if err := i.Genuine(); err != nil {
			note = "not what was uploaded: no amphora boots it"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%.0f\t%s\t%s\t%s\t%s\t%s\n", i.ID, i.Name, i.Status, float64(i.Size)/1e6, age(time.Since(i.CreatedAt)), count(use, i.ID),
			cmp.Or(i.Properties["octavo_haproxy"], "?"), cmp.Or(i.Properties["octavo_kernel"], "?"), note)
		delete(use, i.ID)
	}
	for _, id := range slices.Sorted(maps.Keys(use)) {
		fmt.Fprintf(w, "%s\t\t\t\t\t%d\t\t\twithout the tag, of another owner, or deleted\n", cmp.Or(id, "(not known yet)"), use[id])
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if !boots {
		return fmt.Errorf("no active image has the tag %s%s: `octavo image build` and `octavo image upload` make one", o.Tag, of(o.Owner))
	}
	return nil
}

func of(owner string) string {
	if owner == "" {
		return ""
	}
	return " and belongs to project " + owner
}

func count(use map[string]int, id string) string {
	if use == nil {
		return "?"
	}
	return fmt.Sprint(use[id])
}

func age(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	case d < 48*time.Hour:
		return fmt.Sprintf("%.0f h", d.Hours())
	}
	return fmt.Sprintf("%.0f days", d.Hours()/24)
}

// imageUse counts amphorae by image.
func (s *session) imageUse(ctx context.Context) (map[string]int, error) {
	client, err := s.balancers()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	pages, err := amphorae.List(client, amphorae.ListOpts{}).AllPages(ctx)
	if err != nil {
		return nil, fmt.Errorf("the load balancing service does not list its amphorae: %w", err)
	}
	all, err := amphorae.ExtractAmphorae(pages)
	use := map[string]int{}
	for _, a := range all {
		use[a.ImageID]++
	}
	return use, err
}

// VerifyImage says what an image file holds, or an image of the image service, or whether both are the same.
func VerifyImage(ctx context.Context, o ImageOptions, file, id string) error {
	var contents image.Contents
	if file != "" {
		var err error
		if contents, err = image.Inspect(ctx, file); err != nil {
			return err
		}
		if _, err := image.ReadManifest(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		fmt.Fprintf(o.Out, "%s\n  SHA-256 %s, %.0f MB, disk %d MB\n", file, contents.SHA256, float64(contents.Size)/1e6, contents.Disk>>20)
		showHoldings(o.Out, describeImage(contents.Manifest, contents.SHA256))
		fmt.Fprintf(o.Out, "  %d packages; the programs in it are those of its manifest\n", len(contents.Packages))
	}
	if id == "" {
		return nil
	}
	_, images, err := o.open(ctx)
	if err != nil {
		return err
	}
	stored, err := cloud.FindStoredImage(ctx, images, id)
	if err != nil {
		return err
	}
	fmt.Fprintf(o.Out, "image %s (%s), %s, owner %s, tags %s\n  digest %s\n", stored.ID, stored.Name, stored.Status, stored.Owner, strings.Join(stored.Tags, ","), stored.Digest)
	showHoldings(o.Out, stored.Properties)
	if err := stored.Genuine(); err != nil {
		return err
	}
	if file == "" {
		return nil
	}
	algorithm, want, _ := strings.Cut(stored.Digest, ":")
	if err := image.CheckDigest(file, algorithm, want); err != nil {
		return fmt.Errorf("image %s is not %s: %w", stored.ID, file, err)
	}
	fmt.Fprintf(o.Out, "Both have the same content.\n")
	return nil
}

func showHoldings(out io.Writer, properties map[string]string) {
	for _, property := range slices.Sorted(maps.Keys(properties)) {
		if name, ours := strings.CutPrefix(property, "octavo_"); ours && property != cloud.DigestProperty {
			fmt.Fprintf(out, "  %-13s %s\n", name, properties[property])
		}
	}
}
