package fabric

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// announce tells the neighbours of each link about its new IPv4 addresses, which may have been somebody else's a moment
// ago: a gratuitous ARP request. The kernel announces new IPv6 addresses by itself.
func (n *Namespace) announce(added map[string][]netip.Addr) error {
	for name, addresses := range added {
		link, err := n.LinkByName(name)
		if err != nil {
			return fmt.Errorf("cannot find the link %s: %w", name, err)
		}
		for _, a := range addresses {
			if !a.Is4() {
				continue
			}
			if err := n.Do(func() error { return sendARP(link.Attrs().Index, link.Attrs().HardwareAddr, a) }); err != nil {
				return fmt.Errorf("cannot announce %v on %s: %w", a, name, err)
			}
		}
	}
	return nil
}

// sendARP asks everybody who has the address, saying that it is at this MAC.
func sendARP(ifindex int, mac []byte, address netip.Addr) error {
	arp := binary.BigEndian.AppendUint16(nil, unix.ETH_P_ARP)
	socket, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(binary.NativeEndian.Uint16(arp)))
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	ip := address.AsSlice()
	packet := []byte{0, 1, 8, 0, 6, 4, 0, 1} // Ethernet, IPv4, lengths, request
	packet = append(packet, mac...)
	packet = append(packet, ip...)
	packet = append(packet, 0, 0, 0, 0, 0, 0)
	packet = append(packet, ip...)
	to := &unix.SockaddrLinklayer{Protocol: binary.NativeEndian.Uint16(arp), Ifindex: ifindex, Halen: 6,
		Addr: [8]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}
	return unix.Sendto(socket, packet, 0, to)
}
