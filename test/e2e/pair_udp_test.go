package e2e

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// flow is a client that goes on sending from one port.
type flow struct {
	mu     sync.Mutex
	by     string // who answered last
	moved  bool   // somebody else has answered than before
	last   time.Time
	gap    time.Duration
	served int
}

func (f *flow) run(conn net.Conn, done <-chan struct{}) {
	defer conn.Close()
	buffer := make([]byte, 200)
	for {
		select {
		case <-done:
			return
		case <-time.After(20 * time.Millisecond):
		}
		_ = conn.SetDeadline(time.Now().Add(200 * time.Millisecond))
		if _, err := conn.Write([]byte("who?")); err != nil {
			continue // refused, which is told of an earlier datagram
		}
		if n, err := conn.Read(buffer); err == nil {
			f.answered(strings.TrimSpace(string(buffer[:n])))
		}
	}
}

func (f *flow) answered(by string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.moved = f.moved || f.by != "" && f.by != by
	now := time.Now()
	if f.served++; !f.last.IsZero() {
		f.gap = max(f.gap, now.Sub(f.last))
	}
	f.by, f.last = by, now
}

// TestPairOfAmphoraeUDP kills the amphora that has the VIP under flows of UDP: they go on over the other one, to the members
// that they had, and new ones are served at once.
func TestPairOfAmphoraeUDP(t *testing.T) {
	s := newStage(t, "--topology", "ACTIVE_STANDBY")
	s.tenant.server("web1", "192.168.21.101")
	s.tenant.server("web2", "192.168.21.102")
	check := m{"type": "UDP-CONNECT", "delay": 3, "timeout": 1, "max_retries": 1, "max_retries_down": 3}
	lb, ip := s.balancer(t, m{"protocol": "UDP", "protocol_port": 53, "default_pool": m{"name": "p", "protocol": "UDP", "lb_algorithm": "SOURCE_IP_PORT",
		"healthmonitor": check, "members": []m{{"address": "192.168.21.101", "protocol_port": 80}, {"address": "192.168.21.102", "protocol_port": 80}}}})
	vip := ip + ":53"
	s.pair(t, lb.ID)
	t.Run("a neighbour poses as the peer", func(t *testing.T) { s.spoofed(t, lb.ID, lb.VipAddress) })
	active, _ := s.holder(t, s.pair(t, lb.ID), lb.VipAddress)
	eventually(t, 30*time.Second, "both members answer", func() error { return answered(vip, "web1", "web2") })

	done := make(chan struct{})
	var wg sync.WaitGroup
	var flows [20]flow
	for i := range flows {
		conn, err := net.Dial("udp", vip)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() { flows[i].run(conn, done) })
	}
	time.Sleep(time.Second)
	began := time.Now()
	if err := syscall.Kill(s.init(t, active.ComputeID), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "a new flow is served", func() error {
		if _, err := ask(vip); err != nil {
			return err
		}
		return nil
	})
	if took := time.Since(began); took > 3*time.Second { // one question that gets no answer takes a second
		t.Errorf("no new flow was served for %v", took)
	}
	eventually(t, 10*time.Second, "new flows reach both members", func() error { return answered(vip, "web1", "web2") })
	time.Sleep(2 * time.Second)
	close(done)
	wg.Wait()
	var longest time.Duration
	for i := range flows {
		f := &flows[i]
		longest = max(longest, f.gap)
		if f.served < 50 || time.Since(f.last) > time.Second {
			t.Errorf("flow %d was answered %d times, last %v ago", i, f.served, time.Since(f.last))
		}
		if f.moved {
			t.Errorf("flow %d was answered by another member", i)
		}
	}
	t.Log(fmt.Sprint("flows stood still for up to ", longest.Round(time.Millisecond)))
	if longest > 2*time.Second {
		t.Errorf("a flow stood still for %v", longest)
	}
}
