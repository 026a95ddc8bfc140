package haproxy_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/haproxy"
	"github.com/octavo-lb/octavo/lb"
)

// FuzzStructure puts a string of a stranger into every attribute that users write, all at once, and compares the words of
// the resulting configuration with those of one with harmless strings: what differs must be exactly the strings.
func FuzzStructure(f *testing.F) {
	for _, s := range nasty() {
		f.Add(s)
	}
	harmless := words(buildWith(f, "x"))
	f.Fuzz(func(t *testing.T, s string) {
		config, err := haproxy.Build(stateWith(s), environment())
		if err != nil {
			return // refused, with a reason: nothing was written
		}
		got := words(config.Text)
		if len(got) != len(harmless) {
			t.Fatalf("%q makes %d lines, not %d:\n%s", s, len(got), len(harmless), config.Text)
		}
		for i := range got {
			if got[i] == nil {
				t.Fatalf("%q makes a line that HAProxy cannot read: line %d of\n%s", s, i, config.Text)
			}
			if len(got[i]) != len(harmless[i]) && !neverMatches(got[i]) {
				t.Fatalf("%q makes the line %q of what is %q", s, got[i], harmless[i])
			}
		}
	})
}

// neverMatches tells a condition on a header or cookie that no request can have.
func neverMatches(line []string) bool {
	return len(line) == 3 && line[0] == "acl" && line[2] == "always_false"
}

// TestHAProxyReadsBack starts HAProxy with every nasty string as the value of a rule and asks it what it has read.
func TestHAProxyReadsBack(t *testing.T) {
	t.Parallel()
	state := parseState(t, `
vips: [{address: 127.0.0.1/8}]
listeners: [{id: l1, protocol: HTTP, protocol_port: 80}]
`)
	var values []string
	for _, s := range nasty() {
		if s == "" || strings.ContainsAny(s, "\x00") {
			continue
		}
		id := fmt.Sprintf("r%d", len(values))
		values = append(values, s)
		state.Policies = append(state.Policies, lb.L7Policy{Position: len(values), Meta: lb.Meta{ID: "y" + id, AdminStateUp: true}, ListenerID: "l1", Action: "REJECT"})
		rule := agentapi.Rule{PolicyID: "y" + id, L7Rule: lb.L7Rule{Meta: lb.Meta{ID: id, AdminStateUp: true}, Type: "PATH", CompareType: "EQUAL_TO", Value: s}}
		state.Rules = append(state.Rules, rule)
	}
	dir := t.TempDir()
	env := environment()
	env.RunDir, env.MaxConn = dir, 100
	config, err := haproxy.Build(state, env)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(config.Text, "bind 127.0.0.1:80", "bind unix@"+filepath.Join(dir, "l1.sock"), 1)
	socket := start(t, dir, text)
	for i, want := range values {
		answer := ask(t, socket, fmt.Sprintf("show acl #%d", i))
		_, got, ok := strings.Cut(strings.TrimSuffix(answer, "\n\n"), " ") // the address of the pattern comes first
		if !ok || got != want {
			t.Errorf("HAProxy read %q, want %q", got, want)
		}
	}
}

// TestHAProxyAcceptsAnyString: what Build writes for a stranger's strings, HAProxy loads.
func TestHAProxyAcceptsAnyString(t *testing.T) {
	t.Parallel()
	for _, s := range nasty() {
		config, err := haproxy.Build(stateWith(s), environment())
		if err != nil {
			continue
		}
		if out, err := judgeFiles(t, config); err != nil {
			t.Errorf("HAProxy refuses %q: %s", s, out)
		}
	}
}

func start(t *testing.T, dir, text string) (socket string) {
	t.Helper()
	for name, content := range map[string]string{"haproxy.cfg": text, haproxy.StateFile: haproxy.NoServersState} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, haproxy.SocketDir), 0o755); err != nil {
		t.Fatal(err)
	}
	var printed bytes.Buffer
	cmd := exec.Command("haproxy", "-db", "-f", filepath.Join(dir, "haproxy.cfg"))
	cmd.Stdout, cmd.Stderr = &printed, &printed
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(printed.String())
		}
	})
	socket = filepath.Join(dir, haproxy.StatsSocket)
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if c, err := net.Dial("unix", socket); err == nil {
			c.Close()
			return socket
		}
		if time.Now().After(deadline) {
			t.Fatal("HAProxy did not start")
		}
	}
}

