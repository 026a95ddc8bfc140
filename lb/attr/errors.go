package attr

import (
	"fmt"
	"strings"
)

// Error is a fault of the request: what it says is for the user. Its text has the shape that clients of Octavia know
// (wsme's InvalidInput and UnknownAttribute).
type Error struct {
	Attr string // the attribute that is wrong, or the path of the object that holds an unknown one
	text string
}

func (e *Error) Error() string { return e.text }

// Invalid says that an attribute cannot have a value, and why.
func Invalid(name, value, reason string) *Error {
	return &Error{Attr: name, text: fmt.Sprintf("Invalid input for field/attribute %s. Value: '%s'. %s", name, value, reason)}
}

// unknown names attributes that an object does not have, or not in this kind of request.
func unknown(path string, names []string) *Error {
	plural := ""
	if len(names) > 1 {
		plural = "s"
	}
	return &Error{Attr: path, text: fmt.Sprintf("Unknown attribute%s for argument %s: %s", plural, path, strings.Join(names, ", "))}
}
