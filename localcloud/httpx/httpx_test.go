package httpx

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

type oneToken struct{}

func (oneToken) Authenticate(_ context.Context, token string) (Caller, error) {
	switch token {
	case "good":
		return Caller{UserID: "u", ProjectID: "p"}, nil
	case "unlucky":
		return Caller{}, errors.New("the disk is gone")
	}
	return Caller{}, ErrBadToken
}

type port struct {
	ID    string   `json:"id"`
	Name  string   `json:"name"`
	Up    bool     `json:"admin_state_up"`
	MTU   int      `json:"mtu"`
	Owner *string  `json:"owner"`
	Tags  []string `json:"tags"`
}

func router(dialect Dialect) *Router {
	ports := []port{
		{ID: "1", Name: "a", Up: true, MTU: 9000, Tags: []string{"x", "y"}},
		{ID: "2", Name: "b", MTU: 1500, Owner: new("me"), Tags: []string{"x"}},
		{ID: "3", Name: "a", Up: true, MTU: 1450},
	}
	rt := NewRouter("/network", dialect, oneToken{}, slog.New(slog.DiscardHandler))
	rt.Public("GET /", func(w http.ResponseWriter, r *http.Request) error {
		return Write(w, http.StatusOK, map[string]string{"href": BaseURL(r) + "/v2.0"})
	})
	rt.Handle("GET /v2.0/ports", func(w http.ResponseWriter, r *http.Request, _ Caller) error {
		page, err := Select(r, ports, Strict)
		if err != nil {
			return err
		}
		return page.Write(w, "ports")
	})
	rt.Handle("GET /v2.0/ports/{id}", func(_ http.ResponseWriter, r *http.Request, who Caller) error {
		switch r.PathValue("id") {
		case "secret":
			return errors.New("password is swordfish")
		case "panic":
			panic("password is swordfish")
		}
		return NotFound("PortNotFound", "Port %s <could> not be found for %s.", r.PathValue("id"), who.ProjectID)
	})
	rt.Handle("POST /v2.0/ports", func(w http.ResponseWriter, r *http.Request, _ Caller) error {
		var body struct {
			Port port `json:"port"`
		}
		if err := Read(w, r, &body); err != nil {
			return err
		}
		return Write(w, http.StatusCreated, body)
	})
	return rt
}

func ask(rt http.Handler, method, url, token, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://cloud:9876"+url, strings.NewReader(body))
	r.Header.Set("X-Auth-Token", token)
	w := httptest.NewRecorder()
	rt.ServeHTTP(w, r)
	return w
}

func TestErrorsSpeakTheServicesLanguage(t *testing.T) {
	tests := []struct {
		dialect Dialect
		want    string
	}{
		{Neutron, `{"NeutronError":{"detail":"","message":"Port 9 \u003ccould\u003e not be found for p.","type":"PortNotFound"}}`},
		{Nova, `{"PortNotFound":{"code":404,"message":"Port 9 \u003ccould\u003e not be found for p."}}`},
		{Keystone, `{"error":{"code":404,"message":"Port 9 \u003ccould\u003e not be found for p.","title":"Not Found"}}`},
		{Barbican, `{"code":404,"description":"Port 9 \u003ccould\u003e not be found for p.","title":"Not Found"}`},
	}
	for _, test := range tests {
		w := ask(router(test.dialect), "GET", "/network/v2.0/ports/9/", "good", "")
		if w.Code != 404 || w.Body.String() != test.want {
			t.Errorf("%d %s, want 404 %s", w.Code, w.Body, test.want)
		}
		if !strings.HasPrefix(w.Header().Get("X-Openstack-Request-Id"), "req-") {
			t.Errorf("no request id in %v", w.Header())
		}
	}
	w := ask(router(Glance), "GET", "/network/v2.0/ports/9", "good", "")
	if !strings.Contains(w.Body.String(), "&lt;could&gt;") || !strings.Contains(w.Header().Get("Content-Type"), "html") {
		t.Errorf("%v %s, want a page with the message escaped", w.Header(), w.Body)
	}
}

func TestRoutes(t *testing.T) {
	tests := []struct {
		method, url, token, body string
		status                   int
		says                     string
	}{
		{"GET", "/network", "", "", 200, `"http://cloud:9876/network/v2.0"`},
		{"GET", "/network/", "", "", 200, `"http://cloud:9876/network/v2.0"`},
		{"GET", "/networks", "", "", 404, "NeutronError"},
		{"GET", "/network/v9", "good", "", 404, "HTTPNotFound"},
		{"DELETE", "/network/v2.0/ports", "good", "", 405, "DELETE"},
		{"GET", "/network/v2.0/ports", "", "", 401, `"code":401`},
		{"GET", "/network/v2.0/ports", "bad", "", 401, "requires authentication"},
		{"GET", "/network/v2.0/ports", "unlucky", "", 500, "HTTPInternalServerError"},
		{"GET", "/network/v2.0/ports/secret", "good", "", 500, "unexpected error"},
		{"GET", "/network/v2.0/ports/panic", "good", "", 500, "unexpected error"},
		{"POST", "/network/v2.0/ports", "good", "", 400, "no body"},
		{"POST", "/network/v2.0/ports", "good", "{", 400, "not JSON"},
		{"POST", "/network/v2.0/ports", "good", "{} {}", 400, "more than one"},
		{"POST", "/network/v2.0/ports", "good", `{"port": {"mtu": "x"}}`, 400, "port.mtu"},
		{"POST", "/network/v2.0/ports", "good", `{"port": {"name": "` + strings.Repeat("x", MaxBody) + `"}}`, 413, "larger"},
		{"POST", "/network/v2.0/ports", "good", `{"port": {"name": "x", "unknown": 1}}`, 201, `"x"`},
	}
	for _, test := range tests {
		w := ask(router(Neutron), test.method, test.url, test.token, test.body)
		if w.Code != test.status || !strings.Contains(w.Body.String(), test.says) || strings.Contains(w.Body.String(), "swordfish") {
			t.Errorf("%s %s: %d %s, want %d with %s", test.method, test.url, w.Code, w.Body, test.status, test.says)
		}
	}
}

