package network

import (
	"encoding/binary"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/octavo-lb/octavo/agentapi"
)

// announce tells the neighbours where new VIPs are, for those that remember another amphora. Nobody depends on it: a
// neighbour that knows nothing asks. Each address is announced once in a process's life.
func (n *Network) announce(link netlink.Link, vips []agentapi.VIP) {
	mac := link.Attrs().HardwareAddr
	if len(mac) != 6 {
		return
	}
	if n.announced == nil {
		n.announced = map[netip.Addr]bool{}
	}
	var fresh []netip.Addr
	for _, v := range vips {
		if !n.announced[v.Address.Addr()] {
			n.announced[v.Address.Addr()] = true
			fresh = append(fresh, v.Address.Addr())
		}
	}
	if len(fresh) == 0 {
		return
	}
	_ = n.Namespace.Do(func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		for _, a := range fresh {
			frame := announcement(mac, a)
			to := &unix.SockaddrLinklayer{Ifindex: link.Attrs().Index, Halen: 6, Addr: [8]byte(append(frame[:6:6], 0, 0))}
			_ = unix.Sendto(fd, frame, 0, to)
		}
		return nil
	})
}

func announcement(mac net.HardwareAddr, a netip.Addr) []byte {
	if a.Is6() {
		return neighbourAdvertisement(mac, a)
	}
	return gratuitousARP(mac, a)
}

// gratuitousARP is a request for one's own address (RFC 5227, 2.3 "ARP Announcement").
func gratuitousARP(mac net.HardwareAddr, a netip.Addr) []byte {
	ip := a.As4()
	frame := make([]byte, 0, 42)
	frame = append(frame, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
	frame = append(frame, mac...)
	frame = append(frame, 0x08, 0x06, 0, 1, 0x08, 0x00, 6, 4, 0, 1)
	frame = append(append(frame, mac...), ip[:]...)
	return append(append(frame, 0, 0, 0, 0, 0, 0), ip[:]...)
}

// neighbourAdvertisement is an unsolicited one to all nodes (RFC 4861, 7.2.6).
func neighbourAdvertisement(mac net.HardwareAddr, a netip.Addr) []byte {
	ip, all := a.As16(), netip.MustParseAddr("ff02::1").As16()
	const override = 0x20
	icmp := []byte{136, 0, 0, 0, override, 0, 0, 0}
	icmp = append(append(icmp, ip[:]...), 2, 1)
	icmp = append(icmp, mac...)

	pseudo := append(append([]byte{}, ip[:]...), all[:]...)
	pseudo = append(pseudo, 0, 0, 0, byte(len(icmp)), 0, 0, 0, unix.IPPROTO_ICMPV6)
	binary.BigEndian.PutUint16(icmp[2:], checksum(append(pseudo, icmp...)))

	frame := append([]byte{0x33, 0x33, 0, 0, 0, 1}, mac...)
	frame = append(frame, 0x86, 0xdd, 0x60, 0, 0, 0, 0, byte(len(icmp)), unix.IPPROTO_ICMPV6, 255)
	frame = append(append(frame, ip[:]...), all[:]...)
	return append(frame, icmp...)
}

func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(b[i])<<8 | uint32(b[i+1])
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
