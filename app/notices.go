package app

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"

	"github.com/octavo-lb/octavo/config"
	"github.com/octavo-lb/octavo/housekeeping"
	"github.com/octavo-lb/octavo/notify"
)

// notices say who is told of what happens to load balancers.
type notices struct {
	publishers []housekeeping.Publisher
	attempts   int // at each notification; 0 for no limit
}

// newNotices makes what the configuration names; nothing unless it names a driver, as in Octavia.
func newNotices(cfg *config.Config, log *slog.Logger) (notices, error) {
	if !cfg.ControllerWorker.Events {
		return notices{}, nil
	}
	n := notices{attempts: cfg.Notifications.Retry + 1}
	for _, driver := range cfg.Notifications.Drivers {
		switch driver {
		case "log":
			n.publishers = append(n.publishers, notify.Log{Logger: log})
		case "messaging", "messagingv2":
			o, err := rabbitOptions(cfg)
			if err != nil {
				return n, err
			}
			o.Bare = driver == "messaging"
			n.publishers = append(n.publishers, notify.NewRabbit(o))
		}
	}
	return n, nil
}

func rabbitOptions(cfg *config.Config) (notify.RabbitOptions, error) {
	url, section := cfg.Notifications.TransportURL, "oslo_messaging_notifications"
	if url.Empty() {
		url, section = cfg.Default.TransportURL, "DEFAULT"
	}
	brokers, err := notify.ParseURL(url)
	if err != nil {
		return notify.RabbitOptions{}, fmt.Errorf("[%s] transport_url: %w", section, err)
	}
	r := &cfg.Rabbit
	brokers.UseTLS(r.TLS)
	o := notify.RabbitOptions{Brokers: brokers, Exchange: cfg.Default.Exchange, Topics: cfg.Notifications.Topics, Durable: r.Durable,
		AutoDelete: r.AutoDelete, Quorum: r.QuorumQueue, Heartbeat: r.Heartbeat}
	if o.TLS {
		if o.TLSConfig, err = rabbitTLS(r); err != nil {
			return o, fmt.Errorf("[oslo_messaging_rabbit]: %w", err)
		}
	}
	return o, nil
}

func rabbitTLS(r *config.Rabbit) (*tls.Config, error) {
	t := &tls.Config{}
	if r.CAFile != "" {
		roots, err := readRoots(r.CAFile)
		if err != nil {
			return nil, fmt.Errorf("ssl_ca_file: %w", err)
		}
		t.RootCAs = roots
	}
	if r.CertFile != "" {
		certificate, err := tls.LoadX509KeyPair(r.CertFile, r.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("cannot load ssl_cert_file and ssl_key_file: %w", err)
		}
		t.Certificates = []tls.Certificate{certificate}
	}
	if !r.CheckHost {
		checkChainOnly(t)
	}
	return t, nil
}

// checkChainOnly takes a certificate of the right authority for any host, as the operator wrote in so many words.
func checkChainOnly(t *tls.Config) {
	t.InsecureSkipVerify = true
	t.VerifyConnection = func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) == 0 {
			return errors.New("the broker shows no certificate")
		}
		o := x509.VerifyOptions{Roots: t.RootCAs, Intermediates: x509.NewCertPool()}
		for _, c := range state.PeerCertificates[1:] {
			o.Intermediates.AddCert(c)
		}
		_, err := state.PeerCertificates[0].Verify(o)
		return err
	}
}
