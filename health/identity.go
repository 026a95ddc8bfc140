package health

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/octavo-lb/octavo/ca"
	"github.com/octavo-lb/octavo/store"
)

// identified admits a request only if its client certificate belongs to an amphora that exists, before anything of its
// body is read. Who asks is what the certificate says, whatever the request says.
func (s *Server) identified(handle func(http.ResponseWriter, *http.Request, store.Amphora)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), workTimeout)
		amphora, err := s.amphoraOf(ctx, r.TLS.PeerCertificates[0])
		cancel()
		if err != nil {
			s.fail(w, r, err)
			return
		}
		handle(w, r, amphora)
	})
}

// errStranger is a certificate of nobody we know (any more).
var errStranger = errors.New("the certificate is not one in use of an amphora that exists")

func (s *Server) amphoraOf(ctx context.Context, c *x509.Certificate) (store.Amphora, error) {
	id, err := ca.AmphoraOf(c)
	if err != nil || s.Clock().After(c.NotAfter) { // it may have expired since the handshake
		return store.Amphora{}, errStranger
	}
	amphora, err := s.Store.Amphora(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return store.Amphora{}, errStranger
	}
	if err != nil {
		return store.Amphora{}, err
	}
	switch serial := ca.Serial(c); {
	case serial == amphora.CertSerial && amphora.CertPrevious != "":
		// The newest one arrived and works: from now on it is the only one.
		return amphora, s.Store.DropPreviousCertificate(ctx, id, serial)
	case serial == amphora.CertSerial, serial == amphora.CertPrevious:
		return amphora, nil
	}
	return store.Amphora{}, errStranger
}

// fail answers an error of ours or of the agent's. An agent keeps serving whatever we answer.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, errStranger):
		refuse(w, http.StatusForbidden, err.Error())
	case errors.Is(err, ca.ErrBadRequest):
		refuse(w, http.StatusBadRequest, err.Error())
	case r.Context().Err() != nil:
		// The agent went away; nobody reads an answer.
	case store.IsTemporary(err), errors.Is(err, context.DeadlineExceeded):
		s.Logger.Warn("cannot answer an agent, it will ask again", "path", r.URL.Path, "err", err)
		// Spread, so that not all agents of an outage come back at once.
		w.Header().Set("Retry-After", strconv.Itoa(2+rand.IntN(9)))
		refuse(w, http.StatusServiceUnavailable, "the controller cannot reach its database")
	default:
		s.Logger.Error("cannot answer an agent", "path", r.URL.Path, "err", err)
		refuse(w, http.StatusInternalServerError, "internal error")
	}
}

// refuse answers a sentence for people; agents act on the code.
func refuse(w http.ResponseWriter, code int, sentence string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	write(w, code, []byte(sentence+"\n"))
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request, value any) {
	text, err := json.Marshal(value)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	write(w, http.StatusOK, text)
}

// write is how every answer is written: within a time that begins now, since the wait before it may have been long.
func write(w http.ResponseWriter, code int, text []byte) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout))
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = w.Write(text) // an agent that went away asks again
}

// body bounds the time and the size of a request's body.
func body(w http.ResponseWriter, r *http.Request, limit int64) *http.Request {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
	r.Body = http.MaxBytesReader(w, r.Body, limit)
	return r
}
