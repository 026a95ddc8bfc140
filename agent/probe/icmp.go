package probe

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"

	"golang.org/x/sys/unix"
)

const (
	echoRequest4, echoReply4 = 8, 0
	echoRequest6, echoReply6 = 128, 129
)

// ping sends one echo request from a datagram socket, for which the kernel chooses the identifier, keeps the checksum and
// passes on only the answers to it.
func ping(ctx context.Context, ns Namespace, to netip.Addr) error {
	protocol, request, reply := unix.IPPROTO_ICMP, byte(echoRequest4), byte(echoReply4)
	if to.Is6() {
		protocol, request, reply = unix.IPPROTO_ICMPV6, echoRequest6, echoReply6
	}
	c, err := dial(ctx, ns, unix.SOCK_DGRAM, protocol, netip.AddrPortFrom(to, 0))
	if err != nil {
		return err
	}
	defer c.Close()
	message := make([]byte, 16)
	message[0] = request
	nonce := rand.Uint64()
	binary.BigEndian.PutUint64(message[8:], nonce)
	if _, err := c.Write(message); err != nil {
		return short(err)
	}
	answer := make([]byte, 512)
	for {
		n, err := c.Read(answer)
		if err != nil {
			return short(err)
		}
		if n >= 16 && answer[0] == reply && binary.BigEndian.Uint64(answer[8:]) == nonce {
			return nil
		}
	}
}
