package image

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/octavo-lb/octavo/image/boot"
)

// programs of Debian that the agent runs, or that help to see what is wrong.
var rootPrograms = []string{
	"usr/sbin/haproxy", "usr/sbin/keepalived", "usr/sbin/nft", "usr/sbin/conntrack", "usr/bin/ip", "usr/bin/ss",
	// The C library loads it when a thread ends; no program names it.
	"usr/lib/x86_64-linux-gnu/libgcc_s.so.1",
}

// rootFiles is the system's configuration: all there is.
var rootFiles = map[string]string{
	"etc/passwd": `root:x:0:0:root:/:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/:/usr/sbin/nologin
haproxy:x:100:100:haproxy:/run:/usr/sbin/nologin
`,
	"etc/group":         "root:x:0:\nhaproxy:x:100:\nnogroup:x:65534:\n",
	"etc/hosts":         "127.0.0.1 localhost\n::1 localhost\n",
	"etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
	"etc/machine-id":    "",
}

// rootDirs are mount points and places where programs expect a directory.
var rootDirs = []string{"dev", "proc", "sys", "run", "tmp", "mnt/config", "var/lib/haproxy", "var/log"}

// assembleRoot chooses the files of the root file system.
func (b *builder) assembleRoot(debian tree, modules moduleSet) (tree, error) {
	root := tree{}
	for _, dir := range []string{"bin", "sbin", "lib", "lib64"} {
		root.addDir("usr/"+dir, 0o755)
		root.addLink(dir, "usr/"+dir)
	}
	for _, dir := range rootDirs {
		root.addDir(dir, 0o755)
	}
	root.addDir(strings.TrimPrefix(boot.StateDir, "/"), 0o700)
	for name, text := range rootFiles {
		root.addFile(name, 0o644, []byte(text))
	}
	root.addFile("usr/lib/os-release", 0o644, []byte(b.osRelease()))
	root.addLink("etc/os-release", "../usr/lib/os-release")
	root.addLink("etc/resolv.conf", "/run/resolv.conf")
	root.addLink("var/run", "/run")
	root.addLink("usr/sbin/modprobe", "octavo-init")

	for _, program := range rootPrograms {
		if err := root.addProgram(debian, program); err != nil {
			return nil, err
		}
	}
	if err := b.addOwn(root, debian); err != nil {
		return nil, err
	}
	if err := b.addWhole(root, debian); err != nil {
		return nil, err
	}
	if err := modules.put(root, modules.all); err != nil {
		return nil, err
	}
	if b.Overlay != "" {
		if err := root.addDisk(b.Overlay); err != nil {
			return nil, fmt.Errorf("overlay: %w", err)
		}
	}
	addLicences(root, debian)
	return root, nil
}

// addOwn adds the two programs that are ours.
func (b *builder) addOwn(root, debian tree) error {
	for place, file := range map[string]string{boot.AgentPath: b.Agent, boot.InitPath: b.Init} {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if !isELF(data) {
			return fmt.Errorf("%s is not a program for Linux", file)
		}
		root.addFile(strings.TrimPrefix(place, "/"), 0o755, data)
		if err := root.addLibraries(debian, file, data); err != nil {
			return err
		}
	}
	if needed, err := linkedWith(root[strings.TrimPrefix(boot.InitPath, "/")].data); err != nil || len(needed) > 0 {
		return errors.Join(fmt.Errorf("%s must be statically linked (CGO_ENABLED=0): it starts before there is a library", b.Init), err)
	}
	return nil
}

// addWhole adds all files of the packages that the caller asked for, with the libraries of their programs.
func (b *builder) addWhole(root, debian tree) error {
	for _, name := range debian.sorted() {
		n := debian[name]
		if !slices.Contains(b.Packages, n.owner) {
			continue
		}
		root.addParents(name)
		root[name] = n
		if n.mode.IsRegular() && isELF(n.data) {
			if err := root.addLibraries(debian, name, n.data); err != nil {
				return err
			}
		}
	}
	return nil
}

// addLicences adds the licence text of every package that something is taken from.
func addLicences(root, debian tree) {
	for _, owner := range owners(root) {
		name := "usr/share/doc/" + owner + "/copyright"
		if file := debian.resolve(name); file != "" {
			root.addFile(name, 0o644, debian[file].data)
		}
	}
}

func (b *builder) osRelease() string {
	return "PRETTY_NAME=\"Octavo amphora (Debian " + b.Suite + ")\"\nNAME=\"Debian GNU/Linux\"\nID=debian\nVERSION_CODENAME=" + b.Suite +
		"\nVARIANT=\"Octavo amphora\"\nVARIANT_ID=octavo-amphora\n"
}

// assembleRAMDisk chooses the files of the initial RAM disk: process 1, and the drivers of the disk.
func (b *builder) assembleRAMDisk(root tree, modules moduleSet) (tree, error) {
	disk := tree{}
	disk.addFile("init", 0o755, root[strings.TrimPrefix(boot.InitPath, "/")].data)
	disk.addLink("sbin/modprobe", "/init")
	for _, dir := range []string{"dev", "proc", "sys", "newroot"} {
		disk.addDir(dir, 0o755)
	}
	disk["dev/console"] = node{mode: fs.ModeDevice | fs.ModeCharDevice | 0o600}
	return disk, modules.put(disk, modules.storage)
}
