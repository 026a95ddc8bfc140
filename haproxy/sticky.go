package haproxy

import (
	"regexp"
	"strconv"
	"strings"
)

var (
	tableUsed  = regexp.MustCompile(`(?m)^# table: .*, used:(\d+)`)
	peersFlags = regexp.MustCompile(`flags=0x([0-9a-f]+) resync_timeout=`)
)

// Sticky tells whether, according to what `show table` prints, a process remembers any client.
func Sticky(showTable string) bool {
	for _, m := range tableUsed.FindAllStringSubmatch(showTable, -1) {
		if m[1] != "0" {
			return true
		}
	}
	return false
}

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
