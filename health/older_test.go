package health_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/store"
)

// TestOlderAgentsAreServed replays what agents of earlier versions said to their controllers, request by request as they were
// sent (testdata/agents): each gets an answer in which it finds all that it looks for and nothing that it has to know newer
// versions for, and what it reports is what users see.
func TestOlderAgentsAreServed(t *testing.T) {
	recordings, err := filepath.Glob("testdata/agents/*.txt")
	must(t, err)
	if len(recordings) < 2 {
		t.Fatalf("there are only %v", recordings)
	}
	for _, file := range recordings {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			must(t, err)
			w := newWorld(t)
			b := w.newBalancer(2)
			b.inCloud()
			r := replay{t: t, w: w, b: b, generation: b.tree().LB.Generation}
			enrolled, newcomer := w.enrolled(b.amphorae[0]), w.agent(b.amphorae[1])
			r.known, err = enrolled.HTTP()
			must(t, err)
			r.stranger, err = newcomer.HTTP()
			must(t, err)
			failed := false
			requests := strings.Split(string(text), "---\n")
			for _, request := range requests {
				r.send(request, newcomer.Boot.Token)
				if strings.Contains(request, `"status":"ERROR"`) {
					failed = true
					b.wants("lb DEGRADED", "member0 ERROR", "member1 ONLINE")
				}
			}
			b.wants("lb ONLINE", "listener ONLINE", "pool ONLINE", "member0 ONLINE", "member1 ONLINE")
			row := w.amphora(b.amphorae[0])
			if !failed || row.AppliedGeneration != r.generation || len(row.Capabilities) < 20 || row.Version == "" || row.MaxConnections != 0 {
				t.Errorf("a member failed: %v, %+v", failed, row)
			}
			if got := r.calls; got["enroll"] != 1 || got["certificate"] != 1 || got["state"] != 2 || got["report"] < 4 {
				t.Errorf("the recording has %v", got)
			}
			code, answer := r.answer(requests[len(requests)-2], newcomer.Boot.Token)
			if code != http.StatusConflict {
				t.Errorf("the last report again: %d %s", code, answer)
			}
		})
	}
}

type replay struct {
	t               *testing.T
	w               *world
	b               *balancer
	known, stranger *http.Client // of the amphora that has a certificate, and of one that has none
	generation      int64
	calls           map[string]int
}

var (
	reportTime = regexp.MustCompile(`"time":"[^"]+"`)
	pollOfOne  = regexp.MustCompile(`generation=1&wait=\d+`)
)

// answer sends one request: with the names, the generation and the time of this world, otherwise as it was sent then.
func (r *replay) answer(text, token string) (int, string) {
	r.t.Helper()
	for was, is := range map[string]string{`"m1"`: r.b.members[0], `"m2"`: r.b.members[1], `"p1"`: r.b.pool, `"l1"`: r.b.listener} {
		text = strings.ReplaceAll(text, was, `"`+is+`"`)
	}
	text = strings.ReplaceAll(text, `"applied":1,`, fmt.Sprintf(`"applied":%d,`, r.generation))
	text = pollOfOne.ReplaceAllString(text, fmt.Sprintf("generation=%d&wait=0", r.generation))
	text = reportTime.ReplaceAllString(text, `"time":"`+r.w.clock.Now().UTC().Format(time.RFC3339Nano)+`"`)
	head, body, _ := strings.Cut(text, "\n\n")
	lines := strings.Split(head, "\n")
	call := strings.Fields(lines[0])
	request, err := http.NewRequestWithContext(r.t.Context(), call[0], r.w.url+call[1], strings.NewReader(body))
	must(r.t, err)
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ": ")
		request.Header.Set(name, strings.ReplaceAll(value, "TOKEN", token))
	}
	client := r.known
	if request.Header.Get("Authorization") != "" {
		client = r.stranger
	}
	response, err := client.Do(request)
	must(r.t, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	must(r.t, err)
	return response.StatusCode, string(answer)
}

