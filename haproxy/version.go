package haproxy

import (
	"fmt"
	"regexp"
	"strconv"
)

// Version is a version of HAProxy, such as 2.6.
type Version struct{ Major, Minor int }

// Oldest is the oldest version that Build writes for.
func Oldest() Version { return Version{2, 4} }

func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// AtLeast tells whether v is major.minor or newer.
func (v Version) AtLeast(major, minor int) bool {
	return v.Major > major || v.Major == major && v.Minor >= minor
}

var versionPattern = regexp.MustCompile(`(?i)ha-?proxy version (\d+)\.(\d+)`)

// ParseVersion reads what `haproxy -v` prints.
func ParseVersion(text string) (Version, error) {
	m := versionPattern.FindStringSubmatch(text)
	if m == nil {
		return Version{}, fmt.Errorf("no version in what haproxy -v printed: %.80q", text)
	}
	major, _ := strconv.Atoi(m[1])
	minor, _ := strconv.Atoi(m[2])
	return Version{major, minor}, nil
}
