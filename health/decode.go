package health

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/lb"
)

// What a request may hold. An amphora that was broken into must not be able to fill the database or the logs.
const (
	maxEnrollBytes  = 16 << 10
	maxReportBytes  = 4 << 20
	maxMembers      = 20_000
	maxListeners    = 2_000
	maxCapabilities = 128
	maxDaemons      = 16
	maxName         = 64  // of a version, capability, daemon
	maxDetail       = 255 // of what a member's last check said
	maxFailure      = 2_000
)

// maxCounter bounds counters to what fits a column and survives being summed over a load balancer's listeners.
const maxCounter = 1 << 56

var (
	uuidPattern = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	bootPattern = regexp.MustCompile(`^[0-9A-Za-z._-]{1,64}$`)

	memberStatuses   = []lb.OperatingStatus{lb.Online, lb.Offline, lb.Degraded, lb.OperError, lb.Draining, lb.NoMonitor}
	listenerStatuses = []lb.OperatingStatus{lb.Online, lb.Offline, lb.Degraded, lb.OperError}
	vrrpStates       = []string{"", "MASTER", "BACKUP", "FAULT"}
)

// decodeReport reads one report. What a newer agent adds is ignored; what is of use to nobody but an attacker, like an
// object named twice or a counter below zero, is refused; text for people is cut and cleaned.
func decodeReport(body io.Reader) (agentapi.Report, error) {
	var wire wireReport
	if err := decodeOne(body, &wire); err != nil {
		return agentapi.Report{}, err
	}
	r := wire.Report
	r.Members, r.Listeners = wire.Members.items, wire.Listeners.items
	if err := checkReport(&r); err != nil {
		return agentapi.Report{}, err
	}
	r.Failure = clean(r.Failure, maxFailure)
	r.ProgramFailure = clean(r.ProgramFailure, maxDetail)
	for i := range r.Members {
		r.Members[i].Detail = clean(r.Members[i].Detail, maxDetail)
	}
	return r, nil
}

// wireReport is a report with bounds on its lists: an empty element takes three bytes of a body and a hundred times that in
// memory.
type wireReport struct {
	agentapi.Report
	Members   list[agentapi.MemberHealth]   `json:"members"`
	Listeners list[agentapi.ListenerHealth] `json:"listeners"`
}

type list[T any] struct{ items []T }

func (l *list[T]) UnmarshalJSON(text []byte) error {
	l.items = nil
	if string(text) == "null" {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	if open, err := decoder.Token(); err != nil || open != json.Delim('[') {
		return errors.New("a list was expected")
	}
	for decoder.More() {
		var item T
		if err := decoder.Decode(&item); err != nil {
			return err
		}
		if l.items = append(l.items, item); len(l.items) > maxMembers {
			return fmt.Errorf("a list is longer than %d", maxMembers)
		}
	}
	return nil
}

// decodeOne reads exactly one JSON value.
func decodeOne(body io.Reader, into any) error {
	decoder := json.NewDecoder(body)
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("cannot read the body: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		if err == nil {
			err = errors.New("more than one value")
		}
		return fmt.Errorf("cannot read the body: %w", err)
	}
	return nil
}

func checkReport(r *agentapi.Report) error {
	switch {
	case r.Sequence < 1:
		return fmt.Errorf("sequence %d is below 1", r.Sequence)
	case !bootPattern.MatchString(r.Boot):
		return errors.New("boot is not an id of 1 to 64 letters, digits, dots and dashes")
	case r.Time.IsZero() || r.Time.Year() < 2000 || r.Time.Year() > 9000:
		return errors.New("time is missing or absurd")
	case !shortName(r.Trust):
		return errors.New("trust is not a short name")
	case !shortName(r.Program) || !shortName(r.ProgramRefused):
		return errors.New("a program is not a digest")
	case r.Applied < 0 || r.FailedGen < 0:
		return errors.New("a generation is below 0")
	case r.MaxConnections < 0 || r.MaxConnections > maxCounter:
		return errors.New("max_connections is absurd")
	case !shortName(r.Version):
		return errors.New("version is not a short name")
	case !slices.Contains(vrrpStates, r.VRRPState):
		return errors.New("vrrp_state is unknown")
	case len(r.Capabilities) > maxCapabilities || !allNames(slices.Values(r.Capabilities)):
		return errors.New("capabilities are too many or too long")
	case len(r.Daemons) > maxDaemons:
		return errors.New("daemons are too many")
	}
	for name, version := range r.Daemons {
		if !shortName(name) || !shortName(version) {
			return errors.New("a daemon's name or version is too long")
		}
	}
	if err := checkMembers(r.Members); err != nil {
		return err
	}
	return checkListeners(r.Listeners)
}

func checkMembers(members []agentapi.MemberHealth) error {
	if len(members) > maxMembers {
		return fmt.Errorf("%d members are more than the %d allowed", len(members), maxMembers)
	}
	seen := make(map[string]bool, len(members))
	for _, m := range members {
		switch {
		case !uuidPattern.MatchString(m.ID) || !uuidPattern.MatchString(m.PoolID):
			return errors.New("a member or its pool has no id")
		case seen[m.ID]:
			return fmt.Errorf("member %s is named twice", m.ID)
		case !slices.Contains(memberStatuses, m.Status):
			return fmt.Errorf("member %s has an unknown status", m.ID)
		}
		seen[m.ID] = true
	}
	return nil
}

func checkListeners(listeners []agentapi.ListenerHealth) error {
	if len(listeners) > maxListeners {
		return fmt.Errorf("%d listeners are more than the %d allowed", len(listeners), maxListeners)
	}
	seen := make(map[string]bool, len(listeners))
	for _, l := range listeners {
		switch {
		case !uuidPattern.MatchString(l.ID):
			return errors.New("a listener has no id")
		case seen[l.ID]:
			return fmt.Errorf("listener %s is named twice", l.ID)
		case !slices.Contains(listenerStatuses, l.Status):
			return fmt.Errorf("listener %s has an unknown status", l.ID)
		}
		seen[l.ID] = true
		for _, counter := range []int64{l.ActiveConnections, l.TotalConnections, l.RequestErrors, l.BytesIn, l.BytesOut} {
			if counter < 0 || counter > maxCounter {
				return fmt.Errorf("listener %s has an absurd counter", l.ID)
			}
		}
	}
	return nil
}

func allNames(names func(yield func(string) bool)) bool {
	for name := range names {
		if !shortName(name) {
			return false
		}
	}
	return true
}

// shortName tells whether s can be stored and shown as it is: short, printable, on one line.
func shortName(s string) bool {
	return len(s) <= maxName && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// clean makes text for people out of what a stranger sent: one line, printable, at most limit bytes.
func clean(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}
