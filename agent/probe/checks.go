package probe

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// check makes one check from the load balancer's namespace.
func check(ctx context.Context, ns Namespace, t Target) error {
	switch t.Type {
	case "PING":
		return ping(ctx, ns, t.Address.Addr())
	case "TCP":
		c, err := dial(ctx, ns, unix.SOCK_STREAM, 0, t.Address)
		if err == nil {
			c.Close()
		}
		return err
	case "HTTP", "HTTPS":
		return checkHTTP(ctx, ns, t)
	case "TLS-HELLO":
		c, err := dial(ctx, ns, unix.SOCK_STREAM, 0, t.Address)
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = handshake(ctx, c, t)
		return err
	case "UDP-CONNECT":
		return checkUDP(ctx, ns, t.Address)
	case "SCTP":
		return checkSCTP(ctx, ns, t.Address)
	}
	return fmt.Errorf("unknown type of check %s", t.Type)
}

// handshake takes any certificate: a check asks whether the member answers, as HAProxy's checks do.
func handshake(ctx context.Context, c net.Conn, t Target) (net.Conn, error) {
	s := tls.Client(c, &tls.Config{InsecureSkipVerify: true, ServerName: t.Host})
	if err := s.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS handshake: %w", short(err))
	}
	return s, nil
}

func checkHTTP(ctx context.Context, ns Namespace, t Target) error {
	c, err := dial(ctx, ns, unix.SOCK_STREAM, 0, t.Address)
	if err != nil {
		return err
	}
	defer c.Close()
	if t.Type == "HTTPS" {
		if c, err = handshake(ctx, c, t); err != nil {
			return err
		}
	}
	request := t.Method + " " + escape(t.Path) + " HTTP/" + t.Version + "\r\n"
	if t.Version == "1.1" {
		host := t.Host
		if host == "" {
			host = t.Address.String()
		}
		request += "Host: " + escape(host) + "\r\nConnection: close\r\n"
	}
	if _, err := c.Write([]byte(request + "\r\n")); err != nil {
		return short(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: t.Method})
	if err != nil {
		return short(err)
	}
	response.Body.Close()
	if !expected(t.Codes, response.StatusCode) {
		return fmt.Errorf("wrong status %d", response.StatusCode)
	}
	return nil
}

// escape keeps whatever is in a path or host name from being more than that.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= 0x20 || c >= 0x7f {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// expected reads a list of codes and ranges of codes.
func expected(codes string, code int) bool {
	for part := range strings.SplitSeq(strings.ReplaceAll(codes, " ", ""), ",") {
		low, high, isRange := strings.Cut(part, "-")
		from, err := strconv.Atoi(low)
		if err != nil {
			continue
		}
		to := from
		if isRange {
			if to, err = strconv.Atoi(high); err != nil {
				continue
			}
		}
		if from <= code && code <= to {
			return true
		}
	}
	return false
}

// short leaves out of a network error what the reader knows.
func short(err error) error {
	var errno unix.Errno
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return errors.New("timeout")
	case errors.As(err, &errno):
		return errno
	}
	return err
}
