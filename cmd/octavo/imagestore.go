package main

import (
	"github.com/spf13/cobra"

	"github.com/octavo-lb/octavo/app"
)

// accountFlags add the flags that name an account.
func accountFlags(c *cobra.Command, a *app.Account) {
	a.Config = configFlags(c)
	c.Flags().StringVar(&a.Cloud, "os-cloud", "", "cloud of clouds.yaml whose account is used (default OS_CLOUD, the OS_* variables, or [service_auth] of octavia.conf)")
}

func imageFlags(c *cobra.Command, o *app.ImageOptions) {
	accountFlags(c, &o.Account)
	c.Flags().StringVar(&o.Tag, "tag", "", "tag of amphora images (default [controller_worker] amp_image_tag, or octavia-amphora)")
	c.Flags().StringVar(&o.Owner, "owner", "", "id of the project that they belong to (default [controller_worker] amp_image_owner_id)")
}

func imageUpload() *cobra.Command {
	var o app.ImageUpload
	c := &cobra.Command{
		Use:   "upload FILE.qcow2",
		Short: "Put an image into Glance, so that new amphorae boot from it",
		Long: `Uploads an image to Glance. It gets its tag last, when Glance has computed the digest that it has here, so that no amphora
boots half an image. Its properties say what it holds, from the manifest beside the file.

The controllers choose the newest active image with the tag that belongs to amp_image_owner_id. So that one is taken, upload with
the account of that project, or as an administrator with --owner.`,
		Args: cobra.ExactArgs(1),
	}
	imageFlags(c, &o.ImageOptions)
	f := c.Flags()
	f.StringVar(&o.Name, "name", "", "name of the image (default amphora-DATE-TIME)")
	f.StringToStringVar(&o.Properties, "property", nil, "a property of the image, KEY=VALUE (repeatable), such as hw_scsi_model=virtio-scsi")
	c.RunE = func(c *cobra.Command, args []string) error {
		o.File, o.Out = args[0], c.OutOrStdout()
		return app.UploadImage(c.Context(), o)
	}
	return c
}

func imageList() *cobra.Command {
	var o app.ImageOptions
	c := &cobra.Command{
		Use:   "list",
		Short: "Show the amphora images in Glance, and how many amphorae run each",
		Args:  cobra.NoArgs,
	}
	imageFlags(c, &o)
	c.RunE = func(c *cobra.Command, _ []string) error {
		o.Out = c.OutOrStdout()
		return app.ListImages(c.Context(), o)
	}
	return c
}

func imageVerify() *cobra.Command {
	var o app.ImageOptions
	var file, id string
	c := &cobra.Command{
		Use:   "verify [--file FILE.qcow2] [--image ID]",
		Short: "Say what an image holds, and whether Glance's is the same as a file",
		Long: `With --file it looks into an image file: the packages' versions, and that the programs in it are those of its manifest.
With --image it shows what Glance has, and fails if its content is not what was uploaded. With both it fails unless they are the same.`,
		Example: "  octavo image verify --file amphora.qcow2 --image amphora-20260101-120000",
		Args:    cobra.NoArgs,
	}
	imageFlags(c, &o)
	c.Flags().StringVar(&file, "file", "", "an image file that octavo image build made")
	c.Flags().StringVar(&id, "image", "", "id or name of an image in Glance")
	c.MarkFlagsOneRequired("file", "image")
	c.RunE = func(c *cobra.Command, _ []string) error {
		o.Out = c.OutOrStdout()
		return app.VerifyImage(c.Context(), o, file, id)
	}
	return c
}

func imageRollout() *cobra.Command {
	var o app.RolloutOptions
	c := &cobra.Command{
		Use:   "rollout",
		Short: "Replace all amphorae that do not run the newest image, while they serve",
		Long: `Has the controllers replace every amphora that does not run the image that new amphorae boot from, some load balancers at a
time. The new amphora is up before the old one goes; of a pair the one that stands by goes first. It stops when a replacement
fails: no others are started, and the old amphorae stay.

The controllers do it, and remember in the database how far they are: when this command ends early, or a controller is killed, they go
on. Calling it again shows the progress, or starts a rollout that failed or was stopped anew. Only amphorae of another image are
replaced, so that one that is repeated costs nothing.`,
		Args: cobra.NoArgs,
	}
	accountFlags(c, &o.Account)
	rolloutFlags(c, &o)
	c.RunE = func(c *cobra.Command, _ []string) error {
		o.Out = c.OutOrStdout()
		return app.RolloutImage(c.Context(), o)
	}
	return c
}

func rolloutFlags(c *cobra.Command, o *app.RolloutOptions) {
	f := c.Flags()
	f.IntVarP(&o.Parallel, "parallel", "n", 1, "how many load balancers at a time (1 to 100); one that runs is changed")
	f.BoolVar(&o.Show, "show", false, "only show how far the newest rollout is")
	f.BoolVar(&o.Stop, "stop", false, "start no more replacements")
	f.BoolVar(&o.NoWait, "no-wait", false, "start it and do not follow it")
	c.MarkFlagsMutuallyExclusive("show", "stop", "no-wait")
}
