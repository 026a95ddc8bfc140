package lb

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
)

// maxRules is how many rules one L7 policy can have: HAProxy takes no more conditions in one line.
const maxRules = 50

// What may stand in a header's or cookie's name and value (octavia/common/constants.py, from RFC 7230 and 6265).
var (
	tokenChars  = regexp.MustCompile(`^[a-zA-Z0-9!#$%&'*+\-.^_` + "`" + `|~]+$`)
	cookieChars = regexp.MustCompile(`^[a-zA-Z0-9!#$%&'()*+\-./:<=>?@[\]^_` + "`" + `{|}~]+$`)
	headerChars = regexp.MustCompile(`^([!-~]+|"[ \t!-~]*")$`)
	dnField     = regexp.MustCompile(`^[a-zA-Z][A-Za-z0-9-]*$`)
)

// ValidateRule checks an L7 rule. See Rules.
func (r *Rules) ValidateRule(t *Tree, u, was *L7Rule) error {
	if t.Policy(u.L7PolicyID) == nil {
		return gone(t.Policies, "L7 Policy", u.L7PolicyID)
	}
	if was == nil {
		n := 0
		for i := range t.Rules {
			if o := &t.Rules[i]; o.L7PolicyID == u.L7PolicyID && o.ID != u.ID && !o.Deleting {
				n++
			}
		}
		if n >= maxRules {
			return Refuse(TooMany, "Too many rules on L7 policy %s", u.L7PolicyID)
		}
	}
	if why := u.wrong(); why != "" {
		return Refuse(Validation, "Error parsing L7Rule: %s", why)
	}
	return nil
}

// wrong tells what makes no sense in a rule, empty if it does.
func (u *L7Rule) wrong() string {
	if u.Value == "" {
		return "a rule needs a value"
	}
	if strings.HasPrefix(u.Type, "SSL_") {
		return u.wrongTLS()
	}
	allowed := []string{"REGEX", "STARTS_WITH", "ENDS_WITH", "CONTAINS", "EQUAL_TO"}
	if u.Type == "FILE_TYPE" {
		allowed = []string{"REGEX", "EQUAL_TO"}
	}
	if !slices.Contains(allowed, u.CompareType) {
		return u.Type + " cannot be compared with " + u.CompareType
	}
	valueChars := headerChars
	if u.Type == "HEADER" || u.Type == "COOKIE" {
		if !isSet(u.Key) {
			return u.Type + " needs a key"
		}
		if !tokenChars.MatchString(*u.Key) {
			return "Invalid characters in key"
		}
		if u.Type == "COOKIE" {
			valueChars = cookieChars
		}
	}
	if u.CompareType == "REGEX" {
		return wrongRegex(u.Value)
	}
	if !valueChars.MatchString(u.Value) {
		return "Invalid characters in value"
	}
	return ""
}

func (u *L7Rule) wrongTLS() string {
	number, err := strconv.Atoi(u.Value)
	switch {
	case u.Type != "SSL_DN_FIELD" && isSet(u.Key):
		return u.Type + " takes no key"
	case u.Type != "SSL_DN_FIELD" && u.CompareType != "EQUAL_TO":
		return u.Type + " can be compared with EQUAL_TO only"
	case u.Type == "SSL_CONN_HAS_CERT" && !strings.EqualFold(u.Value, "true"):
		return "the value of SSL_CONN_HAS_CERT can only be True"
	case u.Type == "SSL_VERIFY_RESULT" && (err != nil || number < 0):
		return "the value of SSL_VERIFY_RESULT is a number from 0"
	case u.Type == "SSL_DN_FIELD" && !isSet(u.Key):
		return "SSL_DN_FIELD needs a key"
	case u.Type == "SSL_DN_FIELD" && !dnField.MatchString(*u.Key):
		return "the key of SSL_DN_FIELD is no name of a field"
	case u.Type == "SSL_DN_FIELD" && u.CompareType == "REGEX":
		return wrongRegex(u.Value)
	case u.Type == "SSL_DN_FIELD" && !headerChars.MatchString(u.Value) && !printable(u.Value):
		return "Invalid characters in value"
	}
	return ""
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// wrongRegex tells why an expression is none. HAProxy compiles it with PCRE, which has more than Go's syntax:
// lookaround, atomic groups, possessive quantifiers and backreferences are passed over.
func wrongRegex(s string) string {
	if _, err := syntax.Parse(s, syntax.Perl); err == nil {
		return ""
	}
	_, err := syntax.Parse(likeGo(s), syntax.Perl)
	if err != nil {
		return "Unable to parse regular expression: " + strings.TrimPrefix(err.Error(), "error parsing regexp: ")
	}
	return ""
}

var (
	group      = regexp.MustCompile(`(^|[^\\])\(\?(=|!|<=|<!|>|\|)`)
	possessive = regexp.MustCompile(`([*+?}])\+`)
	backref    = regexp.MustCompile(`(^|[^\\])\\[1-9]`)
)

func likeGo(s string) string {
	s = group.ReplaceAllString(s, "$1(?:")
	s = possessive.ReplaceAllString(s, "$1")
	return backref.ReplaceAllString(s, "${1}x")
}
