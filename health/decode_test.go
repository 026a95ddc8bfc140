package health

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/lb"
)

const (
	someID  = "7f3ab2c4-91c0-4d1e-8a55-0242ac120002"
	otherID = "7f3ab2c4-91c0-4d1e-8a55-0242ac120003"
)

func goodReport() agentapi.Report {
	return agentapi.Report{
		Sequence: 1, Boot: "b1", Time: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Applied: 3, Version: "1.0",
		Capabilities: []string{"http"}, Daemons: map[string]string{"haproxy": "2.6.12"},
		Members:   []agentapi.MemberHealth{{ID: someID, PoolID: otherID, Status: lb.Online}},
		Listeners: []agentapi.ListenerHealth{{ID: someID, Status: lb.Online, BytesIn: 1}},
	}
}

func encode(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestReportThatMakesNoSenseIsRefused(t *testing.T) {
	for name, spoil := range map[string]func(*agentapi.Report){
		"sequence 0":           func(r *agentapi.Report) { r.Sequence = 0 },
		"no boot":              func(r *agentapi.Report) { r.Boot = "" },
		"boot with a line end": func(r *agentapi.Report) { r.Boot = "a\nb" },
		"no time":              func(r *agentapi.Report) { r.Time = time.Time{} },
		"negative limit":       func(r *agentapi.Report) { r.MaxConnections = -1 },
		"negative generation":  func(r *agentapi.Report) { r.Applied = -1 },
		"endless version":      func(r *agentapi.Report) { r.Version = strings.Repeat("v", 65) },
		"VRRP state":           func(r *agentapi.Report) { r.VRRPState = "KING" },
		"capabilities": func(r *agentapi.Report) {
			r.Capabilities = strings.Split(strings.Repeat("x,", maxCapabilities), ",")
		},
		"daemon":                func(r *agentapi.Report) { r.Daemons["x"] = "a\x00" },
		"member without id":     func(r *agentapi.Report) { r.Members[0].ID = "" },
		"member with a path":    func(r *agentapi.Report) { r.Members[0].ID = "../../etc/passwd" },
		"member without pool":   func(r *agentapi.Report) { r.Members[0].PoolID = "" },
		"member status":         func(r *agentapi.Report) { r.Members[0].Status = "FINE" },
		"member named twice":    func(r *agentapi.Report) { r.Members = append(r.Members, r.Members[0]) },
		"too many members":      func(r *agentapi.Report) { r.Members = make([]agentapi.MemberHealth, maxMembers+1) },
		"listener without id":   func(r *agentapi.Report) { r.Listeners[0].ID = "" },
		"listener status":       func(r *agentapi.Report) { r.Listeners[0].Status = "" },
		"listener named twice":  func(r *agentapi.Report) { r.Listeners = append(r.Listeners, r.Listeners[0]) },
		"too many listeners":    func(r *agentapi.Report) { r.Listeners = make([]agentapi.ListenerHealth, maxListeners+1) },
		"counter below zero":    func(r *agentapi.Report) { r.Listeners[0].BytesOut = -1 },
		"counter near overflow": func(r *agentapi.Report) { r.Listeners[0].TotalConnections = 1<<63 - 1 },
	} {
		r := goodReport()
		spoil(&r)
		if _, err := decodeReport(strings.NewReader(encode(t, r))); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	for _, text := range []string{"", "{", "null", "[]", "1", encode(t, goodReport()) + "{}", encode(t, goodReport()) + "x"} {
		if _, err := decodeReport(strings.NewReader(text)); err == nil {
			t.Errorf("%.20q is accepted", text)
		}
	}
}

func TestReportOfNewerAgentIsRead(t *testing.T) {
	text := strings.Replace(encode(t, goodReport()), "{", `{"new_in_v9": {"x": [1]},`, 1)
	r, err := decodeReport(strings.NewReader(text))
	if err != nil || r.Applied != 3 || len(r.Members) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestTextForPeopleIsCutAndCleaned(t *testing.T) {
	r := goodReport()
	r.Failure = "haproxy said\r\nlevel=ERROR msg=forged\x1b[2J" + strings.Repeat("ü", maxFailure)
	r.Members[0].Detail = strings.Repeat("x", 1000)
	got, err := decodeReport(strings.NewReader(encode(t, r)))
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Failure) > maxFailure || !utf8.ValidString(got.Failure) || strings.ContainsAny(got.Failure, "\r\n\x1b") {
		t.Errorf("failure %d bytes: %.60q", len(got.Failure), got.Failure)
	}
	if len(got.Members[0].Detail) != maxDetail {
		t.Errorf("detail %d bytes", len(got.Members[0].Detail))
	}
}

func FuzzReport(f *testing.F) {
	f.Add(encode(f, goodReport()))
	f.Add(`{"sequence":1,"boot":"b","time":"2026-03-01T12:00:00Z","failure":"\u0000\ud800"}`)
	f.Add(`{"members":[{"id":"` + someID + `"}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		r, err := decodeReport(strings.NewReader(text))
		if err != nil {
			return
		}
		if err := checkReport(&r); err != nil {
			t.Errorf("what was accepted does not pass again: %v", err)
		}
		if len(r.Failure) > maxFailure || !utf8.ValidString(r.Failure) || strings.ContainsAny(r.Failure, "\r\n\x00\x1b") {
			t.Errorf("failure %q", r.Failure)
		}
	})
}
