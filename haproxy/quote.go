package haproxy

import (
	"errors"
	"fmt"
	"strings"
)

var (
	errEmpty   = errors.New("an empty string cannot be written in haproxy.cfg")
	errNUL     = errors.New("a NUL byte cannot be written in haproxy.cfg")
	errControl = errors.New("has a control character")
)

// word writes any string as one word of a configuration line. Between single quotes HAProxy takes every character for
// itself, so that the only ones to care for are the quote itself and control characters, which are written as escapes
// outside of the quotes: a newline would end the line whatever stands around it.
func word(s string) (string, error) {
	switch {
	case s == "":
		return "", errEmpty
	case strings.IndexByte(s, 0) >= 0:
		return "", errNUL
	case strings.IndexFunc(s, needsQuotes) < 0:
		return s, nil
	}
	var b strings.Builder
	quoted := false
	quote := func(on bool) {
		if on != quoted {
			b.WriteByte('\'')
			quoted = on
		}
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\'':
			quote(false)
			b.WriteString(`\'`)
		case c < 0x20 || c == 0x7f:
			quote(false)
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			quote(true)
			b.WriteByte(c)
		}
	}
	quote(false)
	return b.String(), nil
}

func optionalWord(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	return word(s)
}

func needsQuotes(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@,=+^|()*?[]&;~!<>", r))
}

// format writes a string where HAProxy expects a log format, so that it stands for itself.
func format(s string) (string, error) { return word(strings.ReplaceAll(s, "%", "%%")) }

// argument writes a string as the argument of a sample fetch, in parentheses. Only tokens as in header and cookie names
// are possible; ok is false for anything else, which no request can contain.
func argument(s string) (arg string, ok bool) {
	if s == "" || strings.IndexFunc(s, notToken) >= 0 {
		return "", false
	}
	if strings.Contains(s, "'") {
		return `"` + s + `"`, true
	}
	return s, true
}

func notToken(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", r))
}

func hasControl(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f }) >= 0
}

// uri percent-encodes what must not stand in a request line.
func uri(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= 0x20 || c >= 0x7f {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
