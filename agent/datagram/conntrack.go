package datagram

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/octavo-lb/octavo/firewall"
)

// The attributes of a flow in ctnetlink (linux/netfilter/nfnetlink_conntrack.h). The netlink library reads flows too, but
// not the ports of SCTP.
const (
	attrOriginal = 1 // CTA_TUPLE_ORIG
	attrReply    = 2 // CTA_TUPLE_REPLY
	attrStatus   = 3
	attrZone     = 18
	attrID       = 12

	attrTupleIP    = 1
	attrTupleProto = 2

	attrProtoNumber = 1
	attrSourcePort  = 2
	attrDestPort    = 3

	kindMask = 0x3fff // NLA_TYPE_MASK

	seenReply = 1 << 1 // IPS_SEEN_REPLY (linux/netfilter/nf_conntrack_common.h)
)

// flows calls visit for every flow of UDP and SCTP that the kernel tracks in the namespace.
func (k kernel) flows(visit func(firewall.Flow)) error {
	return k.dump(func(f firewall.Flow, _ []byte) { visit(f) })
}

// cut ends the flows that are condemned, and tells how many. Each is named by its number, so that a new flow that took its
// place is spared.
func (k kernel) cut(condemned func(firewall.Flow) bool) (int, error) {
	var victims [][]byte
	err := k.dump(func(f firewall.Flow, message []byte) {
		if condemned(f) {
			victims = append(victims, identity(message))
		}
	})
	if err != nil || len(victims) == 0 {
		return 0, err
	}
	n := 0
	err = k.namespace.Do(func() error {
		socket, err := nl.Subscribe(unix.NETLINK_NETFILTER)
		if err != nil {
			return err
		}
		defer socket.Close()
		sockets := map[int]*nl.SocketHandle{unix.NETLINK_NETFILTER: {Socket: socket}}
		for _, v := range victims {
			r := request(nl.IPCTNL_MSG_CT_DELETE, unix.NLM_F_ACK, v)
			r.Sockets = sockets
			if _, err := r.Execute(unix.NETLINK_NETFILTER, 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			n++
		}
		return nil
	})
	return n, err
}

func (k kernel) dump(visit func(f firewall.Flow, message []byte)) error {
	err := k.namespace.Do(func() error {
		r := request(nl.IPCTNL_MSG_CT_GET, unix.NLM_F_DUMP, []byte{unix.AF_UNSPEC, nl.NFNETLINK_V0, 0, 0})
		return r.ExecuteIter(unix.NETLINK_NETFILTER, 0, func(message []byte) bool {
			if f, ok := parse(message); ok {
				visit(f, message)
			}
			return true
		})
	})
	if err != nil {
		return fmt.Errorf("reading the kernel's flows: %w", err)
	}
	return nil
}

// request asks the kernel's flow table; the body begins with the netfilter header.
func request(operation, flags int, body []byte) *nl.NetlinkRequest {
	r := nl.NewNetlinkRequest(unix.NFNL_SUBSYS_CTNETLINK<<8|operation, flags)
	r.AddRawData(body)
	return r
}

const headerSize = 4

// parse reads a flow, if it is one of UDP or SCTP.
func parse(message []byte) (firewall.Flow, bool) {
	if len(message) < headerSize {
		return firewall.Flow{}, false
	}
	var original, reply tuple
	answered := false
	attributes(message[headerSize:], func(kind uint16, value, _ []byte) {
		switch kind {
		case attrOriginal:
			original = parseTuple(value)
		case attrReply:
			reply = parseTuple(value)
		case attrStatus:
			answered = len(value) == 4 && binary.BigEndian.Uint32(value)&seenReply != 0
		}
	})
	protocol := map[byte]string{unix.IPPROTO_UDP: "udp", unix.IPPROTO_SCTP: "sctp"}[original.protocol]
	return firewall.Flow{
		Protocol: protocol, Client: original.source.Addr(), VIP: original.destination, Member: reply.source, Answered: answered,
	}, protocol != ""
}

// identity is the part of a flow's message that names it.
func identity(message []byte) []byte {
	out := append([]byte(nil), message[:headerSize]...)
	attributes(message[headerSize:], func(kind uint16, _, raw []byte) {
		if kind == attrOriginal || kind == attrZone || kind == attrID {
			out = append(out, raw...)
		}
	})
	return out
}

type tuple struct {
	protocol            byte
	source, destination netip.AddrPort
}

func parseTuple(b []byte) tuple {
	var t tuple
	var from, to netip.Addr
	var fromPort, toPort uint16
	attributes(b, func(kind uint16, value, _ []byte) {
		switch kind {
		case attrTupleIP:
			// Addresses of either IP version are an odd attribute (from) and an even one (to).
			attributes(value, func(kind uint16, value, _ []byte) {
				if a, ok := netip.AddrFromSlice(value); ok && kind%2 == 1 {
					from = a
				} else if ok {
					to = a
				}
			})
		case attrTupleProto:
			attributes(value, func(kind uint16, value, _ []byte) {
				switch {
				case kind == attrProtoNumber && len(value) == 1:
					t.protocol = value[0]
				case kind == attrSourcePort && len(value) == 2:
					fromPort = binary.BigEndian.Uint16(value)
				case kind == attrDestPort && len(value) == 2:
					toPort = binary.BigEndian.Uint16(value)
				}
			})
		}
	})
	t.source, t.destination = netip.AddrPortFrom(from, fromPort), netip.AddrPortFrom(to, toPort)
	return t
}

// attributes calls f for each netlink attribute: its kind, its value, and all of it with padding.
func attributes(b []byte, f func(kind uint16, value, raw []byte)) {
	const size, align = 4, 4
	for len(b) >= size {
		length := int(binary.NativeEndian.Uint16(b))
		if length < size || length > len(b) {
			return
		}
		padded := min((length+align-1)&^(align-1), len(b))
		f(binary.NativeEndian.Uint16(b[2:])&kindMask, b[size:length], b[:padded])
		b = b[padded:]
	}
}