func TestLists(t *testing.T) {
	tests := []struct{ query, want string }{
		{"", "1 2 3"},
		{"name=a", "1 3"},
		{"name=a&name=b", "1 2 3"},
		{"name=a&id=3", "3"},
		{"admin_state_up=True", "1 3"},
		{"admin_state_up=false", "2"},
		{"owner=me", "2"},
		{"owner=None", "1 3"},
		{"tags=x", "1 2"},
		{"tags=x,y", "1"},
		{"tags-any=y,z", "1"},
		{"not-tags=x,y", "2 3"},
		{"not-tags-any=x,y", "3"},
		{"sort_key=mtu", "3 2 1"},
		{"sort_key=name&sort_dir=desc&sort_key=mtu&sort_dir=asc", "2 3 1"},
		{"limit=2", "1 2 next=2"},
		{"limit=0", "1 2 3"},
		{"limit=2&marker=2", "3 previous=3"},
		{"limit=1&marker=3&page_reverse=True", "2 next=2 previous=2"},
		{"limit=1&marker=3", ""},
		{"colour=red", "400 colour"},
		{"limit=-1", "400 limit"},
		{"limit=x", "400 limit"},
		{"marker=9", "400 marker 9"},
		{"sort_key=colour", "400 colour"},
	}
	for _, test := range tests {
		w := ask(router(Neutron), "GET", "/network/v2.0/ports?"+test.query, "good", "")
		if w.Code == 400 {
			if code, says, _ := strings.Cut(test.want, " "); code != "400" || !strings.Contains(w.Body.String(), says) {
				t.Errorf("%s: 400 %s, want %s", test.query, w.Body, test.want)
			}
			continue
		}
		if got := summary(t, w.Body.Bytes()); got != test.want {
			t.Errorf("%s: %s, want %s", test.query, got, test.want)
		}
	}
}

// summary is the ids of a page and the markers of its links.
func summary(t *testing.T, body []byte) string {
	t.Helper()
	var page struct {
		Ports []port
		Links []Link `json:"ports_links"`
	}
	if err := json.Unmarshal(body, &page); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	words := []string{}
	for _, p := range page.Ports {
		words = append(words, p.ID)
	}
	for _, l := range page.Links {
		_, query, _ := strings.Cut(l.Href, "marker=")
		marker, reverse, _ := strings.Cut(query, "&")
		words = append(words, l.Rel+"="+marker)
		if (l.Rel == "previous") != (reverse == "page_reverse=True") || !strings.HasPrefix(l.Href, "http://cloud:9876/network/v2.0/ports?") {
			t.Errorf("link %s is %s", l.Rel, l.Href)
		}
	}
	return strings.Join(words, " ")
}

func TestFieldsNarrowTheAnswer(t *testing.T) {
	w := ask(router(Neutron), "GET", "/network/v2.0/ports?id=1&fields=id&fields=mtu&fields=nothing", "good", "")
	if got, want := w.Body.String(), `{"ports":[{"id":"1","mtu":9000}]}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestMicroversions(t *testing.T) {
	compute := Microversions{"compute", "X-OpenStack-Nova-API-Version", Microversion{2, 1}, Microversion{2, 79}}
	tests := []struct{ header, value, want string }{
		{"", "", "2.1"},
		{"OpenStack-API-Version", "compute 2.53", "2.53"},
		{"OpenStack-API-Version", "placement 1.3, compute latest", "2.79"},
		{"OpenStack-API-Version", "placement 1.3", "2.1"},
		{"X-OpenStack-Nova-API-Version", "2.60", "2.60"},
		{"OpenStack-API-Version", "compute 2.80", "406"},
		{"OpenStack-API-Version", "compute 1.9", "406"},
		{"OpenStack-API-Version", "compute two", "400"},
		{"OpenStack-API-Version", "compute 2.1x", "400"},
	}
	for _, test := range tests {
		r, w := httptest.NewRequest("GET", "/", nil), httptest.NewRecorder()
		r.Header.Set(test.header, test.value)
		version, err := compute.Negotiate(w, r)
		got := version.String()
		var e *Error
		if errors.As(err, &e) {
			got = map[int]string{400: "400", 406: "406"}[e.Status]
		} else if told := w.Header().Get("OpenStack-API-Version"); told != "compute "+got || !slices.Contains(w.Header().Values("Vary"), "OpenStack-API-Version") {
			t.Errorf("%s: told %q, decided %s", test.value, told, got)
		}
		if got != test.want {
			t.Errorf("%s: %s gives %s, want %s", test.header, test.value, got, test.want)
		}
	}
}
