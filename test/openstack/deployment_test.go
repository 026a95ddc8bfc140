package openstack

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// deployment follows the deployment guide.
type deployment struct {
	*sandbox
	admin, tenant account
	clean         inventory // before anything was made
	report        []string
}

// TestDeploymentGuide runs docs/deployment.md as printed, on the real OpenStack. What else has to hold is looked at between
// its sections.
func TestDeploymentGuide(t *testing.T) {
	d := &deployment{admin: signIn(t, "admin"), tenant: signIn(t, "demo")}
	sweep(t)
	d.clean = takeInventory(t, d.admin, d.tenant)
	web1, web2 := startWeb(t, "web1"), startWeb(t, "web2")
	d.sandbox = newSandbox(t, "KEYSTONE=http://127.0.0.1:5000", "DATABASE=127.0.0.1", "SERVICE_PASSWORD=secret", "PUBLIC_URL=http://127.0.0.1:9876",
		"SUBNET=private_subnet", "EXTERNAL=ext_net", "WEB1="+web1, "WEB2="+web2)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("octavo's log:\n%s", d.log("octavo"))
			sweepAfter(d)
		}
	})
	after := map[string]func(*testing.T, string){
		"The management network": d.checkManagement,
		"The image":              d.checkImage,
		"Start":                  d.checkStart,
		"The example":            d.checkExample,
		"HTTPS, with the certificate in Barbican": d.checkHTTPS,
		"What to look at": func(t *testing.T, out string) {
			d.checkUpkeep(t, out)
			d.checkFailover(t, out)
		},
	}
	for _, s := range readDocument(t, "../../docs/deployment.md") {
		if s.commands == "" {
			continue
		}
		began := time.Now()
		out := d.run(s.commands)
		t.Logf("%s:\n%s", s.title, out)
		d.tell("%s: %.0f s", s.title, time.Since(began).Seconds())
		if check := after[s.title]; check != nil {
			delete(after, s.title)
			check(t, out)
		}
	}
	for title := range after {
		t.Errorf("the guide has no section %q any more", title)
	}
	for _, left := range takeInventory(t, d.admin, d.tenant).leftSince(d.clean) {
		if !strings.Contains(left, "ns-web") { // the members themselves
			t.Errorf("the guide's end leaves %s", left)
		}
	}
	if out, err := exec.Command("ip", "link", "show", "o-hm0").CombinedOutput(); err == nil {
		t.Errorf("the guide's end leaves the interface %s", out)
	}
	fmt.Printf("\n%s\n\n", strings.Join(d.report, "\n"))
}

func (d *deployment) tell(format string, args ...any) {
	d.report = append(d.report, fmt.Sprintf(format, args...))
}

// checkManagement: again, it changes nothing; and after a boot, this machine is connected as before without the cloud.
func (d *deployment) checkManagement(t *testing.T, _ string) {
	const again = "octavo configure-resources --write /etc/octavia/octavia.conf.d/management.conf"
	if out := d.run(again); !strings.Contains(out, "nothing was changed") {
		t.Errorf("configure-resources again:\n%s", out)
	}
	before := d.run("ip -br address show o-hm0")
	d.run("ip link del o-hm0\nnft delete table inet octavo_management\nsystemctl start octavo-management-port")
	if after := d.run("ip -br address show o-hm0"); fields(after, 1, 2) != fields(before, 1, 2) {
		t.Errorf("after a boot: %s; before: %s", after, before)
	}
	if out := d.run(again + " --no-create"); !strings.Contains(out, "nothing was changed") {
		t.Errorf("configure-resources after a boot:\n%s", out)
	}
}

// fields are some of a line's words.
func fields(line string, which ...int) (some string) {
	words := strings.Fields(line)
	for _, i := range which {
		if i < len(words) {
			some += words[i] + " "
		}
	}
	return some
}

