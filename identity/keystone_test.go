package identity

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// fakeKeystone knows some tokens and can be down, slow or both.
type fakeKeystone struct {
	mu     sync.Mutex
	tokens map[string]time.Time // expiry
	down   bool
	slow   time.Duration
	asked  atomic.Int64
	busy   atomic.Int64
	most   atomic.Int64
}

func (f *fakeKeystone) Validate(ctx context.Context, token string) (Caller, error) {
	f.asked.Add(1)
	if n := f.busy.Add(1); n > f.most.Load() {
		f.most.Store(n)
	}
	defer f.busy.Add(-1)
	f.mu.Lock()
	expires, known := f.tokens[token]
	down, slow := f.down, f.slow
	f.mu.Unlock()
	select {
	case <-time.After(slow):
	case <-ctx.Done():
		return Caller{}, ctx.Err()
	}
	switch {
	case down:
		return Caller{}, errors.New("connection refused")
	case !known:
		return Caller{}, ErrUnauthorized
	}
	return Caller{UserID: "user of " + token, ExpiresAt: expires}, nil
}

func (f *fakeKeystone) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// inBubble runs a story with a Keystone that knows the token good for two hours.
func inBubble(t *testing.T, story func(t *testing.T, f *fakeKeystone, k *Keystone)) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeKeystone{tokens: map[string]time.Time{"good": time.Now().Add(2 * time.Hour)}}
		story(t, f, NewKeystone(f, Options{Entries: 3, Concurrency: 2}))
	})
}

// expect identifies token and checks the error and how often Keystone has been asked since the start.
func expect(t *testing.T, f *fakeKeystone, k *Keystone, token string, want error, asked int64) {
	t.Helper()
	c, err := k.IdentifyToken(t.Context(), token)
	if !errors.Is(err, want) {
		t.Errorf("token %s: %v, want %v", token, err, want)
	}
	if err == nil && (c.UserID != "user of "+token || c.Token != token) {
		t.Errorf("token %s is for %v", token, c)
	}
	if err != nil && c.UserID != "" {
		t.Errorf("an error comes with the caller %v", c)
	}
	if n := f.asked.Load(); n != asked {
		t.Errorf("token %s: Keystone was asked %d times, want %d", token, n, asked)
	}
}

func TestTokenIsAskedForOncePerTTL(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeKeystone, k *Keystone) {
		expect(t, f, k, "good", nil, 1)
		time.Sleep(5*time.Minute - time.Nanosecond)
		expect(t, f, k, "good", nil, 1)
		time.Sleep(time.Nanosecond)
		expect(t, f, k, "good", nil, 2)
	})
}

func TestRevokedTokenEndsWithinTheTTL(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeKeystone, k *Keystone) {
		expect(t, f, k, "good", nil, 1)
		f.set(func() { delete(f.tokens, "good") })
		time.Sleep(5 * time.Minute)
		expect(t, f, k, "good", ErrUnauthorized, 2)
		f.set(func() { f.down = true })
		time.Sleep(11 * time.Second)
		expect(t, f, k, "good", ErrUnavailable, 3) // what was revoked does not bridge
	})
}

func TestExpiryIsHonouredWithinTheTTL(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeKeystone, k *Keystone) {
		f.tokens["short"] = time.Now().Add(time.Minute)
		f.tokens["over"] = time.Now()
		expect(t, f, k, "short", nil, 1)
		time.Sleep(time.Minute)
		expect(t, f, k, "short", ErrUnauthorized, 1)
		expect(t, f, k, "over", ErrUnauthorized, 2) // Keystone's clock is behind ours
	})
}

func TestBadTokenIsAskedForOncePerBadTTL(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeKeystone, k *Keystone) {
		expect(t, f, k, "bad", ErrUnauthorized, 1)
		expect(t, f, k, "bad", ErrUnauthorized, 1)
		f.set(func() { f.tokens["bad"] = time.Now().Add(time.Hour) })
		time.Sleep(10 * time.Second)
		expect(t, f, k, "bad", nil, 2)
	})
}

