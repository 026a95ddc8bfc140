package httpx

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
)

// MaxBody is the size that a JSON request body may have.
const MaxBody = 1 << 20

// Read decodes the request's JSON body into v. Attributes that v does not have are left out; what does not fit is a 400
// *Error that names it.
func Read(w http.ResponseWriter, r *http.Request, v any) error {
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, MaxBody))
	if err := body.Decode(v); err != nil {
		return unreadable(err)
	}
	if _, err := body.Token(); err != io.EOF {
		return BadRequest("", "The request body has more than one JSON value.")
	}
	return nil
}

func unreadable(err error) error {
	var tooLarge *http.MaxBytesError
	var wrongType *json.UnmarshalTypeError
	switch {
	case errors.As(err, &tooLarge):
		return Errorf(http.StatusRequestEntityTooLarge, "", "The request body is larger than %d bytes.", tooLarge.Limit)
	case errors.As(err, &wrongType):
		return BadRequest("", "Invalid input for field %s: a %s is not of the right type.", wrongType.Field, wrongType.Value)
	case errors.Is(err, io.EOF):
		return BadRequest("", "The request has no body.")
	}
	return BadRequest("", "The request body is not JSON: %v.", err)
}

// Write answers with v as JSON.
func Write(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", jsonType)
	w.WriteHeader(status)
	w.Write(body) // a client that is gone needs no answer
	return nil
}

// NoContent answers 204.
func NoContent(w http.ResponseWriter) error {
	w.WriteHeader(http.StatusNoContent)
	return nil
}