func (d *deployment) checkImage(t *testing.T, _ string) {
	size, err := strconv.Atoi(d.run("stat -c %s amphora.qcow2"))
	if err != nil || size == 0 {
		t.Fatal(err)
	}
	d.tell("size of the image: %.1f MB", float64(size)/1e6)
	began := time.Now()
	t.Run("contract", cloudContract)
	d.tell("contract of clouds: %.0f s", time.Since(began).Seconds())
}

// checkStart calls from a place in the management network where an amphora could be.
func (d *deployment) checkStart(t *testing.T, _ string) {
	group := d.run("openstack security group list --tags charm-octavia -f value -c ID")
	network := d.run("openstack network list --tags charm-octavia -f value -c ID")
	address := guest(t, "probe", "-c", "octavia", "-n", network, "-g", group)
	defer removeGuest(t, "probe")
	controller := d.run("sed -n 's/^bind_ip = //p' /etc/octavia/octavia.conf.d/management.conf")
	for _, port := range []string{"22", "9443"} { // as a careless image might
		l, err := net.Listen("tcp", net.JoinHostPort(controller, port))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		inside := exec.Command("ip", "netns", "exec", "ns-probe", "python3", "-m", "http.server", "--bind", "::", port)
		if err := inside.Start(); err != nil {
			t.Fatal(err)
		}
		defer inside.Wait()
		defer inside.Process.Kill()
	}
	deadline := time.Now().Add(time.Minute) // the rules are there some seconds after the port
	for connects("ns-probe", controller, "5555") != nil {
		if time.Now().After(deadline) {
			t.Fatalf("an instance does not reach the agents' port of %s", controller)
		}
	}
	for _, port := range []string{"22", "9443", "9876"} {
		if connects("ns-probe", controller, port) == nil {
			t.Errorf("an instance reaches port %s of the controller", port)
		}
	}
	for _, port := range []string{"22", "9443"} {
		if connects("ns-probe", "::1", port) != nil {
			t.Errorf("nothing listens at port %s in the instance: the test would show nothing", port)
		}
		if connects("", address, port) == nil {
			t.Errorf("the controller reaches port %s of an instance", port)
		}
	}
}

// connects tries a TCP connection from a namespace, or from this machine.
func connects(ns, address, port string) error {
	command := []string{"timeout", "2", "bash", "-c", "exec 3<>/dev/tcp/" + address + "/" + port}
	if ns != "" {
		command = append([]string{"ip", "netns", "exec", ns}, command...)
	}
	return exec.Command(command[0], command[1:]...).Run()
}

func (d *deployment) checkExample(t *testing.T, _ string) {
	d.answeredByBoth(t)
	console := d.run("openstack --os-cloud octavia console log show $(openstack --os-cloud octavia server list --name amphora- -f value -c ID | head -1)")
	if m := regexp.MustCompile(`up=([0-9.]+) .*agent started`).FindStringSubmatch(console); m != nil {
		d.tell("the amphora's agent starts %s s after its kernel", m[1])
	} else {
		t.Errorf("the console says nothing of the agent:\n%s", console)
	}
}

// answeredByBoth gets both members' names through the floating IP.
func (d *deployment) answeredByBoth(t *testing.T) {
	t.Helper()
	seen := map[string]bool{}
	for deadline := time.Now().Add(2 * time.Minute); !seen["web1"] || !seen["web2"]; time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("within two minutes, the answers were %v", seen)
		}
		out, err := d.bash(`curl -fsS --max-time 3 "http://$floating_ip/"`)
		if err == nil {
			seen[strings.TrimSpace(out)] = true
		}
	}
}

func (d *deployment) checkHTTPS(t *testing.T, out string) {
	lines := strings.Fields(out)
	if last := lines[len(lines)-1]; last != "web1" && last != "web2" {
		t.Errorf("HTTPS answers %s", last)
	}
}

