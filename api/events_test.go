package api_test

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/store"
)

// stream follows events until the test ends.
func (c client) stream(path string, header http.Header) <-chan string {
	c.t.Helper()
	q, _ := http.NewRequestWithContext(c.t.Context(), "GET", c.server.URL+path, nil)
	q.Header = http.Header{"X-Auth-Token": {c.token}, "Accept": {"text/event-stream"}}
	for k, v := range header {
		q.Header[k] = v
	}
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		c.t.Fatal(err)
	}
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		c.t.Fatalf("%s: %d %v", path, resp.StatusCode, resp.Header)
	}
	out := make(chan string, 100)
	go func() {
		defer resp.Body.Close()
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			if line := lines.Text(); line != "" && line != ":" {
				out <- line
			}
		}
	}()
	return out
}

func next(t *testing.T, events <-chan string, words ...string) string {
	t.Helper()
	select {
	case line := <-events:
		for _, w := range words {
			if !strings.Contains(line, w) {
				t.Errorf("%q does not say %q", line, w)
			}
		}
		return line
	case <-time.After(10 * time.Second):
		t.Fatalf("no event that says %q", words)
		return ""
	}
}

func TestAStreamTellsWhatHappens(t *testing.T) {
	s := newSite(t)
	before := s.loadBalancer()
	events := s.as("member-a").stream("/v2.0/lbaas/events", nil)
	others := s.as("member-b").stream("/v2.0/lbaas/events", nil)
	s.as("member-a").put(lbs+"/"+before, object{"loadbalancer": object{"name": "x"}}).want(200)
	id := next(t, events, "id: ")
	next(t, events, "event: loadbalancer.update")
	next(t, events, `"object_id":"`+before, `"provisioning_status":"PENDING_UPDATE"`)
	s.converge(before)
	next(t, events)
	next(t, events, "event: loadbalancer.status")
	next(t, events, `"provisioning_status":"ACTIVE"`)
	select {
	case line := <-others:
		t.Errorf("another project hears %s", line)
	default:
	}

	// A client that was away goes on where it was.
	again := s.as("member-a").stream("/v2.0/lbaas/events", http.Header{"Last-Event-Id": {strings.TrimPrefix(id, "id: ")}})
	next(t, again, "id: ")
	next(t, again, "event: loadbalancer.status")

	page := s.as("member-a").get("/v2.0/lbaas/events").want(200, `"action":"create"`, `"last":`)
	if n := len(page.in("events").([]any)); n < 4 {
		t.Errorf("%d events", n)
	}
	if got := s.as("member-b").get("/v2.0/lbaas/events").want(200).in("events").([]any); len(got) != 0 {
		t.Errorf("another project reads %v", got)
	}
	s.as("nobody-a").get("/v2.0/lbaas/events").want(403)
	s.as("member-a").get("/v2.0/lbaas/events?after=yesterday").want(400, "after")
}

func TestConditionsSayWhyAndWhenAgain(t *testing.T) {
	s := newSite(t)
	u := s.as("member-a")
	lbID := s.loadBalancer()
	poolID := s.create("pools", "pool", object{"loadbalancer_id": lbID, "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN"})
	memberPath := "/v2/lbaas/pools/" + poolID + "/members/" + s.create("pools/"+poolID+"/members", "member", object{"address": "192.0.2.7", "protocol_port": 80})
	u.get(memberPath).want(200, `"octavo:conditions":[{"type":"InForce","status":"False","reason":"Converging"`)
	again := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	s.write(lbID, func(tx *store.Tx) error { return tx.SetFailure(t.Context(), "the image is gone", again) })
	for _, path := range []string{lbs + "/" + lbID, "/v2/lbaas/pools/" + poolID, memberPath} {
		u.get(path).want(200, `"provisioning_status":"ERROR"`, `"reason":"Failed","message":"the image is gone"`, `"next_try_at":"2030-01-02T03:04:05"`)
	}
	s.converge(lbID)
	u.get(memberPath).want(200, `"octavo:conditions":[{"type":"InForce","status":"True","reason":"InForce"`)
	u.delete(memberPath).want(204)
	u.get(memberPath).want(200, `"reason":"Deleting"`)
	if a := u.get(memberPath + "?fields=id").want(200); strings.Contains(a.raw, "octavo") {
		t.Error(a.raw)
	}
}
