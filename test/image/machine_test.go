// Package image boots the amphora image in an emulated machine, as a cloud would: with a config drive, a management
// network and a tenant's network. It needs root, qemu and a Debian mirror.
package image

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/agent/instancetest"
	"github.com/octavo-lb/octavo/agentapi"
)

// managementMAC is the first interface's; the second one has instancetest.MAC.
const managementMAC = "fa:16:3e:00:00:01"

// hardware is what a cloud's flavor and image properties make of a machine.
type hardware struct {
	name string
	args []string // of qemu; %[1]s is the disk, %[2]s the config drive
}

var (
	// pc is what Nova makes by default: BIOS, virtio disk, config drive on IDE.
	pc = hardware{"pc", []string{"-machine", "pc", "-drive", "if=virtio,format=qcow2,cache=unsafe,file=%[1]s", "-drive", "if=ide,media=cdrom,format=raw,readonly=on,file=%[2]s"}}
	// q35 has both on virtio-scsi, as the properties hw_disk_bus and hw_cdrom_bus can say.
	q35 = hardware{"q35", []string{"-machine", "q35", "-device", "virtio-scsi-pci,id=scsi", "-drive", "if=none,id=disk,format=qcow2,cache=unsafe,file=%[1]s", "-device", "scsi-hd,drive=disk,bootindex=1",
		"-drive", "if=none,id=drive,media=cdrom,format=raw,readonly=on,file=%[2]s", "-device", "scsi-cd,drive=drive"}}
	uefi = hardware{"UEFI", append([]string{"-bios", "/usr/share/ovmf/OVMF.fd"}, q35.args...)}
)

// machine is an emulated machine with its networks.
type machine struct {
	*instancetest.Network // the tenant's
	t                     *testing.T
	dir                   string
	qemu                  *exec.Cmd
	monitor               string
	exited                chan struct{}
	console               *console
}

// newMachine makes a machine's disk and networks. The management network has the addresses 198.51.100.1 and fd00:51::1 on
// our side.
func newMachine(t *testing.T, image string) *machine {
	t.Helper()
	m := &machine{t: t, dir: t.TempDir(), console: &console{},
		Network: instancetest.NewNetwork(t, "10.0.0.1/24", "10.0.0.11/24", "10.0.0.12/24")}
	m.monitor = filepath.Join(m.dir, "monitor")
	m.run("qemu-img", "create", "-q", "-f", "qcow2", "-b", image, "-F", "qcow2", filepath.Join(m.dir, "disk"))
	for _, command := range []string{
		"ip tuntap add dev mgmt mode tap", "ip addr add 198.51.100.1/24 dev mgmt", "ip addr add fd00:51::1/64 dev mgmt nodad",
		"ip link set mgmt up", "ip tuntap add dev tenant mode tap", "ip link set tenant master br0 up",
	} {
		m.run(strings.Fields(command)[0], strings.Fields(command)[1:]...)
	}
	return m
}

// run runs a program in the machine's surroundings.
func (m *machine) run(name string, args ...string) {
	m.t.Helper()
	var out bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := m.Start(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		m.t.Fatalf("%s %v: %v\n%s", name, args, err, &out)
	}
}

