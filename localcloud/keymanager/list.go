package keymanager

import (
	"net/http"
	"strconv"

	"github.com/octavo-lb/octavo/localcloud/httpx"
)

// writeList answers one of Barbican's pages: by limit, 10 when not given and 100 at most, and offset.
func writeList[T any](w http.ResponseWriter, r *http.Request, plural string, all []T) error {
	limit, err := count(r, "limit", 10)
	if err != nil {
		return err
	}
	limit = min(limit, 100)
	offset, err := count(r, "offset", 0)
	if err != nil {
		return err
	}
	from := min(offset, len(all))
	to := min(from+limit, len(all))
	body := map[string]any{plural: all[from:to], "total": len(all)}
	if to < len(all) {
		body["next"] = pageRef(r, limit, to)
	}
	if from > 0 {
		body["previous"] = pageRef(r, limit, max(0, from-limit))
	}
	return httpx.Write(w, http.StatusOK, body)
}

// count reads a parameter that is a number.
func count(r *http.Request, name string, usual int) (int, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return usual, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, httpx.BadRequest("", "%s must be a number of 0 or more", name)
	}
	return n, nil
}

func pageRef(r *http.Request, limit, offset int) string {
	query := r.URL.Query()
	query.Set("limit", strconv.Itoa(limit))
	query.Set("offset", strconv.Itoa(offset))
	return httpx.BaseURL(r) + r.URL.Path + "?" + query.Encode()
}
