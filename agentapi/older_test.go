package agentapi_test

import (
	"encoding"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/octavo-lb/octavo/agentapi"
)

// older is what agents of earlier versions know of what controllers send: a line for each member, with its kind.
const older = "testdata/older-agents.txt"

// harmless are members that such agents do not know, and why it does no harm that they pass them over, with all that is in them. A
// member that must not be passed over belongs into a new State.Version, which they refuse.
var harmless = map[string]string{
	"Boot.program_key":         "without a key they say that they cannot run other programs",
	"Boot.operator_ca":         "they refuse a controller that shows a certificate of an operator's own, and serve nothing that could go wrong",
	"Boot.server_label":        "without it they show the server's name, and get the certificate for that",
	"Boot.time_zone":           "they cut off the times of their logs in UTC",
	"Certificate.operator_ca":  "as in Boot",
	"Certificate.server_label": "as in Boot",
	"ReportAnswer.renew":       "they renew when their certificate is due, and old CAs are trusted until then",
	"State.vrrp.join_ms":       "they take the VIPs a moment earlier",
	"State.program":            "nobody gives it to an agent that does not say that it can run other programs",
}

// unreleased had another form in agents that no release has.
const unreleased = "State.logging."

// members lists what the JSON of a type has.
func members(path string, t reflect.Type, into map[string]bool) {
	add := func(kind string) { into[path+" "+kind] = true }
	for _, text := range []reflect.Type{reflect.TypeFor[encoding.TextMarshaler](), reflect.TypeFor[json.Marshaler]()} {
		if t.Implements(text) && t.Kind() != reflect.Pointer {
			add("string")
			return
		}
	}
	switch t.Kind() {
	case reflect.Pointer:
		members(path, t.Elem(), into)
	case reflect.String:
		add("string")
	case reflect.Bool:
		add("bool")
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			add("string")
			return
		}
		members(path+"[]", t.Elem(), into)
	case reflect.Map:
		members(path+"{}", t.Elem(), into)
	case reflect.Struct:
		if strings.Contains(path, ".") {
			add("object")
		}
		for i := range t.NumField() {
			f := t.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			switch {
			case f.Anonymous && name == "":
				fields := map[string]bool{}
				members(path, f.Type, fields)
				for line := range fields {
					if line != path+" object" {
						into[line] = true
					}
				}
			case name != "-" && f.IsExported():
				members(path+"."+name, f.Type, into)
			}
		}
	default:
		add("number")
	}
}

// TestOlderAgentsUnderstandWhatControllersSend: whatever agents of earlier versions read is there and of the kind that they expect,
// and what is new to them is known to do no harm.
func TestOlderAgentsUnderstandWhatControllersSend(t *testing.T) {
	now := map[string]bool{}
	for _, v := range []any{agentapi.Boot{}, agentapi.Certificate{}, agentapi.State{}, agentapi.SecretBundle{}, agentapi.ReportAnswer{}} {
		typ := reflect.TypeOf(v)
		members(typ.Name(), typ, now)
	}
	text, err := os.ReadFile(older)
	if err != nil {
		t.Fatal(err)
	}
	known := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(known) < 100 {
		t.Errorf("only %d members are known to older agents", len(known))
	}
	for _, line := range known {
		if !now[line] && !strings.HasPrefix(line, unreleased) {
			t.Errorf("older agents look for %s, which nobody sends any more", line)
		}
		delete(now, line)
	}
	used := map[string]bool{}
	for line := range now {
		path, _, _ := strings.Cut(line, " ")
		for path != "" && harmless[path] == "" {
			path = path[:max(0, strings.LastIndexByte(path, '.'))]
		}
		if used[path] = true; path == "" && !strings.HasPrefix(line, unreleased) {
			t.Errorf("%s is new to older agents: say in this test why it does no harm that they pass it over, or raise the version of the state", line)
		}
	}
	for path := range harmless {
		if !used[path] {
			t.Errorf("%s is sent no more, or was never new", path)
		}
	}
}
