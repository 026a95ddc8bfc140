// Package cloudfake is a cloud in memory: the calls to Keystone, Neutron, Nova and Glance that package cloud makes, over
// HTTP, with a memory of what was made. It passes the same suite (cloudtest) as real clouds. Tests make it slow, full,
// forgetful or unreachable, call by call.
package cloudfake

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"
)

// Options have a usable zero value in every field.
type Options struct {
	Clock func() time.Time
	// PageSize bounds the length of a list, so that clients must follow links; no bound when 0.
	PageSize int
	// BootTime is how long an instance is in BUILD; DeleteTime is how long its deletion takes.
	BootTime, DeleteTime time.Duration
	// TokenLifetime is an hour when 0.
	TokenLifetime time.Duration
	// Before is called before each call with its method and path, such as "POST /network/v2.0/ports". What it returns, if not
	// nil, is the outcome, and nothing happens.
	Before func(ctx context.Context, call string) error
	// After is called after each call that changed something. What it returns takes the answer's place: the call was
	// carried out, and the caller does not know.
	After func(call string) error
}

// Refusal is an error that is answered, rather than one that keeps any answer from arriving.
type Refusal struct {
	Status  int
	Type    string
	Message string
}

func (r *Refusal) Error() string { return fmt.Sprintf("%d %s: %s", r.Status, r.Type, r.Message) }

func refuse(status int, kind, format string, args ...any) *Refusal {
	return &Refusal{status, kind, fmt.Sprintf(format, args...)}
}

// Cloud is a cloud in memory. Safe for concurrent use.
type Cloud struct {
	options Options
	mux     *http.ServeMux

	mu      sync.Mutex
	serial  int
	quotas  map[string]int
	tokens  map[string]caller
	objects map[string][]object // by collection, in order of creation
	doomed  string
	calls   map[string]int
}

// object is a resource as it is on the wire.
type object map[string]any

func (o object) str(name string) string { s, _ := o[name].(string); return s }

type caller struct {
	project string
	admin   bool
	expires time.Time
}

// New makes a cloud with the service project's account and nothing else.
func New(o Options) *Cloud {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.TokenLifetime == 0 {
		o.TokenLifetime = time.Hour
	}
	c := &Cloud{options: o, mux: http.NewServeMux(), quotas: map[string]int{}, tokens: map[string]caller{},
		objects: map[string][]object{}, calls: map[string]int{}}
	c.routes()
	return c
}

func (c *Cloud) routes() {
	c.mux.HandleFunc("POST /identity/v3/auth/tokens", c.authenticate)
	for _, collection := range []string{"networks", "subnets", "ports", "security-groups", "security-group-rules"} {
		c.handle("GET /network/v2.0/"+collection, c.list(collection))
		c.handle("GET /network/v2.0/"+collection+"/{id}", c.show(collection))
	}
	c.handle("GET /network/v2.0/qos/policies/{id}", c.show("policies"))
	c.handle("GET /network/v2.0/network-ip-availabilities/{id}", c.availability)
	c.handle("POST /network/v2.0/ports", c.createPort)
	c.handle("PUT /network/v2.0/ports/{id}", c.updatePort)
	c.handle("DELETE /network/v2.0/ports/{id}", c.deletePort)
	c.handle("POST /network/v2.0/security-groups", c.createGroup)
	c.handle("DELETE /network/v2.0/security-groups/{id}", c.deleteGroup)
	c.handle("POST /network/v2.0/security-group-rules", c.createRule)
	c.handle("DELETE /network/v2.0/security-group-rules/{id}", c.deleteRule)
	c.handle("GET /compute/v2.1/servers/detail", c.listServers)
	c.handle("GET /compute/v2.1/servers/{id}", c.showServer)
	c.handle("POST /compute/v2.1/servers", c.createServer)
	c.handle("DELETE /compute/v2.1/servers/{id}", c.deleteServer)
	c.handle("POST /compute/v2.1/servers/{id}/os-interface", c.attach)
	c.handle("DELETE /compute/v2.1/servers/{id}/os-interface/{port}", c.detach)
	c.handle("GET /compute/v2.1/os-server-groups", c.list("server_groups"))
	c.handle("POST /compute/v2.1/os-server-groups", c.createServerGroup)
	c.handle("DELETE /compute/v2.1/os-server-groups/{id}", c.deleteServerGroup)
	c.handle("GET /image/v2/images", c.listImages)
}

