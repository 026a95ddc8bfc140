package health

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/store"
)

// maxAge is how far a report's time may be from ours. Agents stamp reports with the controller's clock (they know it from
// the Date of every answer), so a report that is older has been on its way for that long and says nothing about now.
const maxAge = time.Minute

// report takes in one report.
func (s *Server) report(w http.ResponseWriter, r *http.Request, amphora store.Amphora) {
	if amphora.Deleting {
		refuse(w, http.StatusGone, errGone.Error())
		return
	}
	agent, free := s.reports.begin(amphora.ID, r.ContentLength)
	if !free {
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusServiceUnavailable, "a report of this amphora is being taken in")
		return
	}
	defer agent.taking.Unlock()
	report, err := decodeReport(body(w, r, maxReportBytes).Body)
	if err != nil {
		s.Logger.Warn("refused a report", "amphora", amphora.ID, "lb", amphora.LoadBalancerID, "err", err)
		refuseBody(w, err)
		return
	}
	if age := s.Clock().Sub(report.Time); age.Abs() > maxAge {
		s.Logger.Warn("dropped a report that is not of now", "amphora", amphora.ID, "lb", amphora.LoadBalancerID, "age", age)
		refuse(w, http.StatusConflict, "the report is not of now: stamp it with the clock that the Date of this answer shows")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), workTimeout)
	defer cancel()
	err = s.reports.take(ctx, agent, amphora, report)
	switch {
	case errors.Is(err, store.ErrStale):
		refuse(w, http.StatusConflict, "a newer report was taken in already")
	case errors.Is(err, store.ErrNotFound):
		s.fail(w, r, errStranger)
	case err != nil:
		s.fail(w, r, err)
	default:
		s.answer(w, r, agentapi.ReportAnswer{Interval: s.ReportInterval, Renew: s.CA.Outdated(r.TLS.PeerCertificates[0], report.Trust)})
	}
}

// sameNews tells whether two reports differ in nothing but what every report differs in: sequence, time and counters.
func sameNews(a, b *agentapi.Report) bool {
	return a.Boot == b.Boot && a.Applied == b.Applied && a.Failure == b.Failure && a.FailedGen == b.FailedGen &&
		a.Version == b.Version && a.Program == b.Program && a.ProgramRefused == b.ProgramRefused && a.ProgramFailure == b.ProgramFailure && a.Trust == b.Trust && a.MaxConnections == b.MaxConnections && a.VRRPState == b.VRRPState && slices.Equal(a.Capabilities, b.Capabilities) &&
		slices.Equal(a.Members, b.Members) &&
		slices.EqualFunc(a.Listeners, b.Listeners, func(x, y agentapi.ListenerHealth) bool {
			return x.ID == y.ID && x.Status == y.Status
		})
}
