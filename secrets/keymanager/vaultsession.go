package keymanager

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/octavo-lb/octavo/secrets"
)

// VaultOptions say where Vault is, what is read there, and as whom: by Token, or else by RoleID and SecretID.
type VaultOptions struct {
	URL       string
	Namespace string
	Mount     string // of the key/value store
	Path      string // folder in it; empty for none
	Version   int    // of the key/value store, 1 or 2
	Token     secrets.Secret
	RoleID    secrets.Secret
	SecretID  secrets.Secret
	TLS       *tls.Config
	// AnyID takes references in castellan's form, ids that tell nothing of a project: everybody who knows one can use it.
	AnyID  bool
	Clock  func() time.Time
	Logger *slog.Logger
}

const (
	vaultTimeout   = 10 * time.Second
	vaultMaxAnswer = 1 << 20
)

var (
	errVaultAbsent = errors.New("Vault has nothing there")
	errVaultDenied = errors.New("Vault denies permission")
	errVaultSealed = errors.New("Vault is sealed, or not ready: unseal it")
)

// vaultSession is the service's token of Vault, and requests that show it.
type vaultSession struct {
	options *VaultOptions
	base    string
	http    http.Client

	mu      sync.Mutex
	token   secrets.Secret
	until   time.Time // when the token ends; zero for never
	renewAt time.Time // zero for never
	known   bool      // until and renewAt are
	renew   bool      // the token can be renewed
}

func newVaultSession(o *VaultOptions) (*vaultSession, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("[vault] vault_url must be a URL such as https://vault.example.org:8200, and not %q", o.URL)
	}
	if o.Token.Empty() && o.RoleID.Empty() {
		return nil, errors.New("[vault] approle_role_id and approle_secret_id, or root_token_id, must be set")
	}
	o.Mount, o.Path, o.Version = cmp.Or(strings.Trim(o.Mount, "/"), "secret"), strings.Trim(o.Path, "/"), cmp.Or(o.Version, 2)
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = o.TLS
	return &vaultSession{options: o, base: strings.TrimSuffix(o.URL, "/") + "/v1/", token: o.Token,
		http: http.Client{Transport: transport, Timeout: vaultTimeout, CheckRedirect: keepSecure}}, nil
}

// keepSecure follows a standby node to the active one, but never with the token in clear.
func keepSecure(to *http.Request, via []*http.Request) error {
	if len(via) > 3 || via[0].URL.Scheme == "https" && to.URL.Scheme != "https" {
		return errors.New("Vault leads on and on, or away from TLS")
	}
	return nil
}

// vaultAnswer is what Vault answers to everything.
type vaultAnswer struct {
	Data map[string]any `json:"data"`
	Auth *struct {
		Token     string `json:"client_token"`
		Seconds   int    `json:"lease_duration"`
		Renewable bool   `json:"renewable"`
	} `json:"auth"`
	Wrap *struct {
		Token string `json:"token"`
	} `json:"wrap_info"`
}

// get reads a path. A token that Vault does not know any more is replaced, once: errVaultDenied tells that the path is
// what is denied.
func (s *vaultSession) get(ctx context.Context, path string) (*vaultAnswer, error) {
	token, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	a, err := s.call(ctx, http.MethodGet, path, token, nil)
	if errors.Is(err, errVaultDenied) {
		if token, err = s.verify(ctx, token); err == nil {
			a, err = s.call(ctx, http.MethodGet, path, token, nil)
		}
	}
	if err == nil && a.Wrap != nil {
		return nil, errors.New("Vault wraps its answers to the service: its policy must not set min_wrapping_ttl")
	}
	return a, err
}

// current answers a token that should work, renewing it or logging in if need be.
func (s *vaultSession) current(ctx context.Context) (secrets.Secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ready(ctx)
}

func (s *vaultSession) ready(ctx context.Context) (secrets.Secret, error) {
	now := s.options.Clock()
	if s.token.Empty() || !s.until.IsZero() && !now.Before(s.until) {
		return s.token, s.login(ctx)
	}
	if !s.known {
		return s.token, s.look(ctx)
	}
	if !s.renewAt.IsZero() && !now.Before(s.renewAt) {
		if err := s.prolong(ctx); err != nil {
			s.options.Logger.Warn("cannot renew the service's token of Vault", "err", err, "ends", s.until)
			if err := s.login(ctx); err != nil && !s.options.Clock().Before(s.until) {
				return s.token, err
			}
		}
	}
	return s.token, nil
}

// verify finds out whether a token was denied for its own sake, and answers one that is good. errVaultDenied is never
// about the token.
func (s *vaultSession) verify(ctx context.Context, denied secrets.Secret) (secrets.Secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.token.Equal(denied) {
		return s.token, nil // somebody else has replaced it
	}
	_, err := s.call(ctx, http.MethodGet, "auth/token/lookup-self", denied, nil)
	if errors.Is(err, errVaultDenied) {
		err = s.login(ctx)
	}
	return s.token, err
}

// look finds out how long a given token lasts. A policy may keep it from that: then Vault's answers show when it has ended.
func (s *vaultSession) look(ctx context.Context) error {
	a, err := s.call(ctx, http.MethodGet, "auth/token/lookup-self", s.token, nil)
	switch {
	case errors.Is(err, errVaultDenied):
		return errors.New("Vault does not accept [vault] root_token_id: it has ended, was revoked, or is wrapped and must be unwrapped first")
	case err != nil:
		return err
	}
	seconds, _ := a.Data["ttl"].(float64)
	renewable, _ := a.Data["renewable"].(bool)
	s.lasts(time.Duration(seconds)*time.Second, renewable)
	return nil
}

