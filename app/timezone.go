package app

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// zoneInfo is where a machine keeps its time zones.
const zoneInfo = "/usr/share/zoneinfo"

// zoneRule is a time zone in POSIX's form, CET-1CEST,M3.5.0,M10.5.0/3 for Europe/Berlin: what its file says of all time to
// come (RFC 9636, 3.3). UTC, which needs no file, is empty.
func zoneRule(dir, name string) (string, error) {
	switch name {
	case "", "UTC", "Etc/UTC", "GMT":
		return "", nil
	}
	if !filepath.IsLocal(name) {
		return "", fmt.Errorf("%q is not the name of a time zone, such as Europe/Berlin", name)
	}
	file, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return "", fmt.Errorf("this machine knows no time zone %s (%w): is the package tzdata installed?", name, err)
	}
	text, ok := bytes.CutSuffix(file, []byte("\n"))
	at := bytes.LastIndexByte(text, '\n')
	if !bytes.HasPrefix(file, []byte("TZif")) || !ok || at < 0 {
		return "", fmt.Errorf("%s is not the name of a time zone", name)
	}
	rule := string(text[at+1:])
	if rule == "" || strings.ContainsFunc(rule, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("time zone %s follows no rule: choose another one", name)
	}
	return rule, nil
}
