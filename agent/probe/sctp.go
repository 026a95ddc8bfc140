package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Chunk types (RFC 9260, 3.2).
const (
	sctpInit    = 1
	sctpInitAck = 2
	sctpAbort   = 6
)

// checkSCTP asks for an association and does not answer the offer: the member keeps nothing of it (RFC 9260, 5.1.3). It
// needs no SCTP in the kernel.
func checkSCTP(ctx context.Context, ns Namespace, to netip.AddrPort) error {
	c, err := dial(ctx, ns, unix.SOCK_RAW, unix.IPPROTO_SCTP, netip.AddrPortFrom(to.Addr(), 0))
	if err != nil {
		return err
	}
	defer c.Close()
	ip, ok := c.(*net.IPConn)
	if !ok {
		return fmt.Errorf("a raw socket is a %T", c)
	}
	tag, port := rand.Uint32()|1, uint16(20000+rand.N(40000))
	if _, err := c.Write(initChunk(port, to.Port(), tag)); err != nil {
		return short(err)
	}
	buffer := make([]byte, 2048)
	for {
		n, _, err := ip.ReadFromIP(buffer) // which takes the IP header off
		if err != nil {
			return short(err)
		}
		answer := buffer[:n]
		if len(answer) < 16 || binary.BigEndian.Uint16(answer) != to.Port() || binary.BigEndian.Uint16(answer[2:]) != port || binary.BigEndian.Uint32(answer[4:]) != tag {
			continue
		}
		switch chunk := answer[12]; chunk {
		case sctpInitAck:
			return nil
		case sctpAbort:
			return errors.New("connection refused")
		default:
			return fmt.Errorf("answered by a chunk of type %d", chunk)
		}
	}
}

// initChunk is a packet with an INIT chunk and nothing else.
func initChunk(from, to uint16, tag uint32) []byte {
	p := make([]byte, 32)
	binary.BigEndian.PutUint16(p[0:], from)
	binary.BigEndian.PutUint16(p[2:], to)
	p[12] = sctpInit
	binary.BigEndian.PutUint16(p[14:], 20)
	binary.BigEndian.PutUint32(p[16:], tag)
	binary.BigEndian.PutUint32(p[20:], 65536) // receiver window
	binary.BigEndian.PutUint16(p[24:], 1)     // streams out
	binary.BigEndian.PutUint16(p[26:], 1)     // streams in
	binary.BigEndian.PutUint32(p[28:], rand.Uint32())
	binary.LittleEndian.PutUint32(p[8:], crc32.Checksum(p, crc32.MakeTable(crc32.Castagnoli)))
	return p
}
