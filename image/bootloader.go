package image

import (
	"bytes"
	"context"
	"os"
	"time"

	"github.com/pierrec/lz4/v4"
)

// kernelOptions leave the kernel's guards on; most only spare time: serial output, self-tests of ciphers, BIOS calls.
const kernelOptions = "quiet panic=10 net.ifnames=0 random.trust_cpu=on cryptomgr.notests edd=off"

// writeBoot makes the FAT file system that the firmware starts: kernel, RAM disk and SYSLINUX.
func (b *builder) writeBoot(ctx context.Context, kernel []byte, ramDisk tree) (string, error) {
	packed, err := packRAMDisk(ramDisk, b.Epoch)
	if err != nil {
		return "", err
	}
	options := "console=" + b.Console + " " + kernelOptions
	files := map[string][]byte{
		"vmlinuz":      kernel,
		"initrd":       packed,
		"syslinux.cfg": []byte("DEFAULT linux\nPROMPT 0\nTIMEOUT 0\nLABEL linux\n  KERNEL vmlinuz\n  INITRD initrd\n  APPEND " + options + "\n"),
	}
	size := int64(2 * mebibyte)
	for name, data := range files {
		size += int64(len(data))
		if err := os.WriteFile(b.temp(name), data, 0o644); err != nil {
			return "", err
		}
	}
	file := b.temp("boot.fat")
	if err := makeFile(file, roundUp(size, mebibyte)); err != nil {
		return "", err
	}
	if err := run(b.command(ctx, "mformat", "-i", file, "-v", "OCTAVO", "-N", "4f435456", "-H", "2048", "::")); err != nil {
		return "", err
	}
	if err := run(b.command(ctx, "mcopy", "-i", file, b.temp("vmlinuz"), b.temp("initrd"), b.temp("syslinux.cfg"), "::")); err != nil {
		return "", err
	}
	return file, run(b.command(ctx, "syslinux", "--install", file))
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
