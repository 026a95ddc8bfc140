// Package e2e runs the two binaries as their users do: octavo standalone on a free port, the real openstack client and
// gophercloud in front of it, real requests through the VIP. It needs root and, in OCTAVO_BIN, the folder of the binaries.
package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/config"
	"github.com/gophercloud/gophercloud/v2/openstack/config/clouds"
)

// octavo is a running standalone service in a data directory of its own.
type octavo struct {
	dir    string
	listen string
	log    *syncBuffer
	cmd    *exec.Cmd
	exited chan error

	mu      sync.Mutex
	clients map[string]apiClients
}

func binary(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("OCTAVO_BIN")
	if dir == "" {
		dir, _ = filepath.Abs("../../bin")
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run `make build` first", err)
	}
	if os.Getuid() != 0 {
		t.Fatal("these tests build network namespaces and need root")
	}
	return path
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start runs `octavo standalone` and waits until its API answers. Whatever becomes of the test, nothing of it stays.
func start(t testing.TB, args ...string) *octavo {
	t.Helper()
	o := &octavo{dir: t.TempDir(), listen: freePort(t), log: &syncBuffer{}}
	t.Cleanup(func() {
		o.stop(t, syscall.SIGKILL)
		out, err := exec.Command(binary(t, "octavo"), "standalone", "--clean", "--data-dir", o.dir).CombinedOutput()
		if err != nil {
			t.Errorf("octavo standalone --clean: %v\n%s", err, out)
		}
		if t.Failed() {
			t.Logf("octavo said:\n%s", o.log.tail(20000))
		}
	})
	o.run(t, args...)
	return o
}

// run starts the process in o's directory, which may hold the state of one that was killed.
func (o *octavo) run(t testing.TB, args ...string) {
	t.Helper()
	args = append([]string{"standalone", "--data-dir", o.dir, "--listen", o.listen}, args...)
	o.cmd = exec.Command(binary(t, "octavo"), args...)
	o.cmd.Stdout, o.cmd.Stderr = o.log, o.log
	o.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := o.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	o.exited = make(chan error, 1)
	go func(cmd *exec.Cmd, exited chan error) { exited <- cmd.Wait() }(o.cmd, o.exited)
	eventually(t, 30*time.Second, "the API answers", func() error {
		select {
		case err := <-o.exited:
			o.exited <- err
			t.Fatalf("octavo ended: %v\n%s", err, o.log.tail(4000))
		default:
		}
		if _, err := os.Stat(filepath.Join(o.dir, "clouds.yaml")); err != nil {
			return err
		}
		conn, err := net.Dial("tcp", o.listen)
		if err == nil {
			conn.Close()
		}
		return err
	})
}

// stop sends a signal and waits for the end.
func (o *octavo) stop(t testing.TB, signal syscall.Signal) {
	t.Helper()
	if o.cmd == nil || o.cmd.Process == nil {
		return
	}
	_ = o.cmd.Process.Signal(signal)
	select {
	case err := <-o.exited:
		o.exited <- err
	case <-time.After(30 * time.Second):
		t.Errorf("octavo did not end within 30 s of %v", signal)
		_ = o.cmd.Process.Kill()
	}
}

// env is the environment in which an openstack client finds the cloud.
func (o *octavo) env(cloud string) []string {
	return append(os.Environ(), "OS_CLIENT_CONFIG_FILE="+filepath.Join(o.dir, "clouds.yaml"), "OS_CLOUD="+cloud)
}

// shell runs a script with the openstack client set up for the cloud octavo, and returns what it prints.
func (o *octavo) shell(t testing.TB, script string) string {
	t.Helper()
	out, err := o.tryShell(script)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return out
}

func (o *octavo) tryShell(script string) (string, error) {
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", script)
	cmd.Env = o.env("octavo")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s: %w\n%s", script, err, stderr.String())
	}
	return stdout.String(), nil
}

// api are gophercloud's clients for one cloud of clouds.yaml.
type apiClients struct {
	provider                    *gophercloud.ProviderClient
	lb, network, compute, image *gophercloud.ServiceClient
}

func (o *octavo) api(t testing.TB, cloud string) apiClients {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if c, made := o.clients[cloud]; made {
		return c // with its token: another one is made with each client
	}
	ctx := context.Background()
	auth, endpoint, tls, err := clouds.Parse(clouds.WithCloudName(cloud), clouds.WithLocations(filepath.Join(o.dir, "clouds.yaml")))
	if err != nil {
		t.Fatal(err)
	}
	provider, err := config.NewProviderClient(ctx, auth, config.WithTLSConfig(tls))
	if err != nil {
		t.Fatal(err)
	}
	c := apiClients{provider: provider}
	for _, s := range []struct {
		client **gophercloud.ServiceClient
		make   func(*gophercloud.ProviderClient, gophercloud.EndpointOpts) (*gophercloud.ServiceClient, error)
	}{
		{&c.lb, openstack.NewLoadBalancerV2}, {&c.network, openstack.NewNetworkV2},
		{&c.compute, openstack.NewComputeV2}, {&c.image, openstack.NewImageV2},
	} {
		if *s.client, err = s.make(provider, endpoint); err != nil {
			t.Fatal(err)
		}
	}
	if o.clients == nil {
		o.clients = map[string]apiClients{}
	}
	o.clients[cloud] = c
	return c
}

// eventually calls what every 50 ms until it succeeds.
func eventually(t testing.TB, within time.Duration, goal string, what func() error) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		err := what()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s: %v", within, goal, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// syncBuffer keeps what a process prints.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) tail(n int) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.b.String()
	if len(s) > n {
		s = "...\n" + strings.ToValidUTF8(s[len(s)-n:], "")
	}
	return s
}
