package health

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/plan"
	"github.com/octavo-lb/octavo/store"
)

// state answers the wanted state as soon as there is one newer than what the agent has.
func (s *Server) state(w http.ResponseWriter, r *http.Request, amphora store.Amphora) {
	have, wait, err := stateQuery(r)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	// Listen first, look then: a change in between is noticed.
	changed, stop := s.hub.listen(amphora.LoadBalancerID)
	defer stop()
	timeout, joining := time.NewTimer(wait), time.NewTimer(s.JoinPatience)
	defer timeout.Stop()
	defer joining.Stop()
	alone := false // nobody is waited for any more
	for waited := false; ; waited = true {
		var again <-chan time.Time
		state, found, err := s.newerState(r.Context(), amphora, have, alone)
		switch {
		case errors.Is(err, errGone):
			s.tellStandDown(r.Context(), w, amphora.ID)
			refuse(w, http.StatusGone, err.Error())
			return
		case err != nil && waited && store.IsTemporary(err):
			again = time.After(time.Second) // who waits already need not be sent away
		case err != nil:
			s.fail(w, r, err)
			return
		case found:
			s.answer(w, r, state)
			return
		}
		select {
		case <-changed:
		case <-again:
		case <-joining.C:
			alone = true
		case <-timeout.C:
			write(w, http.StatusNotModified, nil)
			return
		case <-s.stopping:
			write(w, http.StatusNotModified, nil)
			return
		case <-r.Context().Done():
			return
		}
	}
}

var errGone = errors.New("the amphora is to be deleted")

// newerState builds the state if the load balancer has a newer generation and, unless the amphora is to be alone, the other one
// of its pair knows of it. That costs two statements when there is none.
func (s *Server) newerState(ctx context.Context, amphora store.Amphora, have int64, alone bool) (agentapi.State, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, workTimeout)
	defer cancel()
	amphorae, err := s.Store.Amphorae(ctx, amphora.LoadBalancerID)
	if err != nil {
		return agentapi.State{}, false, err
	}
	if !slices.ContainsFunc(amphorae, func(a store.Amphora) bool { return a.ID == amphora.ID && !a.Deleting }) {
		return agentapi.State{}, false, errGone
	}
	progress, err := s.Store.Progress(ctx, amphora.LoadBalancerID)
	if err != nil || progress.Generation <= have {
		return agentapi.State{}, false, gone(err)
	}
	tree, err := s.Store.Tree(ctx, amphora.LoadBalancerID)
	if err != nil {
		return agentapi.State{}, false, gone(err)
	}
	state, ready, err := s.BuildState(tree, amphorae, amphora.ID)
	if ready && !alone && s.Unheard != nil && s.Unheard(tree, amphorae, amphora.ID) {
		return agentapi.State{}, false, err // the other one's report is a change
	}
	return state, ready && state.Generation > have, err
}

// tellStandDown tells an amphora that is being replaced to let its clients go in peace.
func (s *Server) tellStandDown(ctx context.Context, w http.ResponseWriter, id string) {
	if a, err := s.Store.Amphora(ctx, id); err == nil && a.Replacing && !a.Drained {
		w.Header().Set(agentapi.StandDown, plan.StandDownTime.String())
	}
}

// drained notes that an amphora has let its clients go.
func (s *Server) drained(w http.ResponseWriter, r *http.Request, amphora store.Amphora) {
	ctx, cancel := context.WithTimeout(r.Context(), workTimeout)
	defer cancel()
	err := s.Store.SetDrained(ctx, amphora.LoadBalancerID, amphora.ID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		s.fail(w, r, err)
		return
	}
	write(w, http.StatusNoContent, nil)
}

// gone takes a load balancer that is not there any more for what it means to its amphora.
func gone(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return errGone
	}
	return err
}

// stateQuery reads which generation the agent has (none: -1, anything is newer) and how long it wants to wait.
func stateQuery(r *http.Request) (have int64, wait time.Duration, err error) {
	have = -1
	query := r.URL.Query()
	if text := query.Get("generation"); text != "" {
		if have, err = strconv.ParseInt(text, 10, 64); err != nil || have < 0 {
			return 0, 0, errors.New("generation is not a number")
		}
	}
	if text := query.Get("wait"); text != "" {
		seconds, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return 0, 0, errors.New("wait is not a number of seconds")
		}
		wait = min(time.Duration(seconds)*time.Second, maxWait)
	}
	return have, wait, nil
}

// secret hands out one secret that the amphora's load balancer uses, and no other's.
func (s *Server) secret(w http.ResponseWriter, r *http.Request, amphora store.Amphora) {
	if s.Secrets == nil || amphora.Deleting {
		refuse(w, http.StatusNotFound, noSecret)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), workTimeout)
	defer cancel()
	digest := r.PathValue("digest")
	sealed, err := s.Store.SealedSecret(ctx, amphora.LoadBalancerID, digest)
	if errors.Is(err, store.ErrNotFound) {
		refuse(w, http.StatusNotFound, noSecret)
		return
	}
	var pem []byte
	if err == nil {
		pem, err = s.Secrets.Open(sealed, digest)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.answer(w, r, agentapi.SecretBundle{PEM: pem})
}

const noSecret = "the load balancer uses no such secret"
