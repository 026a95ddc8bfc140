package health

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/octavo-lb/octavo/store"
)

// program hands out the agent program that the amphora is to run.
func (s *Server) program(w http.ResponseWriter, r *http.Request, amphora store.Amphora) {
	p := amphora.WantedProgram
	if p == nil || p.Digest != r.PathValue("digest") {
		refuse(w, http.StatusNotFound, "the amphora is to run no such program")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
	defer cancel()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(p.Size, 10))
	if err := s.Store.CopyProgram(ctx, p.Digest, p.Size, w); err != nil {
		// What was written already is too short, and the agent notices.
		level := s.Logger.Warn
		if errors.Is(err, store.ErrNotFound) {
			level = s.Logger.Error
		}
		level("cannot hand out an agent program", "amphora", amphora.ID, "lb", amphora.LoadBalancerID, "err", err)
	}
}
