package boot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/octavo-lb/octavo/image/kmod"
)

// modules are the kernel modules in a directory. Those that a caller asks for and that are not there are built into the
// kernel, or not wanted in the image.
type modules struct {
	dir   string
	index *kmod.Index
}

func openModules(dir string) (*modules, error) {
	file, err := os.Open(filepath.Join(dir, ModulesIndex))
	if err != nil {
		return nil, fmt.Errorf("cannot open the module index: %w", err)
	}
	defer file.Close()
	index, err := kmod.Read(file)
	if err != nil {
		return nil, err
	}
	return &modules{dir, index}, nil
}

// load loads the modules that serve an alias, and what they need. A module that is loaded already is no error.
func (m *modules) load(alias string) error {
	var failed []error
	for _, name := range m.index.Resolve(alias) {
		if _, err := os.Stat("/sys/module/" + name); err == nil {
			continue
		}
		if err := insert(filepath.Join(m.dir, name+".ko")); err != nil {
			failed = append(failed, fmt.Errorf("module %s: %w", name, err))
		}
	}
	return errors.Join(failed...)
}

func insert(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := unix.FinitModule(int(file.Fd()), "", 0); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	return nil
}

// deviceBuses are those whose devices matter: disks, CD-ROMs, network, entropy, the power button, a hypervisor's own bus.
var deviceBuses = []string{"pci", "virtio", "scsi", "acpi", "vmbus", "xen"}

// loadForDevices loads drivers for all devices of the machine. A driver may bring new devices to light (a virtio bus, a
// SCSI disk), so it looks again until nothing new is seen. Some drivers sleep while their device answers: all are loaded
// at once, and the kernel sees to it that one waits for another where it has to.
func (m *modules) loadForDevices() error {
	var failed []error
	seen := map[string]bool{}
	for {
		fresh := slices.DeleteFunc(deviceAliases(), func(alias string) bool { return seen[alias] })
		if len(fresh) == 0 {
			return errors.Join(failed...)
		}
		errs := make([]error, len(fresh))
		var wg sync.WaitGroup
		for i, alias := range fresh {
			seen[alias] = true
			wg.Go(func() { errs[i] = m.load(alias) })
		}
		wg.Wait()
		failed = append(failed, errs...)
	}
}

func deviceAliases() []string {
	var aliases []string
	for _, bus := range deviceBuses {
		files, _ := filepath.Glob("/sys/bus/" + bus + "/devices/*/modalias")
		for _, file := range files {
			if alias := readLine(file); alias != "" {
				aliases = append(aliases, alias)
			}
		}
	}
	slices.Sort(aliases)
	return slices.Compact(aliases)
}

// modprobe is what the kernel starts when it misses a feature: "modprobe -q -- ALIAS".
func modprobe(args []string) int {
	m, err := openModules(ModulesDir)
	if err != nil {
		return 1
	}
	for _, alias := range args {
		if alias[0] == '-' {
			continue
		}
		if m.load(alias) != nil {
			return 1
		}
	}
	return 0
}
