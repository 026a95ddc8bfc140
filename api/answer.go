package api

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/octavo-lb/octavo/lb/attr"
)

// write sends a JSON answer.
func (c *call) write(status int, body []byte) error {
	h := c.w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	c.status = status
	c.w.WriteHeader(status)
	c.w.Write(body) // the client may be gone: there is nobody to tell
	return nil
}

// done answers without a body.
func (c *call) done(status int) error {
	c.status = status
	c.w.WriteHeader(status)
	return nil
}

// writeFault sends an error in the form of wsme, which clients know, with the members that pecan puts in its own errors
// beside them.
func (s *Server) writeFault(c *call, status int, message string) {
	code := "Client"
	if status >= 500 {
		code = "Server"
	}
	b := append([]byte(nil), `{"faultcode":`...)
	b = attr.AppendString(b, code)
	b = attr.AppendString(append(b, `,"faultstring":`...), message)
	b = append(b, `,"debuginfo":null`...)
	if status == http.StatusNotAcceptable || status == http.StatusMethodNotAllowed || message == noSuchPage.Message {
		b = strconv.AppendInt(append(b, `,"code":`...), int64(status), 10)
		b = attr.AppendString(append(b, `,"title":`...), http.StatusText(status))
		b = attr.AppendString(append(b, `,"description":`...), message)
	}
	c.write(status, append(b, '}'))
}

// writeUnauthorized sends what Keystone's middleware does to a request without a valid token.
func (s *Server) writeUnauthorized(c *call) {
	if s.AuthURI != "" {
		c.w.Header().Set("Www-Authenticate", `Keystone uri="`+s.AuthURI+`"`)
	}
	c.write(http.StatusUnauthorized,
		[]byte(`{"error": {"code": 401, "title": "Unauthorized", "message": "The request you have made requires authentication."}}`))
}

// acceptsJSON reads an Accept header as Octavia does: one that is missing, empty or malformed accepts everything.
func acceptsJSON(headers []string) bool {
	best, accepted := -1, true
	for item := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		media, params, _ := strings.Cut(item, ";")
		media = strings.ToLower(strings.TrimSpace(media))
		if media == "" {
			continue
		}
		if strings.Count(media, "/") != 1 {
			return true
		}
		specific := map[string]int{"*/*": 1, "application/*": 2, "application/json": 3}[media]
		if specific > best {
			best, accepted = specific, specific > 0 && !zeroQuality(params)
		}
	}
	return accepted
}

func zeroQuality(params string) bool {
	for p := range strings.SplitSeq(params, ";") {
		if q, ok := strings.CutPrefix(strings.TrimSpace(p), "q="); ok {
			f, err := strconv.ParseFloat(q, 64)
			return err == nil && f == 0
		}
	}
	return false
}
