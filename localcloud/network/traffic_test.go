package network

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/localcloud/fabric"
)

// plugged is a namespace that has the port, with its addresses, as compute makes one.
func (c *cloud) plugged(port object) *fabric.Namespace {
	c.t.Helper()
	id := port.str("id")
	ns, _, err := fabric.EnsureNamespace(fabric.ServerNamespace(c.tag, id))
	c.ok(err)
	c.t.Cleanup(ns.Close)
	c.ok(c.Plug(c.t.Context(), id, "eth0", ns))
	about, err := c.Interface(id)
	c.ok(err)
	commands := "set -e; ip link set lo up; ip link set eth0 up\n"
	for _, a := range about.Addresses {
		commands += fmt.Sprintf("ip addr add %v dev eth0 nodad\n", a.Prefix)
		if a.Gateway.IsValid() {
			commands += fmt.Sprintf("ip route add default via %v\n", a.Gateway)
		}
	}
	c.ok(ns.Do(func() error {
		out, err := exec.Command("bash", "-c", commands).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}))
	c.ok(c.fabric.Settle(id))
	return ns
}

// serve answers every connection with a line.
func (c *cloud) serve(ns *fabric.Namespace, port int, line string) {
	c.t.Helper()
	var l net.Listener
	c.ok(ns.Do(func() (err error) {
		l, err = net.Listen("tcp", fmt.Sprint(":", port))
		return err
	}))
	c.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprintln(conn, line)
			conn.Close()
		}
	}()
}

// answer is the line that somebody says at the address; ns is nil for this machine.
func answer(ns *fabric.Namespace, address string) (line string, err error) {
	ask := func() error {
		conn, err := net.DialTimeout("tcp", address, 500*time.Millisecond)
		if err != nil {
			return err
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(500 * time.Millisecond))
		line, err = bufio.NewReader(conn).ReadString('\n')
		return err
	}
	if ns == nil {
		err = ask()
	} else {
		err = ns.Do(ask)
	}
	return strings.TrimSpace(line), err
}

func (c *cloud) says(ns *fabric.Namespace, address, want string) {
	c.t.Helper()
	if got, err := answer(ns, address); err != nil || got != want {
		c.t.Errorf("%s says %q (%v), want %q", address, got, err, want)
	}
}

func (c *cloud) silent(ns *fabric.Namespace, address string) {
	c.t.Helper()
	if got, err := answer(ns, address); err == nil {
		c.t.Errorf("%s says %q, want silence", address, got)
	}
}

func fixed(p object) string {
	return p["fixed_ips"].([]any)[0].(map[string]any)["ip_address"].(string)
}

func TestWhatTheAPISaysIsWhatPacketsDo(t *testing.T) {
	c := newCloud(t)
	private := c.named("demo", "networks", "private").str("id")
	ext := c.named("demo", "networks", "ext_net").str("id")
	web := c.create("demo", "security-groups", object{"name": "web"}).str("id")
	port := c.create("demo", "ports", object{"network_id": private, "security_groups": []string{web}})
	a := c.plugged(port)
	b := c.plugged(c.create("demo", "ports", object{"network_id": private}))
	c.serve(a, 80, "eighty")
	c.serve(b, 80, "other")
	at := fixed(port) + ":80"
	c.silent(b, at)
	rule := c.create("demo", "security-group-rules", object{"security_group_id": web, "direction": "ingress", "protocol": "tcp", "port_range_min": 80, "port_range_max": 80}).str("id")
	c.says(b, at, "eighty")

	fip := c.create("demo", "floatingips", object{"floating_network_id": ext, "port_id": port["id"]})
	outside := fip.str("floating_ip_address") + ":80"
	c.says(nil, outside, "eighty")
	c.remove("demo", "security-group-rules", rule)
	c.silent(b, at)
	c.silent(nil, outside)
	c.update("demo", "ports", port.str("id"), object{"security_groups": []string{}, "port_security_enabled": false})
	c.says(b, at, "eighty")
	c.update("demo", "ports", port.str("id"), object{"admin_state_up": false})
	c.silent(b, at)
	c.update("demo", "ports", port.str("id"), object{"admin_state_up": true})
	c.says(nil, outside, "eighty")
	c.update("demo", "floatingips", fip.str("id"), object{"port_id": nil})
	c.silent(nil, outside)
	c.remove("demo", "ports", port.str("id"))
	if err := a.Do(func() error { return exec.Command("ip", "link", "show", "eth0").Run() }); err == nil {
		t.Error("the deleted port is still plugged")
	}
}

// TestVirtualAddressBehindAFloatingIP is how a load balancer's VIP works: its port has no instance, an instance may
// answer for its address, and the floating IP leads there.
func TestVirtualAddressBehindAFloatingIP(t *testing.T) {
	c := newCloud(t)
	private := c.named("demo", "networks", "private").str("id")
	ext := c.named("demo", "networks", "ext_net").str("id")
	vip := c.create("demo", "ports", object{"network_id": private, "device_owner": "Octavia", "device_id": "lb-1"})
	open := c.create("demo", "security-groups", object{"name": "open"}).str("id")
	c.create("demo", "security-group-rules", object{"security_group_id": open, "direction": "ingress", "protocol": "tcp"})
	port := c.create("demo", "ports", object{"network_id": private, "security_groups": []string{open}, "allowed_address_pairs": []object{{"ip_address": fixed(vip)}}})
	holder := c.plugged(port)
	c.ok(holder.Do(func() error { return exec.Command("ip", "addr", "add", fixed(vip)+"/32", "dev", "eth0").Run() }))
	c.serve(holder, 80, "vip")
	fip := c.create("demo", "floatingips", object{"floating_network_id": ext, "port_id": vip["id"]})
	c.says(nil, fip.str("floating_ip_address")+":80", "vip")
	c.update("demo", "ports", port.str("id"), object{"allowed_address_pairs": []object{}})
	c.silent(nil, fip.str("floating_ip_address")+":80")
}