// checkFailover kills the amphora's machine; another one has to serve, HTTPS too.
func (d *deployment) checkFailover(t *testing.T, _ string) {
	dead := d.run("openstack --os-cloud admin loadbalancer amphora list -f value -c id")
	compute := d.run("openstack --os-cloud admin loadbalancer amphora show " + dead + " -f value -c compute_id")
	if out, err := exec.Command("virsh", "-q", "-c", "qemu:///system", "destroy", compute).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	began := time.Now()
	const ask = `curl -fsS --max-time 2 --cacert www.crt --resolve "www.example.org:443:$floating_ip" https://www.example.org/`
	if out, err := d.bash(ask); err == nil {
		t.Fatalf("a dead amphora answers %s", out)
	}
	for {
		if _, err := d.bash(ask); err == nil {
			break
		}
		if time.Since(began) > 8*time.Minute {
			t.Fatal("nothing took the dead amphora's place")
		}
		time.Sleep(500 * time.Millisecond)
	}
	d.tell("from an amphora's death to the first answer of the next one: %.0f s, with a minute until it counts as dead", time.Since(began).Seconds())
	d.answeredByBoth(t)
	d.onlyAnother(t, dead)
	d.checkDelete(t)
}

// onlyAnother waits until one amphora is left, and not that one.
func (d *deployment) onlyAnother(t *testing.T, old string) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(2 * time.Second) {
		amphorae := d.run("openstack --os-cloud admin loadbalancer amphora list -f value -c id -c status")
		if len(strings.Split(amphorae, "\n")) == 1 && strings.Contains(amphorae, "ALLOCATED") && !strings.Contains(amphorae, old) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("amphorae: %s", amphorae)
		}
	}
}

// checkDelete: a load balancer of its own comes and goes, and leaves nothing, while the guide's one serves on.
func (d *deployment) checkDelete(t *testing.T) {
	began := time.Now()
	before := takeInventory(t, d.admin, d.tenant)
	d.run(`openstack loadbalancer create --wait --name lb2 --vip-subnet-id "$SUBNET" -f value -c id`)
	d.tell("another load balancer is ACTIVE after %.0f s", time.Since(began).Seconds())
	began = time.Now()
	d.run("openstack loadbalancer delete --wait --cascade lb2")
	d.tell("and is gone after %.0f s", time.Since(began).Seconds())
	for _, left := range takeInventory(t, d.admin, d.tenant).leftSince(before) {
		t.Errorf("a deleted load balancer leaves %s", left)
	}
}

// guest makes a namespace that is wired like a server, and answers its address.
func guest(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command("./guest", append([]string{"add", name}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("guest %s: %v: %s", name, err, out)
	}
	lines := strings.Fields(string(out))
	return lines[len(lines)-1]
}

func removeGuest(t *testing.T, name string) {
	t.Helper()
	if out, err := exec.Command("./guest", "del", name).CombinedOutput(); err != nil {
		t.Errorf("guest %s: %v: %s", name, err, out)
	}
}

// startWeb makes a guest that answers its name at port 80.
func startWeb(t *testing.T, name string) (address string) {
	t.Helper()
	_ = exec.Command("./guest", "del", name).Run() // of a run that was killed
	address = guest(t, name)
	t.Cleanup(func() { removeGuest(t, name) })
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "index.html"), []byte(name+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	server := exec.Command("ip", "netns", "exec", "ns-"+name, "python3", "-m", "http.server", "80", "--directory", dir)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Process.Kill()
		server.Wait()
	})
	return address
}

// sweep takes away what a run that was killed has left.
func sweep(t *testing.T) {
	t.Helper()
	cmd := exec.Command("./sweep")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cannot take away what an earlier run left: %v: %s", err, out)
	}
}

// sweepAfter ends the service of a run that failed, and takes away what it made.
func sweepAfter(d *deployment) {
	_, _ = d.bash("openstack --os-cloud demo loadbalancer delete --wait --cascade lb1")
	if text, err := os.ReadFile(filepath.Join(d.dir, "octavo.pid")); err == nil {
		if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			_ = syscall.Kill(-pid, syscall.SIGTERM)
		}
	}
	sweep(d.t)
}
