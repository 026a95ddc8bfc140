package agent_test

import (
	"strings"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/agentapi/agentapitest"
)

// TestNamesAreNoPaths: whatever ids and digests a state holds, no file is written but those that the agent names itself, and
// what is wrong is reported.
func TestNamesAreNoPaths(t *testing.T) {
	w := newWorld(t)
	w.instance.StartAgent(t)
	w.put(t, basic)
	files := func() string {
		return w.instance.Output(t, "sh", "-c", "find / -maxdepth 1 -name '*hostile7*'; find /etc /run /var/lib/octavo /root /usr/local -name '*hostile7*' 2>/dev/null; ls -R /run/octavo/secrets; cat /etc/passwd | sha256sum")
	}
	before := files()
	for name, spoil := range map[string]func(*agentapi.State, string){
		"load balancer": func(s *agentapi.State, hostile string) { s.LB = hostile },
		"listener":      func(s *agentapi.State, hostile string) { s.Listeners[0].ID = hostile },
		"pool": func(s *agentapi.State, hostile string) {
			s.Pools[0].ID, *s.Listeners[0].DefaultPoolID, s.Members[0].PoolID, s.Members[1].PoolID = hostile, hostile, hostile, hostile
		},
		"member": func(s *agentapi.State, hostile string) { s.Members[0].ID = hostile },
		"digest": func(s *agentapi.State, hostile string) {
			ref := "ref"
			s.Listeners[0].Protocol, s.Listeners[0].DefaultTLSContainerRef = "TERMINATED_HTTPS", &ref
			s.Secrets = map[string]agentapi.Secret{ref: {Digest: hostile}}
			w.controller.Secret(hostile, agentapi.SecretBundle{PEM: []byte("hostile7")})
		},
	} {
		for _, hostile := range []string{"../../../../hostile7", "/etc/passwd", "x/../../../hostile7", "hostile7\x00", "..", "hostile7\n", "%2e%2e/hostile7", strings.Repeat("hostile7", 100)} {
			state, err := agentapitest.State(basic)
			if err != nil {
				t.Fatal(err)
			}
			spoil(state, hostile)
			generation := w.controller.Want(state)
			w.controller.Await(t, 10*time.Second, name+" "+hostile+" is refused", func(r agentapi.Report) bool {
				return r.FailedGen == generation && r.Failure != "" && r.Applied < generation
			})
		}
	}
	w.put(t, basic)
	if after := files(); after != before {
		t.Errorf("there were\n%s\nnow there are\n%s", before, after)
	}
}
