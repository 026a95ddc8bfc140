package e2e

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/test/dbtest"
)

// rsyslog runs Debian's syslog server on a free port of UDP and TCP. It writes each message as FACILITY.SEVERITY HOST PROGRAM
// TEXT to a file.
func rsyslog(t *testing.T) (port, file string) {
	t.Helper()
	_, port, err := net.SplitHostPort(freePort(t))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file = filepath.Join(dir, "messages")
	conf := fmt.Sprintf(`module(load="imudp")
module(load="imtcp")
input(type="imudp" port="%[1]s")
input(type="imtcp" port="%[1]s")
template(name="one" type="string" string="%%syslogfacility-text%%.%%syslogseverity-text%% %%hostname%% %%app-name%% %%msg%%\n")
*.* action(type="omfile" file="%[2]s" template="one")
`, port, file)
	path := filepath.Join(dir, "rsyslog.conf")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("rsyslogd", "-n", "-f", path, "-i", filepath.Join(dir, "pid"))
	said := &syncBuffer{}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v: is rsyslog installed? packaging/deps test", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("rsyslogd said: %s", said.tail(2000))
		}
	})
	eventually(t, 10*time.Second, "rsyslogd listens", func() error {
		c, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			c.Close()
		}
		return err
	})
	return port, file
}

func logged(file string, parts ...string) error {
	text, _ := os.ReadFile(file)
	for line := range strings.Lines(string(text)) {
		found := true
		for _, p := range parts {
			found = found && strings.Contains(line, p)
		}
		if found {
			return nil
		}
	}
	return fmt.Errorf("no line with %q in\n%s", parts, text)
}

// TestLogsReachASyslogServer: every request and what happens to members, at Debian's syslog server.
func TestLogsReachASyslogServer(t *testing.T) {
	t.Parallel()
	port, file := rsyslog(t)
	o := start(t, "--log-target", ":"+port)
	n := o.tenant(t)
	lb, url := n.serving("lb1")
	amphora := "amphora-" + o.amphora(t, lb.ID).ID
	client := &http.Client{Timeout: 5 * time.Second}
	if _, err := get(client, url+"some?thing"); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "the request is logged", func() error {
		return logged(file, "local0.info "+amphora+" haproxy ", lb.ProjectID+" "+lb.ID+" "+lb.Listeners[0].ID+" ", `"GET /some?thing HTTP/1.1" 200 `)
	})
	eventually(t, 10*time.Second, "what the agent does is logged", func() error {
		return logged(file, "local1.info "+amphora+" octavo-agent ", "in force", "lb="+lb.ID)
	})
	o.shell(t, "openstack server delete --wait web1")
	eventually(t, 30*time.Second, "that a member is down is logged", func() error {
		return logged(file, "local1.notice "+amphora+" haproxy ", " is DOWN")
	})
}

// TestLogsHaveTheOperatorsTimes has requests logged in a time zone that no other is like.
func TestLogsHaveTheOperatorsTimes(t *testing.T) {
	t.Parallel()
	port, file := rsyslog(t)
	front := freePort(t)
	cloud := startCloud(t)
	cloud.bootstrap(t, front)
	management := cloud.ManagementAddress().String()
	serve(t, cloud.conf("node", dbtest.DSN(t, "sqlite"), front, net.JoinHostPort(management, "9443"))+
		"metrics_address =\n[controller_worker]\namp_timezone = Asia/Kathmandu\n[amphora_agent]\ntenant_log_targets = "+net.JoinHostPort(management, port)+"\n")
	n := cloud.tenant(t)
	_, url := n.serving("lb1")
	if _, err := get(&http.Client{Timeout: 5 * time.Second}, url+"now"); err != nil {
		t.Fatal(err)
	}
	there := time.Now().In(time.FixedZone("Nepal", 5*3600+45*60))
	eventually(t, 10*time.Second, "the request is logged", func() error {
		err := logged(file, `"GET /now HTTP/1.1" 200 `, there.Format(" 02/Jan/2006:15:04:"))
		if err != nil {
			err = logged(file, `"GET /now HTTP/1.1" 200 `, there.Add(-time.Minute).Format(" 02/Jan/2006:15:04:")) // just before the minute was over
		}
		return err
	})
}
