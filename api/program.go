package api

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/lb/attr"
	"github.com/octavo-lb/octavo/policy"
	"github.com/octavo-lb/octavo/store"
)

// program is an agentapi.Program on the wire.
type program struct {
	Size      int    `json:"size" attr:"rw,required,min=1" doc:"Bytes of the program."`
	Version   string `json:"version" attr:"rw,required,max=64" doc:"What the program says its version is."`
	Signed    string `json:"signed" attr:"rw,required,max=64" doc:"When it was signed (RFC 3339)."`
	Signature string `json:"signature" attr:"rw,required,max=255" doc:"The Ed25519 signature in base64."`
}

var digestPattern = regexp.MustCompile(`^[0-9a-f]{64}$`)

func (s *Server) programDigest(c *call) (string, error) {
	if err := s.allow(c, "amphora", policy.Failover, c.who.ProjectID); err != nil {
		return "", err
	}
	digest := c.PathValue("digest")
	if !digestPattern.MatchString(digest) {
		return "", lb.Refuse(lb.Validation, "Validation failure: %q is not a SHA-256 in hex.", digest)
	}
	return digest, nil
}

// uploadProgram takes a part of a program: its content as it is.
func (s *Server) uploadProgram(c *call) error {
	digest, err := s.programDigest(c)
	if err != nil {
		return err
	}
	part, err := strconv.Atoi(c.PathValue("part"))
	if err != nil || part < 0 || part > agentapi.MaxProgram/store.ProgramPart {
		return lb.Refuse(lb.Validation, "Validation failure: there is no part %q.", c.PathValue("part"))
	}
	data, err := io.ReadAll(http.MaxBytesReader(c.w, c.Request.Body, store.ProgramPart))
	if err != nil {
		return lb.Refuse(lb.TooLarge, "A part of a program has at most %d bytes.", store.ProgramPart)
	}
	if err := s.Store.PutProgramPart(c.Context(), digest, part, data); err != nil {
		return err
	}
	return c.done(204)
}

// nameProgram checks the signature here, so that a wrong one is told the operator and not by every agent. The agents check
// it all the same.
func (s *Server) nameProgram(c *call) error {
	body, err := c.body("program", "program")
	if err != nil {
		return err
	}
	digest, err := s.programDigest(c)
	if err != nil {
		return err
	}
	var said program
	if _, err := attr.Of[program]().Decode("program.program", body, &said, attr.Create); err != nil {
		return err
	}
	p := agentapi.Program{Digest: digest, Size: int64(said.Size), Version: said.Version}
	if p.Signed, err = time.Parse(time.RFC3339, said.Signed); err != nil {
		return lb.Refuse(lb.Validation, "Validation failure: signed is not a time such as 2026-01-02T15:04:05Z.")
	}
	if p.Signature, err = base64.StdEncoding.DecodeString(said.Signature); err != nil {
		return lb.Refuse(lb.Validation, "Validation failure: signature is not base64.")
	}
	if err := s.checkProgram(c, p); err != nil {
		return err
	}
	if err := s.Store.SetProgram(c.Context(), p); err != nil {
		return err
	}
	return c.done(204)
}

func (s *Server) checkProgram(c *call, p agentapi.Program) error {
	if len(s.ProgramKey) != ed25519.PublicKeySize {
		return lb.Refuse(lb.DisabledOption, "Amphorae have no key to check agent programs with: set [octavo] agent_update_key.")
	}
	if err := p.Verify(s.ProgramKey); err != nil {
		return lb.Refuse(lb.Validation, "Validation failure: the program is refused: %v.", err)
	}
	sum := sha256.New()
	err := s.Store.CopyProgram(c.Context(), p.Digest, p.Size, sum)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != p.Digest {
		return lb.Refuse(lb.Validation, "Validation failure: what was uploaded is not the program that was signed: it has SHA-256 %s.", got)
	}
	return nil
}
