package keepalived_test

import (
	"os"
	"strings"
	"testing"

	"github.com/octavo-lb/octavo/agentapi/agentapitest"
	"github.com/octavo-lb/octavo/keepalived"
)

// FuzzStrings puts anything into every string that gets near the text: either nothing is written, or what keepalived reads
// has the same structure as for ordinary strings, and it takes it.
func FuzzStrings(f *testing.F) {
	f.Add("6d9d7c1c", "amphora-1", "lb020000000064", "a name", "HTTP")
	f.Add("lb1\n}\nvrrp_script x {\n script /bin/sh\n}", "a", "lb0", "b", "c")
	f.Add("lb1", "a {", "lb0\n track_script", "b\n}", "#")
	f.Add("lb1", "$A", "eth0 !", "\x00", "\"")
	input, err := os.ReadFile("testdata/pair.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, lb, amphora, link, name, other string) {
		state, err := agentapitest.State(string(input))
		if err != nil {
			t.Fatal(err)
		}
		ordinary, err := keepalived.Build(state, environment())
		if err != nil {
			t.Fatal(err)
		}
		state.LB, state.AmphoraID, state.ProjectID, state.VRRP.PeerNames = lb, amphora, other, []string{name}
		for i := range state.Listeners {
			state.Listeners[i].Name, state.Listeners[i].Description = name, other
		}
		env := environment()
		env.Interface = link
		text, err := keepalived.Build(state, env)
		if err != nil {
			return
		}
		if got, want := structure(text), structure(ordinary); got != want {
			t.Fatalf("the structure is\n%s\nnot\n%s", got, want)
		}
		if out, err := judgeWith(t, "keepalived", strings.ReplaceAll(text, "interface "+link+"\n", "interface "+environment().Interface+"\n")); err != nil {
			t.Errorf("keepalived refuses it: %v\n%s\n%s", err, out, text)
		}
	})
}

// structure is what keepalived makes a tree of: the words of each line, but for the values that are strings.
func structure(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if len(words) == 2 && (words[0] == "router_id" || words[0] == "interface") {
			words[1] = "VALUE"
		}
		b.WriteString(strings.Join(words, " ") + "\n")
	}
	return b.String()
}
