package notify

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/octavo-lb/octavo/secrets"
)

// Brokers are where a transport_url leads: the nodes of one RabbitMQ cluster.
type Brokers struct {
	Hosts       []Host
	VirtualHost string
	TLS         bool // asked for by ?ssl=1
}

// UseTLS asks for TLS if it is true; hosts without a port of their own have that of AMQP over TLS then.
func (b *Brokers) UseTLS(use bool) {
	if !use || b.TLS {
		return
	}
	b.TLS = true
	for i := range b.Hosts {
		if h := &b.Hosts[i]; h.standardPort {
			h.Address = strings.TrimSuffix(h.Address, plainPort) + tlsPort
		}
	}
}

const plainPort, tlsPort = "5672", "5671"

// Host is a node of the cluster, with the account to use there.
type Host struct {
	Address  string // HOST:PORT
	User     string
	Password secrets.Secret

	standardPort bool // none was named
}

// ParseURL takes apart oslo.messaging's transport_url:
//
//	rabbit://USER:PASSWORD@HOST:PORT,USER:PASSWORD@HOST:PORT/VIRTUAL_HOST?ssl=1
//
// A host without an account has that of the one before it. Errors show nothing of the URL.
func ParseURL(text secrets.Secret) (Brokers, error) {
	scheme, rest, ok := strings.Cut(text.Reveal(), "://")
	if !ok || !slices.Contains([]string{"rabbit", "amqp", "kombu+amqp"}, scheme) {
		return Brokers{}, errors.New("it must start with rabbit://, for RabbitMQ is what notifications are sent to")
	}
	rest, query, _ := strings.Cut(rest, "?")
	hosts, path, _ := strings.Cut(rest, "/")
	var b Brokers
	var err error
	if b.VirtualHost, err = url.PathUnescape(path); err != nil {
		return b, errors.New("its virtual host holds a % that is not followed by two hexadecimal digits")
	}
	if b.VirtualHost == "" {
		b.VirtualHost = "/"
	}
	if values, err := url.ParseQuery(query); err == nil && values.Get("ssl") != "" {
		if b.TLS, err = parseBool(values.Get("ssl")); err != nil {
			return b, err
		}
	}
	last := Host{User: "guest", Password: secrets.New("guest")}
	for n, text := range strings.Split(hosts, ",") {
		if last, err = parseHost(text, last, b.TLS); err != nil {
			return b, fmt.Errorf("host %d: %w", n+1, err)
		}
		b.Hosts = append(b.Hosts, last)
	}
	return b, nil
}

func parseBool(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "1", "true", "yes", "on":
		return true, nil
	case "0", "false", "no", "off":
		return false, nil
	}
	return false, errors.New("its ssl must be 1 or 0")
}

func parseHost(text string, before Host, tls bool) (Host, error) {
	h := before
	if i := strings.LastIndex(text, "@"); i >= 0 {
		user, password, _ := strings.Cut(text[:i], ":")
		user, err := url.PathUnescape(user)
		if err == nil {
			password, err = url.PathUnescape(password)
		}
		if err != nil {
			return h, errors.New("its user or password holds a % that is not followed by two hexadecimal digits")
		}
		h.User, h.Password, text = user, secrets.New(password), text[i+1:]
	}
	port := plainPort
	if tls {
		port = tlsPort
	}
	host := text
	h.standardPort = true
	if name, number, err := net.SplitHostPort(text); err == nil {
		host, port, h.standardPort = name, number, false
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if host == "" {
		host = "localhost"
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return h, errors.New("its port must be a number from 1 to 65535")
	}
	h.Address = net.JoinHostPort(host, port)
	return h, nil
}
