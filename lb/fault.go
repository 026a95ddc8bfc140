package lb

import (
	"errors"
	"fmt"

	"github.com/octavo-lb/octavo/lb/attr"
)

// Code says what kind of mistake a request holds. Names and HTTP statuses are those of Octavia's exceptions
// (octavia/common/exceptions.py); several of its exceptions that a client cannot tell apart share a code.
type Code uint8

const (
	InvalidInput     Code = iota + 1 // an attribute by itself
	Validation                       // attributes that do not go together
	InvalidOption                    // a value that this object cannot have
	DisabledOption                   // a value that this deployment does not allow
	InvalidReference                 // an id of another service that the caller cannot see
	Unauthorized                     // no valid token
	Forbidden                        // not allowed by the policy
	QuotaMet                         // no more of these in the project
	NotFound                         // no such object
	NotAllowed                       // no such call
	NotAcceptable                    // no answer in that format
	Immutable                        // being deleted, or busy where the deployment says so
	Duplicate                        // there is one already
	InUse                            // something refers to it
	TooMany                          // no more of these in one parent
	TooLarge                         // the body
	UnknownMedia                     // the body's format
	NotProvided                      // the provider cannot do this
	Unavailable                      // something that the service depends on; worth trying again
)

// statuses are HTTP's, by number: this package knows no HTTP.
var statuses = [...]int{
	InvalidInput: 400, Validation: 400, InvalidOption: 400, DisabledOption: 400, InvalidReference: 400,
	Unauthorized: 401, Forbidden: 403, QuotaMet: 403, NotFound: 404, NotAllowed: 405, NotAcceptable: 406,
	Immutable: 409, Duplicate: 409, InUse: 409, TooMany: 409, TooLarge: 413, UnknownMedia: 415,
	NotProvided: 501, Unavailable: 503,
}

// Status is the HTTP status of the code, 500 for one that is not declared.
func (c Code) Status() int {
	if c == 0 || int(c) >= len(statuses) {
		return 500
	}
	return statuses[c]
}

// Fault is a mistake in a request, or a refusal of it, in words for the one who sent it. All other errors are internal:
// they are logged and not shown.
type Fault struct {
	Code    Code
	Message string
}

func (f *Fault) Error() string { return f.Message }

// Refuse makes a fault.
func Refuse(code Code, format string, args ...any) *Fault {
	return &Fault{Code: code, Message: fmt.Sprintf(format, args...)}
}

// AsFault finds the fault in an error; an error of the attribute decoder is one. It is nil for internal errors.
func AsFault(err error) *Fault {
	var f *Fault
	if errors.As(err, &f) {
		return f
	}
	var a *attr.Error
	if errors.As(err, &a) {
		return &Fault{Code: InvalidInput, Message: a.Error()}
	}
	return nil
}

// invalid is the fault of attributes that do not go together.
func invalid(format string, args ...any) error {
	return Refuse(Validation, "Validation failure: "+format, args...)
}

// badOption is the fault of a value that an object cannot have.
func badOption(value, option any) error {
	return Refuse(InvalidOption, "%v is not a valid option for %v", value, option)
}

// Missing is the fault of an id that names nothing. Resource is the name that people read, as in "Load Balancer".
func Missing(resource, id string) *Fault { return Refuse(NotFound, "%s %s not found.", resource, id) }

// BeingDeleted is the fault of a write to an object that is on its way out.
func BeingDeleted(resource, id string) *Fault {
	return Refuse(Immutable, "%s %s is immutable and cannot be updated.", resource, id)
}