func TestImplausibleTokensAreNotAskedFor(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeKeystone, k *Keystone) {
		for _, token := range []string{"", "a b", "a\nb", "schlüssel", strings.Repeat("x", maxToken+1)} {
			expect(t, f, k, token, ErrUnauthorized, 0)
		}
	})
}

func TestOutageIsBridgedForKnownTokensOnly(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeKeystone, k *Keystone) {
		expect(t, f, k, "good", nil, 1)
		f.set(func() { f.down = true })
		expect(t, f, k, "other", ErrUnavailable, 2)
		time.Sleep(6 * time.Minute)
		expect(t, f, k, "good", nil, 3)
		expect(t, f, k, "good", nil, 3) // no second try at once
		time.Sleep(5 * time.Second)
		expect(t, f, k, "good", nil, 4)
		time.Sleep(54 * time.Minute)
		expect(t, f, k, "good", ErrUnavailable, 5) // longer than the bridge
		f.set(func() { f.down = false })
		expect(t, f, k, "good", nil, 6)
	})
}

func TestOutageDoesNotOutliveTheToken(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeKeystone, k *Keystone) {
		f.tokens["short"] = time.Now().Add(10 * time.Minute)
		expect(t, f, k, "short", nil, 1)
		f.set(func() { f.down = true })
		time.Sleep(10*time.Minute - time.Nanosecond)
		expect(t, f, k, "short", nil, 2)
		time.Sleep(time.Nanosecond)
		expect(t, f, k, "short", ErrUnauthorized, 2)
	})
}

func TestSilentKeystoneIsAnOutage(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeKeystone, k *Keystone) {
		f.slow = time.Hour
		start := time.Now()
		expect(t, f, k, "good", ErrUnavailable, 1)
		if waited := time.Since(start); waited != 10*time.Second {
			t.Errorf("waited %v, want the timeout of 10 s", waited)
		}
	})
}

func TestManyRequestsWithOneTokenAskOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeKeystone, k *Keystone) {
		f.slow = time.Second
		impatient, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { // the first to ask, and the first to leave
			if _, err := k.IdentifyToken(impatient, "good"); !errors.Is(err, context.Canceled) {
				t.Errorf("the request that left got %v", err)
			}
		})
		synctest.Wait()
		for range 50 {
			wg.Go(func() {
				if _, err := k.IdentifyToken(t.Context(), "good"); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		leave()
		wg.Wait()
		if n := f.asked.Load(); n != 1 {
			t.Errorf("Keystone was asked %d times, want once", n)
		}
	})
}

func TestFloodOfBadTokensIsBoundedAndHarmsNobody(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeKeystone, k *Keystone) {
		expect(t, f, k, "good", nil, 1)
		f.set(func() { f.slow = time.Millisecond })
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				if _, err := k.IdentifyToken(t.Context(), fmt.Sprint("bad", i)); !errors.Is(err, ErrUnauthorized) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if f.most.Load() > 2 {
			t.Errorf("%d validations at once, want at most 2", f.most.Load())
		}
		expect(t, f, k, "good", nil, 101) // still remembered: it was not asked for again
	})
}

func TestCacheForgetsTheLeastRecentlyUsed(t *testing.T) {
	c := newCache[int](2)
	key := func(i byte) cacheKey { return cacheKey{i} }
	c.put(key(1), 1)
	c.put(key(2), 2)
	c.get(key(1))
	c.put(key(3), 3)
	for i, want := range map[byte]bool{1: true, 2: false, 3: true} {
		if _, ok := c.get(key(i)); ok != want {
			t.Errorf("%d is kept: %v, want %v", i, ok, want)
		}
	}
}

func TestTokenIsNotPrinted(t *testing.T) {
	c := Caller{UserID: "u", Token: "swordfish"}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(format, c); strings.Contains(s, "swordfish") {
			t.Errorf("%s prints %s", format, s)
		}
	}
	if s := c.LogValue().String(); strings.Contains(s, "swordfish") {
		t.Errorf("logs %s", s)
	}
}
