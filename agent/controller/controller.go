// Package controller is the agent's side of the protocol with its controllers: who the amphora is, the one connection that
// it keeps to any of them, and the calls on it.
package controller

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/octavo-lb/octavo/agentapi"
)

// ErrGone is the controller's word that the amphora is to be deleted.
var ErrGone = errors.New("the amphora is to be deleted")

// maxState bounds what a controller can make the agent hold: a thousand listeners with ten thousand members are below it.
const maxState = 64 << 20

// MaxWait is how long one question for a newer state may stay open.
const MaxWait = 50 * time.Second

// Options are what New needs besides the boot file.
type Options struct {
	Dir    string // of the identity; only root can read it
	Clock  func() time.Time
	Logger *slog.Logger
}

// Client calls the controllers. Its methods may be used concurrently.
type Client struct {
	boot   agentapi.Boot
	dir    string
	clock  func() time.Time
	logger *slog.Logger

	// certifying is held by whoever gets a certificate: of two that were asked for with the same one, only the last counts.
	certifying sync.Mutex

	mu       sync.Mutex
	identity *identity
	http     *http.Client
	current  int           // which controller is asked first
	skew     time.Duration // the controllers' clock minus ours
}

// New reads what earlier processes of this amphora left in the directory. It calls nobody.
func New(boot agentapi.Boot, o Options) (*Client, error) {
	switch {
	case boot.AmphoraID == "":
		return nil, errors.New("the boot file names no amphora")
	case len(boot.Controllers) == 0:
		return nil, errors.New("the boot file names no controllers")
	}
	c := &Client{boot: boot, dir: o.Dir, clock: o.Clock, logger: o.Logger}
	identity, err := loadIdentity(o.Dir, boot)
	if err != nil {
		return nil, err
	}
	c.identity = identity
	return c, c.connect()
}

