package instancetest

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Echo is a member that answers each datagram with its name and what was in it.
type Echo struct {
	Name string
	conn *net.UDPConn
	slow atomic.Int64
	mu   sync.Mutex
	from map[netip.AddrPort]int // datagrams by whom they seem to come from
}

// StartEcho starts a member.
func (n *Network) StartEcho(t testing.TB, name, address string) *Echo {
	t.Helper()
	e := &Echo{Name: name, conn: n.ListenUDP(t, address), from: map[netip.AddrPort]int{}}
	go e.serve()
	return e
}

func (e *Echo) serve() {
	buffer := make([]byte, 64<<10)
	for {
		size, from, err := e.conn.ReadFromUDPAddrPort(buffer)
		if err != nil {
			return
		}
		e.mu.Lock()
		e.from[netip.AddrPortFrom(from.Addr().Unmap(), from.Port())]++
		e.mu.Unlock()
		answer := append([]byte(e.Name+" "), buffer[:size]...)
		if pause := time.Duration(e.slow.Load()); pause > 0 {
			time.AfterFunc(pause, func() { _, _ = e.conn.WriteToUDPAddrPort(answer, from) })
			continue
		}
		_, _ = e.conn.WriteToUDPAddrPort(answer, from)
	}
}

// Slow makes the member think for so long about each datagram from now on.
func (e *Echo) Slow(pause time.Duration) { e.slow.Store(int64(pause)) }

// Stop frees the member's port: datagrams to it are refused by ICMP.
func (e *Echo) Stop() { e.conn.Close() }

// From tells by address and port from where datagrams came.
func (e *Echo) From() []netip.AddrPort {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []netip.AddrPort
	for a := range e.from {
		all = append(all, a)
	}
	return all
}

// ListenUDP opens a socket in the network.
func (n *Network) ListenUDP(t testing.TB, address string) *net.UDPConn {
	t.Helper()
	a, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	var c *net.UDPConn
	err = n.Do(func() (err error) {
		c, err = net.ListenUDP("udp", a)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// DialUDP opens a socket that sends to an address, from one if it is not empty. A port that is given may be in use.
func (n *Network) DialUDP(t testing.TB, from, to string) *Client {
	t.Helper()
	remote, err := net.ResolveUDPAddr("udp", to)
	if err != nil {
		t.Fatal(err)
	}
	var local *net.UDPAddr
	if from != "" {
		if local, err = net.ResolveUDPAddr("udp", from); err != nil {
			t.Fatal(err)
		}
	}
	c := &Client{Patience: 2 * time.Second}
	err = n.Do(func() error {
		var d net.Dialer
		if local != nil {
			d.LocalAddr = local
			if local.Port != 0 {
				d.Control = reuse // which otherwise might give two flows one port
			}
		}
		conn, err := d.Dial("udp", remote.String())
		if err == nil {
			c.UDPConn = conn.(*net.UDPConn)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// Client is a flow of datagrams.
type Client struct {
	*net.UDPConn
	Patience time.Duration // how long an answer may take
}

// Ask sends a datagram, waits for its echo and returns the name of who answered.
func (c *Client) Ask(text string) (string, error) {
	if err := c.SetDeadline(time.Now().Add(c.Patience)); err != nil {
		return "", err
	}
	if _, err := c.Write([]byte(text)); err != nil {
		return "", err
	}
	buffer := make([]byte, 64<<10)
	size, err := c.Read(buffer)
	if err != nil {
		return "", err
	}
	name, echo, _ := strings.Cut(string(buffer[:size]), " ")
	if echo != text {
		return "", fmt.Errorf("%s answered %.40q to %.40q", name, echo, text)
	}
	return name, nil
}

func reuse(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) })
	return errors.Join(err, failed)
}