// serveDHCP answers on the management network; the machine gets 198.51.100.5 or fd00:51::5.
func (m *machine) serveDHCP(options ...string) {
	m.t.Helper()
	cmd := exec.Command("dnsmasq", append([]string{
		"--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--user=root", "--port=0", "--interface=mgmt", "--bind-interfaces", "--no-ping",
		"--dhcp-leasefile=" + filepath.Join(m.dir, "leases"), "--dhcp-range=198.51.100.5,198.51.100.5,1h",
	}, options...)...)
	if err := m.Start(cmd); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

// controller makes a controller that the machine reaches at address, and the machine's config drive.
func (m *machine) controller(address, networkData string) *instancetest.Controller {
	m.t.Helper()
	c := instancetest.NewControllerOn(m.t, m.Listen(m.t, net.JoinHostPort(address, "0")))
	m.writeDrive(c.Boot(), networkData)
	return c
}

// writeDrive makes the config drive in the way Nova does.
func (m *machine) writeDrive(boot agentapi.Boot, networkData string) {
	m.t.Helper()
	latest := filepath.Join(m.dir, "drive/openstack/latest")
	if err := os.MkdirAll(latest, 0o755); err != nil {
		m.t.Fatal(err)
	}
	userData, err := json.Marshal(boot)
	if err != nil {
		m.t.Fatal(err)
	}
	for name, text := range map[string]string{
		"user_data": string(userData), "network_data.json": networkData, "meta_data.json": `{"hostname": "amphora-1.novalocal"}`,
	} {
		if err := os.WriteFile(filepath.Join(latest, name), []byte(text), 0o644); err != nil {
			m.t.Fatal(err)
		}
	}
	m.run("genisoimage", "-quiet", "-o", filepath.Join(m.dir, "drive.iso"), "-ldots", "-allow-lowercase", "-allow-multidot", "-l",
		"-J", "-r", "-V", "config-2", filepath.Join(m.dir, "drive"))
}

// powerOn starts the machine.
func (m *machine) powerOn(h hardware) {
	m.t.Helper()
	args := []string{
		"-accel", "tcg", "-m", "256", "-display", "none", "-no-reboot", "-serial", "stdio", "-monitor", "unix:" + m.monitor + ",server,nowait",
		"-device", "virtio-rng-pci",
		"-netdev", "tap,id=n0,ifname=mgmt,script=no,downscript=no", "-device", "virtio-net-pci,netdev=n0,mac=" + managementMAC,
		"-netdev", "tap,id=n1,ifname=tenant,script=no,downscript=no", "-device", "virtio-net-pci,netdev=n1,mac=" + instancetest.MAC,
	}
	for _, a := range h.args {
		if strings.Contains(a, "%[") {
			a = fmt.Sprintf(a+"%.0[1]s%.0[2]s", filepath.Join(m.dir, "disk"), filepath.Join(m.dir, "drive.iso"))
		}
		args = append(args, a)
	}
	m.qemu = exec.Command("qemu-system-x86_64", args...)
	out, err := m.qemu.StdoutPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	m.qemu.Stderr = m.console
	m.console.restart()
	if err := m.Start(m.qemu); err != nil {
		m.t.Fatal(err)
	}
	qemu, exited := m.qemu, make(chan struct{})
	m.exited = exited
	go func() {
		m.console.follow(bufio.NewReader(out))
		_ = qemu.Wait()
		close(exited)
	}()
	m.t.Cleanup(func() {
		_ = qemu.Process.Kill()
		<-exited
		if m.t.Failed() {
			m.t.Logf("the console said:\n%s", m.console)
		}
	})
}

// pressPowerButton does what Nova does to stop a server, and waits until the machine is off.
func (m *machine) pressPowerButton(timeout time.Duration) {
	m.t.Helper()
	conn, err := net.Dial("unix", m.monitor)
	if err != nil {
		m.t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintln(conn, "system_powerdown"); err != nil {
		m.t.Fatal(err)
	}
	select {
	case <-m.exited:
	case <-time.After(timeout):
		m.t.Fatalf("the machine is still on %v after its power button was pressed", timeout)
	}
}

// console collects what the machine says, each line with the seconds since it was switched on.
type console struct {
	mu    sync.Mutex
	start time.Time
	text  bytes.Buffer
}

func (c *console) restart() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.start = time.Now()
}

func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintf(&c.text, "%6.2f %s", time.Since(c.start).Seconds(), p)
	return len(p), nil
}

func (c *console) follow(in *bufio.Reader) {
	for {
		line, err := in.ReadString('\n')
		if line != "" {
			_, _ = c.Write([]byte(line))
		}
		if err != nil {
			return
		}
	}
}

func (c *console) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String()
}
