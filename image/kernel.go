package image

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/octavo-lb/octavo/image/boot"
	"github.com/octavo-lb/octavo/image/kmod"
)

// storageModules are what lies between the kernel and the root file system, on the hypervisors' disks.
var storageModules = []string{
	"drivers/virtio/*", "drivers/block/virtio_blk", "drivers/block/xen-blkfront", "drivers/scsi/virtio_scsi", "drivers/scsi/sd_mod",
	"drivers/scsi/hv_storvsc", "drivers/scsi/vmw_pvscsi", "drivers/hv/hv_vmbus", "drivers/ata/ata_piix", "drivers/ata/ahci",
	"drivers/nvme/host/nvme", "fs/squashfs/*", "fs/ext4/*",
}

// otherModules are what an amphora may need later: the config drive, virtual and passed-through network cards, packet
// filter and address translation, SCTP, kernel TLS, congestion control.
var otherModules = []string{
	"drivers/scsi/sr_mod", "fs/isofs/*", "fs/fat/*", "fs/nls/nls_cp437", "fs/nls/nls_iso8859-1", "fs/nls/nls_ascii", "fs/nls/nls_utf8",
	"drivers/char/hw_random/virtio-rng", "drivers/acpi/button", "drivers/input/evdev", "drivers/ptp/ptp_kvm",
	"drivers/net/virtio_net", "drivers/net/net_failover", "drivers/net/vmxnet3/*", "drivers/net/xen-netfront", "drivers/net/hyperv/*",
	"drivers/net/ethernet/*", "drivers/net/ethernet/*/*", "drivers/net/ethernet/*/*/*", "drivers/net/ethernet/*/*/*/*",
	"drivers/net/veth", "drivers/net/macvlan", "drivers/net/dummy", "net/8021q/*",
	"net/netfilter/nfnetlink", "net/netfilter/nfnetlink_log", "net/netfilter/nf_tables", "net/netfilter/nft_*",
	"net/netfilter/nf_conntrack", "net/netfilter/nf_conntrack_netlink", "net/netfilter/nf_nat", "net/netfilter/nf_log_syslog",
	"net/ipv4/netfilter/nf_*", "net/ipv4/netfilter/nft_*", "net/ipv6/netfilter/nf_*", "net/ipv6/netfilter/nft_*",
	"net/sctp/sctp", "net/sctp/sctp_diag", "net/ipv4/tcp_diag", "net/ipv4/inet_diag", "net/tls/tls", "net/ipv4/tcp_bbr",
	"net/sched/sch_fq", "net/sched/sch_fq_codel", "net/sched/cls_api",
}

// moduleSet is all modules of a kernel, and which of them go where.
type moduleSet struct {
	files   map[string][]byte // by module name
	storage []kmod.Module
	all     []kmod.Module
}

func readModules(debian tree) (moduleSet, error) {
	set := moduleSet{files: map[string][]byte{}}
	var described []kmod.Module
	var storage, all []string
	for _, file := range debian.sorted() {
		place, isModule := modulePath(file)
		if !isModule {
			continue
		}
		m, err := kmod.Describe(bytes.NewReader(debian[file].data))
		if err != nil {
			return set, fmt.Errorf("/%s: %w", file, err)
		}
		described = append(described, m)
		set.files[m.Name] = debian[file].data
		if matchesAny(storageModules, place) {
			storage = append(storage, m.Name)
		}
		if matchesAny(storageModules, place) || matchesAny(otherModules, place) {
			all = append(all, m.Name)
		}
	}
	if len(all) == 0 {
		return set, errors.New("the kernel package has no modules")
	}
	index := kmod.NewIndex(described)
	set.storage, set.all = index.Closure(storage), index.Closure(all)
	return set, nil
}

// modulePath returns a module's place among the kernel's sources: "drivers/net/virtio_net" for
// usr/lib/modules/VERSION/kernel/drivers/net/virtio_net.ko.
func modulePath(file string) (string, bool) {
	_, inside, found := strings.Cut(file, "/kernel/")
	if !found || !strings.HasPrefix(file, "usr/lib/modules/") {
		return "", false
	}
	return strings.CutSuffix(inside, ".ko")
}

func matchesAny(patterns []string, place string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		matches, _ := path.Match(p, place)
		return matches
	})
}

// put writes modules and their index where octavo-init looks for them.
func (s moduleSet) put(t tree, modules []kmod.Module) error {
	dir := strings.TrimPrefix(boot.ModulesDir, "/")
	for _, m := range modules {
		t.addFile(path.Join(dir, m.Name+".ko"), 0o644, s.files[m.Name])
	}
	var index bytes.Buffer
	if err := kmod.NewIndex(modules).Write(&index); err != nil {
		return err
	}
	t.addFile(path.Join(dir, boot.ModulesIndex), 0o644, index.Bytes())
	return nil
}

// findKernel returns the newest kernel's file.
func findKernel(debian tree) ([]byte, error) {
	var found string
	for _, file := range debian.sorted() {
		if strings.HasPrefix(file, "boot/vmlinuz-") {
			found = file
		}
	}
	if found == "" {
		return nil, errors.New("the kernel package has no /boot/vmlinuz")
	}
	return debian[found].data, nil
}
