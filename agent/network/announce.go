package network

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/octavo-lb/octavo/agentapi"
)

// announcement is what neighbours are told of one VIP.
type announcement struct {
	address netip.Addr
	index   int // of the interface
	mac     net.HardwareAddr
}

const (
	firstRepeat = 50 * time.Millisecond
	lastRepeat  = 30 * time.Second
)

// announce lets Announce tell the neighbours where VIPs are that this network did not have before.
func (n *Network) announce(link netlink.Link, vips []agentapi.VIP) {
	mac := link.Attrs().HardwareAddr
	if len(mac) != 6 {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	now := map[netip.Addr]announcement{}
	for _, v := range vips {
		a := announcement{v.Address.Addr(), link.Attrs().Index, mac}
		if now[a.address] = a; n.announced[a.address].index != a.index {
			n.fresh = append(n.fresh, a)
		}
	}
	n.announced = now
	select {
	case n.news <- struct{}{}:
	default:
	}
}

// Announce tells the neighbours where new VIPs are, until the context ends: they may remember another amphora, and would
// ask it for a minute before they ask everybody. It tells them more than once, with growing pauses, because a switch may not
// forward yet what comes from a port that was plugged just now.
func (n *Network) Announce(ctx context.Context) {
	var saying []announcement
	var pause time.Duration
	again := time.NewTimer(0)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.news:
			n.mu.Lock()
			if len(n.fresh) > 0 {
				saying, pause = append(saying, n.fresh...), firstRepeat
			}
			n.fresh = nil
			n.mu.Unlock()
		case <-again.C:
			pause *= 2
		}
		saying = slices.DeleteFunc(saying, func(a announcement) bool {
			held, err := n.Holds(a.address)
			return pause > lastRepeat || err != nil || !held
		})
		if len(saying) > 0 {
			n.say(saying)
			again.Reset(pause)
		}
	}
}

// say sends each announcement once. Nobody depends on it: a neighbour that knows nothing asks.
func (n *Network) say(all []announcement) {
	_ = n.Namespace.Do(func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		for _, a := range all {
			frame := a.frame()
			to := &unix.SockaddrLinklayer{Ifindex: a.index, Halen: 6, Addr: [8]byte(append(frame[:6:6], 0, 0))}
			_ = unix.Sendto(fd, frame, 0, to)
		}
		return nil
	})
}

func (a announcement) frame() []byte {
	if a.address.Is6() {
		return neighbourAdvertisement(a.mac, a.address)
	}
	return gratuitousARP(a.mac, a.address)
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
