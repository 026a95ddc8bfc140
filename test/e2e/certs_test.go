package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// certsShown is what is used here of octavo certs show --json.
type certsShown struct {
	CAs []struct {
		Role, Label          string
		Agents               int
		Imported, Signs, Lax bool
		KeyHere              bool      `json:"key_here"`
		ServerNotAfter       time.Time `json:"server_not_after"`
	}
	Agents, Behind int
}

func (o *octavo) certs(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(binary(t, "octavo"), append([]string{"certs"}, append(args, "--data-dir", o.dir)...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("octavo certs %v: %v\n%s", args, err, out)
	}
	return string(out)
}

func (o *octavo) certsShown(t *testing.T) (s certsShown) {
	t.Helper()
	if err := json.Unmarshal([]byte(o.certs(t, "show", "--json")), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// followed waits until every agent has a certificate of the CAs in use, and trusts them.
func (o *octavo) followed(t *testing.T, agents int, issuing, controller string) {
	t.Helper()
	began := time.Now()
	eventually(t, 90*time.Second, "all agents have followed", func() error {
		s := o.certsShown(t)
		signs := map[string]string{}
		for _, a := range s.CAs {
			if a.Signs {
				signs[a.Role] = a.Label
			}
		}
		if s.Agents != agents || s.Behind != 0 || signs["issuing"] == issuing || signs["controller"] == controller {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	t.Logf("all agents have followed %v later", time.Since(began).Round(100*time.Millisecond))
}

func (s certsShown) inUse(role string) string {
	for _, a := range s.CAs {
		if a.Role == role && a.Signs {
			return a.Label
		}
	}
	return ""
}

// operatorsPKI makes two CAs and a bundle for controllers as Octavia's guides do: without a name, for clients.
const operatorsPKI = `
openssl req -x509 -newkey rsa:2048 -passout pass:geheim -keyout issuing.key -subj /CN=issuing -days 900 -out issuing.pem
openssl req -x509 -newkey rsa:2048 -nodes -keyout controller.key -subj /CN=controllers -days 900 -out controller.pem
openssl req -newkey rsa:2048 -nodes -keyout client.key -subj /CN=controller -out client.csr
printf 'extendedKeyUsage=clientAuth' > ext
openssl x509 -req -in client.csr -CA controller.pem -CAkey controller.key -CAcreateserial -extfile ext -days 300 -out client.pem
cat client.pem client.key > bundle.pem
printf geheim > passphrase
`

func makePKI(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	c := exec.Command("bash", "-euc", operatorsPKI)
	c.Dir = dir
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

// TestEveryCAIsReplacedUnderTraffic rotates both CAs, imports an operator's, and retires the old ones, while requests run and
// with an agent that was away meanwhile.
func TestEveryCAIsReplacedUnderTraffic(t *testing.T) {
	t.Parallel()
	o := start(t)
	n := o.tenant(t)
	n.server("web1", "192.168.21.100")
	var urls []string
	for i := range 2 {
		lb := n.full(fmt.Sprint("lb", i), "192.168.21.100")
		n.active(lb.ID)
		urls = append(urls, n.floatingIP(lb.VipPortID))
	}
	client := &http.Client{Timeout: 5 * time.Second}
	for _, url := range urls {
		eventually(t, 20*time.Second, "web1 answers", func() error { return served(client, url, "web1") })
	}
	tr := send(t, urls[0], 2)

	first := o.certsShown(t)
	if first.Agents != 2 || first.Behind != 0 || len(first.CAs) != 2 {
		t.Fatalf("before: %+v", first)
	}
	o.certs(t, "rotate")
	o.followed(t, 2, first.inUse("issuing"), first.inUse("controller"))

	second := o.certsShown(t)
	dir := makePKI(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	said := o.certs(t, "import", "--issuing-ca", at("issuing.pem"), "--issuing-key", at("issuing.key"), "--issuing-passphrase-file", at("passphrase"),
		"--controller-ca", at("controller.pem"), "--controller-cert", at("bundle.pem"))
	if !strings.Contains(said, "every certificate of the operator's controller CA") || strings.Count(said, "Imported ca-") != 2 {
		t.Errorf("import says %s", said)
	}
	o.followed(t, 2, second.inUse("issuing"), second.inUse("controller"))
	retire := []string{"retire"}
	for _, a := range second.CAs {
		retire = append(retire, a.Label)
	}
	o.certs(t, retire...)
	o.followed(t, 2, second.inUse("issuing"), second.inUse("controller"))
	third := o.certsShown(t)
	if text := scrape(t, o.listen); !strings.Contains(text, "\noctavo_agents_behind 0\n") {
		t.Errorf("the metrics are\n%s", text)
	}
	if len(third.CAs) != 2 || !third.CAs[0].Imported || !third.CAs[1].Imported {
		t.Errorf("left are %+v", third.CAs)
	}
	t.Logf("at last:\n%s", o.certs(t, "show"))

	// A new process has nothing in memory, and a change reaches every agent.
	o.stop(t, syscall.SIGKILL)
	o.run(t)
	n = o.tenant(t)
	lb := n.full("new", "192.168.21.100")
	n.active(lb.ID)
	eventually(t, 20*time.Second, "three agents report", func() error {
		if s := o.certsShown(t); s.Agents != 3 || s.Behind != 0 {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	tr.mustNotHaveFailed(t, 1000)
}

// TestHangupTakesOverTheOperatorsCertificates changes octavia.conf, and what it names, under a running controller: first
// wrongly, then well.
func TestHangupTakesOverTheOperatorsCertificates(t *testing.T) {
	t.Parallel()
	front, dir := freePort(t), t.TempDir()
	_, port, _ := net.SplitHostPort(front)
	changing := filepath.Join(dir, "certificates.conf")
	change := func(conf string) {
		t.Helper()
		if err := os.WriteFile(changing, []byte(conf), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	first := operatorsConf(t)
	change(first)
	base := fmt.Sprintf(noopConf, port, "noauth", dir, dir)
	c := serve(t, base, "-c", changing)
	shown := func() string {
		t.Helper()
		out, err := exec.Command(binary(t, "octavo"), "certs", "show", "-c", c.cmd.Args[3], "-c", changing).CombinedOutput()
		if err != nil {
			t.Fatalf("octavo certs show: %v\n%s", err, out)
		}
		return string(out)
	}
	// hangup answers what the controller says from then on, as soon as that has a word in it.
	hangup := func(word string) (said string) {
		t.Helper()
		before := len(c.log.tail(1 << 20))
		if err := c.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		eventually(t, 20*time.Second, "the controller says "+word, func() error {
			if said = c.log.tail(1 << 20)[before:]; !strings.Contains(said, word) {
				return fmt.Errorf("it says %q", said)
			}
			return nil
		})
		return said
	}
	before := shown()
	if said := hangup("was read again"); strings.Contains(said, "ca-") || strings.Contains(said, "restart") {
		t.Errorf("when nothing was changed: %s", said)
	}

	change(first + "[octavo]\nworkers = many\n")
	hangup("[octavo] workers = many")
	change(strings.Replace(first, "geheim", "falsch", 1))
	if said := hangup("[certificates] ca_certificate, ca_private_key and ca_private_key_passphrase: the issuing CA's private key"); strings.Contains(said, "falsch") {
		t.Errorf("it shows the passphrase: %s", said)
	}
	change(regexp.MustCompile(`client_cert = .*`).ReplaceAllString(first, "client_cert = /missing.pem"))
	hangup("[haproxy_amphora] client_cert: ")
	change(first)
	if now := shown(); now != before {
		t.Errorf("wrong values have changed something:\n%s\nwas\n%s", now, before)
	}

	change(operatorsConf(t) + "[octavo]\nworkers = 7\n[api_settings]\nallow_sorting = false\n")
	said := hangup("was read again")
	if strings.Count(said, "ca-") != 2 || !strings.Contains(said, `keys="[api_settings] allow_sorting; [octavo] workers"`) {
		t.Errorf("after two new CAs and two other keys: %s", said)
	}
	if now := shown(); strings.Count(now, "ca-") != strings.Count(before, "ca-")+2 {
		t.Errorf("the new CAs are not there:\n%s", now)
	}
	createQuick(t, front, "still served")
	c.end(t)
}