// TestRestartChangesNothingOnTheWire kills the service (it is told nothing) and starts another on the same state.
func TestRestartChangesNothingOnTheWire(t *testing.T) {
	c := newCloud(t)
	private := c.named("demo", "networks", "private").str("id")
	ext := c.named("demo", "networks", "ext_net").str("id")
	open := c.create("demo", "security-groups", object{"name": "open"}).str("id")
	c.create("demo", "security-group-rules", object{"security_group_id": open, "direction": "ingress", "protocol": "tcp"})
	port := c.create("demo", "ports", object{"network_id": private, "security_groups": []string{open}})
	server := c.plugged(port)
	c.serve(server, 80, "here")
	fip := c.create("demo", "floatingips", object{"floating_network_id": ext, "port_id": port["id"]})
	outside := fip.str("floating_ip_address") + ":80"
	done, failed := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(failed)
		for {
			select {
			case <-done:
				return
			default:
			}
			if _, err := answer(nil, outside); err != nil {
				failed <- err
				return
			}
		}
	}()
	for range 2 {
		c.stop()
		c.tokens = map[string]string{}
		c.start()
	}
	close(done)
	if err := <-failed; err != nil {
		t.Errorf("a request failed: %v", err)
	}
	if status, o := c.call("demo", "GET", "floatingips/"+fip.str("id"), nil); status != http.StatusOK {
		t.Errorf("after the restart: %d %v", status, o)
	}
	c.remove("demo", "floatingips", fip.str("id"))
	c.silent(nil, outside)
}

// TestWhatIsNoLongerAllowedEnds takes away, one after the other, what connections in use were allowed by.
func TestWhatIsNoLongerAllowedEnds(t *testing.T) {
	c := newCloud(t)
	private := c.named("demo", "networks", "private").str("id")
	group := func(name string) string { return c.create("demo", "security-groups", object{"name": name}).str("id") }
	web, friends := group("web"), group("friends")
	rule := func(more object) string {
		more["security_group_id"], more["direction"], more["protocol"] = web, "ingress", "tcp"
		return c.create("demo", "security-group-rules", more).str("id")
	}
	server := c.create("demo", "ports", object{"network_id": private, "security_groups": []string{web}})
	client := c.create("demo", "ports", object{"network_id": private, "security_groups": []string{friends}})
	a, b := c.plugged(server), c.plugged(client)
	for port := 80; port <= 82; port++ {
		c.echo(a, port)
	}
	eighty := rule(object{"port_range_min": 80, "port_range_max": 80})
	rule(object{"port_range_min": 81, "port_range_max": 81, "remote_group_id": friends})
	rule(object{"port_range_min": 82, "port_range_max": 82})
	conns := map[int]*conversation{}
	for port := 80; port <= 82; port++ {
		conns[port] = c.converse(b, fmt.Sprint(fixed(server), ":", port))
	}
	after := func(what string, alive ...int) {
		t.Helper()
		for port, conn := range conns {
			if err := conn.say(); (err == nil) != slices.Contains(alive, port) {
				t.Errorf("after %s the connection to port %d: %v", what, port, err)
			}
		}
	}
	after("nothing", 80, 81, 82)
	c.remove("demo", "security-group-rules", eighty)
	after("its rule was deleted", 81, 82)
	c.update("demo", "ports", client.str("id"), object{"security_groups": []string{c.named("demo", "security-groups", "default").str("id")}})
	after("the client left the group", 82)
	c.update("demo", "ports", server.str("id"), object{"name": "renamed"})
	after("the port was renamed", 82)
	c.update("demo", "ports", server.str("id"), object{"security_groups": []string{}})
	after("the server has no group")
}

// echo answers every line of a connection.
func (c *cloud) echo(ns *fabric.Namespace, port int) {
	c.t.Helper()
	var l net.Listener
	c.ok(ns.Do(func() (err error) {
		l, err = net.Listen("tcp", fmt.Sprint(":", port))
		return err
	}))
	c.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.t.Cleanup(func() { conn.Close() })
			go io.Copy(conn, conn)
		}
	}()
}

type conversation struct {
	net.Conn
	lines *bufio.Reader
}

func (c *cloud) converse(ns *fabric.Namespace, to string) *conversation {
	c.t.Helper()
	var conn net.Conn
	c.ok(ns.Do(func() (err error) {
		conn, err = net.DialTimeout("tcp", to, time.Second)
		return err
	}))
	c.t.Cleanup(func() { conn.Close() })
	return &conversation{conn, bufio.NewReader(conn)}
}

func (c *conversation) say() error {
	c.SetDeadline(time.Now().Add(500 * time.Millisecond))
	if _, err := fmt.Fprintln(c, "still there?"); err != nil {
		return err
	}
	_, err := c.lines.ReadString('\n')
	return err
}