// send checks that the answer has what agents have always looked for in it.
func (r *replay) send(text, token string) {
	r.t.Helper()
	path, _, _ := strings.Cut(strings.Fields(text)[1], "?")
	call := strings.TrimPrefix(path, "/agent/v1/")
	if r.calls == nil {
		r.calls = map[string]int{}
	}
	r.calls[call]++
	code, answer := r.answer(text, token)
	if call == "state" && r.calls[call] == 2 {
		if code != http.StatusNotModified {
			r.t.Errorf("a poll when nothing is new: %d %s", code, answer)
		}
		return
	}
	wanted := map[string][]string{"enroll": {"certificate", "server_ca", "renew_after"}, "certificate": {"certificate", "server_ca", "renew_after"},
		"state": {"version", "generation", "amphora_id", "loadbalancer_id", "listeners", "pools", "members", "monitors"}, "report": {"interval_ns"}}[call]
	var got map[string]any
	if err := json.Unmarshal([]byte(answer), &got); err != nil || code != http.StatusOK {
		r.t.Fatalf("%s: %d %s (%v)", call, code, answer, err)
	}
	for _, name := range wanted {
		if v := got[name]; v == nil || v == "" || v == 0. {
			r.t.Errorf("the answer to %s has no %s: %s", call, name, answer)
		}
	}
	if call == "state" && got["version"] != 1. {
		r.t.Errorf("the state has version %v, which only newer agents understand", got["version"])
	}
	if got["program"] != nil {
		r.t.Errorf("an agent that can run no other program is told to: %s", answer)
	}
}

// TestAgentThatIsTooOldIsNotBelieved adds a listener of which an agent knows nothing. It reports that all is in force, for it passes
// over what it does not know; users are told what is wrong, and what else is changed meanwhile is not in force either, until
// the listener goes or a newer agent reports.
func TestAgentThatIsTooOldIsNotBelieved(t *testing.T) {
	for name, cure := range map[string]func(b *balancer, listener string, old []string) []string{
		"a newer agent": func(_ *balancer, _ string, old []string) []string { return append(old, "listener:UDP") },
		"the listener is deleted": func(b *balancer, listener string, old []string) []string {
			b.write(func(ctx context.Context, tx *store.Tx) error { return store.Delete[lb.Listener](ctx, tx, listener) })
			return old
		},
		"the listener is disabled": func(b *balancer, listener string, old []string) []string {
			l, err := store.Get[lb.Listener](b.w.t.Context(), b.w.store, listener)
			must(b.w.t, err)
			l.AdminStateUp = false
			b.write(func(ctx context.Context, tx *store.Tx) error { return store.Update(ctx, tx, &l) })
			return old
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			b := w.newBalancer(1)
			a := w.enrolled(b.amphorae[0])
			can := []string{"listener:HTTP", "pool:HTTP", "algorithm:ROUND_ROBIN", "monitor:TCP"}
			report := func(want lb.ProvisioningStatus, why string) {
				t.Helper()
				b.inCloud()
				r := b.good(b.tree().LB.Generation)
				r.Version, r.Capabilities = "0.9", can
				send(t, a, r)
				tree := b.tree()
				if got := tree.LB.Provisioning(); got != want || !strings.Contains(tree.LB.Failure, why) || why == "" && tree.LB.Failure != "" {
					t.Errorf("it is %s: %q, want %s with %q", got, tree.LB.Failure, want, why)
				}
			}
			report(lb.Active, "")
			listener := &lb.Listener{Meta: lb.Meta{ID: uuid.NewString(), ProjectID: "p", AdminStateUp: true}, LoadBalancerID: b.id, Protocol: "UDP", ProtocolPort: 53}
			b.write(func(ctx context.Context, tx *store.Tx) error { return store.Insert(ctx, tx, listener) })
			const why = "its agent, version 0.9, does not know listener:UDP"
			report(lb.ProvError, why)
			b.write(func(ctx context.Context, tx *store.Tx) error {
				m, err := store.Get[lb.Member](ctx, tx, b.members[0])
				if err != nil {
					return err
				}
				m.Weight = 7
				return store.Update(ctx, tx, &m)
			})
			report(lb.ProvError, why)
			can = cure(b, listener.ID, can)
			report(lb.Active, "")
		})
	}
}
