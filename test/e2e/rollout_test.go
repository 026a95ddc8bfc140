package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// octavo runs a command of the operator's with an account of the standalone cloud.
func (o *octavo) command(t testing.TB, cloud string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(binary(t, "octavo"), args...)
	cmd.Env = o.env(cloud)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// upload makes a newer amphora image, which runs the program. What is in the file does not matter here.
func (o *octavo) upload(t testing.TB, program string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "amphora.qcow2")
	if err := os.WriteFile(file, []byte("QFI\xfb"+t.Name()+time.Now().String()), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := o.command(t, "octavo-service", "image", "upload", file, "--property", "octavo_program="+program)
	if err != nil || !strings.Contains(out, "digest  sha512:") {
		t.Fatalf("octavo image upload: %v\n%s", err, out)
	}
}

// images counts, by image, the amphorae of a load balancer.
func (o *octavo) images(t testing.TB, lbID string) map[string]int {
	t.Helper()
	count := map[string]int{}
	for _, a := range o.amphorae(t, lbID) {
		count[a.ImageID]++
	}
	return count
}

// TestRollout replaces all amphorae by such of a newer image, while requests run through one of the load balancers and the
// controller is killed in between.
func TestRollout(t *testing.T) {
	t.Parallel()
	o := start(t)
	n := o.tenant(t)
	lb, url := n.serving("lb")
	others := []string{n.full("second", "192.168.21.100").ID, n.full("third", "192.168.21.101").ID}
	for _, id := range others {
		n.active(id)
	}
	if out, err := o.command(t, "octavo-admin", "image", "rollout"); err != nil || !strings.Contains(out, "done: 0 load balancers done") {
		t.Fatalf("nothing is outdated: %v\n%s", err, out)
	}
	before := o.images(t, lb.ID)
	o.upload(t, "octavo-agent")
	if out, err := o.command(t, "octavo-admin", "image", "list"); err != nil || !strings.Contains(out, "<- new amphorae") {
		t.Fatalf("octavo image list: %v\n%s", err, out)
	}

	tr := send(t, url, 4)
	if out, err := o.command(t, "octavo-admin", "image", "rollout", "--no-wait"); err != nil {
		t.Fatalf("octavo image rollout: %v\n%s", err, out)
	}
	eventually(t, 30*time.Second, "one load balancer is under way", func() error {
		out, err := o.command(t, "octavo-admin", "image", "rollout", "--show")
		if err == nil && !strings.Contains(out, "1 under way") {
			err = fmt.Errorf("%s", out)
		}
		return err
	})
	o.stop(t, syscall.SIGKILL)
	o.run(t)
	began := time.Now()
	out, err := o.command(t, "octavo-admin", "image", "rollout")
	if err != nil || !strings.Contains(out, "done: 3 load balancers done, 0 under way, 0 outstanding") {
		t.Fatalf("octavo image rollout: %v\n%s", err, out)
	}
	t.Logf("after the kill it took %v\n%s", time.Since(began).Round(time.Millisecond), out)
	for _, id := range append(others, lb.ID) {
		for image, amphorae := range o.images(t, id) {
			if before[image] > 0 || amphorae != 1 {
				t.Errorf("load balancer %s has %d amphorae of image %s", id, amphorae, image)
			}
		}
	}
	tr.mustNotHaveFailed(t, 500)
	t.Logf("for %v no request was answered", tr.gap.Round(time.Millisecond))
}

// TestRolloutOfPair replaces both amphorae of a pair, first the one that stands by, while requests run.
func TestRolloutOfPair(t *testing.T) {
	t.Parallel()
	o := start(t, "--topology", "ACTIVE_STANDBY")
	n := o.tenant(t)
	lb, url := n.serving("lb")
	before := o.pair(t, lb.ID)
	o.upload(t, "octavo-agent")
	tr := send(t, url, 4)
	if out, err := o.command(t, "octavo-admin", "image", "rollout"); err != nil {
		t.Fatalf("octavo image rollout: %v\n%s", err, out)
	}
	o.pair(t, lb.ID, before[0].ID, before[1].ID)
	tr.mustNotHaveFailed(t, 500)
	t.Logf("for %v no request was answered", tr.gap.Round(time.Millisecond))
}

// TestRolloutStopsAtAFailure rolls out an image in which there is no agent: no load balancer loses its amphora, and no
// second one is begun.
func TestRolloutStopsAtAFailure(t *testing.T) {
	t.Parallel()
	o := start(t)
	n := o.tenant(t)
	lb, url := n.serving("lb")
	second := n.full("second", "192.168.21.100").ID
	n.active(second)
	before := map[string]string{lb.ID: o.amphora(t, lb.ID).ID, second: o.amphora(t, second).ID}
	tr := send(t, url, 4)
	o.upload(t, "web")
	out, err := o.command(t, "octavo-admin", "image", "rollout")
	if err == nil || !strings.Contains(out, "a replacement failed") || !strings.Contains(out, "its agent did not report") {
		t.Fatalf("octavo image rollout: %v\n%s", err, out)
	}
	for id, amphora := range before {
		n.active(id)
		eventually(t, 20*time.Second, "it has its old amphora, alone", func() error {
			if all := o.amphorae(t, id); len(all) != 1 || all[0].ID != amphora {
				return fmt.Errorf("it has %v", all)
			}
			return nil
		})
	}
	tr.mustNotHaveFailed(t, 200)

	// A good image mends it.
	o.upload(t, "octavo-agent")
	if out, err := o.command(t, "octavo-admin", "image", "rollout", "--parallel", "2"); err != nil {
		t.Fatalf("octavo image rollout: %v\n%s", err, out)
	}
	for id, amphora := range before {
		if now := o.amphora(t, id); now.ID == amphora {
			t.Errorf("load balancer %s has its old amphora", id)
		}
	}
}
