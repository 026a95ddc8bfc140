package api

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/lb/attr"
	"github.com/octavo-lb/octavo/store"
)

// This call is not Octavia's: GET /v2.0/lbaas/events follows what happens to a project's load balancers, so that nobody
// has to poll. With Accept: text/event-stream it is a stream of server-sent events that goes on (Last-Event-ID resumes
// it); otherwise it is a page of JSON. ?after=N tells where to begin; without it a stream begins now, a page at the oldest
// event that is kept.

const (
	eventsPath     = "/events"
	eventsPerPage  = 500
	eventHeartbeat = 15 * time.Second
)

func wantsStream(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/event-stream")
}

func (s *Server) listEvents(c *call) error {
	projectID, err := s.projectToList(c, "loadbalancer")
	if err != nil {
		return err
	}
	after, given, err := eventStart(c)
	if err != nil {
		return err
	}
	if !wantsStream(c.Request) {
		b, last, err := s.events(c.Context(), projectID, after, appendJSONEvent)
		if err != nil {
			return err
		}
		b = append(attr.Close(append([]byte(`{"events":[`), b...), ']'), `,"last":`...)
		return c.write(200, append(strconv.AppendInt(b, last, 10), '}'))
	}
	if !given {
		if after, err = s.Store.LastChange(c.Context()); err != nil {
			return err
		}
	}
	return s.streamEvents(c, projectID, after)
}

func eventStart(c *call) (after int64, given bool, err error) {
	text := c.URL.Query().Get("after")
	if text == "" {
		text = c.Header.Get("Last-Event-ID")
	}
	if text == "" {
		return 0, false, nil
	}
	if after, err = strconv.ParseInt(text, 10, 64); err != nil || after < 0 {
		return 0, false, attr.Invalid("after", text, "Value should be the id of an event")
	}
	return after, true, nil
}

// streamEvents writes until the client goes away or the service ends. A subscription wakes it; the heartbeat shows both ends that the other is
// there, and looks again in case a wake-up was lost.
func (s *Server) streamEvents(c *call, projectID string, after int64) error {
	woken := s.Store.Subscribe(c.Context())
	control := http.NewResponseController(c.w)
	control.SetWriteDeadline(time.Time{}) // the server's is for answers that end
	h := c.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	c.status = http.StatusOK
	c.w.WriteHeader(http.StatusOK)
	heartbeat := time.NewTicker(eventHeartbeat)
	defer heartbeat.Stop()
	for {
		b, last, err := s.events(c.Context(), projectID, after, appendStreamEvent)
		if err != nil {
			c.log.Info("a stream of events ended", "err", err)
			return nil // it has begun: the client resumes it
		}
		if b == nil && last == after {
			b = []byte(":\n\n")
		}
		if _, err := c.w.Write(b); err != nil || control.Flush() != nil {
			return nil
		}
		if last-after >= eventsPerPage {
			after = last
			continue
		}
		after = last
		select {
		case <-c.Context().Done():
			return nil
		case <-s.Stopping:
			return nil
		case _, open := <-woken:
			if !open {
				return nil
			}
		case <-heartbeat.C:
		}
	}
}

// events reads one page of changes and shows those of a project, or of all. last is where the next page begins.
func (s *Server) events(ctx context.Context, projectID string, after int64, show func([]byte, store.Change, *lb.LoadBalancer) []byte) (b []byte, last int64, err error) {
	changes, err := s.Store.Changes(ctx, after, eventsPerPage)
	if err != nil || len(changes) == 0 {
		return nil, after, err
	}
	last = changes[len(changes)-1].Seq
	if projectID != "" {
		changes = slices.DeleteFunc(changes, func(ch store.Change) bool { return ch.ProjectID != projectID })
	}
	balancers, err := s.balancersOf(ctx, changes)
	if err != nil {
		return nil, after, err
	}
	for _, ch := range changes {
		b = show(b, ch, balancers[ch.LB])
	}
	return b, last, nil
}

// balancersOf reads the load balancers that changes are about, as they are now, in one statement.
func (s *Server) balancersOf(ctx context.Context, changes []store.Change) (map[string]*lb.LoadBalancer, error) {
	var ids []string
	for _, ch := range changes {
		if ch.LB != "" {
			ids = append(ids, ch.LB)
		}
	}
	if ids == nil {
		return nil, nil
	}
	slices.Sort(ids)
	page, err := store.List[lb.LoadBalancer](ctx, s.Store, store.Query{Filters: []store.Filter{{Name: "id", Values: slices.Compact(ids)}}})
	if err != nil {
		return nil, err
	}
	found := make(map[string]*lb.LoadBalancer, len(page.Items))
	for i := range page.Items {
		found[page.Items[i].ID] = &page.Items[i]
	}
	return found, nil
}

func appendJSONEvent(b []byte, ch store.Change, l *lb.LoadBalancer) []byte {
	b = strconv.AppendInt(append(b, `{"id":`...), ch.Seq, 10)
	for _, m := range [][2]string{{"type", string(ch.Kind)}, {"action", ch.Action}, {"object_id", ch.ObjectID},
		{"loadbalancer_id", ch.LB}, {"project_id", ch.ProjectID}, {"at", ch.At.UTC().Format(attr.TimeLayout)}} {
		b = attr.AppendString(attr.AppendName(append(b, ','), m[0]), m[1])
	}
	b = strconv.AppendInt(append(b, `,"generation":`...), ch.Generation, 10)
	b = append(b, `,"loadbalancer":`...)
	if l == nil {
		return append(b, "null},"...) // it is gone
	}
	b = attr.AppendString(append(b, `{"provisioning_status":`...), string(l.ProvisioningStatus))
	b = attr.AppendString(append(b, `,"operating_status":`...), string(l.OperatingStatus))
	return append(b, "}},"...)
}

// appendStreamEvent writes an event in the format of server-sent events.
func appendStreamEvent(b []byte, ch store.Change, l *lb.LoadBalancer) []byte {
	b = strconv.AppendInt(append(b, "id: "...), ch.Seq, 10)
	b = append(append(append(append(b, "\nevent: "...), ch.Kind...), '.'), ch.Action...)
	b = appendJSONEvent(append(b, "\ndata: "...), ch, l)
	return append(b[:len(b)-1], "\n\n"...)
}