func (s *vaultSession) login(ctx context.Context) error {
	o := s.options
	if o.RoleID.Empty() {
		return errors.New("Vault does not accept [vault] root_token_id any more: it has ended or was revoked")
	}
	body := map[string]string{"role_id": o.RoleID.Reveal()}
	if !o.SecretID.Empty() {
		body["secret_id"] = o.SecretID.Reveal()
	}
	a, err := s.call(ctx, http.MethodPost, "auth/approle/login", secrets.Secret{}, body)
	var refused *vaultRefusal
	switch {
	case errors.As(err, &refused) && refused.invalid, errors.Is(err, errVaultDenied):
		return errors.New("Vault does not accept [vault] approle_role_id and approle_secret_id: they are wrong or have ended, or the secret id is wrapped " +
			"and must be unwrapped first")
	case errors.Is(err, errVaultAbsent):
		return errors.New("Vault has no AppRole login: enable it as auth/approle, or see [vault] namespace")
	case err != nil:
		return err
	case a.Auth == nil || a.Auth.Token == "":
		return errors.New("Vault gives no token: the role's policy must not set min_wrapping_ttl")
	}
	s.token = secrets.New(a.Auth.Token)
	s.lasts(time.Duration(a.Auth.Seconds)*time.Second, a.Auth.Renewable)
	return nil
}

func (s *vaultSession) prolong(ctx context.Context) error {
	if !s.renew {
		return errors.New("it is not renewable")
	}
	a, err := s.call(ctx, http.MethodPost, "auth/token/renew-self", s.token, map[string]string{})
	if err != nil {
		return err
	}
	if a.Auth == nil {
		return errors.New("Vault does not say for how long")
	}
	s.lasts(time.Duration(a.Auth.Seconds)*time.Second, a.Auth.Renewable)
	return nil
}

// lasts notes for how long the token is good. It is renewed half way, or replaced when it cannot be: one that a human gave
// cannot be replaced.
func (s *vaultSession) lasts(ttl time.Duration, renewable bool) {
	s.known, s.renew, s.until, s.renewAt = true, renewable, time.Time{}, time.Time{}
	if ttl <= 0 {
		return
	}
	now := s.options.Clock()
	s.until = now.Add(ttl)
	if renewable || !s.options.RoleID.Empty() {
		s.renewAt = now.Add(ttl / 2)
	}
}

// run keeps the token alive also while nothing is fetched.
func (s *vaultSession) run(ctx context.Context) {
	healthy := true
	for {
		_, err := s.current(ctx)
		if ctx.Err() != nil {
			return
		}
		if (err == nil) != healthy {
			healthy = err == nil
			s.tell(err)
		}
		timer := time.NewTimer(s.pause())
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

func (s *vaultSession) tell(err error) {
	if err != nil {
		s.options.Logger.Warn("Vault cannot be used; what runs goes on with the secrets that it has", "err", err)
		return
	}
	s.options.Logger.Info("Vault can be used again")
}

func (s *vaultSession) pause() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.renewAt.IsZero() {
		return time.Minute
	}
	return min(max(s.renewAt.Sub(s.options.Clock()), time.Second), time.Minute)
}

// vaultRefusal is an answer that has no meaning of its own here.
type vaultRefusal struct {
	status  int
	invalid bool // something that was sent is; some versions say so with 400 and some with 500
}

func refusal(resp *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(resp.Body, vaultMaxAnswer))
	if err != nil {
		return fmt.Errorf("cannot read Vault's answer: %w", err)
	}
	return &vaultRefusal{resp.StatusCode, resp.StatusCode == http.StatusBadRequest || bytes.Contains(text, []byte("invalid"))}
}

func (r *vaultRefusal) Error() string { return fmt.Sprintf("Vault answers %d", r.status) }

// call makes one request. What Vault says about an error is left out: it may repeat what it was sent.
func (s *vaultSession) call(ctx context.Context, method, path string, token secrets.Secret, body map[string]string) (*vaultAnswer, error) {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(text)
	}
	q, err := http.NewRequestWithContext(ctx, method, s.base+path, content)
	if err != nil {
		return nil, err
	}
	q.Header.Set("X-Vault-Request", "true")
	if !token.Empty() {
		q.Header.Set("X-Vault-Token", token.Reveal())
	}
	if s.options.Namespace != "" {
		q.Header.Set("X-Vault-Namespace", s.options.Namespace)
	}
	resp, err := s.http.Do(q)
	if err != nil {
		return nil, fmt.Errorf("cannot reach Vault: %w", err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK, http.StatusNoContent:
	case http.StatusForbidden:
		return nil, errVaultDenied
	case http.StatusNotFound:
		return nil, errVaultAbsent
	case http.StatusServiceUnavailable:
		return nil, errVaultSealed
	default:
		return nil, refusal(resp)
	}
	a := &vaultAnswer{}
	if err := json.NewDecoder(io.LimitReader(resp.Body, vaultMaxAnswer)).Decode(a); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("cannot read Vault's answer: %w", err)
	}
	return a, nil
}
