// Package image builds the disk image that amphorae boot from: a Debian kernel, HAProxy, keepalived, nftables, iproute2
// and conntrack with just the libraries that they need, octavo-agent, and octavo-init as process 1. There is no shell,
// no package manager and no remote login in it. The root file system is read-only.
//
// The same inputs give the same bytes: packages in the same versions, the same two binaries, the same options. Building
// needs neither root nor loop devices; it needs a Debian machine with the packages listed in Tools.
package image

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// Options say what goes into an image. Output, Agent and Init must be given.
type Options struct {
	Output string // the qcow2 file to write
	Agent  string // the octavo-agent binary
	Init   string // the octavo-init binary, statically linked

	Suite          string   // Debian release; "bookworm"
	Mirror         string   // "http://deb.debian.org/debian"
	SecurityMirror string   // "http://deb.debian.org/debian-security"
	Keyring        string   // keys that sign the mirror's index; Debian's
	Kernel         string   // kernel package; "linux-image-cloud-amd64"
	Packages       []string // further packages, which are put in whole
	Overlay        string   // a directory copied over the root file system
	Console        string   // kernel's console; "ttyS0"
	Cache          string   // directory that keeps downloaded packages for the next build; none

	// Epoch is the time of every file in the image. The default is fixed, so that two builds agree.
	Epoch  time.Time
	Logger *slog.Logger
}

// Result tells what was built. It is also written beside the image, as JSON.
type Result struct {
	Path         string `json:"-"`
	ManifestPath string `json:"-"`
	SHA256       string `json:"sha256"`
	Size         int64  `json:"size"`      // of the file
	Disk         int64  `json:"disk_size"` // as the instance sees it: the smallest disk that a flavor must have
	Manifest
}

// Tools are the Debian packages that Build runs programs of.
var Tools = []string{"apt", "dpkg", "debian-archive-keyring", "squashfs-tools", "e2fsprogs", "mtools", "syslinux", "qemu-utils"}

// defaultEpoch is any fixed time that a FAT file system can express.
var defaultEpoch = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

func (o Options) withDefaults() (Options, error) {
	if o.Output == "" || o.Agent == "" || o.Init == "" {
		return o, errors.New("an image needs an output file, an agent and an init")
	}
	o.Suite = cmp.Or(o.Suite, "bookworm")
	o.Mirror = cmp.Or(o.Mirror, "http://deb.debian.org/debian")
	o.SecurityMirror = cmp.Or(o.SecurityMirror, "http://deb.debian.org/debian-security")
	o.Keyring = cmp.Or(o.Keyring, "/usr/share/keyrings/debian-archive-keyring.gpg")
	o.Kernel = cmp.Or(o.Kernel, "linux-image-cloud-amd64")
	o.Console = cmp.Or(o.Console, "ttyS0")
	if o.Epoch.IsZero() {
		o.Epoch = defaultEpoch
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

// Build makes an image. It writes nothing but the output file and, beside it, its manifest, and both only when all went
// well.
func Build(ctx context.Context, options Options) (Result, error) {
	o, err := options.withDefaults()
	if err != nil {
		return Result{}, err
	}
	if err := checkTools(); err != nil {
		return Result{}, err
	}
	work, err := os.MkdirTemp("", "octavo-image-")
	if err != nil {
		return Result{}, fmt.Errorf("cannot build: %w", err)
	}
	defer os.RemoveAll(work)
	b := &builder{Options: o, work: work}
	result, err := b.build(ctx)
	if err != nil {
		return Result{}, fmt.Errorf("cannot build an image: %w", err)
	}
	return result, nil
}

// builder is one build.
type builder struct {
	Options
	work string // temporary directory
}

func (b *builder) build(ctx context.Context) (Result, error) {
	packages, err := b.download(ctx)
	if err != nil {
		return Result{}, err
	}
	b.Logger.Info("packages are here and genuine", "packages", len(packages))
	debian, err := b.unpack(ctx, packages)
	if err != nil {
		return Result{}, err
	}
	modules, err := readModules(debian)
	if err != nil {
		return Result{}, err
	}
	root, err := b.assembleRoot(debian, modules)
	if err != nil {
		return Result{}, err
	}
	manifest := b.manifest(packages, root)
	if err := root.addJSON("usr/share/octavo/manifest.json", manifest); err != nil {
		return Result{}, err
	}
	ramDisk, err := b.assembleRAMDisk(root, modules)
	if err != nil {
		return Result{}, err
	}
	b.Logger.Info("contents chosen", "root_files", len(root), "ram_disk_files", len(ramDisk))
	disk, err := b.writeDisk(ctx, debian, ramDisk, root)
	if err != nil {
		return Result{}, err
	}
	return b.writeImage(ctx, disk, manifest)
}

// temp names a file in the temporary directory.
func (b *builder) temp(name string) string { return filepath.Join(b.work, name) }
