package api

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// TLS answers what the API's socket needs to speak HTTPS with a certificate chain and its key in PEM. Replaced files count
// for new connections within a second; when they cannot be used, the old ones stay and a log line says why. clock may be
// nil for the usual one.
func TLS(certFile, keyFile string, clock func() time.Time, log *slog.Logger) (*tls.Config, error) {
	if clock == nil {
		clock = time.Now
	}
	f := &certificateFiles{cert: certFile, key: keyFile, clock: clock, log: log}
	if err := f.load(); err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: f.certificate}, nil
}

// certificateFiles is a certificate and the files that it was loaded from.
type certificateFiles struct {
	cert, key string
	clock     func() time.Time
	log       *slog.Logger

	mu      sync.Mutex
	loaded  *tls.Certificate
	stamp   string    // of the files that were last tried
	checked time.Time // when
}

func (f *certificateFiles) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := f.clock(); now.Sub(f.checked) >= time.Second {
		f.checked = now
		if stamp := f.stampNow(); stamp != f.stamp {
			if err := f.load(); err != nil {
				f.log.Error("the API keeps its old certificate", "err", err)
			} else {
				f.log.Info("the API has a new certificate", "file", f.cert)
			}
		}
	}
	return f.loaded, nil
}

// load notes which files it tried before it reads them: if they change meanwhile, they are read again.
func (f *certificateFiles) load() error {
	f.stamp = f.stampNow()
	pair, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return fmt.Errorf("cannot load the API's certificate %s with the key %s: %w", f.cert, f.key, err)
	}
	f.loaded = &pair
	return nil
}

// stampNow changes with the files.
func (f *certificateFiles) stampNow() (stamp string) {
	for _, name := range []string{f.cert, f.key} {
		if info, err := os.Stat(name); err == nil {
			stamp += fmt.Sprint(info.Size(), info.ModTime().UnixNano(), " ")
		}
	}
	return stamp
}
