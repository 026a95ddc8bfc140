package httpx

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"strings"
	"unicode"
)

// Error is an answer to the client other than success.
type Error struct {
	Status int
	// Kind is what the service calls it in its body ("PortNotFound"); empty for what it usually says with that status.
	Kind    string
	Message string
}

func (e *Error) Error() string { return e.Message }

// Errorf makes an Error.
func Errorf(status int, kind, format string, args ...any) *Error {
	return &Error{status, kind, fmt.Sprintf(format, args...)}
}

// BadRequest is a 400.
func BadRequest(kind, format string, args ...any) *Error {
	return Errorf(http.StatusBadRequest, kind, format, args...)
}

// Forbidden is a 403.
func Forbidden(kind, format string, args ...any) *Error {
	return Errorf(http.StatusForbidden, kind, format, args...)
}

// NotFound is a 404.
func NotFound(kind, format string, args ...any) *Error {
	return Errorf(http.StatusNotFound, kind, format, args...)
}

// Conflict is a 409.
func Conflict(kind, format string, args ...any) *Error {
	return Errorf(http.StatusConflict, kind, format, args...)
}

// Dialect writes an error the way one of OpenStack's services does: it answers the content type and the body.
type Dialect func(*Error) (contentType string, body []byte)

const jsonType = "application/json"

// Keystone: {"error": {"code": 404, "message": "...", "title": "Not Found"}}.
func Keystone(e *Error) (string, []byte) {
	return jsonType, mustJSON(map[string]any{"error": map[string]any{
		"code": e.Status, "message": e.Message, "title": title(e.Status)}})
}

// Neutron: {"NeutronError": {"type": "PortNotFound", "message": "...", "detail": ""}}; but 401, which comes from
// keystonemiddleware there as everywhere.
func Neutron(e *Error) (string, []byte) {
	kind := e.Kind
	if kind == "" {
		kind = "HTTP" + compact(e.Status)
	}
	return jsonType, mustJSON(map[string]any{"NeutronError": map[string]any{
		"type": kind, "message": e.Message, "detail": ""}})
}

// Nova: {"itemNotFound": {"code": 404, "message": "..."}}.
func Nova(e *Error) (string, []byte) {
	kind := e.Kind
	if kind == "" {
		kind = novaKind(e.Status)
	}
	return jsonType, mustJSON(map[string]any{kind: map[string]any{"code": e.Status, "message": e.Message}})
}

// novaKind: nova/api/openstack/wsgi.py, Fault._fault_names.
func novaKind(status int) string {
	switch status {
	case 400:
		return "badRequest"
	case 401:
		return "unauthorized"
	case 403:
		return "forbidden"
	case 404:
		return "itemNotFound"
	case 405:
		return "badMethod"
	case 409:
		return "conflictingRequest"
	case 413:
		return "overLimit"
	case 415:
		return "badMediaType"
	case 429:
		return "overLimit"
	case 501:
		return "notImplemented"
	case 503:
		return "serviceUnavailable"
	}
	return "computeFault"
}

// Glance: webob's HTML page, from which clients cut the sentence.
func Glance(e *Error) (string, []byte) {
	status := fmt.Sprintf("%d %s", e.Status, title(e.Status))
	return "text/html; charset=UTF-8", fmt.Appendf(nil,
		"<html>\n <head>\n  <title>%s</title>\n </head>\n <body>\n  <h1>%s</h1>\n  %s<br /><br />\n\n\n </body>\n</html>",
		status, status, html.EscapeString(e.Message))
}

// Barbican: {"code": 404, "title": "Not Found", "description": "..."}.
func Barbican(e *Error) (string, []byte) {
	return jsonType, mustJSON(map[string]any{"code": e.Status, "title": title(e.Status), "description": e.Message})
}

func title(status int) string { return http.StatusText(status) }

func compact(status int) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) {
			return r
		}
		return -1
	}, title(status))
}

// mustJSON is for what we built ourselves of strings, numbers and maps.
func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
