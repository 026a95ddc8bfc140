package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	echoRequest4, echoReply4 = 8, 0
	echoRequest6, echoReply6 = 128, 129
)

// ping sends one echo request from a datagram socket, for which the kernel chooses the identifier, keeps the checksum and
// passes on only the answers to it.
func ping(ctx context.Context, to netip.Addr) error {
	domain, protocol, request, reply := unix.AF_INET, unix.IPPROTO_ICMP, byte(echoRequest4), byte(echoReply4)
	if to.Is6() {
		domain, protocol, request, reply = unix.AF_INET6, unix.IPPROTO_ICMPV6, echoRequest6, echoReply6
	}
	fd, err := unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return fmt.Errorf("opening a socket for ICMP: %w", err)
	}
	file := os.NewFile(uintptr(fd), "icmp")
	defer file.Close()
	c, err := net.FilePacketConn(file)
	if err != nil {
		return fmt.Errorf("opening a socket for ICMP: %w", err)
	}
	defer c.Close()
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(time.Second)
	}
	if err := c.SetDeadline(deadline); err != nil {
		return err
	}
	message := make([]byte, 16)
	message[0] = request
	nonce := rand.Uint64()
	binary.BigEndian.PutUint64(message[8:], nonce)
	if _, err := c.WriteTo(message, &net.UDPAddr{IP: to.AsSlice()}); err != nil {
		return short(err)
	}
	answer := make([]byte, 512)
	for {
		n, _, err := c.ReadFrom(answer)
		if err != nil {
			return short(err)
		}
		if n >= 16 && answer[0] == reply && binary.BigEndian.Uint64(answer[8:]) == nonce {
			return nil
		}
		if ctx.Err() != nil {
			return errors.New("timeout")
		}
	}
}
