package controller

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/octavo-lb/octavo/agentapi"
)

// ErrNoWayIn is that the amphora has no certificate that is good and no token that is.
var ErrNoWayIn = errors.New("neither a certificate nor the token of the boot file lets this amphora in")

// Enrolled tells whether the amphora has a certificate that it can show now.
func (c *Client) Enrolled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.identity.certified(c.clock().Add(c.skew))
}

// Enrol trades the boot file's token for a certificate. It makes one attempt; ErrNoWayIn says that another one will fail
// too.
func (c *Client) Enrol(ctx context.Context) error {
	c.certifying.Lock()
	defer c.certifying.Unlock()
	c.mu.Lock()
	id := c.identity
	c.mu.Unlock()
	err := c.certify(ctx, id, agentapi.PathEnroll, c.boot.Token)
	var answer *StatusError
	if errors.As(err, &answer) && answer.Code == http.StatusForbidden {
		return fmt.Errorf("%w: %w", ErrNoWayIn, err)
	}
	return err
}

// RenewAt is when Renew should be called.
func (c *Client) RenewAt() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.identity.Issued.RenewAfter.Add(-c.skew)
}

// Renew gets a certificate for a new key. The old one stays in use if that fails.
func (c *Client) Renew(ctx context.Context) error {
	c.certifying.Lock()
	defer c.certifying.Unlock()
	c.mu.Lock()
	trust := c.identity.Issued.Trust
	c.mu.Unlock()
	next, err := newIdentity(c.boot.AmphoraID, trust)
	if err != nil {
		return err
	}
	return c.certify(ctx, next, agentapi.PathRenew, "")
}

func (c *Client) certify(ctx context.Context, id *identity, path, token string) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	csr, err := id.csr()
	if err != nil {
		return err
	}
	var issued agentapi.Certificate
	if _, err := c.call(ctx, http.MethodPost, path, token, agentapi.EnrollRequest{CSR: csr}, &issued); err != nil {
		return fmt.Errorf("getting a certificate: %w", err)
	}
	next := *id
	next.Issued = issued
	if next.Issued.Trust == (agentapi.Trust{}) {
		next.Issued.Trust = id.Issued.Trust
	}
	if err := next.parse(); err != nil {
		return fmt.Errorf("getting a certificate: %w", err)
	}
	if err := next.save(c.dir); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.identity = &next
	return c.connect()
}

// segment is what fits into the packets that every path has to carry (RFC 8200, 1280 bytes), so that neither side ever sends
// one that is lost on the way without a word. Little is said, so it costs nothing.
const segment = 1220

// dialer notices a controller that does not answer soon enough to try the next one within a poll.
func dialer() func(ctx context.Context, network, address string) (net.Conn, error) {
	d := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}
	d.Control = func(_, _ string, c syscall.RawConn) error {
		var err error
		if outer := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG, segment) }); outer != nil {
			return outer
		}
		return err
	}
	return d.DialContext
}
