package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/amphorae"
	"github.com/vishvananda/netns"

	"github.com/octavo-lb/octavo/localcloud/fabric"
)

// claim is what an amphora that must have the VIP says to its peer: VRRP version 3 with the highest priority (RFC 5798).
func claim(from, to, vip netip.Addr) []byte {
	said := append([]byte{0x31, 1, 255, 1, 0, 10, 0, 0}, vip.AsSlice()...)
	header := append(append(from.AsSlice(), to.AsSlice()...), 0, 112, 0, byte(len(said)))
	sum := uint32(0)
	for all := append(header, said...); len(all) > 0; all = all[2:] {
		sum += uint32(all[0])<<8 + uint32(all[1])
	}
	for sum>>16 > 0 {
		sum = sum&0xffff + sum>>16
	}
	said[6], said[7] = ^byte(sum>>8), ^byte(sum)
	return said
}

// claims says it from a namespace for a while, and calls watch meanwhile.
func claims(t *testing.T, ns netns.NsHandle, from, to, vip string, watch func()) {
	t.Helper()
	sent := make(chan error)
	done := make(chan struct{})
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends
		sent <- func() error {
			if err := netns.Set(ns); err != nil {
				return err
			}
			c, err := net.DialIP("ip4:112", &net.IPAddr{IP: net.ParseIP(from)}, &net.IPAddr{IP: net.ParseIP(to)})
			if err != nil {
				return fmt.Errorf("opening a socket for VRRP: %w", err)
			}
			defer c.Close()
			text := claim(netip.MustParseAddr(from), netip.MustParseAddr(to), netip.MustParseAddr(vip))
			for {
				select {
				case <-done:
					return nil
				case <-time.After(20 * time.Millisecond):
					if _, err := c.Write(text); err != nil {
						return err
					}
				}
			}
		}()
	}()
	watch()
	close(done)
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
}

// spoofed shows that a neighbour cannot take the VIP from a pair, though the peer could by saying the same.
func (s *stage) spoofed(t *testing.T, lbID, vip string) {
	pair := s.pair(t, lbID)
	active, standby := s.holder(t, pair, vip)
	neighbour, err := netns.GetFromName(fabric.ServerNamespace(fabric.Tag(s.dir), s.server))
	if err != nil {
		t.Fatal(err)
	}
	defer neighbour.Close()
	for _, victim := range []amphorae.Amphora{active, standby} {
		claims(t, neighbour, membersAt, victim.VRRPIP, vip, func() {
			for end := time.Now().Add(1500 * time.Millisecond); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
				if !s.holds(t, active, vip) {
					t.Fatalf("a neighbour that claims the VIP before amphora %s has moved it", victim.ID)
				}
			}
		})
	}
	peer, err := netns.GetFromPath(fmt.Sprintf("/proc/%d/root/run/netns/amphora-haproxy", s.init(t, standby.ComputeID)))
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	claims(t, peer, standby.VRRPIP, active.VRRPIP, vip, func() {
		eventually(t, 5*time.Second, "the same is believed of the peer", func() error {
			if s.holds(t, active, vip) {
				return fmt.Errorf("amphora %s has the VIP still", active.ID)
			}
			return nil
		})
	})
}
