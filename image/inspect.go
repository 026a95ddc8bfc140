package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/octavo-lb/octavo/image/boot"
)

// Contents are what an image file holds, read from the file itself.
type Contents struct {
	SHA256 string // of the file
	Size   int64
	Disk   int64 // as an instance sees it
	Manifest
}

// Version tells the version of the package whose name begins so, empty if there is none.
func (m Manifest) Version(prefix string) string {
	i := slices.IndexFunc(m.Packages, func(p Package) bool { return strings.HasPrefix(p.Name, prefix) })
	if i < 0 {
		return ""
	}
	return m.Packages[i].Version
}

// Inspect looks into an image of Build's. It fails if the programs in it are not those of its manifest. It needs the
// programs of qemu-utils and squashfs-tools, and room for the disk in the temporary directory.
func Inspect(ctx context.Context, path string) (Contents, error) {
	c, err := inspect(ctx, path)
	if err != nil {
		return c, fmt.Errorf("cannot look into %s: %w", path, err)
	}
	return c, nil
}

func inspect(ctx context.Context, path string) (c Contents, err error) {
	for program, of := range map[string]string{"qemu-img": "qemu-utils", "unsquashfs": "squashfs-tools"} {
		if _, err := exec.LookPath(program); err != nil {
			return c, fmt.Errorf("%s is not installed: apt-get install %s", program, of)
		}
	}
	if c.SHA256, c.Size, err = digestFile(path); err != nil {
		return c, err
	}
	work, err := os.MkdirTemp("", "octavo-inspect-")
	if err != nil {
		return c, err
	}
	defer os.RemoveAll(work)
	disk := filepath.Join(work, "disk")
	if err := run(exec.CommandContext(ctx, "qemu-img", "convert", "-O", "raw", path, disk)); err != nil {
		return c, err
	}
	root, size, err := rootOffset(disk)
	if err != nil {
		return c, err
	}
	c.Disk = size
	text, err := readRoot(ctx, disk, root, "usr/share/octavo/manifest.json")
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(text, &c.Manifest); err != nil {
		return c, fmt.Errorf("its manifest is damaged: %w", err)
	}
	for name, want := range map[string]string{boot.AgentPath: c.Agent, boot.InitPath: c.Init} {
		program, err := readRoot(ctx, disk, root, strings.TrimPrefix(name, "/"))
		if err != nil {
			return c, err
		}
		if got := digest(program); got != want {
			return c, fmt.Errorf("%s in it is not the one of its manifest: it has SHA-256 %s, the manifest says %s", name, got, want)
		}
	}
	return c, nil
}

// rootOffset finds the root file system in a disk of ours.
func rootOffset(disk string) (offset, size int64, err error) {
	f, err := os.Open(disk)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, 0, err
	}
	table := make([]byte, 512)
	if _, err := f.ReadAt(table, 0); err != nil || binary.LittleEndian.Uint32(table[440:]) != boot.DiskSignature {
		return 0, 0, errors.New("it is no image that octavo image build made")
	}
	entry := table[446+16*(boot.RootPartition-1):]
	return int64(binary.LittleEndian.Uint32(entry[8:])) * sector, info.Size(), nil
}

func readRoot(ctx context.Context, disk string, offset int64, name string) ([]byte, error) {
	var text bytes.Buffer
	cmd := exec.CommandContext(ctx, "unsquashfs", "-o", strconv.FormatInt(offset, 10), "-cat", disk, name)
	cmd.Stdout = &text
	if err := run(cmd); err != nil {
		return nil, fmt.Errorf("it has no %s: %w", name, err)
	}
	return text.Bytes(), nil
}

// ManifestPath is where Build puts the manifest of an image.
func ManifestPath(imagePath string) string {
	return strings.TrimSuffix(imagePath, ".qcow2") + ".manifest.json"
}

// ReadManifest reads the manifest beside an image file, and fails if it is of another file. fs.ErrNotExist.
func ReadManifest(imagePath string) (Result, error) {
	r := Result{Path: imagePath, ManifestPath: ManifestPath(imagePath)}
	text, err := os.ReadFile(r.ManifestPath)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("%s is damaged: %w", r.ManifestPath, err)
	}
	sum, _, err := digestFile(imagePath)
	if err != nil {
		return r, err
	}
	if sum != r.SHA256 {
		return r, fmt.Errorf("%s is not of this file: the image has SHA-256 %s, the manifest is of one with %s", r.ManifestPath, sum, r.SHA256)
	}
	return r, nil
}

// CheckDigest fails if a file does not have a digest, in hex, of an algorithm that the image service may be set to.
func CheckDigest(path, algorithm, want string) error {
	sums := map[string]func() hash.Hash{"sha512": sha512.New, "sha384": sha512.New384, "sha256": sha256.New}
	if sums[algorithm] == nil {
		return fmt.Errorf("its digest is of the algorithm %q, which is not known here", algorithm)
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	sum := sums[algorithm]()
	if _, err := io.Copy(sum, file); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != want {
		return fmt.Errorf("the file has %s %s, the image %s", algorithm, got, want)
	}
	return nil
}
