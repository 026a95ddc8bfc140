package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/octavo-lb/octavo/image"
)

func imageCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "image",
		Short: "Build, upload and roll out the image that amphorae boot from",
		Long: `Keeping the image current is the operator's duty: running amphorae have the holes of the packages that they booted with.

  octavo image build && octavo image upload amphora.qcow2 && octavo image rollout

makes a fresh one, lets new amphorae boot from it, and replaces those that there are.`,
		Args: cobra.NoArgs,
	}
	c.AddCommand(imageBuild(), imageUpload(), imageList(), imageVerify(), imageRollout())
	return c
}

func imageBuild() *cobra.Command {
	var o image.Options
	c := &cobra.Command{
		Use:   "build",
		Short: "Build an amphora image from Debian packages",
		Long: `Builds a qcow2 image from Debian's packages: kernel, HAProxy, keepalived, nftables and octavo-agent. There is no
shell, no package manager and no remote login in it, and nothing listens. Neither root nor loop devices are needed.
The same packages and binaries give the same bytes.

An image is as fresh as its packages: build, upload and roll out a new one whenever Debian fixes a hole in one of them.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
			if err := findBinaries(&o); err != nil {
				return err
			}
			result, err := image.Build(c.Context(), o)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "image     %s (%.0f MB, SHA-256 %s)\nmanifest  %s (%d packages)\ndisk      %d MB: what a flavor must have at least\n",
				result.Path, float64(result.Size)/1e6, result.SHA256, result.ManifestPath, len(result.Packages), result.Disk>>20)
			return nil
		},
	}
	f := c.Flags()
	f.StringVarP(&o.Output, "output", "o", "amphora.qcow2", "the file to write")
	f.StringVar(&o.Agent, "agent", "", "the octavo-agent binary (default: the one beside this program)")
	f.StringVar(&o.Init, "init", "", "the octavo-init binary (default: the one beside this program)")
	f.StringVar(&o.Suite, "suite", "", "Debian release (default bookworm)")
	f.StringVar(&o.Mirror, "mirror", "", "Debian mirror (default http://deb.debian.org/debian); one of snapshot.debian.org builds an old state again")
	f.StringVar(&o.SecurityMirror, "security-mirror", "", "mirror of Debian's security updates (default http://deb.debian.org/debian-security)")
	f.StringVar(&o.Kernel, "kernel", "", "kernel package (default linux-image-cloud-amd64; linux-image-amd64 has drivers for more hardware)")
	f.StringVar(&o.Console, "console", "", "where the kernel and the agent log (default ttyS0)")
	f.StringVar(&o.Cache, "cache", "", "directory that keeps downloaded packages")
	f.StringVar(&o.Overlay, "overlay", "", "directory that is copied over the root file system")
	f.StringSliceVar(&o.Packages, "package", nil, "one more Debian package, with all its files (repeatable)")
	return c
}

// findBinaries takes those that lie beside this program, where installation and build put them.
func findBinaries(o *image.Options) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for name, path := range map[string]*string{"octavo-agent": &o.Agent, "octavo-init": &o.Init} {
		if *path == "" {
			*path = filepath.Join(filepath.Dir(self), name)
		}
		if _, err := os.Stat(*path); err != nil {
			return fmt.Errorf("%s is not there (%w): give its path with --%s", name, err, name[len("octavo-"):])
		}
	}
	return nil
}
