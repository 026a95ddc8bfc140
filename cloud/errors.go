package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
)

// Kind tells what can be done about an error.
type Kind uint8

const (
	// Temporary errors pass by themselves: outages, timeouts, overload.
	Temporary Kind = iota
	// NotFound: what the call is about, or refers to, does not exist or cannot be seen.
	NotFound
	// Conflict: something is in the way: an address in use, a port still bound.
	Conflict
	// Quota: the project may not have more.
	Quota
	// Capacity: the cloud has no more: hosts, addresses of a subnet.
	Capacity
	// Invalid: the request cannot be fulfilled as it is.
	Invalid
	// Denied: the credentials are not accepted or not sufficient.
	Denied
)

func (k Kind) String() string {
	return [...]string{"temporary", "not found", "conflict", "quota", "capacity", "invalid", "denied"}[k]
}

// Error is a failed call.
type Error struct {
	Kind    Kind
	Doing   string // what the call was about
	Status  int    // of HTTP; 0 when there was no answer
	Message string // the cloud's own words, without markup; they may be shown to the user
	Type    string // Neutron's name for it, such as IpAddressInUse
	err     error
}

func (e *Error) Error() string { return "cannot " + e.Doing + ": " + describe(e.Kind, e.Message) }

// describe says in the words of one's own whether more is allowed or more is there, which clouds say in many ways.
func describe(k Kind, message string) string {
	switch k {
	case Quota:
		return "a quota is used up: " + message
	case Capacity:
		return "the cloud has no room: " + message
	}
	return message
}
func (e *Error) Unwrap() error { return e.err }

// KindOf tells the kind of an error, Temporary for one that is not of this package.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Temporary
}

// IsNotFound tells whether an error is of kind NotFound; nil is not.
func IsNotFound(err error) bool { return err != nil && KindOf(err) == NotFound }

// Explain classifies an error of gophercloud's, for others who use a client of this package. Nil stays nil.
func Explain(err error, doing string, args ...any) error { return wrap(err, doing, args...) }

// wrap classifies an error of gophercloud's.
func wrap(err error, doing string, args ...any) error {
	if err == nil {
		return nil
	}
	if known, ok := errors.AsType[*Error](err); ok {
		return known
	}
	e := &Error{Doing: fmt.Sprintf(doing, args...), err: err, Message: err.Error()}
	answer, ok := findAnswer(err)
	if !ok {
		e.Kind, e.Message = unanswered(err)
		return e
	}
	e.Status = answer.Actual
	e.Type, e.Message = faultOf(answer.Body)
	if e.Message == "" {
		e.Message = fmt.Sprintf("%d %s", answer.Actual, http.StatusText(answer.Actual))
	}
	e.Kind = classify(answer.Actual, e.Type, e.Message)
	return e
}

// findAnswer digs out the answer that was not accepted: some of gophercloud's errors that hold one do not unwrap.
func findAnswer(err error) (gophercloud.ErrUnexpectedResponseCode, bool) {
	if answer, ok := errors.AsType[gophercloud.ErrUnexpectedResponseCode](err); ok {
		return answer, true
	}
	if again, ok := errors.AsType[*gophercloud.ErrErrorAfterReauthentication](err); ok {
		return findAnswer(again.ErrOriginal)
	}
	if failed, ok := errors.AsType[*gophercloud.ErrUnableToReauthenticate](err); ok {
		return findAnswer(failed.ErrReauth)
	}
	return gophercloud.ErrUnexpectedResponseCode{}, false
}

func unanswered(err error) (Kind, string) {
	if errors.Is(err, context.DeadlineExceeded) {
		return Temporary, "no answer in time"
	}
	if _, ok := errors.AsType[*gophercloud.ErrEndpointNotFound](err); ok {
		return Denied, "the catalog has no endpoint for it"
	}
	return Temporary, err.Error()
}

// classify knows what Neutron and Nova mean by their statuses.
func classify(status int, faultType, message string) Kind {
	if scarce := faultKind(message); scarce != Temporary {
		return scarce
	}
	switch {
	case faultType == "OverQuota", status == http.StatusRequestEntityTooLarge:
		return Quota
	case faultType == "IpAddressGenerationFailure", faultType == "ExternalIpAddressExhausted":
		return Capacity
	case status == http.StatusNotFound, strings.HasSuffix(faultType, "NotFound") && status < 500:
		return NotFound
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return Denied
	case status == http.StatusConflict, status == http.StatusPreconditionFailed:
		return Conflict
	case status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, status >= 500:
		return Temporary
	default:
		return Invalid
	}
}

// faultKind tells from a message, also the one that Nova leaves with an instance that failed, whether the project may not
// have more or the cloud has no more; Temporary when it is neither.
func faultKind(message string) Kind {
	text := strings.ToLower(message)
	says := func(parts ...string) bool {
		return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(text, part) })
	}
	switch {
	case says("quota exceeded", "exceeded for quota", "exceeds allowed", "quota_items", "exceeded for resources"):
		return Quota
	case says("no valid host", "no more ip addresses", "insufficient compute resources", "exceeded maximum number of retries",
		"not enough available memory", "exhausted all hosts", "insufficient free space"):
		return Capacity
	}
	return Temporary
}

// faultOf reads the body of a refusal: Neutron's {"NeutronError": {type, message}}, Nova's {"badRequest": {message}} and
// Keystone's and Glance's likes.
func faultOf(body []byte) (faultType, message string) {
	var outer map[string]json.RawMessage
	if json.Unmarshal(body, &outer) != nil {
		return "", shorten(plainText(string(body)))
	}
	for _, inner := range outer {
		var fault struct{ Type, Message string }
		if json.Unmarshal(inner, &fault) == nil && fault.Message != "" {
			return fault.Type, shorten(fault.Message)
		}
	}
	for _, key := range []string{"message", "NeutronError"} {
		var text string
		if json.Unmarshal(outer[key], &text) == nil && text != "" {
			return "", shorten(text)
		}
	}
	return "", ""
}

// plainText takes the markup out of an error page.
func plainText(s string) string {
	if !strings.Contains(s, "<") {
		return strings.Join(strings.Fields(s), " ")
	}
	var b strings.Builder
	inside := false
	for _, r := range s {
		switch {
		case r == '<':
			inside = true
		case r == '>':
			inside = false
			b.WriteByte(' ')
		case !inside:
			b.WriteRune(r)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func shorten(s string) string {
	const limit = 500
	if len(s) > limit {
		return strings.ToValidUTF8(s[:limit], "") + "…"
	}
	return s
}
