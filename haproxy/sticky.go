package haproxy

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

var (
	tableUsed  = regexp.MustCompile(`(?m)^# table: (\S+), .*used:(\d+)`)
	tableEntry = regexp.MustCompile(`(?m)^0x[0-9a-f]+: key=(\S+) .*server_key=(\S+)`)
	peersFlags = regexp.MustCompile(`flags=0x([0-9a-f]+) resync_timeout=`)
	plainKey   = regexp.MustCompile(`^[0-9A-Za-z._~+/=:%-]+$`)
)

// Tables lists those tables, of what `show table` prints, that remember any client.
func Tables(showTable string) []string {
	var names []string
	for _, m := range tableUsed.FindAllStringSubmatch(showTable, -1) {
		if m[2] != "0" {
			names = append(names, m[1])
		}
	}
	return names
}

// Sticky tells whether a process remembers any client.
func Sticky(showTable string) bool { return len(Tables(showTable)) > 0 }

// Teaches tells, from what `show peers` prints, whether a process will pass on the clients that it remembers to the next
// one. It does only when it has learnt from its predecessor, or has given up waiting for one, which takes it five or ten
// seconds. That is why every configuration has peers, also one in which nothing is sticky (yet).
func Teaches(showPeers string) bool {
	const finished = 0x3 // PEERS_RESYNC_FINISHED
	for _, m := range peersFlags.FindAllStringSubmatch(showPeers, -1) {
		flags, err := strconv.ParseUint(m[1], 16, 64)
		if err != nil || flags&finished != finished {
			return false
		}
	}
	return strings.Contains(showPeers, "resync_timeout=")
}

// Entry is a client that a table remembers.
type Entry struct{ Table, Key, Server string }

// ParseTable reads what `show table NAME` prints. Keys that a command could not name are left out.
func ParseTable(name, text string) []Entry {
	var entries []Entry
	for _, m := range tableEntry.FindAllStringSubmatch(text, -1) {
		if plainKey.MatchString(m[1]) {
			entries = append(entries, Entry{name, m[1], m[2]})
		}
	}
	return entries
}

// Remind lists the commands that make a process remember clients. It knows its servers by number.
func Remind(entries []Entry, states []ServerState) []string {
	type key struct{ backend, name string }
	numbers := map[key]int{}
	for _, s := range states {
		numbers[key{s.Backend, s.Name}] = s.number("srv_id")
	}
	var commands []string
	for _, e := range entries {
		if n := numbers[key{e.Table, e.Server}]; n > 0 {
			commands = append(commands, fmt.Sprintf("set table %s key %s data.server_id %d", e.Table, e.Key, n))
		}
	}
	return commands
}
