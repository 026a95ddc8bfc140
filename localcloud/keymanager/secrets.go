package keymanager

import (
	"encoding/base64"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/state"
)

// maxPayload is Barbican's max_allowed_secret_in_bytes.
const maxPayload = 20_000

const (
	text  = "text/plain"
	bytes = "application/octet-stream"
)

var (
	secretTypes  = []string{"opaque", "symmetric", "public", "private", "certificate", "passphrase"}
	contentTypes = []string{text, bytes, "application/pkcs8", "application/pkix-cert"}
)

// shownSecret is a secret as the API shows it: all but the payload.
type shownSecret struct {
	Name         string            `json:"name"`
	Status       string            `json:"status"`
	Type         string            `json:"secret_type"`
	Algorithm    *string           `json:"algorithm"`
	BitLength    *int              `json:"bit_length"`
	Mode         *string           `json:"mode"`
	Expiration   *string           `json:"expiration"`
	Created      string            `json:"created"`
	Updated      string            `json:"updated"`
	CreatorID    string            `json:"creator_id"`
	ContentTypes map[string]string `json:"content_types,omitempty"`
	Ref          string            `json:"secret_ref"`
}

func shown(r *http.Request, o *secret) shownSecret {
	x := shownSecret{Name: o.Name, Status: "ACTIVE", Type: o.Type, Algorithm: o.Algorithm, BitLength: o.BitLength, Mode: o.Mode,
		Created: timestamp(o.Created), Updated: timestamp(o.Updated), CreatorID: o.CreatorID,
		Ref: ref(r, "secrets", o.ID)}
	if x.Name == "" {
		x.Name = o.ID
	}
	if o.Expiration != nil {
		x.Expiration = new(timestamp(*o.Expiration))
	}
	if o.ContentType != "" {
		x.ContentTypes = map[string]string{"default": o.ContentType}
	}
	return x
}

// newSecret is the body of POST.
type newSecret struct {
	Name        string  `json:"name"`
	Type        string  `json:"secret_type"`
	Algorithm   *string `json:"algorithm"`
	BitLength   *int    `json:"bit_length"`
	Mode        *string `json:"mode"`
	Expiration  *string `json:"expiration"`
	Payload     *string `json:"payload"`
	ContentType string  `json:"payload_content_type"`
	Encoding    string  `json:"payload_content_encoding"`
}

func (s *Service) createSecret(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	if err := mayCreate(who); err != nil {
		return err
	}
	var body newSecret
	if err := httpx.Read(w, r, &body); err != nil {
		return err
	}
	o, err := s.build(&body, who)
	if err != nil {
		return err
	}
	if err := s.state.Put(o); err != nil {
		return err
	}
	w.Header().Set("Location", ref(r, "secrets", o.ID))
	return httpx.Write(w, http.StatusCreated, map[string]string{"secret_ref": ref(r, "secrets", o.ID)})
}

func (s *Service) build(body *newSecret, who httpx.Caller) (secret, error) {
	now := s.now()
	o := secret{object: object{ID: uuid.NewString(), Name: body.Name, ProjectID: who.ProjectID, CreatorID: who.UserID, Created: now, Updated: now},
		Type: "opaque", Algorithm: body.Algorithm, BitLength: body.BitLength, Mode: body.Mode}
	if body.Type != "" {
		o.Type = body.Type
	}
	if !slices.Contains(secretTypes, o.Type) {
		return o, invalid("secret_type must be one of %s", strings.Join(secretTypes, ", "))
	}
	if body.Expiration != nil && *body.Expiration != "" {
		expires, err := parseTime(*body.Expiration)
		if err != nil || !expires.After(now) {
			return o, invalid("expiration must be a time in the future such as 2030-12-31T23:59:59")
		}
		o.Expiration = &expires
	}
	switch {
	case body.Payload == nil && body.ContentType != "":
		return o, invalid("payload_content_type needs a payload")
	case body.Payload == nil:
		return o, nil
	case body.ContentType == "":
		return o, invalid("payload needs payload_content_type")
	}
	payload, err := decodePayload(*body.Payload, body.ContentType, body.Encoding)
	if err != nil {
		return o, err
	}
	return o, s.fill(&o, payload, body.ContentType)
}

func invalid(format string, args ...any) error {
	return httpx.BadRequest("", "Provided object does not match schema 'Secret': "+format+".", args...)
}

func parseTime(value string) (t time.Time, err error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999", "2006-01-02T15:04"} {
		if t, err = time.Parse(layout, value); err == nil {
			return t.UTC(), nil
		}
	}
	return t, err
}

// decodePayload: text comes as it is, everything else in base64.
func decodePayload(payload, contentType, encoding string) ([]byte, error) {
	kind, err := mediaType(contentType)
	if err != nil {
		return nil, err
	}
	if kind == text {
		if encoding != "" {
			return nil, invalid("payload_content_encoding is not supported for %s", text)
		}
		return []byte(payload), nil
	}
	if encoding != "base64" {
		return nil, invalid("payload_content_encoding must be base64 for %s", kind)
	}
	decoded, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(payload), ""))
	if err != nil {
		return nil, invalid("payload is not base64")
	}
	return decoded, nil
}