func ask(t *testing.T, socket, command string) string {
	t.Helper()
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, command+"\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

func nasty() []string {
	return []string{
		"x", " ", "a b", "\t", "'", `"`, `\`, `\\`, `'\''`, `"a" 'b'`, "#", "a#b", " # comment", "$HOME", "${HOME}", `"$HOME"`, "%[src]", "%%", "%", "%{+Q}r",
		"-f /etc/passwd", "-m reg", "--", "-", "if TRUE", "!", "{ always_true }", "a\nb", "\n", "\r\n", "x\n    http-request deny\n", "\nfrontend evil\n    bind :9999",
		`\n`, `\x41`, `x\`, "é", "日本語", "\xff\xfe", "\x01\x7f\x1b", "(", ")", "a)(b", ",", "a,b", ";", "&", "|", "`id`", "", "\x00", "a\x00b",
		strings.Repeat("a", 300), strings.Repeat("'", 300), strings.Repeat(" ", 60), ".if 1", "@1", "req.hdr(x)", "/*", "..", "a'b\"c\\d$e#f g",
	}
}

func buildWith(t testing.TB, s string) string {
	t.Helper()
	config, err := haproxy.Build(stateWith(s), environment())
	if err != nil {
		t.Fatal(err)
	}
	return config.Text
}

// stateWith has the string wherever a user can put one.
func stateWith(s string) *agentapi.State {
	meta := func(id string) lb.Meta { return lb.Meta{ID: id, AdminStateUp: true, ProjectID: s, Tags: []string{s}} }
	version := 1.1
	state := &agentapi.State{
		LB:   "lb1",
		VIPs: environmentVIPs(),
		Listeners: []lb.Listener{{
			Meta: meta("l1"), Protocol: "HTTP", ProtocolPort: 80, DefaultPoolID: ptr("p1"), Name: s, Description: s,
			InsertHeaders: map[string]string{s: s, "X-Forwarded-For": "true"},
		}},
		Pools: []lb.Pool{{
			Meta: meta("p1"), Protocol: "HTTP", LBAlgorithm: "ROUND_ROBIN", Name: s, Description: s,
			SessionPersistence: &lb.SessionPersistence{Type: "APP_COOKIE", CookieName: &s},
		}},
		Members: []agentapi.Member{{PoolID: "p1", Member: lb.Member{Meta: meta("m1"), Name: s, Address: "10.0.0.1", ProtocolPort: 80}}},
		Monitors: []agentapi.Monitor{{PoolID: "p1", HealthMonitor: lb.HealthMonitor{
			Meta: meta("h1"), Type: "HTTP", Name: s, URLPath: &s, DomainName: &s, HTTPVersion: &version,
		}}},
	}
	digest := strings.Repeat("a", 64)
	state.Secrets = map[string]agentapi.Secret{"ref" + s: {Digest: digest}}
	refs := ptr("ref" + s)
	state.Listeners = append(state.Listeners, lb.Listener{
		Meta: meta("l2"), Protocol: "TERMINATED_HTTPS", ProtocolPort: 443, DefaultPoolID: ptr("p2"), Name: s, DefaultTLSContainerRef: refs,
		SniContainerRefs: []string{*refs}, ClientCATLSContainerRef: refs, ClientCRLContainerRef: refs, ClientAuthentication: "OPTIONAL",
		TLSCiphers: ptr("ECDHE-ECDSA-AES128-GCM-SHA256"), HstsMaxAge: ptr(1),
	})
	state.Pools = append(state.Pools, lb.Pool{
		Meta: meta("p2"), Protocol: "HTTP", LBAlgorithm: "ROUND_ROBIN", TLSEnabled: true, TLSContainerRef: refs, CATLSContainerRef: refs, CRLContainerRef: refs,
		TLSCiphers: ptr("ECDHE-ECDSA-AES128-GCM-SHA256"),
	})
	state.Members = append(state.Members, agentapi.Member{PoolID: "p2", Member: lb.Member{Meta: meta("m2"), Address: "10.0.0.1", ProtocolPort: 443}})
	state.Monitors = append(state.Monitors, agentapi.Monitor{PoolID: "p2", HealthMonitor: lb.HealthMonitor{Meta: meta("h2"), Type: "HTTPS", DomainName: &s}})
	if s != "x" && !isCookieName(s) {
		// Such a name is refused, and nothing else would be tried.
		state.Pools[0].SessionPersistence.CookieName = ptr("x")
	}
	for i, p := range []lb.L7Policy{
		{Action: "REJECT"}, {Action: "REDIRECT_TO_URL", RedirectURL: &s}, {Action: "REDIRECT_PREFIX", RedirectPrefix: &s},
		{Action: "REDIRECT_TO_POOL", RedirectPoolID: ptr("p1")},
	} {
		p.Meta, p.ListenerID, p.Name, p.Description = meta(fmt.Sprintf("y%d", i)), "l1", s, s
		state.Policies = append(state.Policies, p)
		for j, kind := range []string{"HOST_NAME", "PATH", "FILE_TYPE", "HEADER", "COOKIE"} {
			rule := lb.L7Rule{Meta: meta(fmt.Sprintf("r%d%d", i, j)), Type: kind, CompareType: "EQUAL_TO", Key: &s, Value: s}
			state.Rules = append(state.Rules, agentapi.Rule{PolicyID: p.ID, L7Rule: rule})
		}
	}
	return state
}

func isCookieName(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r) }) < 0
}

// words reads a configuration as HAProxy does (doc/configuration.txt, 2.2 "Quoting and escaping"): words by line, nil for a
// line with a quote that does not end or with a variable.
func words(text string) [][]string {
	var lines [][]string
	for line := range strings.SplitSeq(text, "\n") {
		lines = append(lines, split(line))
	}
	return lines
}

func split(line string) []string {
	found := []string{}
	var word strings.Builder
	in, quote := false, byte(0)
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case quote == '\'':
			if c == '\'' {
				quote = 0
			} else {
				word.WriteByte(c)
			}
		case c == '$':
			return nil
		case c == '\\':
			if i++; i == len(line) {
				return nil
			}
			if line[i] == 'x' {
				i += 2
			}
			word.WriteByte('?')
			in = true
		case quote == '"':
			if c == '"' {
				quote = 0
			} else {
				word.WriteByte(c)
			}
		case c == '\'' || c == '"':
			quote, in = c, true
		case c == '#':
			i = len(line)
		case c == ' ' || c == '\t' || c == '\r':
			if in {
				found = append(found, word.String())
				word.Reset()
				in = false
			}
		default:
			word.WriteByte(c)
			in = true
		}
	}
	if quote != 0 {
		return nil
	}
	if in {
		found = append(found, word.String())
	}
	return found
}
