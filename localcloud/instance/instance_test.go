package instance

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netns"
)

// TestMain lets the test binary be an instance's init, as octavo is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == InitCommand {
		Main(os.Args[2:])
	}
	os.Exit(m.Run())
}

func TestWebServerInNamespacesOfItsOwn(t *testing.T) {
	ns := namespace(t)
	dir := writeWeb(t, "web1")
	ended := start(t, ns, Spec{Dir: dir, Hostname: "web1", Program: WebProgram, Hide: []string{filepath.Dir(dir)}})

	if got := inside(t, ns, "curl -s http://127.0.0.1/"); got != "web1\n" {
		t.Errorf("answered %q", got)
	}
	if got := inside(t, ns, "curl -s http://192.0.2.7/ && curl -s http://127.0.0.1/served"); got != "web1\n2\n" {
		t.Errorf("its own address answered %q", got)
	}
	if got := inside(t, ns, "curl -s -X POST '127.0.0.1/healthcheck?fail=1'; curl -s -o /dev/null -w '%{http_code} ' 127.0.0.1/healthcheck; curl -s -X POST '127.0.0.1/healthcheck?fail=0'; curl -s -o /dev/null -w %{http_code} 127.0.0.1/healthcheck"); got != "503 200" {
		t.Errorf("the health check said %q", got)
	}

	seen := within(t, dir, `hostname; ls /mnt/config/openstack/latest; ls -A `+filepath.Dir(dir)+`; touch /etc/x /mnt/config/x 2>&1; touch /run/x && echo written; ls /run/netns 2>&1; ls /proc | grep -c '^[0-9]'`)
	for _, want := range []string{"web1", "meta_data.json", "touch: cannot touch '/etc/x'", "touch: cannot touch '/mnt/config/x'", "written"} {
		if !strings.Contains(seen, want) {
			t.Errorf("inside, %q is missing:\n%s", want, seen)
		}
	}
	if strings.Contains(seen, "console.log") {
		t.Errorf("the instance sees its own directory on the machine:\n%s", seen)
	}

	adopted, err := Adopt(dir)
	if err != nil {
		t.Fatal(err)
	}
	kill(t, dir)
	for _, c := range []<-chan struct{}{ended, adopted} {
		select {
		case <-c:
		case <-time.After(5 * time.Second):
			t.Fatal("the end was not noticed")
		}
	}
	if Running(dir) {
		t.Error("it is said to run")
	}
}

func TestProgramIsRunAgainWhenItEnds(t *testing.T) {
	ns := namespace(t)
	dir := writeWeb(t, "crashing")
	start(t, ns, Spec{Dir: dir, Hostname: "crashing", Program: []string{"bash", "-c", "echo started; sleep 0.1; kill -9 $$"}})
	deadline := time.Now().Add(10 * time.Second)
	for {
		console, _ := os.ReadFile(filepath.Join(dir, "console.log"))
		if strings.Count(string(console), "started\n") >= 3 && strings.Contains(string(console), "status=killed") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the console says:\n%s", console)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestWhatCannotStartSaysWhy(t *testing.T) {
	ns := namespace(t)
	dir := writeWeb(t, "broken")
	_, err := tryStart(ns, Spec{Dir: dir, Hostname: "broken", Program: []string{"/no/such/agent"}})
	if err == nil || !strings.Contains(err.Error(), "/no/such/agent") {
		t.Errorf("error %v", err)
	}
	if Running(dir) {
		t.Error("it is said to run")
	}
}

func TestPidOfAnotherProcessIsNotTaken(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(pidFile(dir), fmt.Appendf(nil, "%d 1\n", os.Getpid()), 0o600); err != nil {
		t.Fatal(err)
	}
	if Running(dir) {
		t.Error("a process that started at another time was taken for the instance")
	}
}

func TestNetmasks(t *testing.T) {
	for _, p := range []string{"192.0.2.7/24", "10.0.0.1/8", "192.0.2.1/32", "0.0.0.0/0", "2001:db8::1/64", "2001:db8::1/127"} {
		prefix := netip.MustParsePrefix(p)
		if bits, ok := prefixLen(netmask(prefix)); !ok || bits != prefix.Bits() {
			t.Errorf("%s has the netmask %s, which reads as %d", p, netmask(prefix), bits)
		}
	}
	if _, ok := prefixLen("255.0.255.0"); ok {
		t.Error("255.0.255.0 is taken for a netmask")
	}
}

const mac = "fa:16:3e:00:00:07"

func writeWeb(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	d := Drive{MetaData: MetaData{Name: name}, Network: NetworkData{Links: []Link{{ID: "eth0", MAC: mac, MTU: 1400}}}}
	d.Network.AddNetwork("eth0", "n", netip.MustParsePrefix("192.0.2.7/24"), netip.MustParseAddr("192.0.2.1"), nil)
	if err := WriteDrive(dir, d); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kill(t, dir) })
	return dir
}

// namespace has one link with the MAC that writeWeb's drive tells.
func namespace(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("this test makes network namespaces and needs root")
	}
	name := fmt.Sprintf("octavo-test-%d-%d", os.Getpid(), time.Now().UnixNano())
	shell(t, "ip netns add "+name+" && ip -n "+name+" link add eth0 address "+mac+" type veth peer name far && ip -n "+name+" link set far up")
	t.Cleanup(func() { shell(t, "ip netns del "+name) })
	return name
}

func tryStart(ns string, s Spec) (<-chan struct{}, error) {
	runtime.LockOSThread() // never unlocked: the thread ends with the test's goroutine
	handle, err := netns.GetFromName(ns)
	if err != nil {
		return nil, err
	}
	defer handle.Close()
	if err := netns.Set(handle); err != nil {
		return nil, err
	}
	return Start(s)
}

func start(t *testing.T, ns string, s Spec) <-chan struct{} {
	t.Helper()
	ended, err := tryStart(ns, s)
	if err != nil {
		console, _ := os.ReadFile(filepath.Join(s.Dir, "console.log"))
		t.Fatalf("%v\n%s", err, console)
	}
	return ended
}

func kill(t *testing.T, dir string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := Kill(ctx, dir); err != nil {
		t.Error(err)
	}
}

func inside(t *testing.T, ns, command string) string {
	t.Helper()
	return shell(t, "ip netns exec "+ns+" bash -c \""+strings.ReplaceAll(command, "\"", "\\\"")+"\"")
}

// within runs a command in all of the instance's namespaces.
func within(t *testing.T, dir, command string) string {
	t.Helper()
	out, _ := exec.Command("nsenter", "-a", "-t", fmt.Sprint(pid(dir)), "bash", "-c", command).CombinedOutput()
	return string(out)
}

func shell(t *testing.T, command string) string {
	t.Helper()
	out, err := exec.Command("bash", "-c", command).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}
