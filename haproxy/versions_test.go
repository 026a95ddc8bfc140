package haproxy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/haproxy"
)

// TestEveryVersion asks each HAProxy in the folder OCTAVO_VERSIONS, which packaging/haproxy-versions fills, about all cases
// and all single features as they are written for it; without that folder, the installed one.
func TestEveryVersion(t *testing.T) {
	cases, _ := filepath.Glob("testdata/*.yaml")
	for _, program := range programs(t) {
		out, err := exec.Command(program, "-v").Output()
		if err != nil {
			t.Fatal(err)
		}
		version, err := haproxy.ParseVersion(string(out))
		if err != nil {
			t.Fatal(err)
		}
		env := environment()
		env.Version = version
		try := func(t *testing.T, state *agentapi.State) {
			config, err := haproxy.Build(state, env)
			if err != nil {
				if strings.Contains(err.Error(), "which speaks HTTP") {
					return // the API refuses it
				}
				t.Fatal(err)
			}
			if out, err := judgeWith(t, program, config); config.Serves() && err != nil {
				t.Errorf("HAProxy refuses it: %v\n%s", err, out)
			}
		}
		t.Run(version.String(), func(t *testing.T) {
			t.Parallel()
			if oldest := haproxy.Oldest(); !version.AtLeast(oldest.Major, oldest.Minor) {
				if out, err := judgeWith(t, program, build(t, anyListener)); err == nil {
					t.Errorf("HAProxy %s is said to be too old and accepts what is written for newer ones: %s", version, out)
				}
				return
			}
			for _, file := range cases {
				t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) { try(t, readState(t, file)) })
			}
			for _, f := range features() {
				t.Run(f.name, func(t *testing.T) {
					state := pairState(t)
					f.apply(state)
					try(t, state)
				})
			}
			t.Run("one that must be refused", func(t *testing.T) {
				config, err := haproxy.Build(parseState(t, unbalanced), env)
				if err != nil {
					t.Fatal(err)
				}
				if out, err := judgeWith(t, program, config); err == nil {
					t.Errorf("HAProxy accepts an unbalanced parenthesis: %s", out)
				}
			})
		})
	}
}

func programs(t *testing.T) []string {
	t.Helper()
	dir := os.Getenv("OCTAVO_VERSIONS")
	if dir == "" {
		return []string{"haproxy"}
	}
	found, err := filepath.Glob(filepath.Join(dir, "*", "haproxy"))
	if err != nil || len(found) == 0 {
		t.Fatalf("there is no HAProxy in OCTAVO_VERSIONS=%s; packaging/haproxy-versions fetches some", dir)
	}
	return found
}

const anyListener = `
vips: [{address: 192.0.2.10/24}]
listeners: [{id: l1, protocol: HTTP, protocol_port: 80}]
`

// unbalanced is accepted by Build, which does not know HAProxy's regular expressions.
const unbalanced = anyListener + `
policies: [{id: y1, listener_id: l1, action: REJECT}]
rules: [{id: r1, l7policy_id: y1, type: PATH, compare_type: REGEX, value: '('}]
`
