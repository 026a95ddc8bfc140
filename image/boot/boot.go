// Package boot is process 1 of an amphora image: it finds the root file system, loads the drivers of what hardware there
// is, mounts the config drive at /mnt/config, configures the management interface from network_data.json and keeps
// octavo-agent running. There is no shell, no login and no service manager in the image, and nothing in it listens.
//
// It starts in the initial RAM disk and stays the same process when it moves to the root file system, which saves an
// emulated or slow machine from starting a second program. Under the name modprobe it loads modules for the kernel.
package boot

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Places in the image. The builder makes them, process 1 uses them.
const (
	ModulesDir     = "/usr/lib/modules" // INDEX and NAME.ko
	ModulesIndex   = "INDEX"
	ConfigDrive    = "/mnt/config"
	StateDir       = "/var/lib/octavo" // the only place that outlives a reboot
	AgentPath      = "/usr/sbin/octavo-agent"
	InitPath       = "/usr/sbin/octavo-init"
	resolvConf     = "/run/resolv.conf"
	RootPartition  = 2
	StatePartition = 3
	// DiskSignature is in the partition table of every amphora image; by it the right disk is told from other ones.
	DiskSignature uint32 = 0x4f435456
)

// How long is waited for things that come by themselves.
const (
	diskTimeout        = 60 * time.Second
	configDriveTimeout = 10 * time.Second
	// networkPatience is how long the agent's start waits for the management network. An amphora that reboots while
	// DHCP is away serves its last good state all the same.
	networkPatience = 5 * time.Second
)

// Main is the whole program. It returns only as modprobe, with the exit code; process 1 ends by switching the machine off.
func Main(args []string) int {
	if filepath.Base(args[0]) == "modprobe" {
		return modprobe(args[1:])
	}
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "octavo-init is process 1 of an amphora image; it does nothing elsewhere")
		return 2
	}
	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: sinceBoot}))
	if err := run(context.Background(), log); err != nil {
		log.Error("cannot go on, restarting in 10 s", "err", err)
		time.Sleep(10 * time.Second)
		restart()
	}
	return 1
}

func run(ctx context.Context, log *slog.Logger) error {
	if err := mountKernelFilesystems(); err != nil {
		return err
	}
	if err := enterRoot(ctx, log); err != nil {
		return err
	}
	drivers, err := openModules(ModulesDir)
	if err != nil {
		return err
	}
	if err := drivers.loadForDevices(); err != nil {
		log.Warn("some drivers could not be loaded", "err", err)
	}
	// The power button's driver finds it, this one lets programs read it.
	if err := drivers.load("evdev"); err != nil {
		log.Warn("the power button will not be heard", "err", err)
	}
	tuneKernel(log)

	network := mountConfigDrive(ctx, drivers, log)
	connected := make(chan struct{})
	go func() {
		defer close(connected)
		connect(ctx, network, log)
	}()
	select {
	case <-connected:
	case <-time.After(networkPatience):
		log.Warn("starting the agent without the management network, which is still being configured")
	}
	return supervise(log)
}

// mountConfigDrive returns what the config drive says about the network; nothing when there is no such drive.
func mountConfigDrive(ctx context.Context, drivers *modules, log *slog.Logger) networkData {
	ctx, cancel := context.WithTimeout(ctx, configDriveTimeout)
	defer cancel()
	device, err := findConfigDrive(ctx, drivers)
	if err != nil {
		log.Error("no config drive: the agent will know no controller", "err", err)
		return networkData{}
	}
	network, err := readNetworkData(ConfigDrive)
	if err != nil {
		log.Error("the config drive does not describe the network", "device", device, "err", err)
	}
	if name := readHostname(ConfigDrive); name != "" {
		setHostname(name)
	}
	log.Info("config drive mounted", "device", device)
	return network
}

// sinceBoot shows times as seconds since the machine started: its clock may be wrong, and it is the boot that one looks
// at on a console.
func sinceBoot(_ []string, a slog.Attr) slog.Attr {
	if a.Key != slog.TimeKey {
		return a
	}
	uptime, _, _ := strings.Cut(readLine("/proc/uptime"), " ")
	return slog.String("up", uptime)
}

// readLine returns the first line of one of the kernel's small files, or nothing.
func readLine(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimSpace(line)
}
