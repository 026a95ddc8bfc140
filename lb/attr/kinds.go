package attr

import (
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"unicode"
)

// check tests a string and returns the form of it that is kept. Otherwise it returns the reason why it is wrong.
type check func(string) (kept, reason string)

// kinds are the named checks of kind=. Every string passes oneLine first, except those of kind text.
var kinds = map[string]check{
	"":               nil,
	"text":           text,
	"uuid":           uuid,
	"ip":             ip,
	"cidr":           cidr,
	"url":            httpURL,
	"url_path":       urlPath,
	"ciphers":        matching(`^[A-Za-z0-9\-+!:@=_.]+$`),
	"cookie_name":    matching(`^[^\s,;\\]+$`),
	"expected_codes": matching(`^([0-9]{3}(\s*,\s*[0-9]{3})*)$|^([0-9]{3}-[0-9]{3})$`),
	"domain_name":    domainName,
}

// oneLine refuses what could end a line or a field in any text that is rendered from the string.
func oneLine(s string) (string, string) {
	if strings.ContainsFunc(s, isControl) {
		return "", "Value should not contain control characters or line breaks"
	}
	return s, ""
}

// text may have several lines: it is shown to people and goes nowhere else.
func text(s string) (string, string) {
	if strings.ContainsFunc(s, func(r rune) bool { return isControl(r) && r != '\n' && r != '\r' && r != '\t' }) {
		return "", "Value should not contain control characters"
	}
	return s, ""
}

func isControl(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029'
}

// uuid accepts the spellings that Python's uuid.UUID does and keeps the usual one.
func uuid(s string) (string, string) {
	hex := strings.ToLower(strings.Trim(strings.TrimPrefix(strings.TrimPrefix(s, "urn:"), "uuid:"), "{}"))
	hex = strings.ReplaceAll(hex, "-", "")
	if len(hex) != 32 || strings.Trim(hex, "0123456789abcdef") != "" {
		return "", "Value should be UUID format"
	}
	return hex[:8] + "-" + hex[8:12] + "-" + hex[12:16] + "-" + hex[16:20] + "-" + hex[20:], ""
}

// ip keeps the user's spelling, as Octavia does: clients compare what they get with what they sent.
func ip(s string) (string, string) {
	if a, err := netip.ParseAddr(s); err != nil || a.Zone() != "" {
		return "", "Value should be IPv4 or IPv6 format"
	}
	return s, ""
}

// cidr keeps the network without its host bits; a single address is a network of its own.
func cidr(s string) (string, string) {
	const reason = "Value should be IPv4 or IPv6 CIDR format"
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return "", reason
		}
		return netip.PrefixFrom(a, a.BitLen()).String(), ""
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return "", reason
	}
	return p.Masked().String(), ""
}

func httpURL(s string) (string, string) {
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || !visibleASCII(s) {
		return "", "Value must be a valid URL string"
	}
	return s, ""
}

var pathChars = regexp.MustCompile(`^/([A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})*$`)

func urlPath(s string) (string, string) {
	path, _, _ := strings.Cut(s, "#")
	path, _, _ = strings.Cut(path, "?")
	if strings.HasPrefix(s, "//") || !pathChars.MatchString(path) || !visibleASCII(s) {
		return "", "Value must be a valid URL Path string"
	}
	return s, ""
}

// visibleASCII tells whether a string can stand in a URL without being encoded or quoted.
func visibleASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '"' || r == '\\' })
}

var domainLabel = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$`)

// domainName follows Octavia's DOMAIN_NAME_REGEX: an underscore may begin a label, not stand inside one.
func domainName(s string) (string, string) {
	const reason = "Value should be a domain name"
	name := strings.TrimSuffix(s, ".")
	if name == "" || len(name) > 253 {
		return "", reason
	}
	for label := range strings.SplitSeq(name, ".") {
		if !domainLabel.MatchString(label) || strings.LastIndex(label, "_") > 0 {
			return "", reason
		}
	}
	return s, ""
}

func matching(pattern string) check {
	re := regexp.MustCompile(pattern)
	return func(s string) (string, string) {
		if !re.MatchString(s) {
			return "", "Value should match the pattern " + pattern
		}
		return s, ""
	}
}
