package image

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// programs are what Build runs, each with the package that has it.
var programs = map[string]string{
	"apt-get": "apt", "dpkg-deb": "dpkg", "sqfstar": "squashfs-tools", "mke2fs": "e2fsprogs", "mformat": "mtools",
	"mcopy": "mtools", "mmd": "mtools", "syslinux": "syslinux", "qemu-img": "qemu-utils",
}

func checkTools() error {
	missing := map[string]bool{}
	for program, of := range programs {
		if _, err := exec.LookPath(program); err != nil {
			missing[of] = true
		}
	}
	if _, err := os.Stat(masterBootRecord); err != nil {
		missing["syslinux"] = true
	}
	if len(missing) == 0 {
		return nil
	}
	var names []string
	for _, name := range Tools {
		if missing[name] {
			names = append(names, name)
		}
	}
	return fmt.Errorf("building an image needs packages that are not installed: apt-get install %s", strings.Join(names, " "))
}

// command prepares one of the programs, with an environment that makes its output depend on nothing but its input.
func (b *builder) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	epoch := strconv.FormatInt(b.Epoch.Unix(), 10)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TZ=UTC", "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin",
		"SOURCE_DATE_EPOCH="+epoch, "E2FSPROGS_FAKE_TIME="+epoch, "MTOOLSRC=/dev/null", "MTOOLS_SKIP_CHECK=1")
	return cmd
}

// run runs a command and puts what it complained about into the error.
func run(cmd *exec.Cmd) error {
	var complaint bytes.Buffer
	if cmd.Stdout == nil {
		cmd.Stdout = &complaint
	}
	cmd.Stderr = &complaint
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", cmd.Args[0], err, strings.TrimSpace(complaint.String()))
	}
	return nil
}
