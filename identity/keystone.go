package identity

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"golang.org/x/sync/singleflight"
)

// Validator asks the identity service about a token. It answers ErrUnauthorized for a token that is not valid; any other
// error means that it could not find out.
type Validator interface {
	Validate(ctx context.Context, token string) (Caller, error)
}

// Options of a Keystone; zero values stand for the defaults.
type Options struct {
	// TTL is how long a token is taken for valid without asking again: 5 minutes. It is the revocation window: for so long
	// at most a token that was revoked, or whose roles were changed, keeps what it had.
	TTL time.Duration
	// BadTTL is how long a token that was not valid is refused without asking again: 10 seconds.
	BadTTL time.Duration
	// Bridge is how long after it was last validated a token that has not expired still counts while the identity service
	// is unavailable: 1 hour. During an outage it is the revocation window.
	Bridge time.Duration
	// Retry is how long a token bridges without asking again: 5 seconds.
	Retry time.Duration
	// Timeout of one validation: 10 seconds.
	Timeout time.Duration
	// Entries is how many tokens are remembered, and as many bad ones: 10,000.
	Entries int
	// Concurrency is how many validations run at once: 32.
	Concurrency int

	Clock  func() time.Time
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	o.TTL = cmp.Or(o.TTL, 5*time.Minute)
	o.BadTTL = cmp.Or(o.BadTTL, 10*time.Second)
	o.Bridge = cmp.Or(o.Bridge, time.Hour)
	o.Retry = cmp.Or(o.Retry, 5*time.Second)
	o.Timeout = cmp.Or(o.Timeout, 10*time.Second)
	o.Entries = cmp.Or(o.Entries, 10_000)
	o.Concurrency = cmp.Or(o.Concurrency, 32)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return o
}

// maxToken is longer than any token that Keystone makes (a PKI-free Fernet token has some 250 characters) and than ours.
const maxToken = 4096

// Keystone identifies callers by the token in X-Auth-Token and remembers what the identity service said.
//
//   - A token is validated again when its TTL has passed, and never believed after it has expired.
//   - One token is validated once at a time, however many requests show it. A request that goes away does not take the
//     validation with it.
//   - When the identity service is unavailable, tokens that it knows keep working (Options.Bridge); for others the answer
//     is ErrUnavailable.
//   - What strangers send cannot push out what is known to be valid: bad tokens are remembered apart.
type Keystone struct {
	opts      Options
	validator Validator
	good      *cache[verdict]
	bad       *cache[time.Time] // when it was refused
	flights   singleflight.Group
	slots     chan struct{}
}

// verdict is what was learned about a valid token.
type verdict struct {
	caller  Caller // without the token itself
	checked time.Time
	retryAt time.Time // set while it bridges an outage
}

// NewKeystone makes an Identifier of a Validator.
func NewKeystone(v Validator, opts Options) *Keystone {
	opts = opts.withDefaults()
	return &Keystone{opts: opts, validator: v, good: newCache[verdict](opts.Entries), bad: newCache[time.Time](opts.Entries),
		slots: make(chan struct{}, opts.Concurrency)}
}

// Identify implements Identifier.
func (k *Keystone) Identify(r *http.Request) (Caller, error) {
	return k.IdentifyToken(r.Context(), r.Header.Get("X-Auth-Token"))
}

// IdentifyToken is Identify for a token that did not come in a request's header.
func (k *Keystone) IdentifyToken(ctx context.Context, token string) (Caller, error) {
	if !plausible(token) {
		return Caller{}, ErrUnauthorized
	}
	key := sha256.Sum256([]byte(token)) // the caches hold no token that a memory dump could show
	if c, err, known := k.remembered(key); known {
		return c.showing(token), err
	}
	flight := k.flights.DoChan(string(key[:]), func() (any, error) {
		return k.validate(context.WithoutCancel(ctx), key, token)
	})
	select {
	case result := <-flight:
		c, _ := result.Val.(Caller)
		return c.showing(token), result.Err
	case <-ctx.Done():
		return Caller{}, ctx.Err()
	}
}

// showing is the caller of one request: nothing that it may change is anybody else's.
func (c Caller) showing(token string) Caller {
	c.Token, c.Roles = token, slices.Clone(c.Roles)
	return c
}

// plausible keeps from asking about what cannot be a token: nothing, too much, or not printable.
func plausible(token string) bool {
	if token == "" || len(token) > maxToken {
		return false
	}
	for _, b := range []byte(token) {
		if b <= ' ' || b > '~' {
			return false
		}
	}
	return true
}

// remembered answers from the caches, unless it is time to ask again.
func (k *Keystone) remembered(key cacheKey) (c Caller, err error, known bool) {
	now := k.opts.Clock()
	if refused, ok := k.bad.get(key); ok && now.Before(refused.Add(k.opts.BadTTL)) {
		return Caller{}, ErrUnauthorized, true
	}
	v, ok := k.good.get(key)
	switch {
	case !ok:
		return Caller{}, nil, false
	case !now.Before(v.caller.ExpiresAt):
		return Caller{}, ErrUnauthorized, true
	case now.Before(v.checked.Add(k.opts.TTL)), now.Before(v.retryAt) && k.bridges(v, now):
		return v.caller, nil, true
	}
	return Caller{}, nil, false
}

func (k *Keystone) bridges(v verdict, now time.Time) bool {
	return now.Before(v.checked.Add(k.opts.Bridge)) && now.Before(v.caller.ExpiresAt)
}

// validate asks the identity service and remembers what it says.
func (k *Keystone) validate(ctx context.Context, key cacheKey, token string) (Caller, error) {
	ctx, cancel := context.WithTimeout(ctx, k.opts.Timeout)
	defer cancel()
	c, err := k.ask(ctx, token)
	now := k.opts.Clock()
	switch {
	case err == nil && now.Before(c.ExpiresAt):
		c.Token = ""
		k.good.put(key, verdict{caller: c, checked: now})
		return c, nil
	case err == nil, errors.Is(err, ErrUnauthorized):
		k.good.remove(key)
		k.bad.put(key, now)
		return Caller{}, ErrUnauthorized
	}
	if v, ok := k.good.get(key); ok && k.bridges(v, now) {
		k.opts.Logger.WarnContext(ctx, "token not validated again: the identity service is unavailable",
			"user", v.caller.UserID, "validated", v.checked, "err", err)
		v.retryAt = now.Add(k.opts.Retry)
		k.good.put(key, v)
		return v.caller, nil
	}
	k.opts.Logger.ErrorContext(ctx, "cannot validate a token", "err", err)
	return Caller{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
}

func (k *Keystone) ask(ctx context.Context, token string) (Caller, error) {
	select {
	case k.slots <- struct{}{}:
		defer func() { <-k.slots }()
		return k.validator.Validate(ctx, token)
	case <-ctx.Done():
		return Caller{}, errors.New("too many tokens are being validated")
	}
}
