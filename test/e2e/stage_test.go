package e2e

import (
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/loadbalancers"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/floatingips"
	"github.com/vishvananda/netns"

	"github.com/octavo-lb/octavo/localcloud/fabric"
)

// m is a body of a request, as clients write it.
type m map[string]any

// stage is a cloud in which tests play the members themselves, whatever these have to speak, and send from this machine.
type stage struct {
	*octavo
	*tenant
	server string // the members' host
}

// membersAt is the members' host's address.
const membersAt = "192.168.21.100"

func newStage(t *testing.T, args ...string) *stage {
	t.Helper()
	o := start(t, args...)
	s := &stage{octavo: o, tenant: o.tenant(t)}
	o.shell(t, `for p in tcp udp; do openstack security group rule create --protocol $p --dst-port 1:65535 default; done`)
	s.server = s.tenant.server("members", membersAt)
	return s
}

// inHost does something that opens sockets in the members' host.
func (s *stage) inHost(t testing.TB, open func() error) {
	t.Helper()
	ns, err := netns.GetFromName(fabric.ServerNamespace(fabric.Tag(s.dir), s.server))
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends
		err := netns.Set(ns)
		if err == nil {
			err = open()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// listen opens a member's port.
func (s *stage) listen(t testing.TB) (l net.Listener, port int) {
	t.Helper()
	s.inHost(t, func() (err error) {
		l, err = net.Listen("tcp", membersAt+":0")
		return err
	})
	t.Cleanup(func() { l.Close() })
	return l, l.Addr().(*net.TCPAddr).Port
}

// web is a member that speaks HTTP/1.1 and, if it knows h2c, HTTP/2 without TLS.
func (s *stage) web(t testing.TB, handler http.Handler) (port int) {
	t.Helper()
	l, port := s.listen(t)
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { server.Close() })
	return port
}

// webTLS is a member that speaks HTTP over TLS, HTTP/2 too if the configuration offers it.
func (s *stage) webTLS(t testing.TB, config *tls.Config, handler http.Handler) (port int) {
	t.Helper()
	l, port := s.listen(t)
	server := &http.Server{Handler: handler, TLSConfig: config, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = server.ServeTLS(l, "", "") }()
	t.Cleanup(func() { server.Close() })
	return port
}

// named answers a name.
func named(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, name) })
}

// member is one at a port of the members' host, with more attributes.
func member(port int, more ...m) m {
	all := m{"address": membersAt, "protocol_port": port}
	for _, one := range more {
		for k, v := range one {
			all[k] = v
		}
	}
	return all
}

// pool is one of HTTP with members, with more attributes.
func pool(members []m, more ...m) m {
	all := m{"name": "pool-" + rand.Text(), "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "members": members}
	for _, one := range more {
		for k, v := range one {
			all[k] = v
		}
	}
	return all
}

// balancer makes a load balancer with everything in it by one request, and waits until it is in force. It answers a floating
// IP of its VIP.
func (s *stage) balancer(t testing.TB, listeners ...m) (*loadbalancers.LoadBalancer, string) {
	t.Helper()
	var made struct{ LoadBalancer loadbalancers.LoadBalancer }
	s.send(t, "POST", "loadbalancers", m{"loadbalancer": m{"name": strings.ToLower(t.Name()), "vip_subnet_id": s.subnetID, "listeners": listeners}}, &made)
	ip, err := floatingips.Create(s.cx, s.c.network, floatingips.CreateOpts{FloatingNetworkID: s.extID, PortID: made.LoadBalancer.VipPortID}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	return s.inForce(t, made.LoadBalancer.ID), ip.FloatingIP
}

// send makes a request of the load balancing API.
func (s *stage) send(t testing.TB, method, path string, body, answer any) {
	t.Helper()
	if err := s.trySend(method, path, body, answer); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
}

func (s *stage) trySend(method, path string, body, answer any) error {
	opts := &gophercloud.RequestOpts{OkCodes: []int{200, 201, 202, 204}}
	if body != nil {
		opts.JSONBody = body
	}
	if answer != nil {
		opts.JSONResponse = answer
	}
	_, err := s.c.lb.Request(s.cx, method, s.c.lb.ServiceURL("lbaas", path), opts)
	return err
}

// change changes one object and waits until that is in force.
func (s *stage) change(t testing.TB, lb *loadbalancers.LoadBalancer, kind, path string, body m) {
	t.Helper()
	s.send(t, "PUT", path, m{kind: body}, nil)
	s.inForce(t, lb.ID)
}

func (s *stage) inForce(t testing.TB, id string) (lb *loadbalancers.LoadBalancer) {
	t.Helper()
	eventually(t, time.Minute, "load balancer "+id+" is ACTIVE", func() (err error) {
		lb, err = loadbalancers.Get(s.cx, s.c.lb, id).Extract()
		if err == nil && lb.ProvisioningStatus != "ACTIVE" {
			err = errors.New(lb.ProvisioningStatus)
		}
		return err
	})
	return lb
}

// fresh is a client that follows nowhere and opens a connection for each request.
func fresh() *http.Client {
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// body reads all of an answer's.
func body(t testing.TB, resp *http.Response, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// idOf finds the one object of a kind that has a name.
func (s *stage) idOf(t testing.TB, kind, name string) string {
	t.Helper()
	var answer map[string][]struct{ ID string }
	s.send(t, "GET", kind+"?name="+name, nil, &answer)
	if len(answer[kind]) != 1 {
		t.Fatalf("%d %s are called %s", len(answer[kind]), kind, name)
	}
	return answer[kind][0].ID
}
