package image

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// programPackages hold the programs that the agent runs, and the boot loader for UEFI.
var programPackages = []string{"haproxy", "keepalived", "nftables", "iproute2", "conntrack", "systemd-boot-efi"}

// Package is a Debian package in the image.
type Package struct {
	Name         string `json:"name"`
	Version      string `json:"version"`
	Architecture string `json:"architecture"`
	SHA256       string `json:"sha256"`
	file         string
}

// download fetches the packages and all that they depend on, through apt with a state of its own: neither what is
// installed on this machine nor how its apt is configured makes a difference, and apt checks the archive's signature.
func (b *builder) download(ctx context.Context) ([]Package, error) {
	cache := b.Cache
	if cache == "" {
		cache = b.temp("archives")
	}
	if err := b.configureApt(cache); err != nil {
		return nil, err
	}
	apt := func(args ...string) ([]byte, error) {
		cmd := b.command(ctx, "apt-get", args...)
		cmd.Env = append(cmd.Env, "APT_CONFIG="+b.temp("apt.conf"))
		var out strings.Builder
		cmd.Stdout = &out
		err := run(cmd)
		return []byte(out.String()), err
	}
	if _, err := apt("update"); err != nil {
		return nil, fmt.Errorf("cannot read the archive's index: %w", err)
	}
	install := slices.Concat([]string{"install", "--yes", b.Kernel}, programPackages, b.Packages)
	// Against an empty cache, so that the list is complete.
	empty := b.temp("empty")
	if err := os.MkdirAll(filepath.Join(empty, "partial"), 0o755); err != nil {
		return nil, err
	}
	list, err := apt(append([]string{"--print-uris", "-qq", "-o", "Dir::Cache::archives=" + empty}, install...)...)
	if err != nil {
		return nil, err
	}
	packages, err := parseURIs(string(list), cache)
	if err != nil {
		return nil, err
	}
	if _, err := apt(append([]string{"--download-only", "-qq"}, install...)...); err != nil {
		return nil, err
	}
	for _, p := range packages {
		if err := p.verify(); err != nil {
			return nil, err
		}
	}
	return packages, nil
}

func (b *builder) configureApt(cache string) error {
	state := b.temp("apt")
	for _, dir := range []string{filepath.Join(state, "lists", "partial"), filepath.Join(cache, "partial")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	cache, err := filepath.Abs(cache)
	if err != nil {
		return err
	}
	conf := fmt.Sprintf(`Dir::State %[1]q; Dir::State::Lists "%[1]s/lists"; Dir::State::status "%[1]s/status";
Dir::Cache %[1]q; Dir::Cache::archives %[2]q;
Dir::Etc %[1]q; Dir::Etc::SourceList "%[1]s/sources.list"; Dir::Etc::SourceParts "/dev/null"; Dir::Etc::Main "/dev/null"; Dir::Etc::Parts "/dev/null";
Dir::Etc::Preferences "/dev/null"; Dir::Etc::PreferencesParts "/dev/null";
APT::Architecture "amd64"; APT::Architectures "amd64"; APT::Install-Recommends "false"; APT::Sandbox::User "";
APT::Get::List-Cleanup "false"; Acquire::Languages "none"; Acquire::ForceHash "SHA256"; Debug::NoLocking "true";
`, state, cache)
	sources := fmt.Sprintf("deb [signed-by=%[1]s] %[2]s %[4]s main\ndeb [signed-by=%[1]s] %[2]s %[4]s-updates main\ndeb [signed-by=%[1]s] %[3]s %[4]s-security main\n",
		b.Keyring, b.Mirror, b.SecurityMirror, b.Suite)
	return errors.Join(
		os.WriteFile(b.temp("apt.conf"), []byte(conf), 0o644),
		os.WriteFile(filepath.Join(state, "sources.list"), []byte(sources), 0o644),
		os.WriteFile(filepath.Join(state, "status"), nil, 0o644),
	)
}

// parseURIs reads lines such as
//
//	'http://deb.debian.org/.../haproxy_2.6.12-1_amd64.deb' haproxy_2.6.12-1_amd64.deb 2043000 SHA256:0123...
func parseURIs(list, cache string) ([]Package, error) {
	var packages []Package
	for line := range strings.Lines(list) {
		fields := strings.Fields(line)
		if len(fields) < 4 {
			return nil, fmt.Errorf("apt-get --print-uris: cannot read %q", line)
		}
		name := strings.Split(strings.TrimSuffix(fields[1], ".deb"), "_")
		sum, isSHA256 := strings.CutPrefix(fields[3], "SHA256:")
		if len(name) != 3 || !isSHA256 {
			return nil, fmt.Errorf("apt-get --print-uris: cannot read %q", line)
		}
		version, err := url.PathUnescape(name[1]) // an epoch's colon
		if err != nil {
			return nil, fmt.Errorf("apt-get --print-uris: %w", err)
		}
		packages = append(packages, Package{name[0], version, name[2], sum, filepath.Join(cache, fields[1])})
	}
	slices.SortFunc(packages, func(a, b Package) int { return strings.Compare(a.Name, b.Name) })
	return packages, nil
}

// verify compares the file with the checksum from the signed index: apt does so while it downloads, but trusts its cache.
func (p Package) verify() error {
	file, err := os.Open(p.file)
	if err != nil {
		return fmt.Errorf("package %s: %w", p.Name, err)
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return fmt.Errorf("package %s: %w", p.Name, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != p.SHA256 {
		return fmt.Errorf("package %s: %s has SHA-256 %s, the archive says %s: delete it", p.Name, p.file, got, p.SHA256)
	}
	return nil
}

// unpack reads the files of all packages, without those that no image can want.
func (b *builder) unpack(ctx context.Context, packages []Package) (tree, error) {
	debian := tree{}
	for _, p := range packages {
		cmd := b.command(ctx, "dpkg-deb", "--fsys-tarfile", p.file)
		out, err := cmd.StdoutPipe()
		if err != nil {
			return nil, err
		}
		if err := cmd.Start(); err != nil {
			return nil, fmt.Errorf("package %s: %w", p.Name, err)
		}
		readErr := debian.addTar(tar.NewReader(out), p.Name, isWanted)
		if err := errors.Join(readErr, cmd.Wait()); err != nil {
			return nil, fmt.Errorf("package %s: %w", p.Name, err)
		}
	}
	return debian, nil
}

// isWanted leaves out documentation, translations and whatever only a package manager, a service manager or a person at
// a terminal reads. The licence texts stay.
func isWanted(name string) bool {
	if strings.HasPrefix(name, "usr/share/doc/") {
		return path.Base(name) == "copyright"
	}
	if name == uefiLoader {
		return true
	}
	for _, dir := range []string{"usr/share/man/", "usr/share/info/", "usr/share/locale/", "usr/share/lintian/", "usr/share/bug/",
		"usr/share/bash-completion/", "usr/share/zsh/", "usr/share/debconf/", "usr/share/perl", "usr/share/initramfs-tools/",
		"usr/lib/systemd/", "usr/lib/udev/", "usr/lib/modprobe.d/", "etc/", "boot/System.map"} {
		if strings.HasPrefix(name, dir) {
			return false
		}
	}
	return true
}
