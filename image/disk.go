package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/octavo-lb/octavo/image/boot"
)

const (
	sector           = 512
	mebibyte         = 1 << 20
	stateSize        = 64 * mebibyte
	masterBootRecord = "/usr/lib/SYSLINUX/mbr.bin"
	// fixedUUID is the identity of the state file system and the seed of its directories' hashes: no two of them ever
	// meet in one machine, and random ones would make every build different.
	fixedUUID = "6f637461-766f-4d70-8068-6f7261000001"
)

// part is a partition: its file, its type, and where it lies.
type part struct {
	file        string
	kind        byte
	active      bool
	start, size int64
}

// writeDisk makes the raw disk: a boot partition that BIOS and UEFI read, the root file system, and the state partition.
func (b *builder) writeDisk(ctx context.Context, debian, ramDisk, root tree) (string, error) {
	bootPart, err := b.writeBoot(ctx, debian, ramDisk)
	if err != nil {
		return "", fmt.Errorf("boot partition: %w", err)
	}
	rootPart, err := b.writeSquashfs(ctx, root)
	if err != nil {
		return "", fmt.Errorf("root file system: %w", err)
	}
	statePart, err := b.writeState(ctx)
	if err != nil {
		return "", fmt.Errorf("state partition: %w", err)
	}
	disk := b.temp("disk.raw")
	parts := []part{
		{file: bootPart, kind: 0xef, active: true}, // an EFI system partition, which a BIOS does not mind
		{file: rootPart, kind: 0x83},
		{file: statePart, kind: 0x83},
	}
	return disk, joinParts(disk, parts)
}

func (b *builder) writeSquashfs(ctx context.Context, root tree) (string, error) {
	file := b.temp("root.squashfs")
	read, write := io.Pipe()
	go func() { write.CloseWithError(root.writeTar(write, b.Epoch)) }()
	// LZ4: half the size of no compression, and unpacking it costs next to nothing.
	cmd := b.command(ctx, "sqfstar", "-quiet", "-no-progress", "-comp", "lz4", "-Xhc", "-b", "128K", "-no-xattrs",
		"-root-mode", "0755", "-all-root", file)
	cmd.Stdin = read
	return file, run(cmd)
}

func (b *builder) writeState(ctx context.Context) (string, error) {
	file := b.temp("state.ext4")
	if err := makeFile(file, stateSize); err != nil {
		return "", err
	}
	return file, run(b.command(ctx, "mke2fs", "-q", "-F", "-t", "ext4", "-O", "^metadata_csum,^resize_inode", "-J", "size=4", "-m", "0",
		"-L", "octavo-state", "-U", fixedUUID, "-E", "root_owner=0:0,hash_seed="+fixedUUID+",lazy_itable_init=0,lazy_journal_init=0,nodiscard", file))
}

// joinParts writes the partition table and the partitions, each on a boundary of one mebibyte.
func joinParts(disk string, parts []part) error {
	position := int64(mebibyte)
	for i := range parts {
		info, err := os.Stat(parts[i].file)
		if err != nil {
			return err
		}
		parts[i].start, parts[i].size = position, roundUp(info.Size(), mebibyte)
		position += parts[i].size
	}
	out, err := os.Create(disk)
	if err != nil {
		return err
	}
	defer out.Close()
	loader, err := os.ReadFile(masterBootRecord)
	if err != nil {
		return err
	}
	if _, err := out.WriteAt(partitionTable(loader, parts), 0); err != nil {
		return err
	}
	for _, p := range parts {
		if err := copyAt(out, p); err != nil {
			return err
		}
	}
	return errors.Join(out.Truncate(position), out.Close())
}

// partitionTable is the first sector of a PC disk.
func partitionTable(loader []byte, parts []part) []byte {
	table := make([]byte, sector)
	copy(table[:440], loader)
	binary.LittleEndian.PutUint32(table[440:], boot.DiskSignature)
	for i, p := range parts {
		entry := table[446+16*i:]
		if p.active {
			entry[0] = 0x80
		}
		copy(entry[1:], []byte{0xfe, 0xff, 0xff, p.kind, 0xfe, 0xff, 0xff}) // no cylinders: look at the sectors
		binary.LittleEndian.PutUint32(entry[8:], uint32(p.start/sector))
		binary.LittleEndian.PutUint32(entry[12:], uint32(p.size/sector))
	}
	copy(table[510:], []byte{0x55, 0xaa})
	return table
}

// copyAt writes a partition into the disk and leaves holes where it is empty.
func copyAt(disk *os.File, p part) error {
	in, err := os.Open(p.file)
	if err != nil {
		return err
	}
	defer in.Close()
	block := make([]byte, 64*1024)
	empty := make([]byte, len(block))
	for at := p.start; ; {
		n, err := io.ReadFull(in, block)
		if n > 0 && !bytes.Equal(block[:n], empty[:n]) {
			if _, err := disk.WriteAt(block[:n], at); err != nil {
				return err
			}
		}
		at += int64(n)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// writeImage converts the disk to qcow2 beside its final place, and puts it there in one step.
func (b *builder) writeImage(ctx context.Context, disk string, manifest Manifest) (Result, error) {
	result := Result{Manifest: manifest}
	info, err := os.Stat(disk)
	if err != nil {
		return result, err
	}
	result.Disk = info.Size()
	if result.Path, err = filepath.Abs(b.Output); err != nil {
		return result, err
	}
	result.ManifestPath = ManifestPath(result.Path)
	part := result.Path + ".part"
	defer os.Remove(part)
	if err := run(b.command(ctx, "qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-c", disk, part)); err != nil {
		return result, err
	}
	if result.SHA256, result.Size, err = digestFile(part); err != nil {
		return result, err
	}
	text, err := json.MarshalIndent(result, "", "  ")
	if err != nil {
		return result, err
	}
	if err := os.WriteFile(result.ManifestPath, append(text, '\n'), 0o644); err != nil {
		return result, err
	}
	return result, os.Rename(part, result.Path)
}

func digestFile(name string) (string, int64, error) {
	file, err := os.Open(name)
	if err != nil {
		return "", 0, err
	}
	defer file.Close()
	sum := sha256.New()
	size, err := io.Copy(sum, file)
	return hex.EncodeToString(sum.Sum(nil)), size, err
}

func makeFile(name string, size int64) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(file.Truncate(size), file.Close())
}

func roundUp(size, to int64) int64 { return (size + to - 1) / to * to }
