package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/lb/attr"
)

// health is what /healthcheck knows. It asks the database at most once in an interval, however many ask it.
type health struct {
	mu      sync.Mutex
	checked time.Time
	reason  string // why the service is not healthy, empty when it is
}

func (h *health) look(ctx context.Context, now time.Time, every time.Duration, ping func(context.Context) error) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.checked.IsZero() || now.Sub(h.checked) >= every {
		h.checked, h.reason = now, ""
		if ping(ctx) != nil {
			h.reason = "The database cannot be reached."
		}
	}
	return h.reason
}

// showHealth answers load balancers and monitoring in front of the API, without a token, in text, HTML or JSON as they
// ask (oslo.middleware's healthcheck).
func (s *Server) showHealth(c *call) error {
	if !s.Healthcheck {
		return noSuchPage
	}
	if c.Method != http.MethodGet && c.Method != http.MethodHead {
		return s.notAllowed(c.Method)
	}
	ctx, cancel := context.WithTimeout(c.Context(), 5*time.Second)
	defer cancel()
	reason := s.health.look(ctx, s.Clock(), s.HealthcheckEvery, s.Store.Ping)
	status := http.StatusOK
	if reason != "" {
		status = http.StatusServiceUnavailable
	} else if c.Method == http.MethodHead {
		return c.done(http.StatusNoContent)
	} else {
		reason = "OK"
	}
	media, body := healthPage(c.Header.Get("Accept"), reason)
	c.w.Header().Set("Content-Type", media)
	c.status = status
	c.w.WriteHeader(status)
	c.w.Write(body)
	return nil
}

func healthPage(accept, reason string) (media string, body []byte) {
	for item := range strings.SplitSeq(accept, ",") {
		item, _, _ = strings.Cut(item, ";")
		switch strings.TrimSpace(item) {
		case "application/json":
			return "application/json", append(attr.AppendString([]byte(`{"detailed":false,"reasons":[`), reason), "]}"...)
		case "text/html":
			return "text/html", fmt.Appendf(nil, "<html><head><title>Healthcheck Status</title></head><body><p>%s</p></body></html>\n", reason)
		case "text/plain", "text/*", "*/*":
			return "text/plain", []byte(reason)
		}
	}
	return "text/plain", []byte(reason)
}

func (s *Server) notAllowed(method string) error {
	return lb.Refuse(lb.NotAllowed, "The method %s is not allowed for this resource.", method)
}