// connect makes a new HTTP client for the identity as it is now. Callers hold mu or are alone.
func (c *Client) connect() error {
	config, err := c.identity.tls(c.boot.ServerName, c.clock)
	if err != nil {
		return err
	}
	if c.http != nil {
		c.http.CloseIdleConnections()
	}
	c.http = &http.Client{
		Transport: &http.Transport{
			TLSClientConfig:     config,
			TLSHandshakeTimeout: 5 * time.Second,
			DialContext:         dialer(),
			ForceAttemptHTTP2:   true,
			// A controller that vanished without a word is noticed by its silence.
			HTTP2:           &http.HTTP2Config{SendPingTimeout: 5 * time.Second, PingTimeout: 5 * time.Second},
			IdleConnTimeout: 2 * MaxWait,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return nil
}

// State answers a state newer than the generation as soon as there is one, nil if there was none for as long as wait, in
// whole seconds.
func (c *Client) State(ctx context.Context, generation int64, wait time.Duration) (*agentapi.State, error) {
	ctx, cancel := context.WithTimeout(ctx, wait+15*time.Second)
	defer cancel()
	path := fmt.Sprintf("%s?generation=%d&wait=%d", agentapi.PathState, generation, int(wait.Seconds()))
	var state agentapi.State
	found, err := c.call(ctx, http.MethodGet, path, "", nil, &state)
	if err != nil || !found {
		return nil, err
	}
	if state.AmphoraID != "" && state.AmphoraID != c.boot.AmphoraID {
		return nil, fmt.Errorf("the controller answered the state of amphora %s to amphora %s", state.AmphoraID, c.boot.AmphoraID)
	}
	return &state, nil
}

// Report sends a report, stamped with the controllers' clock.
func (c *Client) Report(ctx context.Context, r agentapi.Report) (agentapi.ReportAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	c.mu.Lock()
	r.Time, r.Trust = c.clock().Add(c.skew).UTC(), c.identity.Issued.Trust.ID()
	c.mu.Unlock()
	var answer agentapi.ReportAnswer
	_, err := c.call(ctx, http.MethodPost, agentapi.PathReport, "", r, &answer)
	return answer, err
}

// Program writes the agent program of that digest.
func (c *Client) Program(ctx context.Context, digest string, to io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	_, err := c.call(ctx, http.MethodGet, agentapi.PathProgram+"/"+digest, "", nil, to)
	return err
}

// Drained tells the controller that this amphora's clients' connections have ended.
func (c *Client) Drained(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	_, err := c.call(ctx, http.MethodPost, agentapi.PathDrained, "", nil, nil)
	return err
}

// Secret fetches the secret of that digest.
func (c *Client) Secret(ctx context.Context, digest string) (agentapi.SecretBundle, error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	var bundle agentapi.SecretBundle
	_, err := c.call(ctx, http.MethodGet, agentapi.PathSecret+"/"+digest, "", nil, &bundle)
	return bundle, err
}

// call asks the controllers in turn, beginning with the one that answered last, until one answers. It tells whether the
// answer had a body.
func (c *Client) call(ctx context.Context, method, path, token string, body, into any) (found bool, err error) {
	var encoded []byte
	if body != nil {
		if encoded, err = json.Marshal(body); err != nil {
			return false, fmt.Errorf("writing a request: %w", err)
		}
	}
	c.mu.Lock()
	client, first := c.http, c.current
	c.mu.Unlock()
	var failures []error
	for i := range c.boot.Controllers {
		n := (first + i) % len(c.boot.Controllers)
		found, err := c.ask(ctx, client, c.boot.Controllers[n]+path, method, token, encoded, into)
		var answer *StatusError
		if err == nil || errors.As(err, &answer) && answer.Code < 500 || ctx.Err() != nil {
			c.mu.Lock()
			c.current = n
			c.mu.Unlock()
			return found, err
		}
		failures = append(failures, err)
	}
	return false, errors.Join(failures...)
}

func (c *Client) ask(ctx context.Context, client *http.Client, url, method, token string, body []byte, into any) (bool, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return false, fmt.Errorf("asking the controller: %w", err)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := client.Do(request)
	if err != nil {
		return false, fmt.Errorf("asking the controller: %w", err)
	}
	defer response.Body.Close()
	c.learnTime(response)
	content := io.LimitReader(response.Body, maxState)
	switch response.StatusCode {
	case http.StatusOK:
		if to, raw := into.(io.Writer); raw {
			_, err := io.Copy(to, content)
			return true, err
		}
		if err := json.NewDecoder(content).Decode(into); err != nil {
			return false, fmt.Errorf("reading the controller's answer: %w", err)
		}
		return true, nil
	case http.StatusNotModified, http.StatusNoContent:
		return false, nil
	case http.StatusGone:
		gone := &StatusError{Code: response.StatusCode, Err: ErrGone}
		if patience, err := time.ParseDuration(response.Header.Get(agentapi.StandDown)); err == nil {
			return false, &StandDownError{Patience: patience, err: gone}
		}
		return false, gone
	}
	text, _ := io.ReadAll(io.LimitReader(content, 500))
	return false, &StatusError{Code: response.StatusCode, Err: errors.New(strings.TrimSpace(string(text)))}
}

// learnTime takes over the controllers' clock, because they judge a report's age by their own.
func (c *Client) learnTime(r *http.Response) {
	date, err := http.ParseTime(r.Header.Get("Date"))
	if err != nil {
		return
	}
	// The header has no fractions of a second, so that its clock is half a second late on average.
	skew := date.Add(500 * time.Millisecond).Sub(c.clock())
	if skew.Abs() < time.Second {
		skew = 0
	}
	c.mu.Lock()
	c.skew = skew
	c.mu.Unlock()
}

// StandDownError is ErrGone with the controller's wish that the amphora lets its clients go in peace.
type StandDownError struct {
	Patience time.Duration // how long that may take
	err      error
}

func (e *StandDownError) Error() string { return e.err.Error() }
func (e *StandDownError) Unwrap() error { return e.err }

// StatusError is an answer of the controller that was not the one hoped for.
type StatusError struct {
	Code int
	Err  error
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("the controller answered %d %s: %v", e.Code, http.StatusText(e.Code), e.Err)
}

func (e *StatusError) Unwrap() error { return e.Err }
