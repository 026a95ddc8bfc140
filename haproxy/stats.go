package haproxy

import (
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"

	"github.com/octavo-lb/octavo/lb"
)

// Row is one line of `show stat`: a frontend, a backend or a server.
type Row struct {
	Proxy       string
	Server      string // FRONTEND, BACKEND or the server's name
	Status      string
	CheckStatus string // INI until the first check has ended
	CheckText   string
	Weight      int
	Backup      bool
	Current     int64 // sessions
	Total       int64
	BytesIn     int64
	BytesOut    int64
	Errors      int64 // requests that were none
}

// ParseStats reads what `show stat` prints.
func ParseStats(text string) ([]Row, error) {
	r := csv.NewReader(strings.NewReader(strings.TrimPrefix(strings.TrimSpace(text), "# ")))
	r.FieldsPerRecord = -1
	records, err := r.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("reading show stat: %w", err)
	}
	if len(records) == 0 || records[0][0] != "pxname" {
		return nil, fmt.Errorf("show stat printed no table but %.80q", text)
	}
	column := map[string]int{}
	for i, name := range records[0] {
		column[name] = i
	}
	rows := make([]Row, 0, len(records)-1)
	for _, record := range records[1:] {
		field := func(name string) string {
			if i, ok := column[name]; ok && i < len(record) {
				return record[i]
			}
			return ""
		}
		number := func(name string) int64 {
			n, _ := strconv.ParseInt(field(name), 10, 64)
			return n
		}
		rows = append(rows, Row{
			Proxy: field("pxname"), Server: field("svname"), Status: field("status"),
			// A star marks a check that is under way.
			CheckStatus: strings.TrimPrefix(field("check_status"), "* "), CheckText: checkText(field("last_chk"), field("check_desc")),
			Weight: int(number("weight")), Backup: number("bck") == 1 && field("svname") != "BACKEND",
			Current: number("scur"), Total: number("stot"), BytesIn: number("bin"), BytesOut: number("bout"), Errors: number("ereq"),
		})
	}
	return rows, nil
}

func checkText(output, description string) string {
	if output == "" || output == description {
		return description
	}
	return strings.Trim(description+": "+output, ": ")
}

// IsFrontend and IsBackend tell rows that are no servers.
func (r Row) IsFrontend() bool { return r.Server == "FRONTEND" }
func (r Row) IsBackend() bool  { return r.Server == "BACKEND" }

// Down tells whether HAProxy sends a server nothing because it is ill.
func (r Row) Down() bool { return strings.HasPrefix(r.Status, "DOWN") }

// Verdict is what HAProxy knows about a server, in Octavia's words; known is false as long as its first check has not
// ended.
func (r Row) Verdict() (status lb.OperatingStatus, known bool) {
	word, _, _ := strings.Cut(r.Status, " ")
	switch {
	case word == "MAINT":
		return lb.Offline, true
	case r.Status == "no check":
		return lb.NoMonitor, true
	case r.CheckStatus == "INI" || r.CheckStatus == "UNK":
		return lb.Offline, false
	case word == "DOWN":
		return lb.OperError, true
	case word == "DRAIN" || r.Weight == 0:
		return lb.Draining, true
	}
	return lb.Online, true
}

// ListenerStatus is a frontend's status in Octavia's words: it is degraded while its connection limit keeps clients out.
func (r Row) ListenerStatus() lb.OperatingStatus {
	switch r.Status {
	case "OPEN":
		return lb.Online
	case "FULL":
		return lb.Degraded
	}
	return lb.Offline
}

// ParseInfo reads what `show info` prints.
func ParseInfo(text string) map[string]string {
	info := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(line, ":"); ok {
			info[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	return info
}

// Process is a line of the master's `show proc`.
type Process struct {
	PID     int
	Master  bool
	Old     bool // serves only the connections that it had before a reload
	Reloads int  // since it was started
}

// Processes is what `show proc` tells.
type Processes struct {
	All    []Process
	Failed int // reloads that did not succeed since the last that did
}

// Oldest is the worker that was replaced first, if there is any but the one that serves.
func (p Processes) Oldest() (oldest Process, ok bool) {
	for _, one := range p.All {
		if one.Old && (!ok || one.Reloads > oldest.Reloads) {
			oldest, ok = one, true
		}
	}
	return oldest, ok
}

// ParseProcesses reads what the master's `show proc` prints.
func ParseProcesses(text string) Processes {
	var p Processes
	old := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			old = strings.Contains(line, "old")
			continue
		}
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		pid, err := strconv.Atoi(fields[0])
		if err != nil || fields[1] != "master" && fields[1] != "worker" {
			continue
		}
		one := Process{PID: pid, Master: fields[1] == "master", Old: old}
		if len(fields) > 2 {
			one.Reloads, _ = strconv.Atoi(fields[2])
		}
		p.All = append(p.All, one)
		if _, after, ok := strings.Cut(line, "[failed: "); ok {
			n, _, _ := strings.Cut(after, "]")
			p.Failed, _ = strconv.Atoi(n)
		}
	}
	return p
}
