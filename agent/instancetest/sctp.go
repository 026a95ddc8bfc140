package instancetest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"net"
	"testing"
	"time"
)

// Chunk types of SCTP (RFC 9260, 3.2).
const (
	sctpData       = 0
	sctpInit       = 1
	sctpInitAck    = 2
	sctpSack       = 3
	sctpCookieEcho = 10
	sctpCookieAck  = 11
)

// packet is an SCTP packet with one chunk.
type packet struct {
	from, to uint16
	tag      uint32
	kind     byte
	body     []byte
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (p packet) bytes() []byte {
	b := binary.BigEndian.AppendUint16(nil, p.from)
	b = binary.BigEndian.AppendUint16(b, p.to)
	b = binary.BigEndian.AppendUint32(b, p.tag)
	b = append(b, 0, 0, 0, 0, p.kind, 3)
	b = binary.BigEndian.AppendUint16(b, uint16(4+len(p.body)))
	b = append(b, p.body...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	binary.LittleEndian.PutUint32(b[8:], crc32.Checksum(b, castagnoli))
	return b
}

// readPacket refuses what a peer would: above all a checksum that was not made anew when addresses were translated.
func readPacket(b []byte) (packet, error) {
	if len(b) < 16 {
		return packet{}, errors.New("an SCTP packet that is too short")
	}
	sum := binary.LittleEndian.Uint32(b[8:])
	clear(b[8:12])
	if sum != crc32.Checksum(b, castagnoli) {
		return packet{}, errors.New("an SCTP packet with a wrong checksum")
	}
	length := int(binary.BigEndian.Uint16(b[14:]))
	if length < 4 || 12+length > len(b) {
		return packet{}, errors.New("an SCTP chunk that is too long")
	}
	return packet{
		from: binary.BigEndian.Uint16(b), to: binary.BigEndian.Uint16(b[2:]), tag: binary.BigEndian.Uint32(b[4:]),
		kind: b[12], body: bytes.Clone(b[16 : 12+length]),
	}, nil
}

// initBody is the body of INIT and INIT ACK: the sender's tag, a window, one stream each way, a first number, parameters.
func initBody(tag uint32, parameters []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, tag)
	b = binary.BigEndian.AppendUint32(b, 65536)
	b = binary.BigEndian.AppendUint32(b, 1<<16|1)
	b = binary.BigEndian.AppendUint32(b, 1)
	return append(b, parameters...)
}

// dataBody is the body of a DATA chunk: its number, stream 0, and what is sent.
func dataBody(number uint32, text string) []byte {
	b := binary.BigEndian.AppendUint32(nil, number)
	return append(append(b, 0, 0, 0, 0, 0, 0, 0, 0), text...)
}

// StartSCTP starts a member that speaks as much SCTP as a translation of addresses looks at, over a raw socket: the kernel
// need not know SCTP. It answers each DATA with its name and what was in it.
func (n *Network) StartSCTP(t testing.TB, name, address string, port uint16) *net.IPConn {
	t.Helper()
	c := n.listenSCTP(t, address)
	go func() {
		buffer := make([]byte, 64<<10)
		peers := map[string]uint32{} // what tag packets to a peer have
		for {
			size, from, err := c.ReadFromIP(buffer)
			if err != nil {
				return
			}
			p, err := readPacket(buffer[:size])
			if err != nil || p.to != port {
				continue
			}
			peer := fmt.Sprint(from, ":", p.from)
			if p.kind == sctpInit {
				peers[peer] = binary.BigEndian.Uint32(p.body)
			}
			if a, ok := p.answer(name, peers[peer]); ok {
				_, _ = c.WriteToIP(a.bytes(), from)
			}
		}
	}()
	return c
}

func (p packet) answer(name string, tag uint32) (packet, bool) {
	a := packet{from: p.to, to: p.from, tag: tag}
	switch p.kind {
	case sctpInit:
		cookie := []byte{0, 7, 0, 8, 'o', 'k', 'a', 'y'}
		a.kind, a.body = sctpInitAck, initBody(0x600d, cookie)
	case sctpCookieEcho:
		a.kind = sctpCookieAck
	case sctpData:
		a.kind, a.body = sctpData, dataBody(1, name+" "+string(p.body[12:]))
	default:
		return a, false
	}
	return a, true
}

func (n *Network) listenSCTP(t testing.TB, address string) *net.IPConn {
	t.Helper()
	var c *net.IPConn
	err := n.Do(func() (err error) {
		c, err = net.ListenIP("ip:132", &net.IPAddr{IP: net.ParseIP(address)})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// Association is a client's.
type Association struct {
	conn     *net.IPConn
	to       *net.IPAddr
	port     uint16
	own, tag uint32
	local    uint16
}

// Associate makes an association, by the whole handshake.
func (n *Network) Associate(t testing.TB, from, to string, port uint16) (*Association, error) {
	t.Helper()
	a := &Association{
		conn: n.listenSCTP(t, from), to: &net.IPAddr{IP: net.ParseIP(to)}, port: port, own: rand.Uint32() | 1, local: uint16(20000 + rand.N(40000)),
	}
	offer, err := a.exchange(packet{kind: sctpInit, body: initBody(a.own, nil)}, sctpInitAck)
	if err != nil {
		return nil, fmt.Errorf("INIT: %w", err)
	}
	a.tag = binary.BigEndian.Uint32(offer.body)
	if _, err := a.exchange(packet{kind: sctpCookieEcho, body: offer.body[20:]}, sctpCookieAck); err != nil {
		return nil, fmt.Errorf("COOKIE ECHO: %w", err)
	}
	return a, nil
}

// Ask sends DATA and returns what is answered.
func (a *Association) Ask(text string) (string, error) {
	answer, err := a.exchange(packet{kind: sctpData, body: dataBody(1, text)}, sctpData)
	if err != nil {
		return "", err
	}
	return string(answer.body[12:]), nil
}

func (a *Association) exchange(p packet, want byte) (packet, error) {
	p.from, p.to, p.tag = a.local, a.port, a.tag
	if err := a.conn.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return packet{}, err
	}
	if _, err := a.conn.WriteToIP(p.bytes(), a.to); err != nil {
		return packet{}, err
	}
	buffer := make([]byte, 64<<10)
	for {
		size, from, err := a.conn.ReadFromIP(buffer)
		if err != nil {
			return packet{}, err
		}
		if !from.IP.Equal(a.to.IP) {
			continue
		}
		answer, err := readPacket(buffer[:size])
		if err != nil || answer.to != a.local || answer.kind == sctpSack {
			continue
		}
		if answer.kind != want || answer.tag != a.own || answer.from != a.port {
			return packet{}, fmt.Errorf("answered by chunk %d with tag %#x", answer.kind, answer.tag)
		}
		return answer, nil
	}
}
