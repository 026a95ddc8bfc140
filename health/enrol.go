package health

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/ca"
	"github.com/octavo-lb/octavo/store"
)

// enrol trades a one-time token for a certificate. It is the one call that anybody can make, so nothing of the body is
// read before the token was recognised.
func (s *Server) enrol(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), workTimeout)
	defer cancel()
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if err := s.knowsToken(ctx, token); err != nil {
		s.refuseEnrolment(w, r, err)
		return
	}
	csr, err := s.readCSR(w, r)
	if err != nil {
		refuseBody(w, err)
		return
	}
	key, err := ca.CSRKey(csr)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	amphora, err := s.Store.UseToken(ctx, ca.HashToken(token), key)
	if err != nil {
		s.refuseEnrolment(w, r, err)
		return
	}
	if s.certify(ctx, w, r, amphora, csr, amphora.CertSerial) {
		s.Logger.Info("enrolled", "amphora", amphora.ID, "lb", amphora.LoadBalancerID)
	}
}

// knowsToken fails with ErrNotFound unless the token is the one of the amphora that it names.
func (s *Server) knowsToken(ctx context.Context, token string) error {
	claimed, err := ca.TokenAmphora(token)
	if err != nil {
		return fmt.Errorf("%w: %v", store.ErrNotFound, err)
	}
	amphora, err := s.Store.Amphora(ctx, claimed)
	if err == nil && !ca.TokenMatches(token, amphora.EnrolHash) {
		err = fmt.Errorf("%w: a wrong token for amphora %s", store.ErrNotFound, claimed)
	}
	return err
}

func (s *Server) refuseEnrolment(w http.ResponseWriter, r *http.Request, err error) {
	if !errors.Is(err, store.ErrNotFound) {
		s.fail(w, r, err)
		return
	}
	s.refusals.Do(func() { s.Logger.Warn("refused an enrolment", "from", r.RemoteAddr, "err", err) })
	refuse(w, http.StatusForbidden, "the token is unknown, used or expired")
}

// renew certifies a new key. The certificate that asks stays good until the new one is used.
func (s *Server) renew(w http.ResponseWriter, r *http.Request, amphora store.Amphora) {
	csr, err := s.readCSR(w, r)
	if err != nil {
		refuseBody(w, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), workTimeout)
	defer cancel()
	s.certify(ctx, w, r, amphora, csr, ca.Serial(r.TLS.PeerCertificates[0]))
}

// certify signs, stores which certificate is good from now on, and only then hands it out. It tells whether it did.
func (s *Server) certify(ctx context.Context, w http.ResponseWriter, r *http.Request, amphora store.Amphora, csr, previous string) bool {
	signed, err := s.CA.SignAgent(csr, amphora.ID)
	if err != nil {
		s.fail(w, r, err)
		return false
	}
	given := store.Given{Serial: signed.Serial, Previous: previous, Issuer: signed.Issuer, Expiration: signed.NotAfter}
	if err := s.Store.SetCertificate(ctx, amphora.ID, given); err != nil {
		s.fail(w, r, err)
		return false
	}
	s.answer(w, r, agentapi.Certificate{Certificate: signed.PEM, Trust: s.CA.Trust(), RenewAfter: signed.RenewAfter})
	return true
}

func (s *Server) readCSR(w http.ResponseWriter, r *http.Request) (string, error) {
	var request agentapi.EnrollRequest
	err := decodeOne(body(w, r, maxEnrollBytes).Body, &request)
	return request.CSR, err
}

func refuseBody(w http.ResponseWriter, err error) {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		refuse(w, http.StatusRequestEntityTooLarge, err.Error())
		return
	}
	refuse(w, http.StatusBadRequest, err.Error())
}
