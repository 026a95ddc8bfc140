package fabric

import (
	"os/exec"
	"syscall"
	"testing"

	"github.com/google/uuid"
)

func TestCleanLeavesNothing(t *testing.T) {
	s := newSite(t)
	other := newPlainWorld(t) // another cloud on the same machine
	other.network()
	a := s.machine(s.private, nil, "192.168.7.10/24")
	first := startFirstProcess(t, a.ns)
	tag := s.tag
	s.ok(Clean(t.Context(), tag))
	if names, err := namespaces(namespacePrefix(tag)); err != nil || len(names) > 0 {
		t.Errorf("left are the namespaces %v, %v", names, err)
	}
	if link, err := s.host.find(HostLink(tag, "ext")); err != nil || link != nil {
		t.Errorf("left is the host's link %v, %v", link, err)
	}
	if err := first.Wait(); err == nil {
		t.Error("the instance ended by itself")
	}
	if link, err := other.ns.find("lo"); err != nil || link == nil {
		t.Errorf("the other cloud lost its fabric: %v", err)
	}
	s.ok(Clean(t.Context(), tag))
	s.ok(Clean(t.Context(), Tag(uuid.NewString())))
}

// startFirstProcess starts what Clean knows an instance by.
func startFirstProcess(t *testing.T, ns *Namespace) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sleep", "60")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	if err := ns.Do(cmd.Start); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	return cmd
}

func TestTagsAreShortAndStable(t *testing.T) {
	if Tag("/var/lib/octavo") != Tag("/var/lib/octavo/") || Tag("/a") == Tag("/b") {
		t.Error("a tag must depend on the directory and on nothing else")
	}
	if n := len(HostLink(Tag("/a"), "123456789")); n != 15 {
		t.Errorf("a host's link has %d characters, the kernel's limit is 15", n)
	}
}
