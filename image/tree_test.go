package image

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestMergeUsr(t *testing.T) {
	for given, want := range map[string]string{
		"./bin/ip":                   "usr/bin/ip",
		"/lib64/ld-linux.so.2":       "usr/lib64/ld-linux.so.2",
		"./usr/sbin/haproxy":         "usr/sbin/haproxy",
		"./library/x":                "library/x",
		"./":                         "",
		"../../etc/passwd":           "etc/passwd",
		"./usr/bin/../../bin/../x":   "x",
		"./lib/modules/6.1/a/b.ko":   "usr/lib/modules/6.1/a/b.ko",
		"./boot/vmlinuz-6.1.0-cloud": "boot/vmlinuz-6.1.0-cloud",
	} {
		if got := mergeUsr(given); got != want {
			t.Errorf("mergeUsr(%q) = %q, want %q", given, got, want)
		}
	}
}

func TestCopyFollowsLinks(t *testing.T) {
	debian := tree{}
	debian.addFile("usr/lib/x86_64-linux-gnu/libssl.so.3.0.1", 0o644, []byte("code"))
	debian.addLink("usr/lib/x86_64-linux-gnu/libssl.so.3", "libssl.so.3.0.1")
	debian.addLink("usr/lib/libssl.so", "/lib/x86_64-linux-gnu/libssl.so.3")
	debian.addLink("usr/lib/loop", "loop")
	root := tree{}
	if err := root.copyFrom(debian, "usr/lib/libssl.so"); err != nil {
		t.Fatal(err)
	}
	if end := root.resolve("usr/lib/libssl.so"); end != "usr/lib/x86_64-linux-gnu/libssl.so.3.0.1" {
		t.Errorf("the link leads to %q", end)
	}
	for _, name := range []string{"usr/lib/loop", "usr/lib/missing"} {
		if err := root.copyFrom(debian, name); err == nil {
			t.Errorf("copying %s worked", name)
		}
	}
}

// TestRAMDiskIsUnpackedByCPIO lets the real program read what we wrote.
func TestRAMDiskIsUnpackedByCPIO(t *testing.T) {
	disk := tree{}
	disk.addFile("init", 0o755, []byte("12345"))
	disk.addLink("sbin/modprobe", "/init")
	disk.addDir("proc", 0o755)
	var file bytes.Buffer
	if err := disk.writeCPIO(&file, defaultEpoch); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("cpio", "--quiet", "-i")
	cmd.Dir, cmd.Stdin = t.TempDir(), &file
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cpio: %v\n%s", err, out)
	}
	text, err := os.ReadFile(filepath.Join(cmd.Dir, "init"))
	if err != nil || string(text) != "12345" {
		t.Errorf("init holds %q, %v", text, err)
	}
	if target, err := os.Readlink(filepath.Join(cmd.Dir, "sbin/modprobe")); err != nil || target != "/init" {
		t.Errorf("modprobe leads to %q, %v", target, err)
	}
	info, err := os.Stat(filepath.Join(cmd.Dir, "init"))
	if err != nil || info.Mode() != 0o755 {
		t.Errorf("init is %v, %v", info.Mode(), err)
	}
}

func TestTarIsInOrderAndOfOneTime(t *testing.T) {
	root := tree{}
	root.addFile("usr/bin/ip", 0o755, []byte("x"))
	root.addDir("tmp", 0o755)
	root.addLink("bin", "usr/bin")
	var file bytes.Buffer
	if err := root.writeTar(&file, defaultEpoch); err != nil {
		t.Fatal(err)
	}
	var names []string
	for archive := tar.NewReader(&file); ; {
		header, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if !header.ModTime.Equal(defaultEpoch) || header.Uid != 0 {
			t.Errorf("%s is of %v and belongs to %d", header.Name, header.ModTime.Format(time.RFC3339), header.Uid)
		}
		names = append(names, header.Name)
	}
	if got, want := strings.Join(names, " "), "bin tmp/ usr/ usr/bin/ usr/bin/ip"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestOverlayRefusesDevices(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/usr/bin/true", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	root := tree{}
	if err := root.addDisk(dir); err != nil || root["link"].target != "/usr/bin/true" {
		t.Errorf("a symbolic link became %+v, %v", root["link"], err)
	}
	if out, err := exec.Command("mkfifo", filepath.Join(dir, "pipe")).CombinedOutput(); err != nil {
		t.Fatalf("mkfifo: %v\n%s", err, out)
	}
	if err := (tree{}).addDisk(dir); err == nil {
		t.Error("a pipe was accepted")
	}
}
