package image

import (
	"bytes"
	"context"
	"time"

	"github.com/pierrec/lz4/v4"
)

// kernelOptions leave the kernel's guards on; most only spare time: serial output, self-tests of ciphers, BIOS calls.
const kernelOptions = "quiet panic=10 net.ifnames=0 random.trust_cpu=on cryptomgr.notests edd=off"

// uefiLoader is systemd-boot, in the package systemd-boot-efi.
const uefiLoader = "usr/lib/systemd/boot/efi/systemd-bootx64.efi"

// writeBoot makes the FAT file system that the firmware starts: kernel, RAM disk, SYSLINUX for a BIOS and systemd-boot
// for UEFI.
func (b *builder) writeBoot(ctx context.Context, debian, ramDisk tree) (string, error) {
	kernel, err := findKernel(debian)
	if err != nil {
		return "", err
	}
	packed, err := packRAMDisk(ramDisk, b.Epoch)
	if err != nil {
		return "", err
	}
	options := "console=" + b.Console + " " + kernelOptions
	files := tree{}
	files.addFile("vmlinuz", 0o644, kernel)
	files.addFile("initrd", 0o644, packed)
	files.addFile("syslinux.cfg", 0o644, []byte("DEFAULT linux\nPROMPT 0\nTIMEOUT 0\nLABEL linux\n  KERNEL vmlinuz\n  INITRD initrd\n  APPEND "+options+"\n"))
	files.addFile("loader/loader.conf", 0o644, []byte("timeout 0\ndefault octavo.conf\neditor no\n"))
	files.addFile("loader/entries/octavo.conf", 0o644, []byte("title Octavo amphora\nlinux /vmlinuz\ninitrd /initrd\noptions "+options+"\n"))
	files.addFile("EFI/BOOT/BOOTX64.EFI", 0o644, debian[uefiLoader].data)

	image, err := b.writeFAT(ctx, files)
	if err != nil {
		return "", err
	}
	return image, run(b.command(ctx, "syslinux", "--install", image))
}

// writeFAT makes a FAT file system of the files, just large enough.
func (b *builder) writeFAT(ctx context.Context, files tree) (string, error) {
	size := int64(2 * mebibyte)
	for _, n := range files {
		size += int64(len(n.data))
	}
	image := b.temp("boot.fat")
	if err := makeFile(image, roundUp(size, mebibyte)); err != nil {
		return "", err
	}
	if err := run(b.command(ctx, "mformat", "-i", image, "-v", "OCTAVO", "-N", "4f435456", "-H", "2048", "::")); err != nil {
		return "", err
	}
	for _, name := range files.sorted() {
		if files[name].mode.IsDir() {
			if err := run(b.command(ctx, "mmd", "-i", image, "::/"+name)); err != nil {
				return "", err
			}
			continue
		}
		copying := b.command(ctx, "mcopy", "-i", image, "-", "::/"+name)
		copying.Stdin = bytes.NewReader(files[name].data)
		if err := run(copying); err != nil {
			return "", err
		}
	}
	return image, nil
}

// packRAMDisk compresses the RAM disk in the format of old lz4 programs, which is the one that the kernel reads. The
// firmware reads slowly, and unpacking LZ4 is nearly free.
func packRAMDisk(ramDisk tree, epoch time.Time) ([]byte, error) {
	var packed bytes.Buffer
	compressor := lz4.NewWriter(&packed)
	if err := compressor.Apply(lz4.LegacyOption(true), lz4.CompressionLevelOption(lz4.Level9)); err != nil {
		return nil, err
	}
	if err := ramDisk.writeCPIO(compressor, epoch); err != nil {
		return nil, err
	}
	err := compressor.Close()
	return packed.Bytes(), err
}