func mediaType(contentType string) (string, error) {
	kind, parameters, err := mime.ParseMediaType(contentType)
	if err != nil || !slices.Contains(contentTypes, kind) {
		return "", httpx.Errorf(http.StatusUnsupportedMediaType, "", "payload_content_type must be one of %s", strings.Join(contentTypes, ", "))
	}
	if charset := parameters["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return "", httpx.Errorf(http.StatusUnsupportedMediaType, "", "The charset of text must be utf-8")
	}
	return kind, nil
}

// fill seals the payload into the secret.
func (s *Service) fill(o *secret, payload []byte, contentType string) error {
	kind, err := mediaType(contentType)
	switch {
	case err != nil:
		return err
	case len(payload) == 0:
		return invalid("payload is empty")
	case len(payload) > maxPayload:
		return httpx.Errorf(http.StatusRequestEntityTooLarge, "", "Provided information too large to process: the limit is %d bytes", maxPayload)
	case kind == text && !utf8.Valid(payload):
		return invalid("payload is not UTF-8")
	}
	o.ContentType = kind
	o.Sealed, err = s.opts.Sealer.Seal(payload, purpose(o.ID))
	return err
}

func purpose(id string) string { return "keymanager secret " + id }

// fillSecret gives a secret that was made without one its payload.
func (s *Service) fillSecret(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	payload, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 2*maxPayload))
	if err != nil {
		return httpx.Errorf(http.StatusRequestEntityTooLarge, "", "Provided information too large to process: the limit is %d bytes", maxPayload)
	}
	if r.Header.Get("Content-Encoding") == "base64" {
		if payload, err = base64.StdEncoding.DecodeString(string(payload)); err != nil {
			return invalid("payload is not base64")
		}
	}
	err = s.state.Update(func(tx *state.Tx) error {
		o, err := s.secret(tx, r.PathValue("id"), who, (*object).changeable)
		if err != nil {
			return err
		}
		if o.ContentType != "" {
			return httpx.Conflict("", "Secret already has data, cannot modify it.")
		}
		if err := s.fill(&o, payload, r.Header.Get("Content-Type")); err != nil {
			return err
		}
		o.Updated = s.now()
		return tx.Put(o)
	})
	if err != nil {
		return err
	}
	return httpx.NoContent(w)
}

// showSecret answers what is known of a secret or, asked for another type than JSON, the payload.
func (s *Service) showSecret(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	accept := r.Header.Get("Accept")
	if accept != "" && !strings.Contains(accept, "application/json") && !strings.Contains(accept, "*/*") {
		return s.showPayload(w, r, who)
	}
	o, err := s.secret(s.state, r.PathValue("id"), who, (*object).readable)
	if err != nil {
		return err
	}
	return httpx.Write(w, http.StatusOK, shown(r, &o))
}

func (s *Service) showPayload(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	o, err := s.secret(s.state, r.PathValue("id"), who, (*object).readable)
	if err != nil {
		return err
	}
	if o.ContentType == "" {
		return httpx.NotFound("", "Secret %s has no payload.", o.ID)
	}
	if accept := r.Header.Get("Accept"); accept != "" && !strings.Contains(accept, "*/*") && !strings.Contains(accept, o.ContentType) {
		return httpx.Errorf(http.StatusNotAcceptable, "", "Wrong payload content-type: the secret is %s", o.ContentType)
	}
	payload, err := s.opts.Sealer.Open(o.Sealed, purpose(o.ID))
	if err != nil {
		return err
	}
	contentType := o.ContentType
	if contentType == text {
		contentType += "; charset=utf-8"
	}
	w.Header().Set("Content-Type", contentType)
	w.Write(payload)
	return nil
}

func (s *Service) deleteSecret(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	err := s.state.Update(func(tx *state.Tx) error {
		o, err := s.secret(tx, r.PathValue("id"), who, (*object).changeable)
		if err != nil {
			return err
		}
		tx.Delete(o)
		return nil
	})
	if err != nil {
		return err
	}
	return httpx.NoContent(w)
}

func (s *Service) listSecrets(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	query := r.URL.Query()
	all := state.List(s.state, func(o *secret) bool {
		return o.ProjectID == who.ProjectID && o.changeable(who) && !s.expired(o) && fits(query.Get("name"), o.Name) &&
			fits(query.Get("secret_type"), o.Type) && fits(query.Get("alg"), value(o.Algorithm)) && fits(query.Get("mode"), value(o.Mode))
	})
	list := []shownSecret{}
	for i := range all {
		list = append(list, shown(r, &all[i]))
	}
	return writeList(w, r, "secrets", list)
}

func fits(wanted, have string) bool { return wanted == "" || wanted == have }

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