// request is a call that was authenticated.
type request struct {
	*http.Request
	caller caller
	body   object
}

// answer is what a handler gives: a status and a body, or a refusal.
type answer struct {
	status int
	body   any
}

// handle adapts a handler: token, body, injected faults, lock.
func (c *Cloud) handle(pattern string, fn func(r request) (answer, error)) {
	c.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		who, ok := c.tokens[r.Header.Get("X-Auth-Token")]
		if !ok || c.options.Clock().After(who.expires) {
			write(w, answer{}, refuse(http.StatusUnauthorized, "", "The request you have made requires authentication."))
			return
		}
		in := request{Request: r, caller: who}
		if r.Body != nil && r.Method != http.MethodGet && r.Method != http.MethodDelete {
			var outer map[string]object
			if err := json.NewDecoder(r.Body).Decode(&outer); err != nil {
				write(w, answer{}, refuse(http.StatusBadRequest, "", "%v", err))
				return
			}
			for name, inner := range outer {
				if name != "os:scheduler_hints" {
					in.body = inner
				}
			}
		}
		out, err := fn(in)
		write(w, out, err)
	})
}

func write(w http.ResponseWriter, a answer, err error) {
	w.Header().Set("Content-Type", "application/json")
	if refusal, ok := err.(*Refusal); ok {
		w.WriteHeader(refusal.Status)
		fault := map[string]any{"type": refusal.Type, "message": refusal.Message, "code": refusal.Status}
		_ = json.NewEncoder(w).Encode(map[string]any{"NeutronError": fault})
		return
	}
	w.WriteHeader(a.status)
	if a.body != nil {
		_ = json.NewEncoder(w).Encode(a.body)
	}
}

// ServeHTTP answers over a socket; injected errors that are not refusals are answered with 503.
func (c *Cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	response, err := c.RoundTrip(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer response.Body.Close()
	w.Header().Set("X-Subject-Token", response.Header.Get("X-Subject-Token"))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(response.StatusCode)
	_, _ = io.Copy(w, response.Body)
}

// RoundTrip answers without a socket, in the caller's goroutine: a Cloud is a http.RoundTripper.
func (c *Cloud) RoundTrip(r *http.Request) (*http.Response, error) {
	call := r.Method + " " + r.URL.Path
	c.mu.Lock()
	c.calls[shape(call)]++
	c.mu.Unlock()
	if c.options.Before != nil {
		if err := c.options.Before(r.Context(), call); err != nil {
			return outcome(r, err)
		}
	}
	if r.Body == nil {
		r.Body = http.NoBody
	}
	recorder := httptest.NewRecorder()
	c.mux.ServeHTTP(recorder, r)
	if r.Method != http.MethodGet && recorder.Code < 300 && c.options.After != nil {
		if err := c.options.After(call); err != nil {
			return outcome(r, err)
		}
	}
	response := recorder.Result()
	response.Request = r
	return response, nil
}

func outcome(r *http.Request, err error) (*http.Response, error) {
	refusal, ok := err.(*Refusal)
	if !ok {
		return nil, err
	}
	recorder := httptest.NewRecorder()
	write(recorder, answer{}, refusal)
	response := recorder.Result()
	response.Request = r
	return response, nil
}

// Calls counts the calls so far by method and collection, such as "POST ports".
func (c *Cloud) Calls() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[string]int{}
	for call, n := range c.calls {
		all[call] = n
	}
	return all
}

// shape names a call by method and collection.
func shape(call string) string {
	method, path, _ := strings.Cut(call, " ")
	parts := strings.Split(strings.Trim(path, "/"), "/")
	if len(parts) < 3 {
		return call
	}
	return method + " " + parts[2]
}

func (c *Cloud) newID() string {
	c.serial++
	return fmt.Sprintf("00000000-0000-4000-8000-%012x", c.serial)
}

func (c *Cloud) find(collection, id string) (int, object) {
	for i, o := range c.objects[collection] {
		if o.str("id") == id {
			return i, o
		}
	}
	return -1, nil
}

func (c *Cloud) remove(collection string, i int) {
	list := c.objects[collection]
	c.objects[collection] = append(list[:i:i], list[i+1:]...)
}

// clone copies an object so that what is kept is not shared with anybody.
func clone(o object) object {
	text, err := json.Marshal(o)
	if err != nil {
		panic(err) // objects come from JSON
	}
	var copied object
	decoder := json.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&copied); err != nil {
		panic(err)
	}
	return copied
}
